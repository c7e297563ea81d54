%% The Erlang benchmark; bench/run starts it:
%%   erl ... -s bench_main -extra SECTION --dir DIR [--raw FILE] [--smoke] [--json F] [--figures F]
%% SECTION is `all`, `readers`, `paths`, `timer`, `workload`, `memory`, `cold` or `compression`, which
%% takes --tree DIR. `all`, `readers`, `timer` and `cold` need --raw.
-module(bench_main).
-export([start/0]).

start() ->
    Words = init:get_plain_arguments(),
    try
        Options = options(Words, #{section => "all", smoke => false, raw => none, json => none,
                                   figures => none}),
        bench_stores:seed(),
        {Json, Figures} = section(Options, settings(Options)),
        bench_out:write(maps:get(json, Options), [bench_out:json(Json), $\n]),
        bench_out:write(maps:get(figures, Options), bench_out:figures(Figures)),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "bench_main: ~p:~p~n~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

options(["--smoke" | Words], Options) -> options(Words, Options#{smoke := true});
options(["--tree", Tree | Words], Options) -> options(Words, Options#{tree => Tree});
options(["--dir", Dir | Words], Options) -> options(Words, Options#{dir => Dir});
options(["--raw", File | Words], Options) -> options(Words, Options#{raw := File});
options(["--json", File | Words], Options) -> options(Words, Options#{json := File});
options(["--figures", File | Words], Options) -> options(Words, Options#{figures := File});
options([Section | Words], Options) when Section =:= "all"; Section =:= "readers"; Section =:= "cold";
                                         Section =:= "paths";
                                         Section =:= "timer"; Section =:= "workload";
                                         Section =:= "memory"; Section =:= "compression" ->
    options(Words, Options#{section := Section});
options([], Options) -> Options;
options([Word | _], _) -> error({unknown_option, Word}).

%% `pace` scales how long a case runs in one round.
settings(#{smoke := true}) ->
    #{keys => 5000, large_keys => 10, fold_keys => 5000, ops => 2000, pace => 0.001, read_rounds => 1,
      write_rounds => 1, memory_ops => 20000, descendants => 10000, timer_ms => 200, timer_rounds => 1,
      cold_keys => 20000, cold_reads => 100, cold_ms => 20, cold_rounds => 1, compression_rounds => 1};
settings(_) ->
    #{keys => 100000, large_keys => 1000, fold_keys => 1000000, ops => 100000, pace => 1, read_rounds => 15,
      write_rounds => 7, memory_ops => 1000000, descendants => 1000000, timer_ms => 10000,
      timer_rounds => 5, cold_keys => 1000000, cold_reads => 1000, cold_ms => 5000, cold_rounds => 3, compression_rounds => 3}.

section(#{section := "all", dir := Dir, raw := Raw}, Settings) ->
    ok = bench_raw:load(Raw),
    Stores = bench_stores:open(Dir, maps:get(keys, Settings)),
    Single = bench_single:run(Stores, Settings) ++ bench_large:run(Dir, Settings) ++
        bench_fold:run(Dir, Settings),
    bench_tables:single(Single),
    Latency = bench_latency:run(Stores, Settings),
    bench_tables:latency(Latency),
    Readers = bench_concurrent:readers(Stores, Settings),
    Writers = bench_concurrent:writers(Stores, Settings),
    bench_tables:readers(Readers),
    bench_tables:writers(Writers),
    bench_stores:close(Stores),
    Workload = bench_workload:run(Dir, [async, map_async, raw_map, sync, raw_sync, ets, dets],
                                  Settings),
    bench_tables:workload(Workload),
    {#{settings => Settings, single => Single, latency => Latency, readers => Readers,
       writers => Writers, workload => Workload},
     bench_tables:figures(Single, Readers, Writers)};
section(#{section := "readers", dir := Dir, raw := Raw}, Settings) ->
    ok = bench_raw:load(Raw),
    Stores = bench_stores:open(Dir, maps:get(keys, Settings)),
    Readers = bench_concurrent:readers(Stores, Settings),
    bench_stores:close(Stores),
    bench_tables:readers(Readers),
    {#{readers => Readers}, bench_tables:reader_figures(Readers)};
section(#{section := "paths", dir := Dir}, Settings) ->
    Paths = bench_paths:run(Dir, Settings),
    bench_tables:paths(Paths, Settings),
    {Paths#{settings => Settings}, bench_tables:path_figures(Paths)};
section(#{section := "timer", dir := Dir, raw := Raw}, Settings) ->
    ok = bench_raw:load(Raw),
    Timer = bench_timer:run(Dir, Settings),
    bench_tables:timer(Timer),
    {Timer, bench_tables:timer_figures(Timer)};
section(#{section := "workload", dir := Dir}, Settings) ->
    Workload = bench_workload:run(Dir, [async, map_async, sync, ets, dets], Settings),
    bench_tables:workload(Workload),
    {#{workload => Workload}, []};
section(#{section := "memory", dir := Dir}, Settings) ->
    case bench_memory:run(Dir, Settings) of
        {ok, Memory} ->
            bench_tables:memory(Memory),
            {Memory, [{memory_growth_mb, maps:get(growth, Memory) / 1.0e6}]};
        {skipped, Why} ->
            io:format("memory: not measured: ~p~n~n", [Why]),
            {#{skipped => iolist_to_binary(io_lib:format("~p", [Why]))}, []}
    end;
section(#{section := "cold", dir := Dir, raw := Raw}, Settings) ->
    ok = bench_raw:load(Raw),
    case bench_cold:run(Dir, Settings) of
        {skipped, Why} ->
            io:format("cold reads: not measured: ~ts~n~n", [Why]),
            {#{skipped => iolist_to_binary(Why)}, []};
        #{rows := Rows, file_bytes := Bytes, read_ahead_kb := Ahead} = Cold ->
            io:format("reads of a file of ~.2f GB, none of it in memory before; the disk's read_ahead_kb "
                      "is ~ts~n", [Bytes / 1.0e9, Ahead]),
            io:put_chars([bench_cold:table(Rows), $\n]),
            {Cold, []}
    end;
section(#{section := "compression", dir := Dir, tree := Tree}, #{compression_rounds := Rounds}) ->
    case bench_compression:run(Tree, Dir, Rounds) of
        {skipped, Why} ->
            io:format("compression: not measured: ~ts~n~n", [Why]),
            {#{skipped => Why}, []};
        Rows ->
            io:format("values of ~ts, async~n", [Tree]),
            io:put_chars([bench_compression:table(Rows), $\n]),
            {#{rows => Rows}, bench_compression:figures(Rows)}
    end.
