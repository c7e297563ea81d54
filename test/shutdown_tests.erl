%% @doc The ways a store ends with its VM, its application or its supervisor.
-module(shutdown_tests).
-include_lib("eunit/include/eunit.hrl").
-behaviour(supervisor).
-export([init/1]).

-define(ROUNDS, 3).

all_test_() ->
    [[test_store:each_mode(lists:concat([WayOut, " under load loses nothing"]), 240,
                           fun(Mode) -> leave_under_load(WayOut, Mode) end)
      || WayOut <- [init_stop, halt, halt_without_flush, sigterm, application_stop, stop]],
     test_store:in_dir("a lost write would be noticed", fun negative_control/1),
     {"application stop stops every store", {timeout, 60, fun application_stop/0}},
     test_store:in_dir("a supervisor owns a store", fun supervised/1),
     test_store:in_dir("a keyword list makes a child", fun keyword_child/1),
     test_store:in_dir("a supervisor that is killed", fun supervisor_killed/1),
     test_store:in_dir("a store that does not start", fun supervised_failure/1),
     test_store:in_dir("several stores under one supervisor", fun several_supervised/1),
     test_store:in_dir("one store under two supervisors", fun under_two_supervisors/1),
     test_store:in_dir("a supervised store that somebody stops", fun stopped_by_somebody/1),
     test_store:in_dir("several stop it at once", fun stopped_by_several/1),
     test_store:in_dir("files are read while a store stops", fun files_while_it_stops/1)].

%% -- the VM ends ---------------------------------------------------------------------------------

leave_under_load(WayOut, Mode) ->
    test_store:seed(),
    test_store:with_dir(fun(Dir) ->
        [begin
             Acks = run_child(WayOut, Mode, Dir),
             %% A halt is the VM's end and not the store's.
             lists:member(WayOut, [halt, halt_without_flush])
                 orelse ?assertEqual({WayOut, []}, {WayOut, test_store:journal(Dir)}),
             ?assertEqual([], missing(Dir, Acks)),
             ok = file:del_dir_r(Dir)
         end || _ <- lists:seq(1, ?ROUNDS)]
    end).

run_child(WayOut, Mode, Dir) ->
    Argument = #{options => #{name => Dir, durability => Mode}, writers => 20, way_out => WayOut,
                 milliseconds => 50 + rand:uniform(250)},
    {Lines, Status} = child_vm:run(ack_child, load, Argument, none),
    {Acks, Others} = ack_child:acknowledged(Lines),
    ?assertEqual({WayOut, 0, []}, {WayOut, Status, Others}),
    ?assert(length(Acks) > 20),
    Acks.

missing(Dir, Acks) ->
    S = test_store:start_ok(#{name => Dir}),
    Keys = [ack_child:key(Writer, Number) || {Writer, Number} <- Acks],
    {ok, Found} = hyper_lmdb:read_many_fast(S, Keys),
    ok = hyper_lmdb:stop(S),
    [Key || {Key, Result} <- Found, Result =/= {ok, Key}].

negative_control(Dir) ->
    [{Writer, Number} | _] = Acks = run_child(halt, map_async, Dir),
    S = test_store:start_ok(#{name => Dir}),
    ok = hyper_lmdb:delete(S, ack_child:key(Writer, Number)),
    ok = hyper_lmdb:stop(S),
    ?assertEqual([ack_child:key(Writer, Number)], missing(Dir, Acks)),
    ?assertEqual([ack_child:key(Writer, Number), ack_child:key(99, 1)], missing(Dir, Acks ++ [{99, 1}])).

%% -- the application stops -----------------------------------------------------------------------

application_stop() ->
    {ok, _} = application:ensure_all_started(hyper_lmdb),
    test_store:with_dir(fun(Dir) ->
        Names = [<<Dir/binary, "/", I>> || I <- "abc"],
        Stores = [test_store:start_ok(#{name => Name, durability => Mode})
                  || {Name, Mode} <- lists:zip(Names, test_store:modes())],
        [ok = hyper_lmdb:put(S, <<"k">>, <<"v">>) || S <- Stores],
        #{level := Level} = logger:get_primary_config(),
        ok = logger:set_primary_config(level, error),
        ok = application:stop(hyper_lmdb),
        ok = logger:set_primary_config(level, Level),
        [?assertEqual({error, closed}, hyper_lmdb:get(S, <<"k">>)) || S <- Stores],
        [?assertEqual({error, not_started}, hyper_lmdb:get(#{name => Name}, <<"k">>)) || Name <- Names],
        {ok, _} = application:ensure_all_started(hyper_lmdb),
        Again = [test_store:start_ok(#{name => Name}) || Name <- Names],
        [?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, <<"k">>)) || S <- Again]
    end).

%% -- a supervisor --------------------------------------------------------------------------------

init(Children) -> {ok, {#{strategy => one_for_one}, Children}}.

with_supervisor(Children, Fun) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, Children),
    unlink(Supervisor),
    try Fun(Supervisor) after end_process(Supervisor, shutdown) end.

end_process(Pid, Reason) ->
    Monitor = monitor(process, Pid),
    exit(Pid, Reason),
    receive {'DOWN', Monitor, process, Pid, _} -> ok end.

supervised(Dir) ->
    Map = #{name => Dir},
    Spec = #{id := Id} = hyper_lmdb:child_spec(#{name => Dir, durability => sync}),
    ?assertEqual(ok, supervisor:check_childspecs([Spec])),
    with_supervisor([Spec], fun(Supervisor) ->
        ?assertEqual(ok, hyper_lmdb:put(Map, <<"k">>, <<"v">>)),
        ?assertEqual(sync, test_store:info(Map, durability)),
        ok = supervisor:terminate_child(Supervisor, Id),
        ?assertEqual({error, not_started}, hyper_lmdb:get(Map, <<"k">>)),
        {ok, _} = supervisor:restart_child(Supervisor, Id),
        ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(Map, <<"k">>))
    end),
    ?assertEqual({error, not_started}, hyper_lmdb:get(Map, <<"k">>)).

%% The child of the other supervisor lived on without its store, and callers got `not_started' for ever.
under_two_supervisors(Dir) ->
    Map = #{name => Dir},
    with_supervisor([hyper_lmdb:child_spec(Map)], fun(Stays) ->
        [{_, Before, _, _}] = supervisor:which_children(Stays),
        with_supervisor([hyper_lmdb:child_spec(Map)], fun(_) -> ok = hyper_lmdb:put(Map, <<"k">>, <<"v">>) end),
        ok = test_store:wait_until(fun() -> hyper_lmdb:get(Map, <<"k">>) =:= {ok, <<"v">>} end),
        ok = test_store:wait_until(fun() -> [{_, Now, _, _}] = supervisor:which_children(Stays), is_pid(Now) andalso Now =/= Before end)
    end),
    ?assertEqual({error, not_started}, hyper_lmdb:get(Map, <<"k">>)).

stopped_by_somebody(Dir) ->
    {ok, Owner} = hyper_lmdb_owner:start_link(#{name => Dir}),
    unlink(Owner),
    Monitor = monitor(process, Owner),
    ok = hyper_lmdb:stop(#{name => Dir}),
    receive {'DOWN', Monitor, process, _, Reason} -> ?assertEqual(closed, Reason)
    after 30000 -> error(it_did_not_notice)
    end.

stopped_by_several(Dir) ->
    [begin
         S = test_store:start_ok(#{name => Dir}),
         Stops = test_store:in_parallel(20, fun(_) -> hyper_lmdb:stop(S) end),
         ?assertEqual([ok | lists:duplicate(19, {error, closed})], lists:sort(Stops))
     end || _ <- lists:seq(1, 20)].

%% A stop held a dirty IO scheduler, on which the VM reads files, until everything was in LMDB. A busy
%% machine may make one attempt look like that, but not each.
files_while_it_stops(Dir) ->
    Peer = child_vm:start_peer(["+SDio", "1"]),
    try
        ?assert(lists:any(fun(_) -> {Stop, Read} = child_vm:call(Peer, fun() -> longest_read(Dir) end), Read * 4 < Stop end,
                          lists:seq(1, 5)))
    after
        child_vm:kill_peer(Peer)
    end.

longest_read(Dir) ->
    {ok, S} = hyper_lmdb:start(#{name => Dir}),
    [ok = hyper_lmdb:batch_write(S, [{put, <<(rand:bytes(8))/binary, I:32>>, rand:bytes(100)} || I <- lists:seq(1, 10000)]) || _ <- lists:seq(1, 20)],
    Stop = test_store:spawn_call(fun() -> timer:tc(hyper_lmdb, stop, [S]) end),
    {Took, ok} = read_files(Stop, code:which(?MODULE), 0),
    {Took, get(longest)}.

read_files({_, Monitor} = Stop, File, Longest) ->
    {Took, {ok, _}} = timer:tc(file, read_file, [File]),
    put(longest, max(Took, Longest)),
    receive {'DOWN', Monitor, process, _, {returned, Result}} -> Result
    after 0 -> read_files(Stop, File, get(longest))
    end.

%% `{:hyper_lmdb, name: "x"}' in Elixir is child_spec/1 of a keyword list; of several pairs with one key the
%% first counts, as there.
keyword_child(Dir) ->
    Map = #{name => Dir},
    Spec = hyper_lmdb:child_spec([{name, Dir}, {durability, sync}, {durability, async}, {<<"of another layer">>, 1}]),
    ?assertEqual(ok, supervisor:check_childspecs([Spec])),
    ?assertMatch(#{id := {hyper_lmdb, Dir}}, Spec),
    with_supervisor([Spec], fun(_) -> ?assertEqual(sync, test_store:info(Map, durability)) end),
    ?assertEqual({error, not_started}, hyper_lmdb:get(Map, <<"k">>)).

supervisor_killed(Dir) ->
    Map = #{name => Dir},
    with_supervisor([hyper_lmdb:child_spec(Map)], fun(Supervisor) ->
        ok = hyper_lmdb:put(Map, <<"k">>, <<"v">>),
        end_process(Supervisor, kill),
        ok = test_store:wait_until(fun() -> hyper_lmdb:get(Map, <<"k">>) =:= {error, not_started} end)
    end),
    S = test_store:start_ok(Map),
    ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, <<"k">>)).

supervised_failure(Dir) ->
    Trapped = process_flag(trap_exit, true),
    Spec = hyper_lmdb:child_spec(#{name => Dir, capacity => nonsense}),
    Started = supervisor:start_link(?MODULE, [Spec]),
    process_flag(trap_exit, Trapped),
    _ = test_store:flush_mailbox(),
    ?assertMatch({error, {shutdown, {failed_to_start_child, _, {bad_option, capacity}}}}, Started).

several_supervised(Dir) ->
    Names = [<<Dir/binary, "/", I>> || I <- "abc"],
    with_supervisor([hyper_lmdb:child_spec(#{name => Name}) || Name <- Names], fun(_) ->
        [?assertEqual(ok, hyper_lmdb:put(#{name => Name}, <<"k">>, Name)) || Name <- Names],
        [?assertEqual({ok, Name}, hyper_lmdb:get(#{name => Name}, <<"k">>)) || Name <- Names]
    end),
    [?assertEqual({error, not_started}, hyper_lmdb:get(#{name => Name}, <<"k">>)) || Name <- Names].
