%% @doc What the VM was started with, and must not matter: bound schedulers, the umask.
-module(vm_environment_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:titled("threads of a store are bound to no core, where schedulers are", 120, fun bound_schedulers/0)]
    ++ [test_store:titled("files are their owner's alone, with umask " ++ Umask, 120, fun() -> file_modes(Umask) end)
        || Umask <- ["000", "022", "077"]].

in_peer(Exec, Args, Fun) ->
    Peer = child_vm:start_peer(Exec, Args),
    try child_vm:call(Peer, Fun) after child_vm:kill_peer(Peer) end.

bound_schedulers() ->
    {Unbound, Threads} = in_peer(os:find_executable("erl"), ["+sbt", "db", "+S", "2:2"], fun() ->
        {allowed("self"),
         test_store:with_store(fun(S) ->
             ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
             {ok, Tids} = file:list_dir("/proc/self/task"),
             [{name(Tid), allowed(Tid)} || Tid <- Tids]
         end)}
    end),
    Ours = [{Name, Cores} || {"hyper_lmdb" ++ _ = Name, Cores} <- Threads],
    ?assertMatch([_, _, _ | _], Ours),
    ?assertEqual([], [Bound || {_, Cores} = Bound <- Ours, Cores =/= Unbound]),
    %% Without that it would show nothing: the schedulers themselves are bound, if there are cores to bind to.
    length(string:lexemes(Unbound, ",-")) < 2
        orelse ?assertNotEqual([], [Cores || {_, Cores} <- Threads, Cores =/= Unbound]).

name(Tid) ->
    {ok, Name} = file:read_file(["/proc/self/task/", Tid, "/comm"]),
    binary_to_list(string:trim(Name)).

allowed("self") -> allowed(os:getpid());
allowed(Tid) ->
    {ok, Status} = file:read_file(["/proc/self/task/", Tid, "/status"]),
    {match, [Cores]} = re:run(Status, "Cpus_allowed_list:\\s*(\\S+)", [{capture, [1], list}]),
    Cores.

file_modes(Umask) ->
    Exec = {"/bin/sh", ["-c", "umask " ++ Umask ++ "; exec erl \"$@\"", "sh"]},
    Modes = in_peer(Exec, [], fun() ->
        [test_store:with_store(#{durability => Mode}, fun(S, Dir) ->
             ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
             Before = modes_in(Dir),
             ok = hyper_lmdb:backup(S, <<Dir/binary, "/copy">>),
             ok = hyper_lmdb:stop(S),
             {ok, Again} = hyper_lmdb:start(#{name => Dir, durability => Mode}),
             ok = hyper_lmdb:put(Again, <<"k">>, <<"v">>),
             After = modes_in(Dir),
             ok = hyper_lmdb:stop(Again),
             {Mode, Before ++ After}
         end) || Mode <- test_store:modes()]
    end),
    [begin
         ?assertEqual({Mode, []}, {Mode, [F || {Name, Bits} = F <- Files, Bits =/= expected(Name)]}),
         ?assert(length(Files) > 6)
     end || {Mode, Files} <- Modes].

expected(".") -> "700";
expected(_) -> "600".

modes_in(Dir) ->
    {0, Lines} = test_store:shell(["cd '", Dir, "' && stat -c '%a %n' . *"]),
    [list_to_tuple(lists:reverse(string:split(Line, " "))) || Line <- string:split(Lines, "\n", all)].
