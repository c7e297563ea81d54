%% The measured ratios beside the goals: erl ... -s bench_reach -extra FIGURES... [--json FILE]
-module(bench_reach).
-export([start/0, read/1]).

start() ->
    Words = init:get_plain_arguments(),
    try
        {Files, Json} = case lists:splitwith(fun(Word) -> Word =/= "--json" end, Words) of
                            {F, ["--json", J]} -> {F, J};
                            {F, []} -> {F, none}
                        end,
        Figures = maps:from_list(lists:append([read(File) || File <- Files])),
        Rows = [row(Goal, Figures) || Goal <- goals()],
        print(Rows),
        bench_out:write(Json, [bench_out:json([maps:from_list(Row) || Row <- Rows]), $\n]),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "bench_reach: ~p:~p~n~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

goals() ->
    [{core_get_1, "core get / raw renew, get, copy, reset", at_most, 1.10},
     {core_get_async, "core get, async, nothing buffered / raw", report, null},
     {core_get_growth_core, "core get, 10^7 keys / 10^5 keys", at_most, 2.5},
     {core_get_growth_raw, "the same of raw LMDB", report, null},
     {core_size_get_256k, "core get of 256 KiB / raw get and memcpy", at_most, 1.30},
     {core_rocks_put_async_1_gain, "put, async, core / RocksDB, log not flushed, puts a second",
      at_least, 2.0},
     {core_rocks_put_sync_1_gain, "put, sync, core / RocksDB synced, puts a second", at_least, 1.0},
     {core_rocks_put_sync_64_gain, "the same with 64 threads each", at_least, 1.0},
     {core_rocks_batch_sync, "batch_write of 100, sync, core / RocksDB, time a put", at_most, 1.0},
     {buffer_get_applying, "core get, buffer half full and applied / at rest", at_most, 1.25},
     {buffer_get_inside, "core get in the buffer / in LMDB", report, null},
     {core_put_async_1, "core put, async / raw begin, put, commit", report, null},
     {sustained_gain, "random overwrites, async, puts a second / raw in 10,000s", at_least, 2.0},
     {sustained_p999_ms, "p99.9 of a put in that run, ms", at_most, 1.0},
     {sustained_longest_ms, "longest put in that run, ms", at_most, 50.0},
     {sustained_memory, "memory beside the map / write_buffer_bytes", at_most, 2.5},
     {recovery_mib, "records in the journal of a killed process, MiB", report, null},
     {recovery_s, "opening the store then, seconds", at_most, 2.0},
     {erl_get_raw, "get/2 / raw renew, get, copy, reset", at_most, 1.40},
     {erl_get_ets, "get/2 / ets:lookup", at_most, 1.50},
     {erl_get_scaling, "get/2, two processes / one, of what raw gains", at_least, 0.95},
     {erl_get_async, "get/2, async, nothing buffered / raw", report, null},
     {erl_get_async_scaling, "the same, two processes / one, of what raw gains", at_least, 0.95},
     {erl_get_large, "get/2 of 256 KiB / raw get and memcpy", at_most, 1.30},
     {erl_fold, "fold/4 over 1,000,000 entries / ets:foldl, an entry", at_most, 1.00},
     {erl_put_async, "put/3, async / raw begin, put, commit", at_most, 1.50},
     {erl_put_async_64, "64 writers / one, async", report, null},
     {timer_p999_more_ms, "timer beside 64 writers, p99.9 later than control, ms", at_most, 2.0},
     {timer_long_more, "long schedules over 5 ms, more than the control's", at_most, 0.0},
     {erl_put_map, "put/3, map_async / raw begin, put, commit", at_most, 1.50},
     {erl_batch_map, "batch_write/2 of 100, map_async, per put / raw", at_most, 1.00},
     {core_batch_map, "the same in the core", at_most, 1.00},
     {erl_read_many, "read_many/2 of 100, per key / raw", at_most, 1.25},
     {erl_read_many_keys, "read_many_fast/2 of 100, per key / raw", at_most, 1.25},
     {core_read_many, "the same in the core", at_most, 1.25},
     {erl_put_map_64, "64 writers / one, map_async", at_least, 0.50},
     {erl_put_sync_64, "64 writers / one, sync", at_least, 15.0},
     {paths_read_plain, "read/2 / get/2, no link in the store", at_most, 1.10},
     {paths_read_unlinked, "read/2 / get/2, links elsewhere", at_most, 1.10},
     {paths_read_link, "read/2 through one link, cached / get/2", at_most, 2.0},
     {paths_read_chain, "read/2 of a chain of 10 links, cached / get/2", at_most, 2.0},
     {paths_list, "list/2 of 100, 10^6 descendants / 100", at_most, 3.0},
     {paths_write, "write/3, links elsewhere / put/3, map_async", at_most, 1.50},
     {paths_hit_rate, "path cache hits, a link made per 100 reads", at_least, 0.95},
     {compression_text_zstd, "text with zstd / without compression, bytes on disk", at_most, 0.50},
     {compression_text_lz4, "the same with lz4", report, null},
     {compression_whole_zstd, "a tree that is half compressed already, with zstd", report, null},
     {memory_growth_mb, "memory after 10^6 gets, 10^6 puts, MB", at_most, 20.0}].

%% What a figures file holds.
read(File) ->
    {ok, Data} = file:read_file(File),
    [begin
         [Name, Value] = binary:split(Line, <<"\t">>),
         {binary_to_atom(Name), binary_to_float(Value)}
     end || Line <- binary:split(Data, <<"\n">>, [global, trim])].

row({Name, Title, How, Goal}, Figures) ->
    Figure = maps:get(Name, Figures, null),
    [{name, Name}, {title, unicode:characters_to_binary(Title)}, {goal, Goal}, {how, How},
     {figure, Figure}, {verdict, verdict(How, Figure, Goal)}].

verdict(_, null, _) -> 'not measured';
verdict(report, _, _) -> reported;
verdict(at_most, Figure, Goal) when Figure =< Goal -> met;
verdict(at_least, Figure, Goal) when Figure >= Goal -> met;
verdict(_, _, _) -> missed.

print(Rows) ->
    io:format("reach: ratios inside this run~n"),
    bench_out:table(["", "goal", "measured", ""],
                    [[Title, goal(How, Goal), measured(Figure),
                      atom_to_list(Verdict)]
                     || [_, {title, Title}, {goal, Goal}, {how, How}, {figure, Figure},
                         {verdict, Verdict}] <- Rows]).

goal(report, null) -> "";
goal(at_most, Goal) -> ["at most ", bench_out:ratio(Goal)];
goal(at_least, Goal) -> ["at least ", bench_out:ratio(Goal)].

measured(null) -> "";
measured(Figure) -> bench_out:ratio(Figure).
