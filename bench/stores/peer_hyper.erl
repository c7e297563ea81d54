%% The library.
-module(peer_hyper).
-behaviour(bench_peer).
-export([title/0, modes/0, puts_off/1, most_bytes/0, open/2, close/1, settle/2,
         form/2, run/3, fold/2]).

title() -> "hyper_lmdb".

modes() -> [{Mode, bench_stores:promise(Mode)} || Mode <- [async, map_async, sync]].

puts_off(Mode) -> Mode =/= sync.

most_bytes() -> 4 bsl 30.

open(Dir, Mode) ->
    {ok, _} = application:ensure_all_started(hyper_lmdb),
    Options = #{name => iolist_to_binary(Dir), durability => Mode},
    {ok, Store} = hyper_lmdb:start(Options),
    {ok, {Store, Options}}.

close({Store, _}) -> hyper_lmdb:stop(Store).

%% A stop leaves nothing to do. The value written after it makes the next write find a journal to go
%% on with. Reads after reads go on as they are: a store that was just started has every page of its map to
%% fault in once more.
settle({Store, _} = State, read) ->
    case hyper_lmdb:info(Store) of
        {ok, #{buffered_keys := 0}} -> State;
        {ok, _} -> restarted(State, read)
    end;
settle(State, write) -> restarted(State, write).

restarted({Store, Options}, Kind) ->
    ok = hyper_lmdb:stop(Store),
    {ok, Again} = hyper_lmdb:start(Options),
    case Kind of
        read -> ok;
        write ->
            {ok, Value} = hyper_lmdb:get(Again, <<"0">>),
            ok = hyper_lmdb:put(Again, <<"0">>, Value)
    end,
    {Again, Options}.

form(batch, Pairs) -> [bench_stores:puts(Batch) || Batch <- bench_peer:form(batch, Pairs)];
form(Verb, Pairs) -> bench_peer:form(Verb, Pairs).

run(Verb, {Store, _}, Data) -> bench_loops:Verb(Store, Data).

fold({Store, _}, Fun) ->
    {ok, Count} = hyper_lmdb:fold(Store, fun(Key, _, Some) -> Fun(Key, Some) end, 0, #{}),
    Count.
