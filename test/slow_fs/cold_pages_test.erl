%% @doc A store on a disk that takes 20 ms a page: those who read it keep no scheduler waiting.
%%
%% What is counted are pages that a normal scheduler waited for, which a busy machine does not change.
%% Times (of a timer, of puts, of other files) are held to those of a second VM that does the same at
%% the same time without such a disk.
-module(cold_pages_test).

-export([main/1, control_store/1, control_load/2]).

-define(KEYS, 30000).
-define(VALUE_BYTES, 1500). % two a page, so that nearly every key has a page of its own to wait for
%% A scheduler's thread, as OTP 25 and as OTP 26 and later call it.
-define(SCHEDULER, "\\d+_scheduler|erts_sched_\\d+").
-define(READERS, 16).
-define(DELAY_MS, 20).
-define(LOAD_MS, 5000).
-define(SHARE, 20). % the store may lose one part in so many of the time, and what it learns by
-define(TO_LEARN, 10). % pages
-define(LATE_MS, 25).

%% Directory, program of the slow file system, and what to run: `all` or `control`.
main([Dir, SlowFs, What]) ->
    _ = rand:seed(exsss, {1, 2, 3}),
    Source = filename:join(Dir, "source"),
    Mounted = filename:join(Dir, "mounted"),
    filelib:is_dir(Source) orelse fill(Source),
    {ok, Control, _} = peer:start_link(#{connection => standard_io,
                                         args => ["+S", "2:2", "-pa" | code:get_path()]}),
    {ok, Beside} = peer:call(Control, ?MODULE, control_store, [filename:join(Dir, "control")]),
    put(control, {Control, Beside}),
    Results = [run(Case, Source, Mounted, SlowFs) || Case <- cases(What)],
    Failed = [failed || failed <- Results],
    io:format("~b passed, ~b failed~n", [length(Results) - length(Failed), length(Failed)]),
    halt(case Failed of [] -> 0; _ -> 1 end).

cases("all") ->
    [{"16 readers of a store that was just started", fun just_started/1},
     {"16 readers when the pages of a warm store have gone", fun pages_gone/1},
     {"200 readers and a writer", fun readers_and_writer/1},
     {"files of another disk beside 16 readers", fun other_files/1},
     {"warm again", fun warm_again/1},
     {"read_many of cold keys", fun many_at_once/1},
     {"keys that were prefetched", fun prefetched/1}];
cases("control") ->
    [{"control: reads that do not notice", fun control/1}].

fill(Source) ->
    {ok, S} = hyper_lmdb:start(#{name => list_to_binary(Source)}),
    [ok = hyper_lmdb:batch_write(S, [{put, key(I), rand:bytes(?VALUE_BYTES)}
                                     || I <- lists:seq(From, From + 999)])
     || From <- lists:seq(0, ?KEYS - 1, 1000)],
    ok = hyper_lmdb:stop(S).

%% A fresh mount has nothing in the page cache.
run({Title, Case}, Source, Mounted, SlowFs) ->
    ok = filelib:ensure_dir(filename:join(Mounted, "x")),
    Port = open_port({spawn_executable, SlowFs},
                     [{args, [Source, Mounted, "data.mdb", integer_to_list(?DELAY_MS)]}, {line, 200},
                      exit_status, stderr_to_stdout]),
    try
        line(Port, "mounted"),
        %% A page comes alone: the disk is as slow as it can be.
        {ok, S} = hyper_lmdb:start(#{name => list_to_binary(Mounted), force => true,
                                     no_readahead => true}),
        try Case(#{store => S, port => Port}) after ok = hyper_lmdb:stop(S) end,
        io:format("ok      ~s~n", [Title]),
        ok
    catch
        Class:Reason:Stack ->
            io:format("FAILED  ~s~n    ~0p~n    ~0p~n", [Title, {Class, Reason}, Stack]),
            failed
    after
        %% Other programs may have a copy of the mount in a name space of theirs, and it would not end.
        {os_pid, Pid} = erlang:port_info(Port, os_pid),
        _ = os:cmd("fusermount3 -uz " ++ Mounted ++ "; kill " ++ integer_to_list(Pid)),
        ended(Port)
    end.

line(Port, Wanted) ->
    receive
        {Port, {data, {eol, Wanted}}} -> ok;
        {Port, Other} -> error({slow_fs, Other})
    after 60000 -> error({slow_fs, no_line, Wanted})
    end.

ended(Port) ->
    receive
        {Port, {exit_status, _}} -> ok;
        {Port, _} -> ended(Port)
    after 60000 -> error({slow_fs, does_not_end})
    end.

%% -- cases ---------------------------------------------------------------------------------------

just_started(#{store := S}) ->
    in_time(beside_readers(S, ?READERS, ?LOAD_MS, fun(_) -> ok end)).

pages_gone(#{store := S, port := Port}) ->
    warm_up(S),
    in_time(beside_readers(S, ?READERS, ?LOAD_MS, fun(_) -> forget(Port) end)).

readers_and_writer(#{store := S}) ->
    {_, Elsewhere} = get(control),
    Seen = beside_readers(S, 200, ?LOAD_MS, {puts, S, Elsewhere}),
    like_control("puts beside 200 readers", Seen),
    in_time(Seen).

%% Cold reads that took all dirty IO schedulers kept every file operation of the VM waiting.
other_files(#{store := S}) ->
    File = code:which(?MODULE),
    Seen = beside_readers(S, ?READERS, ?LOAD_MS, {file_reads, File, File}),
    like_control("files read beside 16 readers", Seen),
    in_time(Seen).

%% Reads of what is in memory come back to the schedulers, though others were cold.
warm_again(#{store := S}) ->
    warm_up(S),
    {Us, ok} = timer:tc(fun() -> [{ok, _} = hyper_lmdb:get(S, key(I)) || I <- lists:seq(1, 50), _ <- lists:seq(1, 200)], ok end),
    false = cold(S),
    io:format("    a read of a warm page: ~.2f us~n", [Us / 10000]).

%% One call with many cold pages does not do them all on the scheduler it began on.
many_at_once(#{store := S, port := Port}) ->
    warm_up(S),
    forget(Port),
    in_time(beside(1000, fun(Until) -> reads_of_many(S, Until, 0) end, fun(_) -> ok end, 2)).

%% After a prefetch nothing waits, and a timer beside the prefetch is not late either.
prefetched(#{store := S}) ->
    Keys = [key(rand:uniform(?KEYS) - 1) || _ <- lists:seq(1, 200)],
    Absent = [<<"absent">>, binary:copy(<<"k">>, 600)],
    Prefetch = fun(_) -> timer:tc(fun() -> hyper_lmdb:prefetch(S, Keys ++ Absent) end) end,
    #{other := {PrefetchUs, ok}} = Seen = beside(2000, fun(_) -> 0 end, Prefetch, 1),
    in_time(Seen),
    Before = pages_waited_for(".*"),
    {ReadUs, _} = timer:tc(fun() -> [{ok, _} = hyper_lmdb:get(S, K) || K <- Keys] end),
    Pages = pages_waited_for(".*") - Before,
    io:format("    200 keys: prefetched in ~.1f ms, then read in ~.1f ms with ~b pages from the disk~n",
              [PrefetchUs / 1000, ReadUs / 1000, Pages]),
    true = Pages =< 2. % the VM may have one of its own to wait for

%% The same as the first case, where reads do not notice: shows that it can fail.
control(#{store := S}) ->
    warm_up(S),
    #{waited := Waited} = Seen = beside_readers(S, ?READERS, ?LOAD_MS, fun(_) -> ok end),
    show(Seen),
    true = Waited > 2 * most_waits(?LOAD_MS).

%% -- readers, and a timer beside them ------------------------------------------------------------

beside_readers(S, Count, Ms, Other) ->
    beside(Ms, fun(Until) -> reads(S, Until, 0) end, Other, Count).

%% A timer in a process of its own, `Count` processes that run Read(Until), and Other(Until): or what
%% the control is to do as well, on something of its own.
beside(Ms, Read, Other, Count) ->
    Waited = pages_waited_for(?SCHEDULER),
    Begun = now_ms(),
    Until = Begun + Ms,
    {Control, _} = get(control),
    Controlled = call(fun() -> peer:call(Control, ?MODULE, control_load, [Ms, theirs(Other)], infinity) end),
    Timer = call(fun() -> ticks(Until, []) end),
    Readers = [call(fun() -> Read(Until) end) || _ <- lists:seq(1, Count)],
    Another = call(fun() -> ours(Other, Until) end),
    Seen = #{ms => Ms, late => result(Timer), reads => lists:sum([result(R) || R <- Readers]),
             other => result(Another), control => result(Controlled)},
    Seen#{waited => pages_waited_for(?SCHEDULER) - Waited}.

ours({What, On, _}, Until) -> repeat(What, On, Until, []);
ours(Fun, Until) -> Fun(Until).
theirs({What, _, On}) -> {What, On};
theirs(_) -> nothing.

control_store(Dir) -> hyper_lmdb:start(#{name => list_to_binary(Dir)}).

control_load(Ms, Load) ->
    Until = now_ms() + Ms,
    Timer = call(fun() -> ticks(Until, []) end),
    Other = case Load of nothing -> []; {What, On} -> repeat(What, On, Until, []) end,
    #{late => result(Timer), other => Other}.

%% Major faults of the threads whose name matches: pages they waited for.
pages_waited_for(Name) ->
    Tasks = [Task || Task <- filelib:wildcard("/proc/self/task/*"), has_name(Task, Name)],
    true = Tasks =/= [],
    lists:sum([major_faults(Task) || Task <- Tasks]).

has_name(Task, Name) ->
    {ok, Comm} = file:read_file(Task ++ "/comm"),
    re:run(string:trim(Comm), "^(" ++ Name ++ ")$") =/= nomatch.

major_faults(Task) ->
    {ok, Stat} = file:read_file(Task ++ "/stat"),
    [_, Rest] = string:split(Stat, ") ", trailing), % the name may hold anything
    binary_to_integer(lists:nth(10, string:split(Rest, " ", all))).

call(Fun) -> spawn_monitor(fun() -> exit({returned, Fun()}) end).
result({Pid, Ref}) ->
    receive {'DOWN', Ref, process, Pid, {returned, Result}} -> Result;
            {'DOWN', Ref, process, Pid, Reason} -> error(Reason)
    end.

reads(S, Until, N) ->
    {ok, _} = hyper_lmdb:get(S, key(rand:uniform(?KEYS) - 1)),
    case now_ms() < Until of
        true -> reads(S, Until, N + 1);
        false -> N + 1
    end.

reads_of_many(S, Until, N) ->
    {ok, Found} = hyper_lmdb:read_many(S, [key(rand:uniform(?KEYS) - 1) || _ <- lists:seq(1, 20)]),
    20 = length([ok || {_, {ok, _}} <- Found]),
    case now_ms() < Until of
        true -> reads_of_many(S, Until, N + 20);
        false -> N + 20
    end.

%% How long each took, in milliseconds.
repeat(What, On, Until, Took) ->
    {Us, _} = timer:tc(fun() -> once(What, On) end),
    receive after 1 -> ok end,
    case now_ms() < Until of
        true -> repeat(What, On, Until, [Us / 1000 | Took]);
        false -> [Us / 1000 | Took]
    end.

once(puts, S) -> ok = hyper_lmdb:put(S, key(rand:uniform(?KEYS) - 1), <<"new">>);
once(file_reads, File) -> {ok, _} = file:read_file(File).

%% In milliseconds.
ticks(Until, Late) ->
    Start = erlang:monotonic_time(microsecond),
    receive after 1 -> ok end,
    Now = erlang:monotonic_time(microsecond),
    case Now div 1000 >= Until of
        true -> [(Now - Start) / 1000 - 1 | Late];
        false -> ticks(Until, [(Now - Start) / 1000 - 1 | Late])
    end.

most_waits(Ms) -> Ms div ?SHARE div ?DELAY_MS + ?TO_LEARN.

%% Few pages are waited for by schedulers, and a timer is as late as on that machine at that time.
in_time(#{ms := Ms, waited := Waited, late := Late, control := #{late := Theirs}} = Seen) ->
    show(Seen),
    true = Waited =< most_waits(Ms),
    true = at(0.9, Late) =< ?LATE_MS + 2 * at(0.9, Theirs).

like_control(Title, #{other := Ours, control := #{other := Theirs}}) ->
    io:format("    ~b ~s: p50 ~.3f ms, p90 ~.3f ms, worst ~.1f ms; control: ~b, p50 ~.3f ms, p90 ~.3f ms~n",
              [length(Ours), Title, at(0.5, Ours), at(0.9, Ours), at(1, Ours),
               length(Theirs), at(0.5, Theirs), at(0.9, Theirs)]),
    true = at(0.9, Ours) =< ?DELAY_MS / 2 + 2 * at(0.9, Theirs),
    true = length(Ours) * 4 >= length(Theirs).

show(#{late := Late, reads := Reads, waited := Waited, control := #{late := Theirs}}) ->
    io:format("    ~b reads, ~b pages waited for by schedulers; timer late by: p90 ~.1f, p99 ~.1f, worst ~.1f ms; "
              "control: p90 ~.1f, p99 ~.1f, worst ~.1f ms~n",
              [Reads, Waited | [at(Part, Of) || Of <- [Late, Theirs], Part <- [0.9, 0.99, 1]]]).

at(Part, Values) ->
    Sorted = lists:sort(Values),
    lists:nth(max(1, ceil(length(Sorted) * Part)), Sorted).

%% -- odds and ends -------------------------------------------------------------------------------

%% Reads a few keys until the store has noticed that they are in memory.
warm_up(S) -> warm_up(S, now_ms() + 30000).

warm_up(S, Deadline) ->
    [{ok, _} = hyper_lmdb:get(S, key(I)) || I <- lists:seq(1, 50)],
    case {cold(S), now_ms() < Deadline} of
        {false, _} -> ok;
        {true, true} -> warm_up(S, Deadline);
        {true, false} -> error(stays_cold)
    end.

cold(S) ->
    {ok, #{cold := Cold}} = hyper_lmdb:info(S),
    Cold.

forget(Port) ->
    {os_pid, Pid} = erlang:port_info(Port, os_pid),
    [] = os:cmd("kill -USR1 " ++ integer_to_list(Pid)),
    ok.

key(I) -> iolist_to_binary(io_lib:format("~6..0b", [I])).

now_ms() -> erlang:monotonic_time(millisecond).
