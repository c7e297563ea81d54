%% @doc Random sequences of all functions over few names, so that links, chains, cycles and groups
%% meet, against the plain model; after each command several paths are looked at in every way.
-module(prop_paths_tests).
-include_lib("proper/include/proper.hrl").

-export([all_test_/0]).

-define(TESTS, 110).
-define(LONGEST, 80).
-define(LEAST_COMMANDS, 2500).

all_test_() ->
    [test_store:titled("model: " ++ Title, 300, fun() -> check(Options) end)
     || {Title, Options} <- [{"cache as it is", #{}},
                             {"cache off", #{path_cache_entries => 0}},
                             {"cache of one entry", #{path_cache_entries => 1}},
                             {"entries live one millisecond", #{path_cache_ttl_ms => 1}}]].

check(Options) ->
    Seed = test_store:seed(),
    Done = counters:new(1, []),
    test_store:with_store(Options, fun(S, Dir) ->
        Runner = #{options => Options#{name => Dir}, done => Done},
        put(?MODULE, S),
        Passed = proper:quickcheck(?SETUP(fun() -> reseed(Seed) end, prop_model(Runner)),
                                   [{numtests, ?TESTS}, {max_shrinks, 300}, {on_output, fun(_, _) -> ok end}]),
        verdict(Passed, counters:get(Done, 1), Seed, Runner)
    end).

verdict(true, Count, _, _) when Count >= ?LEAST_COMMANDS -> io:format(user, "  ~b commands~n", [Count]);
verdict(true, Count, _, _) -> error({too_few_commands, Count});
verdict(_, _, Seed, Runner) ->
    [Steps] = proper:counterexample(),
    io:format(user, "  TEST_SEED=~b finds~n~p~n", [Seed, Steps]),
    error({differs_from_model, outcome(Steps, Runner)}).

%% PropEr seeds itself from the clock.
reseed(Seed) ->
    rand:seed(exsss, Seed),
    fun() -> ok end.

prop_model(#{done := Done} = Runner) ->
    ?FORALL(Steps, resize(?LONGEST, list(step())),
            begin
                counters:add(Done, 1, length(Steps)),
                outcome(Steps, Runner) =:= same
            end).

%% One store serves all: a start costs more than the commands. A restart leaves its handle here.
outcome(Steps, #{options := Options}) ->
    ok = hyper_lmdb:reset(get(?MODULE)),
    run(Steps, get(?MODULE), Options, prop_model:new()).

%% -- running -------------------------------------------------------------------------------------

run([], _, _, _) -> same;
run([{Command, Looks} | Rest], S, Options, M) ->
    {Expected, After} = prop_model:run(Command, M),
    {Seen, Next} = command(Command, S, Options),
    case Seen =:= Expected andalso look(Looks, Next, After) of
        true -> run(Rest, Next, Options, After);
        false -> {Command, {expected, Expected}, {seen, Seen}, {store, M}};
        Different -> {Command, Different, {store, After}}
    end.

command({restart, Durability}, S, Options) ->
    Next = test_store:restart(S, Options#{durability => Durability}),
    put(?MODULE, Next),
    {ok, Next};
command({old_batch, Elements}, S, _) ->
    {ok, B} = hyper_lmdb:begin_batch(S),
    Adds = [add(B, Element) || Element <- Elements],
    Result = hyper_lmdb:commit_batch(B),
    {error, committed} = hyper_lmdb:commit_batch(B),
    {{Adds, Result}, S};
command(Name, S, _) when is_atom(Name) -> {hyper_lmdb:Name(S), S};
command(Command, S, _) ->
    [Function | Args] = tuple_to_list(Command),
    {apply(hyper_lmdb, Function, [S | Args]), S}.

add(B, {write, P, V}) -> hyper_lmdb:batch_write(B, P, V);
add(B, {make_group, P}) -> hyper_lmdb:batch_make_group(B, P);
add(B, {make_link, Existing, New}) -> hyper_lmdb:batch_make_link(B, Existing, New).

look(Paths, S, M) ->
    Keys = [Key || P <- Paths, Key <- [prop_model:path(P)], Key =/= <<>>],
    Looks = [{Function, P} || P <- Paths, Function <- [read, type, resolve, list, paged, paged_back]]
        ++ [{Function, K} || K <- Keys, Function <- [get, exists]]
        ++ [{read_many, Paths}, {list_prefix, <<>>} | [{list_prefix, K} || K <- Keys]],
    different([{Look, Expected, Seen} || {What, Arg} = Look <- Looks,
                                         Expected <- [expected(Look, M)],
                                         Seen <- [seen(What, Arg, S)], Seen =/= Expected]).

different([]) -> true;
different([Difference | _]) -> Difference.

expected({paged, P}, M) -> prop_model:observe({list, P}, M);
expected({paged_back, P}, M) ->
    case prop_model:observe({list, P}, M) of
        {ok, Names} -> {ok, lists:reverse(Names)};
        not_found -> not_found
    end;
expected(Look, M) -> prop_model:observe(Look, M).

seen(paged, P, S) -> pages(P, S, #{limit => 1, return_cursor => true}, []);
seen(paged_back, P, S) -> pages(P, S, #{limit => 2, return_cursor => true, reverse => true}, []);
seen(Function, Arg, S) -> hyper_lmdb:Function(S, Arg).

pages(P, S, Page, Sofar) ->
    case hyper_lmdb:list(S, P, Page) of
        {ok, Names, nil} -> {ok, Sofar ++ Names};
        {ok, Names, Cursor} -> pages(P, S, Page#{cursor => Cursor}, Sofar ++ Names);
        Other -> Other
    end.

%% -- what is tried -------------------------------------------------------------------------------

durability() -> frequency([{9, map_async}, {1, sync}]).

step() -> {command(), [path_form() || _ <- lists:seq(1, 4)]}.

command() ->
    frequency([{12, {make_link, path_form(), path_form()}},
               {10, {write, path_form(), value()}},
               {5, {make_group, path_form()}},
               {6, {put, key(), value()}},
               {6, {delete, key()}},
               {2, {put_new, key(), value()}},
               {2, {write_fast, key(), value()}},
               {8, {batch_write, short_list(op())}},
               {8, {old_batch, short_list(element())}},
               {2, {delete_prefix, prefix()}},
               {1, reset}, {1, sync}, {1, {restart, durability()}}]).

op() ->
    frequency([{4, {put, plain_key(), value()}}, {2, {delete, plain_key()}}, {5, {link, path(), plain_key()}},
               {2, {group, plain_key()}}, {1, {check, plain_key(), absent}}, {1, {check, plain_key(), value()}}]).

element() ->
    frequency([{4, {write, path_form(), value()}}, {4, {make_link, path_form(), path_form()}},
               {2, {make_group, path_form()}}]).

short_list(Type) -> resize(6, list(Type)).

%% A few values, so that checks hold at times; some look like what they are not.
value() -> oneof([<<>>, <<"1">>, <<"2">>, <<"link:a">>, <<"group">>, <<2, "a">>, <<4>>]).

%% `a-' sorts between `a' and `a/'.
segment() -> oneof([<<"a">>, <<"b">>, <<"c">>, <<"a-">>]).

path() ->
    ?LET(Depth, frequency([{1, 0}, {10, 1}, {10, 2}, {5, 3}, {1, 5}]),
         ?LET(Segments, vector(Depth, segment()), iolist_to_binary(lists:join($/, Segments)))).

plain_key() -> ?SUCHTHAT(Key, frequency([{9, path()}, {1, untidy()}]), Key =/= <<>>).
key() -> frequency([{9, path()}, {1, untidy()}]).
prefix() -> frequency([{1, <<>>}, {6, path()}, {2, ?LET(P, path(), <<P/binary, "/">>)}]).

%% No path function ever gets to see such a key.
untidy() ->
    ?LET({Before, Path, After}, {oneof([<<>>, <<"/">>]), path(), oneof([<<"/">>, <<"//a">>])},
         <<Before/binary, Path/binary, After/binary>>).

path_form() ->
    ?LET({Form, Path}, {frequency([{8, binary}, {1, slashes}, {1, parts}, {1, string}, {1, atom}]), path()},
         in_form(Form, Path)).

in_form(binary, Path) -> Path;
in_form(slashes, Path) -> <<"//", (binary:replace(Path, <<"/">>, <<"///">>, [global]))/binary, "/">>;
in_form(parts, Path) -> [<<>> | binary:split(Path, <<"/">>, [global])];
in_form(string, Path) -> binary_to_list(Path);
in_form(atom, Path) -> binary_to_atom(Path).
