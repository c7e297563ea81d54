%% The data (integer keys in decimal, 100 random bytes a value, one seed) and the stores that hold
%% it: the library in its three modes, raw LMDB with the same flags, ets and dets.
-module(bench_stores).
-export([seed/0, pairs/1, random_pairs/2, value/0, chunks/2, puts/1, keep/2, kept/1, open/2,
         close/1, start/2, stop/1, settle/2, open_dets/1, promise/1,
         remove/1]).

-define(VALUE_BYTES, 100).

seed() ->
    _ = rand:seed(exsss, {20240229, 17, 4}),
    ok.

pairs(Count) -> [{integer_to_binary(I), value()} || I <- lists:seq(0, Count - 1)].

%% Keys that are there, drawn at random, with new values.
random_pairs(Count, Keys) ->
    [{integer_to_binary(rand:uniform(Keys) - 1), value()} || _ <- lists:seq(1, Count)].

value() -> rand:bytes(?VALUE_BYTES).

chunks([], _) -> [];
chunks(List, Size) when length(List) =< Size -> [List];
chunks(List, Size) ->
    {Head, Tail} = lists:split(Size, List),
    [Head | chunks(Tail, Size)].

puts(Pairs) -> [{put, Key, Value} || {Key, Value} <- Pairs].

%% Kept where no collector copies them.
keep(Name, Term) -> persistent_term:put({?MODULE, Name}, Term).
kept(Name) -> persistent_term:get({?MODULE, Name}).

%% Every store, loaded with the same data and checked to hold it.
open(Dir, Count) ->
    Pairs = pairs(Count),
    Raw = bench_raw:pairs(Pairs),
    Stores = #{async => start(Dir, async), map => start(Dir, map_async), sync => start(Dir, sync),
               raw_map => open_raw(Dir, map_async, Raw), raw_sync => open_raw(Dir, sync, Raw),
               ets => ets:new(bench, [set, public, {read_concurrency, true}]),
               dets => open_dets(filename:join(Dir, "dets"))},
    #{async := Async, map := Map, sync := Sync, ets := Ets, dets := Dets} = Stores,
    Ours = [Async, Map, Sync],
    true = ets:insert(Ets, Pairs),
    ok = dets:insert(Dets, Pairs),
    [ok = bench_loops:batch(Store, chunks(puts(Pairs), 1000)) || Store <- Ours],
    [{ok, Value} = hyper_lmdb:get(Store, Key) || Store <- Ours, {Key, Value} <- Pairs],
    Stores.

close(#{async := Async, map := Map, sync := Sync, raw_map := RawMap, raw_sync := RawSync,
        dets := Dets}) ->
    [ok = stop(Store) || Store <- [Async, Map, Sync]],
    [ok = bench_raw:close(Store) || Store <- [RawMap, RawSync]],
    ok = dets:close(Dets).

start(Dir, Mode) ->
    Name = iolist_to_binary(filename:join(Dir, "hyper_" ++ atom_to_list(Mode))),
    {ok, Store} = hyper_lmdb:start(#{name => Name, durability => Mode}),
    Store.

stop(Store) -> hyper_lmdb:stop(Store).

%% Waits until all that was written is in LMDB, so that nothing runs in the background any more: a
%% buffer that nobody fills goes there after two seconds. Then writes one key, so that the next
%% write finds a journal to go on with. Not in a smoke run.
settle(_, #{pace := Pace}) when Pace < 1 -> ok;
settle(#{async := Async, sync := Sync}, _) ->
    [begin
         settled(Store),
         ok = hyper_lmdb:put(Store, <<"0">>, value())
     end || Store <- [Async, Sync]],
    ok.

settled(Store) ->
    case hyper_lmdb:info(Store) of
        {ok, #{buffered_keys := Keys}} when Keys > 1 ->
            receive after 10 -> settled(Store) end;
        {ok, _} -> ok
    end.

open_raw(Dir, Mode, Raw) ->
    Name = filename:join(Dir, "raw_" ++ atom_to_list(Mode)),
    ok = file:make_dir(Name),
    Store = bench_raw:open(iolist_to_binary(Name), Mode),
    _ = bench_raw:batch_write(Store, Raw, 1000),
    true = bench_raw:holds(Store, Raw),
    Store.

open_dets(File) ->
    {ok, Table} = dets:open_file(make_ref(), [{file, File}]),
    Table.

remove(Dir) -> ok = file:del_dir_r(Dir).

%% What each keeps of an acknowledged write: a figure means little without it.
promise(async) ->
    "kill -9: nothing lost; power cut: at most the last sync_interval_ms, never corrupt";
promise(map_async) -> "kill -9: nothing lost; power cut: the store may be lost";
promise(sync) -> "kill -9 and power cut: nothing lost";
promise(ets) -> "gone with the VM";
promise(dets) -> "kill -9: what was not synced is lost, then a repair";
promise(dets_sync) -> "kill -9, power cut: nothing synced is lost, a repair";
promise(raw_map) -> promise(map_async);
promise(raw_sync) -> promise(sync).
