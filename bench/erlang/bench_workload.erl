%% The old system's own workload: 1,000 single writes, 10,000 random reads, 1,000 writes in batches
%% of 100, each round on empty stores.
-module(bench_workload).
-export([run/3, old_figures/0]).

-define(WRITES, 1000).
-define(READS, 10000).
-define(BATCH, 100).

%% Operations a second, as published for the old system, on another machine.
old_figures() -> #{write => 18000, read => 137000, batch => 335000}.

%% Sides is a list of async, map_async, sync, ets, dets, raw_map, raw_sync.
run(Dir, Sides, #{write_rounds := Rounds}) ->
    Pairs = bench_stores:pairs(?WRITES * 2),
    {Singles, Batched} = lists:split(?WRITES, Pairs),
    Reads = [Key || {Key, _} <- bench_stores:random_pairs(?READS, ?WRITES)],
    bench_stores:keep(workload, #{singles => Singles, reads => Reads,
                                  batches => bench_stores:chunks(Batched, ?BATCH)}),
    bench_stores:keep(workload_raw, raw(Sides, Singles, Reads, Batched)),
    Rows = [round_of(Dir, Round, Sides) || Round <- lists:seq(0, Rounds)],
    Counted = lists:append(tl(Rows)),
    [row(Side, [Ns || {S, Ns} <- Counted, S =:= Side]) || Side <- Sides].

raw(Sides, Singles, Reads, Batched) ->
    case lists:member(raw_map, Sides) orelse lists:member(raw_sync, Sides) of
        true -> #{singles => bench_raw:pairs(Singles), batched => bench_raw:pairs(Batched),
                  reads => bench_raw:pairs([{Key, <<>>} || Key <- Reads])};
        false -> none
    end.

row(Side, Samples) ->
    Rate = fun(Position, Ops) ->
                   Ops * 1.0e9 / bench_rounds:median([element(Position, S) || S <- Samples])
           end,
    #{side => Side, write => Rate(1, ?WRITES), read => Rate(2, ?READS), batch => Rate(3, ?WRITES)}.

round_of(Dir, Round, Sides) ->
    {Head, Tail} = lists:split(Round rem length(Sides), Sides),
    [begin
         Place = filename:join(Dir, io_lib:format("workload_~s_~b", [Side, Round])),
         ok = file:make_dir(Place),
         {Pid, Monitor} = spawn_monitor(fun() -> exit({took, side(Side, Place)}) end),
         Ns = receive
                  {'DOWN', Monitor, process, Pid, {took, Took}} -> Took;
                  {'DOWN', Monitor, process, Pid, Reason} -> error({Side, Reason})
              end,
         ok = bench_stores:remove(Place),
         {Side, Ns}
     end || Side <- Tail ++ Head].

side(Mode, Place) when Mode =:= async; Mode =:= map_async; Mode =:= sync ->
    #{singles := Singles, reads := Reads, batches := Batches} = bench_stores:kept(workload),
    Ops = [bench_stores:puts(Batch) || Batch <- Batches],
    Store = bench_stores:start(Place, Mode),
    Took = {bench_rounds:ns(fun() -> bench_loops:put(Store, Singles) end),
            bench_rounds:ns(fun() -> bench_loops:get(Store, Reads) end),
            bench_rounds:ns(fun() -> bench_loops:batch(Store, Ops) end)},
    ok = bench_stores:stop(Store),
    Took;
side(ets, _) ->
    #{singles := Singles, reads := Reads, batches := Batches} = bench_stores:kept(workload),
    Table = ets:new(workload, [set, public, {read_concurrency, true}]),
    {bench_rounds:ns(fun() -> bench_loops:put_ets(Table, Singles) end),
     bench_rounds:ns(fun() -> bench_loops:get_ets(Table, Reads) end),
     bench_rounds:ns(fun() -> bench_loops:batch_ets(Table, Batches) end)};
side(dets, Place) ->
    #{singles := Singles, reads := Reads, batches := Batches} = bench_stores:kept(workload),
    Table = bench_stores:open_dets(filename:join(Place, "dets")),
    Took = {bench_rounds:ns(fun() -> bench_loops:put_dets(Table, Singles) end),
            bench_rounds:ns(fun() -> bench_loops:get_dets(Table, Reads) end),
            bench_rounds:ns(fun() -> bench_loops:batch_dets(Table, Batches) end)},
    ok = dets:close(Table),
    Took;
side(Raw, Place) ->
    Mode = case Raw of raw_map -> map_async; raw_sync -> sync end,
    #{singles := Singles, reads := Reads, batched := Batched} = bench_stores:kept(workload_raw),
    Store = bench_raw:open(iolist_to_binary(Place), Mode),
    Took = {bench_raw:put(Store, Singles), bench_raw:get(Store, Reads, 1),
            bench_raw:batch_write(Store, Batched, ?BATCH)},
    ok = bench_raw:close(Store),
    Took.
