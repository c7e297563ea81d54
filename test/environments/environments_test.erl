%% @doc Runs the table of environments and prints what came of each cell; see `run' beside it.
-module(environments_test).

-export([main/1]).

main([Base, Part]) ->
    World = #{base => Base},
    ok = environment_template:make(World),
    Chosen = [Environment || #{name := Name} = Environment <- environment_table:environments() ++ environment_table:controls(),
                             string:find(Name, Part) =/= nomatch],
    Results = in_turn(fun(Number) -> announce(Number, lists:nth(Number, Chosen), World) end, length(Chosen)),
    Count = fun(Which) -> length([x || R <- Results, R =:= Which]) end,
    Skipped = case Count(skipped) of
        0 -> "";
        Number -> io_lib:format(", ~b skipped", [Number])
    end,
    io:format("~b passed, ~b failed~s~n", [Count(passed), Count(failed), Skipped]),
    halt(case {Count(failed), Results} of {0, [_ | _]} -> 0; _ -> 1 end).

%% Fun(1) to Fun(Count), as many at a time as there are cores: much of each is waiting for VMs to boot.
in_turn(Fun, Count) ->
    Taken = atomics:new(1, []),
    Workers = [spawn_monitor(fun() -> exit({results, take(Fun, Count, Taken)}) end)
               || _ <- lists:seq(1, erlang:system_info(schedulers_online))],
    lists:append([receive {'DOWN', Monitor, process, Pid, {results, Results}} -> Results;
                          {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
                  end || {Pid, Monitor} <- Workers]).

take(Fun, Count, Taken) ->
    case atomics:add_get(Taken, 1, 1) of
        Number when Number =< Count -> Fun(Number) ++ take(Fun, Count, Taken);
        _ -> environment_cells:end_witness(), []
    end.

announce(Number, #{name := Name} = Environment, World) ->
    Begun = erlang:monotonic_time(millisecond),
    Cells = run(Number, Environment, World),
    Took = (erlang:monotonic_time(millisecond) - Begun) / 1000,
    Verdicts = [verdict(Cell) || Cell <- Cells],
    Word = case {lists:member(failed, Verdicts), lists:member(skipped, Verdicts)} of
        {true, _} -> "FAILED ";
        {_, true} -> "skipped";
        _ -> "ok     "
    end,
    io:format("~s ~5.1f s  ~ts, ~b cells~n~ts", [Word, Took, Name, length(Cells), [told(Name, Cell) || Cell <- Cells]]),
    Verdicts.

verdict({_, passed}) -> passed;
verdict({_, {failed, _}}) -> failed;
verdict({_, {skipped, _}}) -> skipped.

told(_, {_, passed}) -> "";
told(Name, {Title, {failed, Why}}) -> io_lib:format("    FAILED ~ts, ~ts: ~0tP~n", [Name, Title, Why, 60]);
told(Name, {_, {skipped, Why}}) -> io_lib:format("*** SKIPPED ~ts: ~ts~n", [Name, string:join(string:lexemes(Why, "\n"), "; ")]).

run(Number, Environment, #{base := Base}) ->
    Room = filename:join(Base, integer_to_list(Number)),
    World0 = #{base => Base, room => Room, unwatched => []},
    environment_files:make(Room),
    try setup(Environment, test_store:modes(), World0) of
        {skip, Why} -> [{"", {skipped, Why}}];
        World -> cells(Environment, World)
    catch
        Class:Reason:Stack -> [{"setup", {failed, {Class, Reason, Stack}}}]
    after
        clear(Room)
    end.

%% One place for each mode, since many environments are a mount.
setup(#{setup := Setup} = Environment, [Mode | Modes], #{room := Room, unwatched := Unwatched} = World) ->
    Place = filename:join(Room, Mode),
    environment_files:make(Place),
    case Setup(World, Mode, Place) of
        {skip, Why} -> {skip, Why};
        ok -> setup(Environment, Modes, World);
        {unwatched, Paths} -> setup(Environment, Modes, World#{unwatched := Paths ++ Unwatched})
    end;
setup(_, _, World) -> World.

%% Whatever is still mounted in a room goes before its files do. A killed VM may hold a mount for a moment.
clear(Room) ->
    ok = test_store:wait_until(fun() ->
        {ok, Mounts} = file:read_file("/proc/self/mounts"),
        Ours = [Path || Line <- string:lexemes(Mounts, "\n"), [_, Path | _] <- [string:lexemes(Line, " ")],
                        string:prefix(Path, Room) =/= nomatch],
        [test_store:shell(["umount '", Path, "'"]) || Path <- lists:reverse(Ours)],
        Ours =:= []
    end),
    environment_files:remove(Room).

cells(#{expect_failure := Expected} = Control, World) ->
    Results = cells(maps:remove(expect_failure, Control), World),
    [{Title, case Result of
                 {failed, Why} -> case Expected(Why) of true -> passed; false -> {failed, {failed_otherwise, Why}} end;
                 _ -> {failed, did_not_fail}
             end} || {Title, Result} <- Results];
cells(#{scenario := Scenario}, World) ->
    [{atom_to_list(Mode), environment_cells:verdict(fun() -> Scenario(World, Mode) end)} || Mode <- test_store:modes()];
cells(Environment, World) ->
    environment_cells:run(Environment, World).
