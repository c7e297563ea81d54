%% @doc What a cell does to its store, in the VM that has it open. A store goes by an id, from which its
%% values follow too: those of another store are never taken for its own.
-module(environment_store).

-export([start/2, write/2, put_key/2, delete/2, check/3, sync/1, stop/1, keys/2, count/1, load/2, loaded/1]).

-define(WRITE_BUFFER, (1 bsl 20)).
-define(CAPACITY, (8 bsl 20)). % the file of a `map_async' store is as long as that, and is compared
-define(LARGE, (400 bsl 10)). % more than a quarter of a buffer: goes straight into LMDB

-define(LOAD, 300). % as much as there is room for, however long it has

%% With `capacity => default' it is the library's own.
start(Id, Options) ->
    %% What a store says of the limits it meets is no finding.
    ok = logger:set_primary_config(level, error),
    Given = maps:merge(#{write_buffer_bytes => ?WRITE_BUFFER, capacity => ?CAPACITY}, Options),
    case hyper_lmdb:start(maps:filter(fun(_, Value) -> Value =/= default end, Given)) of
        {ok, Store} -> persistent_term:put({?MODULE, Id}, Store);
        {error, _} = Refused -> Refused
    end.

store(Id) -> persistent_term:get({?MODULE, Id}).

%% One by one, in a batch, large, and some that no flush has covered yet: what was answered to which
%% keys. The answer to `sync` stands with no keys.
write(Id, Tag) ->
    Batch = [key(Tag, N) || N <- lists:seq(21, 30)],
    [{[key(Tag, N)], put_key(Id, key(Tag, N))} || N <- lists:seq(1, 20)]
        ++ [{Batch, hyper_lmdb:batch_write(store(Id), [{put, Key, value(Id, Key)} || Key <- Batch])},
            {[large(Tag)], put_key(Id, large(Tag))},
            {[], sync(Id)}]
        ++ [{[key(Tag, N)], put_key(Id, key(Tag, N))} || N <- lists:seq(31, 40)].

%% Writes, and tells `loaded/1' what was answered: the change comes in the midst of it.
load(Id, Tag) ->
    persistent_term:put({?MODULE, load, Id}, spawn(fun() -> load(Id, Tag, 1, []) end)).

load(_, _, Number, Sofar) when Number > ?LOAD ->
    receive {loaded, From} -> From ! {loaded, self(), lists:reverse(Sofar)} end;
load(Id, Tag, Number, Sofar) ->
    receive
        {loaded, From} -> From ! {loaded, self(), lists:reverse(Sofar)}
    after 0 ->
        %% A large one now and then, for which the journal goes on in another file.
        Key = case Number rem 100 of
            0 -> large(<<Tag/binary, "/", (integer_to_binary(Number))/binary>>);
            _ -> key(Tag, Number)
        end,
        Answer = put_key(Id, Key),
        receive after 1 -> load(Id, Tag, Number + 1, [{[Key], Answer} | Sofar]) end
    end.

loaded(Id) ->
    Loader = persistent_term:get({?MODULE, load, Id}),
    Monitor = monitor(process, Loader),
    Loader ! {loaded, self()},
    receive
        {loaded, Loader, Answers} -> Answers;
        {'DOWN', Monitor, process, Loader, Reason} -> error(Reason)
    end.

%% All that `write/2` writes.
keys(_Id, Tag) -> [large(Tag) | [key(Tag, N) || N <- lists:seq(1, 40)]].

put_key(Id, Key) -> hyper_lmdb:put(store(Id), Key, value(Id, Key)).
delete(Id, Key) -> hyper_lmdb:delete(store(Id), Key).
sync(Id) -> hyper_lmdb:sync(store(Id)).
stop(Id) -> hyper_lmdb:stop(store(Id)).

count(Id) ->
    hyper_lmdb:fold(store(Id), fun(_, _, Count) -> Count + 1 end, 0, #{}).

%% What is wrong with a store that holds exactly the keys There; a few of each kind.
check(Id, There, Absent) ->
    Store = store(Id),
    Lost = [{lost, Key, Answer} || Key <- There, {no, Answer} <- [compare(hyper_lmdb:get(Store, Key), value(Id, Key))]],
    Back = [{refused_and_there, Key} || Key <- Absent, hyper_lmdb:get(Store, Key) =/= not_found],
    Strange = case hyper_lmdb:list_prefix(Store, <<>>) of
        {ok, Keys} -> [{unknown, Key} || Key <- Keys -- (There ++ Absent)];
        Other -> [{list_prefix, Other}]
    end,
    lists:append([lists:sublist(Wrong, 3) || Wrong <- [Lost, Back, Strange]]).

compare({ok, Value}, Value) -> yes;
compare({ok, Other}, _) -> {no, {another_value, byte_size(Other)}};
compare(Other, _) -> {no, Other}.

key(Tag, Number) -> <<Tag/binary, "/", (integer_to_binary(Number))/binary>>.
large(Tag) -> <<Tag/binary, "/large">>.

%% A copy has the values of what it is a copy of.
value({copy, Id, _}, Key) -> value(Id, Key);
value(Id, Key) ->
    Digest = erlang:md5(term_to_binary({Id, Key})),
    case lists:last(binary:split(Key, <<"/">>, [global])) of
        <<"large">> -> binary:copy(Digest, ?LARGE div 16);
        <<"medium">> -> binary:copy(Digest, 500);
        _ -> binary:copy(Digest, 16)
    end.
