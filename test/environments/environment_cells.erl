%% @doc Runs the small workload of one environment: six stores, one for each mode of durability and way
%% to end, are written in a VM, the environment does what it does, they are written again; half of them
%% are stopped, the others go with the VM, which is killed. Then each must hold what was acknowledged, and
%% nothing else in the room may have changed.
-module(environment_cells).

-export([run/2, verdict/1, guard_ms/0]).
-export([start_vm/1, with_vm/2, in_vm/2, kill_vm/1, with_witness/1, end_witness/0]).
-export([expect/3, expect_holds/4]).

-define(GUARD_MS, 120000). % ends what hangs: fifty times what a step takes, so that a busy machine does not

guard_ms() -> ?GUARD_MS.

%% -- VMs -----------------------------------------------------------------------------------------

%% A VM by what a shell has to do before it, `plain` for nothing.
start_vm(plain) -> child_vm:start_peer([]);
start_vm(Before) -> child_vm:start_peer({"/bin/sh", ["-c", Before ++ "; exec erl \"$@\"", "sh"]}, []).

with_vm(Before, Fun) ->
    Vm = start_vm(Before),
    try Fun(Vm) after kill_vm(Vm) end.

kill_vm(Vm) -> child_vm:kill_peer(Vm).

in_vm(Vm, Fun) -> child_vm:call(Vm, Fun, ?GUARD_MS).

%% A VM that nothing is the matter with, which reads what others have left; one for all cells.
with_witness(Fun) ->
    Vm = case get(?MODULE) of
        undefined -> start_vm(plain);
        Running -> Running
    end,
    put(?MODULE, Vm),
    try Fun(Vm)
    catch Class:Reason:Stack ->
        end_witness(), % it may hang, or hold what the next one wants
        erlang:raise(Class, Reason, Stack)
    end.

end_witness() ->
    case erase(?MODULE) of
        undefined -> ok;
        Vm -> kill_vm(Vm)
    end.

%% -- expectations --------------------------------------------------------------------------------

expect(What, Allowed, Answer) ->
    case lists:any(fun(One) -> matches(One, Answer) end, Allowed) of
        true -> Answer;
        false -> error({What, {answered, Answer}, {allowed, Allowed}})
    end.

matches(ok, Answer) -> Answer =:= ok;
matches(refusal, {error, Reason}) -> named(Reason);
matches(Reason, Answer) -> Answer =:= {error, Reason}.

%% A failure that names one cause, as every reason but a fault of the library's own does.
named(internal) -> false;
named(Reason) ->
    unicode:characters_to_list(hyper_lmdb:format_error(Reason)) =/= lists:flatten(io_lib:format("~0tP", [Reason, 30])).

expect_holds(Vm, Id, There, Absent) ->
    case in_vm(Vm, fun() -> environment_store:check(Id, There, Absent) end) of
        [] -> ok;
        Wrong -> error({store, Wrong})
    end.

%% -- the workload --------------------------------------------------------------------------------

run(#{vm := Before} = Environment, World) when is_function(Before) ->
    run(Environment#{vm := Before(World)}, World);
run(Environment, World) ->
    Vm = start_vm(maps:get(vm, Environment, plain)),
    try
        Cells = [#{mode => Mode, ending => Ending, id => {Mode, Ending}, acknowledged => [], refused => []}
                 || Mode <- test_store:modes(), Ending <- [stop, kill]],
        run(Environment, World, Vm, [placed(Environment, World, Cell) || Cell <- Cells])
    after
        kill_vm(Vm)
    end.

placed(Environment, #{room := Room}, #{mode := Mode, ending := Ending} = Cell) ->
    Home = filename:join([Room, Mode] ++ maps:get(home, Environment, []) ++ [Ending]),
    Dir = filename:join(Home, "store"),
    Cell#{home => Home, store => list_to_binary(Dir), name => list_to_binary(Dir)}.

run(Environment, World, Vm, Cells) ->
    Allowed = maps:get(writes, Environment, [ok]),
    Prepared = each(prepare, Cells, fun(Cell) -> prepare(Environment, World, Vm, Cell) end),
    Written = watched('other files, after the start', World, [Store || #{store := Store} <- Prepared], fun() ->
        Started = each(start, Prepared, fun(Cell) -> start(Environment, Vm, Cell) end),
        each(write, Started, fun(Cell) -> write(Vm, <<"before">>, [ok], Cell) end)
    end),
    Changed = each(change, Written, fun(Cell) -> change(Environment, World, Vm, load(Vm, Cell)) end),
    Stores = [Dir || Cell <- Changed, (Dir = found(Environment, Cell)) =/= gone],
    Ended = watched('other files', World, Stores, fun() ->
        Calm = each('write meanwhile', Changed, fun(Cell) -> loaded(Vm, [ok | Allowed], Cell) end),
        Rewritten = each('write after the change', Calm, fun(Cell) -> write(Vm, <<"after">>, Allowed, Cell) end),
        Stopped = each(stop, Rewritten, fun(Cell) -> stop(Environment, Vm, Cell) end),
        kill_vm(Vm),
        Stopped
    end),
    Undone = each(undo, Ended, fun(Cell) -> undo(Environment, World, Cell) end),
    Reopened = watched('other files, after the next start', World, Stores, fun() -> reopen(Environment, Undone) end),
    [{lists:concat([Mode, ", ", Ending]), maps:get(verdict, Cell, passed)}
     || #{mode := Mode, ending := Ending} = Cell <- Reopened].

%% What becomes of a story that is told as one.
verdict(Fun) ->
    [Cell] = each(story, [#{}], fun(Cell) -> Fun(), Cell end),
    maps:get(verdict, Cell, passed).

%% One cell's failure is no other's: a cell that has its verdict goes no further.
each(Step, Cells, Fun) ->
    [case Cell of
         #{verdict := _} -> Cell;
         _ ->
             try Fun(Cell)
             catch Class:Reason:Stack -> Cell#{verdict => {failed, {Step, describe(Class, Reason, Stack)}}}
             end
     end || Cell <- Cells].

describe(exit, {timeout, _}, _) -> hangs;
describe(exit, {noproc, _}, _) -> the_vm_died;
describe(exit, {normal, {gen_server, call, _}}, _) -> the_vm_died;
describe(error, {_, {answered, _}, _} = Reason, _) -> Reason;
describe(error, {What, _} = Reason, _) when What =:= store; What =:= other_files -> Reason;
describe(Class, Reason, Stack) -> {Class, Reason, lists:sublist(Stack, 4)}.

prepare(Environment, World, Vm, #{home := Home, store := Store, mode := Mode} = Cell) ->
    environment_files:make(Home),
    %% What is its user's own in a store's directory stays, whatever its name resembles.
    Seeded = case maps:get(seed, Environment, empty) of
        template -> adopt(environment_template:copy(World, Mode, Store), Mode, Cell);
        in_place -> adopt(ok, Mode, Cell);
        empty -> environment_files:make(Store), Cell
    end,
    [ok = file:write_file(filename:join(Store, Name), <<"mine">>)
     || Name <- [".new-thesis.tex", "journal-notes.txt", "data.mdb.old"]],
    Prepare = maps:get(prepare, Environment, fun(_, _, C) -> C end),
    Prepare(World, Vm, Seeded).

%% A copy of the template has its values.
adopt(ok, Mode, #{id := Id} = Cell) ->
    Cell#{id := {copy, environment_template:id(Mode), Id}, acknowledged := environment_template:keys(Mode)}.

start(Environment, Vm, #{name := Name, mode := Mode, id := Id} = Cell) ->
    Answer = in_vm(Vm, fun() -> environment_store:start(Id, #{name => Name, durability => Mode}) end),
    case expect(start, maps:get(starts, Environment, [ok]), Answer) of
        ok -> Cell;
        {error, Reason} -> Cell#{not_started => Reason}
    end.

%% What is acknowledged stays readable, whatever has happened to the path since.
write(_, _, _, #{not_started := _} = Cell) -> Cell;
write(Vm, Tag, Allowed, #{id := Id} = Cell) ->
    Cell2 = answered(Tag, Allowed, in_vm(Vm, fun() -> environment_store:write(Id, Tag) end), Cell),
    expect_holds(Vm, Id, maps:get(acknowledged, Cell2), maps:get(refused, Cell2)),
    Cell2.

answered(What, Allowed, Answers, #{acknowledged := Acknowledged, refused := Refused} = Cell) ->
    _ = [expect(What, Allowed, Answer) || {_, Answer} <- Answers],
    Cell#{acknowledged := Acknowledged ++ [Key || {Keys, ok} <- Answers, Key <- Keys],
          refused := Refused ++ [Key || {Keys, {error, _}} <- Answers, Key <- Keys]}.

load(_, #{not_started := _} = Cell) -> Cell;
load(Vm, #{id := Id} = Cell) -> ok = in_vm(Vm, fun() -> environment_store:load(Id, <<"load">>) end), Cell.

loaded(_, _, #{not_started := _} = Cell) -> Cell;
loaded(Vm, Allowed, #{id := Id} = Cell) ->
    answered(load, Allowed, in_vm(Vm, fun() -> environment_store:loaded(Id) end), Cell).

change(Environment, World, Vm, Cell) ->
    case Environment of
        #{change := Change} -> Change(World, Vm, Cell), Cell;
        _ -> Cell
    end.

stop(Environment, Vm, #{ending := stop, id := Id} = Cell) when not is_map_key(not_started, Cell) ->
    Answer = in_vm(Vm, fun() -> environment_store:stop(Id) end),
    _ = expect(stop, maps:get(stops, Environment, [ok]), Answer),
    Cell;
stop(_, _, Cell) -> Cell.

undo(Environment, World, Cell) ->
    case Environment of
        #{undo := Undo} -> Undo(World, Cell), Cell;
        _ -> Cell
    end.

%% Where its store is now, or `gone`.
found(Environment, Cell) ->
    case Environment of
        #{found := gone} -> gone;
        #{found := Found} -> Found(Cell);
        _ -> maps:get(store, Cell)
    end.

reopen(#{vm := Before} = Environment, Cells) ->
    with_vm(Before, fun(Vm) -> each(reopen, Cells, fun(Cell) -> reopen(Environment, Vm, Cell) end) end);
reopen(Environment, Cells) ->
    each(reopen, Cells, fun(Cell) -> with_witness(fun(Vm) -> reopen(Environment, Vm, Cell) end) end).

reopen(Environment, Vm, #{id := Id, mode := Mode, acknowledged := There, refused := Refused} = Cell) ->
    case found(Environment, Cell) of
        gone -> ok;
        Dir ->
            Options = #{name => Dir, durability => Mode},
            Start = fun(More) -> in_vm(Vm, fun() -> environment_store:start(Id, maps:merge(Options, More)) end) end,
            ok = expect('next start', [ok], Start(#{})),
            expect_holds(Vm, Id, There, Refused),
            Tag = <<"next">>,
            Answers = in_vm(Vm, fun() -> environment_store:write(Id, Tag) end),
            _ = [expect(Tag, [ok], Answer) || {_, Answer} <- Answers],
            ok = in_vm(Vm, fun() -> environment_store:stop(Id) end),
            ok = expect('start to read', [ok], Start(#{read_only => true})),
            expect_holds(Vm, Id, There ++ environment_store:keys(Id, Tag), Refused),
            ok = in_vm(Vm, fun() -> environment_store:stop(Id) end)
    end,
    Check = maps:get(check, Environment, fun(_) -> ok end),
    ok = Check(Cell),
    Cell.

%% -- other files ---------------------------------------------------------------------------------

listing(#{base := Base, room := Room, unwatched := Unwatched}, Stores) ->
    maps:merge(environment_files:listing(Room, [binary_to_list(Dir) || Dir <- Stores], Unwatched),
               environment_files:listing(filename:join(Base, "cwd"), [], [])).

%% What Fun makes of the cells, and whether other files changed meanwhile, in the cell's own place or in
%% what is nobody's.
watched(Step, World, Stores, Fun) ->
    Before = listing(World, Stores),
    Cells = Fun(),
    Differences = environment_files:differences(Before, listing(World, Stores)),
    each(Step, Cells, fun(#{home := Home} = Cell) ->
        case [Difference || {_, Path} = Difference <- Differences, belongs(Path, Home)] of
            [] -> Cell;
            Touched -> error({other_files, Touched})
        end
    end).

belongs(Path, Home) ->
    lists:prefix(Home, Path)
        orelse not lists:any(fun(Mode) -> string:find(Path, lists:concat(["/", Mode, "/"])) =/= nomatch end,
                             test_store:modes()).
