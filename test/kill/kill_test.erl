%% @doc Kills a writing VM over and over and checks that nothing acknowledged is lost.
-module(kill_test).

-export([main/1]).

-define(MAIN_WRITERS, [1, 2, 3, 4, 5, 6, 7, 8]).
-define(COMPANION_WRITERS, [9, 10, 11, 12]).
-define(CAPACITY, (256 bsl 20)).

main([RoundsText, SeedText]) ->
    {Rounds, Seed} = {list_to_integer(RoundsText), list_to_integer(SeedText)},
    rand:seed(exsss, Seed),
    io:format("kill test: ~b rounds, seed ~b (repeat with: test/run-kill-test ~b ~b)~n", [Rounds, Seed, Rounds, Seed]),
    Base = filename:join(os:getenv("TMPDIR", "/tmp"), "hyper_lmdb-kill-" ++ os:getpid()),
    ok = file:make_dir(Base),
    Results = try rounds(1, Rounds, #{seed => Seed, base => Base, expected => fresh(), results => []})
              after file:del_dir_r(Base)
              end,
    finish(Seed, Results).

fresh() ->
    maps:from_list([{W, #{acked => 0, state => #{}, in_flight => false}} || W <- ?MAIN_WRITERS ++ ?COMPANION_WRITERS]).

finish(Seed, Results) ->
    Failed = [R || #{failures := [_ | _]} = R <- Results],
    [summary(Mode, [R || #{mode := M} = R <- Results, M =:= Mode]) || Mode <- [sync, async, map_async]],
    io:format("killed under: ~s~nseed ~b: ~b passed, ~b failed~n",
              [string:join(lists:usort([Kind || #{mode := M, kind_text := Kind} <- Results, M =/= none]), ", "), Seed,
               length(Results) - length(Failed), length(Failed)]),
    erlang:halt(case Failed of [] -> 0; _ -> 1 end).

summary(Mode, Results) ->
    io:format("~s: ~b rounds, ~b acknowledged writes, ~b kills; unanswered writes: ~b found whole, ~b absent~n",
              [Mode, length(Results), lists:sum([A || #{acks := A} <- Results]),
               length([killed || #{killed := true} <- Results]),
               lists:sum([Whole || #{in_flight := {Whole, _}} <- Results]),
               lists:sum([Absent || #{in_flight := {_, Absent}} <- Results])]).

%% Of the writes whose answer the kill before this round cut off: how many are there.
in_flight(#{checked := false}, _) -> {0, 0};
in_flight(#{states := States}, Expected) ->
    Ahead = [maps:get(Writer, States) - Acked || {Writer, #{acked := Acked, in_flight := true}} <- maps:to_list(Expected)],
    {lists:sum(Ahead), length([absent || 0 <- Ahead])}.

%% -- rounds --------------------------------------------------------------------------------------

rounds(Round, Rounds, #{results := Results} = World) when Round > Rounds ->
    lists:reverse(Results) ++ kill_controls:run(World#{options => options(sync, World)});
rounds(Round, Rounds, #{results := Results} = World) ->
    %% Each mode finds what each other has left.
    Mode = pick([sync, async, async, map_async]),
    Kind = kind(Round, Mode),
    {Result0, Expected} = round(Kind, options(Mode, World), World),
    Result = Result0#{mode => Mode, kind_text => atom_to_list(Kind)},
    print(Round, Kind, Result),
    %% After a finding the old expectation says nothing any more: begin again.
    Next = case Result of
        #{failures := []} -> World#{expected := Expected};
        _ -> _ = file:del_dir_r(store_dir(World)), World#{expected := fresh()}
    end,
    rounds(Round + 1, Rounds, Next#{results := [Result | Results]}).

%% Mostly under load; now and then while it starts, stops, reloads its code, is created, or shares
%% the store with a second process.
kind(Round, Mode) ->
    case {Round rem 11, Mode} of
        {2, _} -> create;
        {4, _} -> start;
        {6, _} -> stop;
        {8, _} -> reload;
        {N, map_async} when N =:= 1; N =:= 5; N =:= 9 -> share;
        _ -> load
    end.

print(Round, Kind, #{mode := Mode, acks := Acks, failures := Failures} = Result) ->
    io:format("~3b ~-9s ~-6s ~7b acks ~s~n",
              [Round, Mode, Kind, Acks, case Failures of [] -> maps:get(note, Result, "ok"); _ -> "FAILED" end]),
    [io:format("    ~0tp~n", [Failure]) || Failure <- lists:sublist(Failures, 10)].

store_dir(#{base := Base}) -> filename:join(Base, "store").

options(Mode, World) ->
    #{name => unicode:characters_to_binary(store_dir(World)), durability => Mode, capacity => ?CAPACITY,
      write_buffer_bytes => buffer_bytes(), sync_interval_ms => pick([10, 100, 1000]),
      checksum => pick([true, false]), no_readahead => pick([true, false]), max_readers => pick([126, 500])}.

%% 64 KiB to 64 MiB, as often small as large.
buffer_bytes() -> trunc(math:pow(2, 16 + 10 * rand:uniform())).

pick(List) -> lists:nth(rand:uniform(length(List)), List).

job(Options, #{seed := Seed, expected := Expected}) ->
    #{options => Options, seed => Seed, expected => Expected, milliseconds => 60000, reload => false,
      busy => lists:sublist(?MAIN_WRITERS, 1 + rand:uniform(7))}.

under_load() -> {<<"checked">>, 50 + rand:uniform(1450)}.

round(load, Options, World) -> run(job(Options, World), under_load(), World);
round(reload, Options, World) -> run((job(Options, World))#{reload := true}, under_load(), World);
round(start, Options, World) ->
    run(job(Options, World), pick([{<<"opening">>, rand:uniform(12) - 1}, {spawned, rand:uniform(400)}]), World);
round(stop, Options, World) ->
    run((job(Options, World))#{milliseconds := 50 + rand:uniform(500)}, {<<"stopping">>, rand:uniform(15) - 1}, World);
round(share, Options, World) -> run_shared(job(Options#{shared => true}, World), World);
round(create, Options, World) -> run_create(Options, World).

run(#{busy := Busy} = Job, Plan, #{seed := Seed, expected := Expected}) ->
    Report = kill_watch:child(run, Job, Plan),
    {(result([Report]))#{in_flight => in_flight(Report, Expected)}, kill_watch:fold(Report, {Seed, Busy, Expected})}.

result(Reports) ->
    #{acks => lists:sum([Count || #{ack_count := Count} <- Reports]),
      killed => lists:any(fun(#{killed := Killed, stopped := Stopped}) -> Killed andalso not Stopped end, Reports),
      note => case Reports of [#{stopped := true} | _] -> "ok (stopped before the kill)"; _ -> "ok" end,
      failures => lists:append([failures(Report) || Report <- Reports])}.

failures(#{lost := Lost, unexpected := Unexpected, killed := Killed, stopped := Stopped, status := Status}) ->
    Lost ++ Unexpected ++ [{ended_by_itself, Status} || not Killed, not Stopped].

%% A second VM writes its own keys into the shared store; both are killed, in either order.
run_shared(#{busy := Busy, options := Options, seed := Seed} = Job, #{expected := Expected}) ->
    Self = self(),
    Companion = fun(Report) ->
        States = maps:map(fun(_, #{acked := Acked, state := State}) -> {Acked, State} end,
                          kill_watch:fold(Report, {Seed, [], Expected})),
        Self ! {companion, test_store:spawn_call(fun() ->
            kill_watch:child(companion, #{options => Options, states => States, seed => Seed, reload => false,
                                          busy => ?COMPANION_WRITERS}, {<<"opening">>, 20 + rand:uniform(700)})
        end)}
    end,
    %% The second VM takes its time to boot: the first waits for it long enough, mostly.
    Report = kill_watch:child(run, Job, {<<"checked">>, 200 + rand:uniform(1000)}, Companion),
    Reports = receive {companion, Call} -> [Report, test_store:await(Call)] after 0 -> [Report] end,
    Expected2 = kill_watch:fold(Report, {Seed, Busy, Expected}),
    Expected3 = case Reports of
        [_, Theirs] ->
            Known = maps:with(?COMPANION_WRITERS, Expected2),
            After = Theirs#{checked := true, states := maps:get(states, Report)},
            maps:merge(Expected2, kill_watch:fold(After, {Seed, ?COMPANION_WRITERS, Known}));
        _ -> Expected2
    end,
    {(result(Reports))#{in_flight => in_flight(Report, Expected)}, Expected3}.

%% Killed while it creates a store: the next start finds an empty one or makes one.
run_create(Options0, #{base := Base, expected := Expected} = World) ->
    Dir = filename:join(Base, "created"),
    Options = Options0#{name => unicode:characters_to_binary(Dir)},
    Reports = lists:append([begin
        _ = file:del_dir_r(Dir),
        Killed = kill_watch:child(create, #{options => Options}, {<<"opening">>, rand:uniform(10) - 1}),
        Job = (job(Options, World))#{expected := fresh(), milliseconds := 0},
        [Killed, kill_watch:child(run, Job, never)]
    end || _ <- lists:seq(1, 3)]),
    {(result(Reports))#{note := "ok"}, Expected}.
