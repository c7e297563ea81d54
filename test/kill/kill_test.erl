%% @doc Kills a writing VM over and over and checks that nothing acknowledged is lost.
-module(kill_test).

-export([main/1]).

-define(MAIN_WRITERS, [1, 2, 3, 4, 5, 6, 7, 8]).
%% What a kill must have cut off at least once in a run of so many rounds.
-define(HITS, [create, start, stop, apply, flush]).
-define(ENOUGH_ROUNDS, 50).

main([RoundsText, SeedText]) ->
    {Rounds, Seed} = {list_to_integer(RoundsText), list_to_integer(SeedText)},
    rand:seed(exsss, Seed),
    io:format("kill test: ~b rounds, seed ~b (repeat with: test/run-kill-test ~b ~b)~n", [Rounds, Seed, Rounds, Seed]),
    Base = filename:join(os:getenv("TMPDIR", "/tmp"), "hyper_lmdb-kill-" ++ os:getpid()),
    ok = file:make_dir(Base),
    Results = try rounds(1, Rounds, #{seed => Seed, base => Base, expected => fresh(), results => []})
              after file:del_dir_r(Base)
              end,
    finish(Seed, Results ++ [missed(Hit, Results) || Hit <- ?HITS, Rounds >= ?ENOUGH_ROUNDS]).

fresh() ->
    maps:from_list([{W, #{acked => 0, state => #{}, in_flight => false}} || W <- ?MAIN_WRITERS]).

finish(Seed, Results) ->
    Failed = [R || #{failures := [_ | _]} = R <- Results],
    [summary(Mode, [R || #{mode := M} = R <- Results, M =:= Mode]) || Mode <- [sync, async, map_async]],
    io:format("~b kills cut off: ~s~n",
              [lists:sum([Kills || #{kills := Kills} <- Results]),
               string:join([io_lib:format("~s ~b", [Hit, hits(Hit, Results)]) || Hit <- ?HITS], ", ")]),
    io:format("killed under: ~s~nseed ~b: ~b passed, ~b failed~n",
              [string:join(lists:usort([Kind || #{mode := M, kind_text := Kind} <- Results, M =/= none]), ", "), Seed,
               length(Results) - length(Failed), length(Failed)]),
    erlang:halt(case Failed of [] -> 0; _ -> 1 end).

summary(Mode, Results) ->
    io:format("~s: ~b rounds, ~b acknowledged writes, ~b kills; unanswered writes: ~b found whole, ~b absent~n",
              [Mode, length(Results), lists:sum([A || #{acks := A} <- Results]),
               lists:sum([Kills || #{kills := Kills} <- Results]),
               lists:sum([Whole || #{in_flight := {Whole, _}} <- Results]),
               lists:sum([Absent || #{in_flight := {_, Absent}} <- Results])]).

hits(Hit, Results) -> length([Hit || #{hits := Hits} <- Results, H <- Hits, H =:= Hit]).

missed(Hit, Results) ->
    Failures = [{never_cut_off, Hit} || hits(Hit, Results) =:= 0],
    Failures =:= [] orelse io:format("    no kill has met the ~s~n", [Hit]),
    #{kind_text => "", mode => none, acks => 0, kills => 0, hits => [], failures => Failures}.

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

%% Mostly under load; now and then while it starts, stops, reloads its code, is created, applies a
%% buffer, or flushes.
kind(Round, Mode) ->
    case {Round rem 11, Mode} of
        {0, _} -> flush;
        {10, M} when M =/= map_async -> apply;
        {2, _} -> create;
        {4, _} -> start;
        {6, _} -> stop;
        {8, _} -> reload;
        _ -> load
    end.

print(Round, Kind, #{mode := Mode, acks := Acks, failures := Failures} = Result) ->
    io:format("~3b ~-9s ~-6s ~7b acks ~s ~0tp~n",
              [Round, Mode, Kind, Acks, case Failures of [] -> maps:get(note, Result, "ok"); _ -> "FAILED" end,
               maps:get(hits, Result)]),
    [io:format("    ~0tp~n", [Failure]) || Failure <- lists:sublist(Failures, 10)].

store_dir(#{base := Base}) -> filename:join(Base, "store").

options(Mode, World) ->
    #{name => unicode:characters_to_binary(store_dir(World)), durability => Mode, capacity => pick([256 bsl 20, 1 bsl 30]),
      write_buffer_bytes => buffer_bytes(), sync_interval_ms => pick([10, 100, 1000]),
      max_batch_bytes => pick([4 bsl 20, 256 bsl 20]), max_value_bytes => pick([200000, 1 bsl 20]),
      compression => pick([none, lz4, zstd]), compression_threshold => pick([16, 1024]),
      checksum => pick([true, false]), no_readahead => pick([true, false]), max_readers => pick([126, 500]),
      path_cache_entries => pick([0, 1, 10000]), path_cache_ttl_ms => pick([0, 1, 300000])}.

%% Of the VM: schedulers, and those for calls that may wait for the disk.
emulator() -> ["+S", pick(["1:1", "2:2", "4:4"]), "+SDio", pick(["1", "10"])].

%% 64 KiB to 64 MiB, as often small as large.
buffer_bytes() -> trunc(math:pow(2, 16 + 10 * rand:uniform())).

pick(List) -> lists:nth(rand:uniform(length(List)), List).

job(Options, #{seed := Seed, expected := Expected} = World) ->
    #{options => Options, emulator => emulator(), trace => trace("in_flight", World), seed => Seed, expected => Expected, milliseconds => 60000, reload => false,
      busy => lists:sublist(?MAIN_WRITERS, 1 + rand:uniform(7))}.

trace(Name, #{base := Base}) -> filename:join(Base, Name).

under_load() -> {<<"checked">>, 50 + rand:uniform(1450)}.

round(load, Options, World) -> run(job(Options, World), under_load(), World);
round(reload, Options, World) -> run((job(Options, World))#{reload := true}, under_load(), World);
round(start, Options, World) -> run_starts(Options, World);
round(stop, Options, World) ->
    run((job(Options, World))#{milliseconds := 50 + rand:uniform(500)}, {<<"closing">>, rand:uniform(3) - 1}, World);
round(Kind, Options, World) when Kind =:= apply; Kind =:= flush ->
    run(job(Options, World), {<<"checked">>, 50 + rand:uniform(500), Kind}, World);
round(create, Options, World) -> run_create(Options, World).

run(#{busy := Busy} = Job, Plan, #{seed := Seed, expected := Expected}) ->
    Report = kill_watch:child(run, Job, Plan),
    {(result([Report]))#{in_flight => in_flight(Report, Expected)}, kill_watch:fold(Report, {Seed, Busy, Expected})}.

%% One start after the other is killed, so that it meets what the kill of a start has left.
run_starts(Options, #{expected := Expected} = World) ->
    {Results, Last} = lists:mapfoldl(fun(Plan, Known) ->
        Now = World#{expected := Known},
        run(job(Options, Now), Plan, Now)
    end, Expected, [{<<"opening">>, 0}, {<<"opening">>, rand:uniform(4) - 1}, {spawned, rand:uniform(400)}]),
    {#{acks => lists:sum([Acks || #{acks := Acks} <- Results]),
       kills => lists:sum([Kills || #{kills := Kills} <- Results]),
       hits => lists:append([Hits || #{hits := Hits} <- Results]),
       failures => lists:append([Failures || #{failures := Failures} <- Results]),
       in_flight => {lists:sum([Whole || #{in_flight := {Whole, _}} <- Results]),
                     lists:sum([Absent || #{in_flight := {_, Absent}} <- Results])}}, Last}.

result(Reports) ->
    #{acks => lists:sum([Count || #{ack_count := Count} <- Reports]),
      kills => length([killed || #{killed := true, stopped := false} <- Reports]),
      hits => lists:append([cut_off(Report) || Report <- Reports]),
      note => case Reports of [#{stopped := true} | _] -> "ok (stopped before the kill)"; _ -> "ok" end,
      failures => lists:append([failures(Report) || Report <- Reports])}.

cut_off(#{killed := true, stopped := false, opening := Opening, closing := Closing, in_flight := Others}) ->
    [start || Opening] ++ [stop || Closing] ++ Others;
cut_off(_) -> [].

failures(#{lost := Lost, unexpected := Unexpected, killed := Killed, stopped := Stopped, status := Status}) ->
    Lost ++ Unexpected ++ [{ended_by_itself, Status} || not Killed, not Stopped].

%% Killed while it creates a store: the next start finds an empty one or makes one.
run_create(Options0, #{base := Base, expected := Expected} = World) ->
    Dir = filename:join(Base, "created"),
    Options = Options0#{name => unicode:characters_to_binary(Dir)},
    Reports = lists:append([begin
        _ = file:del_dir_r(Dir),
        Killed = kill_watch:child(create, #{options => Options, trace => trace("in_flight", World)}, {<<"opening">>, rand:uniform(10) - 1}),
        Job = (job(Options, World))#{expected := fresh(), milliseconds := 0},
        [Killed, kill_watch:child(run, Job, never)]
    end || _ <- lists:seq(1, 3)]),
    Result = result(Reports),
    {Result#{note := "ok", hits := [create || start <- maps:get(hits, Result)]}, Expected}.
