%% The measurements as tables, and the ratios the goals are about.
-module(bench_tables).
-export([single/1, latency/1, readers/1, writers/1, paths/2, timer/1, workload/1, memory/1, figures/3,
         reader_figures/1, path_figures/1, timer_figures/1]).

single(Rows) ->
    io:format("one process, an operation (no clock in the loop), median of interleaved rounds~n"),
    bench_out:table(["", "raw LMDB", "hyper_lmdb", "ets", "dets", "/raw", "/ets"],
                    [[title(Case)] ++ [cell(Rows, Case, Side) || Side <- [raw, ours, ets, dets]] ++
                         [over(Rows, Case, Side) || Side <- [raw, ets]]
                     || Case <- [get, get_async, get_large, put_async, batch_async, put_map, batch_map,
                                 read_many, read_many_async, read_many_keys, fold, put_sync, batch_sync,
                                 empty_nif]]),
    promises().

promises() ->
    io:format("what is kept of an acknowledged write~n"),
    [io:format("  ~-10s ~s~n", [Mode, bench_stores:promise(Mode)])
     || Mode <- [async, map_async, sync]],
    io:nl().

latency(Rows) ->
    io:format("one process, the clock read around each operation (its own cost: empty NIF)~n"),
    bench_out:table(["", "p50", "p99", "p99.9", "worst", "samples"],
                    [[[title(Case), side(Side)]] ++
                         [bench_out:ns(Ns) || Ns <- [P50, P99, P999, Max]] ++ [integer_to_list(N)]
                     || #{'case' := Case, side := Side, p50 := P50, p99 := P99, p999 := P999,
                          max := Max, samples := N} <- Rows]).

side(ours) -> "";
side(Side) -> [", ", atom_to_list(Side)].

readers(Readers) ->
    io:format("many processes together: operations a second of all~n"),
    bench_out:table(["", "1", "2", "8", "2 / 1"],
                    [["get/2, " ++ name(Side) | rates(Readers, get, Side, [1, 2, 8]) ++
                          [bench_out:ratio(gain(Readers, get, Side, 2))]]
                     || Side <- [raw, async, map_async, ets]]).

writers(Writers) ->
    bench_out:table(["", "1", "8", "64", "64 / 1"],
                    [[[title(Case), ", ", name(Side)] | rates(Writers, Case, Side, [1, 8, 64]) ++
                          [bench_out:ratio(gain(Writers, Case, Side, 64))]]
                     || {Case, Side} <- [{put_async, ours}, {put_map, ours}, {put_map, ets},
                                        {put_sync, ours}]]).

paths(#{rows := Rows, hit_rate := #{links := Links, rate := Rate}}, Settings) ->
    io:format("paths beside exact keys, map_async, an operation (no clock in the loop)~n"),
    bench_out:table(["", "this", "beside", "ratio"],
                    [[path_title(Name, Settings), cell(Rows, Case, Above), cell(Rows, Case, Below),
                      bench_out:ratio(ratio(Rows, Case, Above, Below))]
                     || {Name, Case, Above, Below} <- path_ratios()]),
    io:format("path cache: hit rate ~.4f of reads through links, ~b links made meanwhile~n~n",
              [Rate, Links]).

workload(Rows) ->
    io:format("the old system's workload, operations a second: 1,000 single writes, 10,000 random "
              "reads, 1,000 writes in batches of 100~n"),
    Old = (bench_workload:old_figures())#{side => old},
    bench_out:table(["", "writes", "reads", "batched", "what is kept"],
                    [[name(Side)] ++ [bench_out:rate(maps:get(What, Row))
                                      || What <- [write, read, batch]] ++ [kept(Side)]
                     || #{side := Side} = Row <- [Old | Rows]]).

kept(old) -> "its figures, from another machine";
kept(Side) -> bench_stores:promise(Side).

timer(#{rows := Rows}) ->
    io:format("a timer of 1 ms beside 64 writers (put/3, async; the control: as much work in plain "
              "Erlang and a busy thread)~n"),
    bench_out:table(["late by", "p50", "p99", "p99.9", "worst", "samples", "> 5 ms on a scheduler",
                     "schedulers busy", "background thread"],
                    [[timer_name(Side)] ++
                         [bench_out:ns(Ns) || Ns <- [P50, P99, P999, Max]] ++
                         [integer_to_list(N), integer_to_list(Long), bench_out:ratio(Busy),
                          bench_out:ratio(Thread)]
                     || #{side := Side, p50 := P50, p99 := P99, p999 := P999, max := Max,
                          samples := N, long_schedules := Long, busy := Busy,
                          thread := Thread} <- Rows]).

timer_name(ours) -> "64 writers";
timer_name(control) -> "control".

timer_figures(#{rows := [#{p999 := Ours, long_schedules := OursLong},
                         #{p999 := Control, long_schedules := ControlLong}]}) ->
    [{timer_p999_more_ms, (Ours - Control) / 1.0e6},
     {timer_long_more, OursLong - ControlLong}].

memory(#{operations := Ops, before := Before, after_gets := Gets, after_puts := Puts,
         growth := Growth}) ->
    io:format("resident memory of the VM, ~b gets then ~b puts~n", [Ops, Ops]),
    Row = fun(Name, #{in_map := In, outside_map := Out}) -> [Name, mb(Out), mb(In)] end,
    bench_out:table(["", "outside the map", "pages of the map"],
                    [Row("before", Before), Row("after the gets", Gets),
                     Row("after the puts", Puts), ["growth", mb(Growth), ""]]).

mb(Bytes) -> io_lib:format("~.1f MB", [Bytes / 1.0e6]).

figures(Single, Readers, Writers) ->
    [{erl_get_raw, ratio(Single, get, raw)}, {erl_get_ets, ratio(Single, get, ets)},
     {erl_get_async, ratio(Single, get_async, raw)},
     {erl_get_large, ratio(Single, get_large, raw)}, {erl_fold, ratio(Single, fold, ets)},
     {erl_put_async, ratio(Single, put_async, raw)},
     {erl_batch_async, ratio(Single, batch_async, raw)},
     {erl_read_many_async, ratio(Single, read_many_async, raw)},
     {erl_put_map, ratio(Single, put_map, raw)}, {erl_batch_map, ratio(Single, batch_map, raw)},
     {erl_read_many, ratio(Single, read_many, raw)},
     {erl_read_many_keys, ratio(Single, read_many_keys, raw)},
     {erl_put_sync, ratio(Single, put_sync, raw)}, {erl_batch_sync, ratio(Single, batch_sync, raw)},
     {erl_put_async_64, gain(Writers, put_async, ours, 64)},
     {erl_put_map_64, gain(Writers, put_map, ours, 64)},
     {erl_put_sync_64, gain(Writers, put_sync, ours, 64)} | reader_figures(Readers)].

%% What two processes gain over one, of what two threads of raw LMDB gain.
reader_figures(Readers) ->
    [{erl_get_scaling, gain(Readers, get, map_async, 2) / gain(Readers, get, raw, 2)},
     {erl_get_async_scaling, gain(Readers, get, async, 2) / gain(Readers, get, raw, 2)}].

path_figures(#{rows := Rows, hit_rate := #{rate := Rate}}) ->
    [{Name, ratio(Rows, Case, Above, Below)} || {Name, Case, Above, Below} <- path_ratios()] ++
        [{paths_hit_rate, Rate}].

%% {Figure, Case, Side above, Side below}
path_ratios() ->
    [{paths_read_plain, read_plain, path, exact}, {paths_read_unlinked, read_unlinked, path, exact},
     {paths_read_link, read_link, path, exact}, {paths_uncached, read_link, uncached, path},
     {paths_read_chain, read_chain, path, exact}, {paths_list, list, broad, narrow},
     {paths_write, write, path, exact}].

find(Rows, Case, Side, More) ->
    Wanted = maps:merge(#{'case' => Case, side => Side}, More),
    case [Row || Row <- Rows, maps:with(maps:keys(Wanted), Row) =:= Wanted] of
        [Row] -> Row;
        [] -> none
    end.

cell(Rows, Case, Side) ->
    case find(Rows, Case, Side, #{}) of
        none -> "";
        #{median := Ns} -> bench_out:ns(Ns)
    end.

ratio(Rows, Case, Side) -> ratio(Rows, Case, ours, Side).

ratio(Rows, Case, Above, Below) ->
    bench_rounds:ratio(find(Rows, Case, Above, #{}), find(Rows, Case, Below, #{})).

over(Rows, Case, Side) ->
    case find(Rows, Case, Side, #{}) of
        none -> "";
        _ -> bench_out:ratio(ratio(Rows, Case, Side))
    end.

rates(Rows, Case, Side, Counts) ->
    [begin
         #{median := Ns} = find(Rows, Case, Side, #{processes => P}),
         bench_out:rate(1.0e9 / Ns)
     end || P <- Counts].

%% How many times the operations a second of one process P do together.
gain(Rows, Case, Side, P) ->
    bench_rounds:ratio(find(Rows, Case, Side, #{processes => 1}),
                       find(Rows, Case, Side, #{processes => P})).

title(get) -> "get/2";
title(get_async) -> "get/2, async, nothing buffered";
title(get_large) -> "get/2 of 256 KiB, async";
title(put_async) -> "put/3, async";
title(batch_async) -> "batch_write/2 of 100, async, per put";
title(read_many_async) -> "read_many/2 of 100 paths, async, per path";
title(put_map) -> "put/3, map_async";
title(put_sync) -> "put/3, sync";
title(batch_map) -> "batch_write/2 of 100, map_async, per put";
title(batch_sync) -> "batch_write/2 of 100, sync, per put";
title(read_many) -> "read_many/2 of 100 paths, per path";
title(read_many_keys) -> "read_many_fast/2 of 100 keys, per key";
title(fold) -> "fold/4 of 100-byte values, async, per entry";
title(empty_nif) -> "empty NIF".

path_title(paths_read_plain, _) -> "read/2 / get/2, no link in the store";
path_title(paths_read_unlinked, _) -> "read/2 / get/2, links elsewhere";
path_title(paths_read_link, _) -> "read/2 through one link, cached / get/2";
path_title(paths_uncached, _) -> "read/2 through one link, uncached / cached";
path_title(paths_read_chain, _) -> "read/2 of a chain of 10 links, cached / get/2";
path_title(paths_list, #{descendants := Count}) ->
    io_lib:format("list/2 of 100 children, ~b descendants / 100", [Count]);
path_title(paths_write, _) -> "write/3, links elsewhere / put/3".

name(old) -> "the old system";
name(ours) -> "hyper_lmdb";
name(raw) -> "raw LMDB (threads)";
name(raw_map) -> "raw LMDB, map_async's flags";
name(raw_sync) -> "raw LMDB, sync's flags";
name(async) -> "hyper_lmdb, async";
name(map_async) -> "hyper_lmdb, map_async";
name(sync) -> "hyper_lmdb, sync";
name(Side) -> atom_to_list(Side).
