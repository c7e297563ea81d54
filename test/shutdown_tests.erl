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
     test_store:in_dir("several stores under one supervisor", fun several_supervised/1)].

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
