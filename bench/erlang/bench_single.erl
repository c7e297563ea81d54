%% One process: get, put, batch_write and read_many beside raw LMDB, ets and dets, no clock inside
%% the loops.
-module(bench_single).
-export([run/2]).

-define(BATCH, 100).

%% -> measurements, one a case and side
run(Stores, Settings) ->
    prepare(Settings),
    lists:append([measure(Case, Sides, Stores, Settings) || {Case, Sides} <- cases(Stores)]).

prepare(#{keys := Keys, ops := Ops}) ->
    keep_pairs(many, bench_stores:random_pairs(Ops, Keys)),
    keep_pairs(some, bench_stores:random_pairs(max(?BATCH, Ops div 10), Keys)),
    keep_pairs(few, bench_stores:random_pairs(max(?BATCH, Ops div 1000), Keys)).

%% The same random pairs in every form a side wants them in.
keep_pairs(Name, Pairs) ->
    Keys = [Key || {Key, _} <- Pairs],
    Batches = bench_stores:chunks(Pairs, ?BATCH),
    bench_stores:keep(Name, #{size => length(Pairs), pairs => Pairs, keys => Keys,
                              raw => bench_raw:pairs(Pairs), pair_batches => Batches,
                              batches => [bench_stores:puts(Batch) || Batch <- Batches],
                              key_batches => bench_stores:chunks(Keys, ?BATCH)}).

%% {Case, [{Side, Milliseconds a round, Data, Form of the data, Fun}]}: `many` operations where one
%% takes a microsecond, `few` where it waits for the disk. A flush of map_async leaves every page to
%% fault again at its next write, so its writes last longer than from one flush to the next; those
%% of async longer than it takes to fill a write buffer.
cases(#{async := Async, map := Map, sync := Sync, raw_map := RawMap, raw_sync := RawSync,
        ets := Ets, dets := Dets}) ->
    [{get, [{raw, 50, many, raw, fun(P) -> bench_raw:get(RawMap, P, 1) end},
            {ours, 50, many, keys, loop(fun bench_loops:get/2, Map)},
            {ets, 50, many, keys, loop(fun bench_loops:get_ets/2, Ets)},
            {dets, 50, some, keys, loop(fun bench_loops:get_dets/2, Dets)}]},
     {get_async, [{raw, 50, many, raw, fun(P) -> bench_raw:get(RawMap, P, 1) end},
                  {ours, 50, many, keys, loop(fun bench_loops:get/2, Async)}]},
     {put_async, [{raw, 2000, many, raw, fun(P) -> bench_raw:put(RawMap, P) end},
                  {ours, 2000, many, pairs, loop(fun bench_loops:put/2, Async)}]},
     {batch_async, [{raw, 2000, many, raw, fun(P) -> bench_raw:batch_write(RawMap, P, ?BATCH) end},
                    {ours, 2000, many, batches, loop(fun bench_loops:batch/2, Async)}]},
     {put_map, [{raw, 1100, many, raw, fun(P) -> bench_raw:put(RawMap, P) end},
                {ours, 1100, many, pairs, loop(fun bench_loops:put/2, Map)},
                {ets, 50, many, pairs, loop(fun bench_loops:put_ets/2, Ets)},
                {dets, 50, some, pairs, loop(fun bench_loops:put_dets/2, Dets)}]},
     {batch_map, [{raw, 1100, many, raw, fun(P) -> bench_raw:batch_write(RawMap, P, ?BATCH) end},
                  {ours, 1100, many, batches, loop(fun bench_loops:batch/2, Map)},
                  {ets, 50, many, pair_batches, loop(fun bench_loops:batch_ets/2, Ets)},
                  {dets, 50, some, pair_batches, loop(fun bench_loops:batch_dets/2, Dets)}]},
     {read_many, [{raw, 50, many, raw, fun(P) -> bench_raw:read_many(RawMap, P, ?BATCH) end},
                  {ours, 50, many, key_batches, loop(fun bench_loops:read_many/2, Map)},
                  {ets, 50, many, key_batches, loop(fun bench_loops:read_many_ets/2, Ets)}]},
     {read_many_keys, [{raw, 50, many, raw, fun(P) -> bench_raw:read_many(RawMap, P, ?BATCH) end},
                       {ours, 50, many, key_batches, loop(fun bench_loops:read_many_keys/2, Map)},
                       {ets, 50, many, key_batches, loop(fun bench_loops:read_many_ets/2, Ets)}]},
     {read_many_async, [{raw, 50, many, raw, fun(P) -> bench_raw:read_many(RawMap, P, ?BATCH) end},
                        {ours, 50, many, key_batches, loop(fun bench_loops:read_many/2, Async)}]},
     {put_sync, [{raw, 150, few, raw, fun(P) -> bench_raw:put(RawSync, P) end},
                 {ours, 150, few, pairs, loop(fun bench_loops:put/2, Sync)},
                 {dets, 150, few, pairs, loop(fun bench_loops:put_dets_sync/2, Dets)}]},
     {batch_sync, [{raw, 150, some, raw, fun(P) -> bench_raw:batch_write(RawSync, P, ?BATCH) end},
                   {ours, 150, some, batches, loop(fun bench_loops:batch/2, Sync)}]},
     {empty_nif, [{ours, 50, many, keys,
                   fun(Keys) -> bench_rounds:ns(fun() -> bench_loops:empty(Keys) end) end}]}].

loop(Fun, Store) -> fun(Data) -> bench_rounds:ns(fun() -> Fun(Store, Data) end) end.

measure(Case, Sides, Stores, Settings) ->
    Timings = bench_rounds:run(rounds(Case, Settings),
                               [{Side, sample(Ms, Size, Form, Fun, Stores, Settings)}
                                || {Side, Ms, Size, Form, Fun} <- Sides]),
    [(maps:get(Side, Timings))#{'case' => Case, side => Side} || {Side, _, _, _, _} <- Sides].

rounds(Case, #{write_rounds := Rounds}) when Case =:= put_async; Case =:= batch_async;
                                             Case =:= put_map; Case =:= batch_map -> Rounds;
rounds(_, #{read_rounds := Rounds}) -> Rounds.

%% Each Fun answers the nanoseconds it took, as the loops of bench_raw do by themselves.
sample(Ms, Size, Form, Fun, Stores, #{pace := Pace} = Settings) ->
    fun() ->
            ok = bench_stores:settle(Stores, Settings),
            #{size := Ops, Form := Data} = bench_stores:kept(Size),
            bench_rounds:at_least(Ms * Pace, fun() -> {Fun(Data), Ops} end)
    end.
