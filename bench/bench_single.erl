%% One process: get, put, batch_write and read_many beside raw LMDB, ets and dets, no clock inside
%% the loops.
-module(bench_single).
-export([run/2]).

-define(BATCH, 100).

%% -> measurements, one a case and side
run(Stores, Settings) ->
    prepare(Settings),
    lists:append([group(Name, Sides, Settings) || {Name, Sides} <- groups(Stores)]).

prepare(#{keys := Keys, ops := Ops}) ->
    keep_pairs(many, bench_stores:random_pairs(Ops, Keys)),
    keep_pairs(some, bench_stores:random_pairs(max(?BATCH, Ops div 10), Keys)),
    keep_pairs(few, bench_stores:random_pairs(max(?BATCH, Ops div 200), Keys)).

%% The same random pairs in every form a side wants them in.
keep_pairs(Name, Pairs) ->
    Keys = [Key || {Key, _} <- Pairs],
    Batches = bench_stores:chunks(Pairs, ?BATCH),
    bench_stores:keep(Name, #{size => length(Pairs), pairs => Pairs, keys => Keys,
                              raw => bench_raw:pairs(Pairs), pair_batches => Batches,
                              batches => [bench_stores:puts(Batch) || Batch <- Batches],
                              key_batches => bench_stores:chunks(Keys, ?BATCH)}).

%% `many` operations where one takes a microsecond, `few` where it waits for the disk.
groups(#{map := Map, sync := Sync, raw_map := RawMap, raw_sync := RawSync, ets := Ets,
         dets := Dets}) ->
    [{get, [{raw, many, raw, fun(P) -> bench_raw:get(RawMap, P, 1) end},
            {ours, many, keys, loop(fun bench_loops:get/2, Map)},
            {ets, many, keys, loop(fun bench_loops:get_ets/2, Ets)},
            {dets, some, keys, loop(fun bench_loops:get_dets/2, Dets)}]},
     {put_map, [{raw, many, raw, fun(P) -> bench_raw:put(RawMap, P) end},
                {ours, many, pairs, loop(fun bench_loops:put/2, Map)},
                {ets, many, pairs, loop(fun bench_loops:put_ets/2, Ets)},
                {dets, some, pairs, loop(fun bench_loops:put_dets/2, Dets)}]},
     {batch_map, [{raw, many, raw, fun(P) -> bench_raw:batch_write(RawMap, P, ?BATCH) end},
                  {ours, many, batches, loop(fun bench_loops:batch/2, Map)},
                  {ets, many, pair_batches, loop(fun bench_loops:batch_ets/2, Ets)},
                  {dets, some, pair_batches, loop(fun bench_loops:batch_dets/2, Dets)}]},
     {read_many, [{raw, many, raw, fun(P) -> bench_raw:read_many(RawMap, P, ?BATCH) end},
                  {ours, many, key_batches, loop(fun bench_loops:read_many/2, Map)},
                  {ets, many, key_batches, loop(fun bench_loops:read_many_ets/2, Ets)}]},
     {put_sync, [{raw, few, raw, fun(P) -> bench_raw:put(RawSync, P) end},
                 {ours, few, pairs, loop(fun bench_loops:put/2, Sync)},
                 {dets, few, pairs, loop(fun bench_loops:put_dets_sync/2, Dets)}]},
     {batch_sync, [{raw, some, raw, fun(P) -> bench_raw:batch_write(RawSync, P, ?BATCH) end},
                   {ours, some, batches, loop(fun bench_loops:batch/2, Sync)}]},
     {empty_nif, [{ours, many, keys, 
                   fun(Keys) -> bench_rounds:ns(fun() -> bench_loops:empty(Keys) end) end}]}].

loop(Fun, Store) -> fun(Data) -> bench_rounds:ns(fun() -> Fun(Store, Data) end) end.

group(Name, Sides, #{rounds := Rounds}) ->
    Timings = bench_rounds:run(Rounds, [{Side, sample(Size, Form, Fun)}
                                        || {Side, Size, Form, Fun} <- Sides]),
    [(maps:get(Side, Timings))#{'case' => Name, side => Side} || {Side, _, _, _} <- Sides].

%% Each Fun answers the nanoseconds it took, as the loops of bench_raw do by themselves.
sample(Size, Form, Fun) ->
    fun() ->
            #{size := Ops, Form := Data} = bench_stores:kept(Size),
            {Fun(Data), Ops}
    end.
