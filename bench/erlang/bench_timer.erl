%% How late a timer of 1 ms comes while 64 processes write with put/3, async. The control is the
%% same timer beside as much work in plain Erlang and a thread outside the VM's schedulers that is
%% busy for as long as the store's threads were.
-module(bench_timer).
-export([run/2]).

-define(WRITERS, 64).
-define(CHUNK, 100).
-define(LONG_MS, 5).
-define(WORK_US, 250). % of a control process before it sleeps
-define(FULL, 0.98). % schedulers busier than that: the control never sleeps

%% -> a row for the store and one for the control, the rounds together
run(Dir, #{keys := Keys, ops := Ops, timer_rounds := Rounds} = Settings) ->
    Store = bench_stores:start(Dir, async),
    ok = bench_loops:batch(Store, bench_stores:chunks(bench_stores:puts(bench_stores:pairs(Keys)),
                                                      1000)),
    bench_stores:keep(timer, list_to_tuple(
                               bench_stores:chunks(bench_stores:random_pairs(Ops, Keys), ?CHUNK))),
    _ = erlang:system_flag(scheduler_wall_time, true),
    Turns = turns_a_us(),
    Both = [one_round(Store, Turns, Settings) || _ <- lists:seq(1, Rounds)],
    ok = bench_stores:stop(Store),
    #{rows => [row(ours, [Ours || {Ours, _} <- Both]),
               row(control, [Control || {_, Control} <- Both])]}.

one_round(Store, Turns, #{timer_ms := Ms} = Settings) ->
    Ours = measured(Ms, fun(I, Deadline) -> write(Store, I, Deadline) end),
    ok = bench_stores:settle(#{async => Store, sync => Store}, Settings),
    #{busy := Busy, thread := Thread} = Ours,
    Share = Busy * erlang:system_info(schedulers_online) / ?WRITERS,
    SleepMs = case Busy >= ?FULL of
                  true -> none;
                  false -> max(1, round(?WORK_US / 1000 * (1 / max(Share, 0.001) - 1)))
              end,
    Spinning = bench_raw:busy(max(1, min(100, round(Thread * 100)))),
    %% A short run says by how much the sleep has to be changed for the same load.
    #{busy := Trial} = control(Ms div 5, Turns, SleepMs),
    Control = control(Ms, Turns, scaled(SleepMs, Trial / max(Busy, 0.001))),
    ok = bench_raw:stop_busy(Spinning),
    {Ours, Control#{thread := Thread}}.

control(Ms, Turns, SleepMs) ->
    measured(Ms, fun(_, Deadline) ->
                         sleep(SleepMs),
                         compute(Turns * ?WORK_US, SleepMs, Deadline)
                 end).

scaled(none, _) -> none;
scaled(Ms, Factor) -> max(1, round(Ms * Factor)).

%% One run with 64 processes of Work(I, Deadline) and the timer.
measured(Ms, Work) ->
    true = erlang:garbage_collect(),
    CpuBefore = store_threads_ms(),
    Walls = lists:sort(erlang:statistics(scheduler_wall_time)),
    Monitored = erlang:system_monitor(self(), [{long_schedule, ?LONG_MS}]),
    Deadline = erlang:monotonic_time() + erlang:convert_time_unit(Ms, millisecond, native),
    Workers = [spawn_monitor(fun() -> Work(I, Deadline) end) || I <- lists:seq(1, ?WRITERS)],
    {Timer, Ref} = spawn_opt(fun() -> exit({late, ticks(Deadline, [])}) end,
                             [monitor, {min_heap_size, 1 bsl 16}]),
    Late = receive
               {'DOWN', Ref, process, Timer, {late, All}} -> All;
               {'DOWN', Ref, process, Timer, Reason} -> error({timer_failed, Reason})
           end,
    _ = erlang:system_monitor(Monitored),
    Busy = busy(Walls, lists:sort(erlang:statistics(scheduler_wall_time))),
    Thread = (store_threads_ms() - CpuBefore) / Ms,
    [receive {'DOWN', Monitor, process, Pid, normal} -> ok;
             {'DOWN', Monitor, process, Pid, Why} -> error({writer_failed, Why})
     end || {Pid, Monitor} <- Workers],
    #{late => Late, busy => Busy, thread => Thread, long => long_schedules(0)}.

ticks(Deadline, Late) ->
    Start = erlang:monotonic_time(),
    receive after 1 -> ok end,
    Now = erlang:monotonic_time(),
    Ns = erlang:convert_time_unit(Now - Start, native, nanosecond) - 1000000,
    case Now >= Deadline of
        true -> [Ns | Late];
        false -> ticks(Deadline, [Ns | Late])
    end.

write(Store, At, Deadline) ->
    Chunks = bench_stores:kept(timer),
    ok = bench_loops:put(Store, element(At rem tuple_size(Chunks) + 1, Chunks)),
    case erlang:monotonic_time() >= Deadline of
        true -> ok;
        false -> write(Store, At + 1, Deadline)
    end.

compute(Turns, SleepMs, Deadline) ->
    _ = turn(Turns, 1),
    sleep(SleepMs),
    case erlang:monotonic_time() >= Deadline of
        true -> ok;
        false -> compute(Turns, SleepMs, Deadline)
    end.

%% So long on average: all together at the same moments would be a load of another kind.
sleep(none) -> ok;
sleep(MeanMs) ->
    receive after rand:uniform(2 * MeanMs + 1) - 1 -> ok end.

turn(0, X) -> X;
turn(N, X) -> turn(N - 1, (X * 1103515245 + 12345) band 16#7fffffff).

turns_a_us() ->
    Count = 1000000,
    Ns = lists:min([bench_rounds:ns(fun() -> turn(Count, N) end) || N <- lists:seq(1, 5)]),
    max(1, round(Count * 1000 / Ns)).

%% The share of their time that the normal schedulers were busy.
busy(Before, After) ->
    Normal = erlang:system_info(schedulers),
    Used = [{A1 - A0, T1 - T0} || {{Id, A0, T0}, {Id, A1, T1}} <- lists:zip(Before, After),
                                  Id =< Normal],
    {Active, Total} = lists:unzip(Used),
    lists:sum(Active) / max(1, lists:sum(Total)).

%% Processor time of the store's own threads so far; 0 where the system does not say.
store_threads_ms() ->
    lists:sum([thread_ms(Stat) || Task <- filelib:wildcard("/proc/self/task/*"),
                                  {ok, Stat} <- [file:read_file(Task ++ "/stat")]]).

%% "tid (name) state ..."; the 12th and 13th field behind the name are ticks of 10 ms.
thread_ms(Stat) ->
    case binary:split(Stat, [<<" (">>, <<") ">>], [global]) of
        [_, <<"hyper_lmdb", _/binary>>, Rest] ->
            Fields = binary:split(Rest, <<" ">>, [global]),
            10 * lists:sum([binary_to_integer(lists:nth(I, Fields)) || I <- [12, 13]]);
        _ -> 0
    end.

long_schedules(N) ->
    receive {monitor, _, long_schedule, _} -> long_schedules(N + 1)
    after 0 -> N
    end.

row(Side, Runs) ->
    Late = lists:sort(lists:append([Late || #{late := Late} <- Runs])),
    Count = length(Late),
    At = fun(Part) -> lists:nth(max(1, ceil(Count * Part)), Late) end,
    Mean = fun(Key) -> lists:sum([maps:get(Key, Run) || Run <- Runs]) / length(Runs) end,
    #{side => Side, samples => Count, p50 => At(0.50), p99 => At(0.99), p999 => At(0.999),
      max => lists:last(Late), long_schedules => lists:sum([Long || #{long := Long} <- Runs]),
      busy => Mean(busy), thread => Mean(thread)}.
