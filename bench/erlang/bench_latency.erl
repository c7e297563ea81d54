%% Single operations with the clock read before and after each: percentiles. A pass of its own,
%% because the clock costs as much as a small operation; the row "empty NIF" shows how much.
-module(bench_latency).
-export([run/2]).

run(#{async := Async, map := Map, sync := Sync, ets := Ets} = Stores,
    #{keys := Keys, ops := Ops} = Settings) ->
    Few = max(1, Ops div 50),
    Pairs = bench_stores:random_pairs(Ops, Keys),
    bench_stores:keep(latency, Pairs),
    bench_stores:keep(latency_few, lists:sublist(Pairs, Few)),
    [begin
         ok = bench_stores:settle(Stores, Settings),
         row(Case, Side, Data, Fun)
     end
     || {Case, Side, Data, Fun} <-
            [{empty_nif, ours, latency, fun({K, _}) -> bench_raw:empty(K) end},
             {get, ours, latency, fun({K, _}) -> {ok, _} = hyper_lmdb:get(Map, K) end},
             {get, ets, latency, fun({K, _}) -> [_] = ets:lookup(Ets, K) end},
             {put_async, ours, latency, fun({K, V}) -> ok = hyper_lmdb:put(Async, K, V) end},
             {put_map, ours, latency, fun({K, V}) -> ok = hyper_lmdb:put(Map, K, V) end},
             {put_map, ets, latency, fun(Pair) -> true = ets:insert(Ets, Pair) end},
             {put_sync, ours, latency_few, fun({K, V}) -> ok = hyper_lmdb:put(Sync, K, V) end}]].

row(Case, Side, Data, Fun) ->
    Counts = counters:new(buckets(), []),
    Items = bench_stores:kept(Data),
    {Pid, Monitor} = spawn_monitor(fun() -> exit({most, pass(Fun, Counts, Items, 0)}) end),
    Most = receive
               {'DOWN', Monitor, process, Pid, {most, Ns}} -> Ns;
               {'DOWN', Monitor, process, Pid, Reason} -> error({case_failed, Reason})
           end,
    Total = lists:sum([counters:get(Counts, I) || I <- lists:seq(1, buckets())]),
    #{'case' => Case, side => Side, samples => Total, max => Most,
      p50 => percentile(Counts, Total, 0.50, Most), p99 => percentile(Counts, Total, 0.99, Most),
      p999 => percentile(Counts, Total, 0.999, Most)}.

%% Counted in buckets: a list of samples would grow the heap and time the collector.
pass(Fun, Counts, [Item | Items], Most) ->
    Start = erlang:monotonic_time(),
    _ = Fun(Item),
    Stop = erlang:monotonic_time(),
    Ns = erlang:convert_time_unit(Stop - Start, native, nanosecond),
    counters:add(Counts, bucket(Ns), 1),
    pass(Fun, Counts, Items, max(Ns, Most));
pass(_, _, [], Most) -> Most.

%% Steps of 10 ns to 10 us, of 1 us to 1 ms, of 100 us to 100 ms; one bucket for the rest.
buckets() -> 3000.

bucket(Ns) when Ns < 10000 -> Ns div 10 + 1;
bucket(Ns) when Ns < 1000000 -> 1000 + Ns div 1000;
bucket(Ns) when Ns < 100000000 -> 2000 + Ns div 100000;
bucket(_) -> buckets().

upper(Bucket) when Bucket =< 1000 -> Bucket * 10;
upper(Bucket) when Bucket < 2000 -> (Bucket - 1000 + 1) * 1000;
upper(Bucket) -> (Bucket - 2000 + 1) * 100000.

percentile(Counts, Total, Part, Most) -> percentile(Counts, Total * Part, 1, 0, Most).

percentile(Counts, Wanted, Bucket, Seen, Most) ->
    case Seen + counters:get(Counts, Bucket) of
        Enough when Enough >= Wanted -> min(upper(Bucket), Most);
        Fewer -> percentile(Counts, Wanted, Bucket + 1, Fewer, Most)
    end.
