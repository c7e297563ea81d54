%% @doc The processes of a prefetch: none is left behind, nor are their messages.
-module(prefetch_tests).
-include_lib("eunit/include/eunit.hrl").

-define(PARTS, 4).

all_test_() ->
    [test_store:in_each_mode("of a caller that was killed", alone(fun caller_killed/1)),
     test_store:in_each_mode("where one of them was killed", alone(fun part_killed/1)),
     test_store:in_each_mode("through a snapshot, until it ends", fun snapshot/1),
     test_store:titled("beside many messages", 120, fun() -> test_store:with_store(fun many_messages/1) end)].

%% A caller with 1,000,000 messages took 16 ms for each key: the wait for the answers looked at all.
many_messages(S) ->
    Keys = [<<"key ", I:32>> || I <- lists:seq(1, 8)],
    Best = fun() -> lists:min([element(1, timer:tc(fun() -> ok = hyper_lmdb:prefetch(S, Keys) end)) || _ <- lists:seq(1, 50)]) end,
    Alone = Best(),
    [self() ! I || I <- lists:seq(1, 1000000)],
    Beside = Best(),
    ?assertEqual(1000000, length(test_store:flush_mailbox())),
    ?assert(Beside < 10 * Alone).

%% What a trace still has to say goes with the process that asked for it.
alone(Test) ->
    fun(S) ->
            {_, Monitor} = spawn_monitor(fun() -> Test(S) end),
            receive {'DOWN', Monitor, process, _, Reason} -> ?assertEqual(normal, Reason) end
    end.

caller_killed(S) ->
    {Caller, Monitor, Parts} = stopped_prefetch(S),
    exit(Caller, kill),
    receive {'DOWN', Monitor, process, _, Reason} -> ?assertEqual(killed, Reason) end,
    Monitors = [monitor(process, Part) || Part <- Parts],
    [true = erlang:resume_process(Part) || Part <- Parts],
    ?assertEqual(lists:duplicate(?PARTS, {prefetched, caller_gone}), ends(Monitors)).

part_killed(S) ->
    {Caller, _, Parts} = stopped_prefetch(S),
    Monitors = [monitor(process, Part) || Part <- Parts],
    exit(hd(Parts), kill),
    ?assertEqual(lists:duplicate(?PARTS, killed), ends(Monitors)),
    receive {Caller, Outcome, Messages} -> ?assertEqual({killed, []}, {Outcome, Messages})
    after 30000 -> error(no_outcome)
    end.

ends(Monitors) ->
    [receive {'DOWN', Monitor, process, _, Reason} -> Reason
     after 30000 -> error(left_behind)
     end || Monitor <- Monitors].

%% Its parts are suspended long before they are done.
stopped_prefetch(S) ->
    Test = self(),
    Keys = lists:duplicate(1000000, <<"key">>),
    {Caller, Monitor} = spawn_monitor(fun() ->
        receive go -> ok end,
        Outcome = try hyper_lmdb:prefetch(S, Keys) catch error:Reason -> Reason end,
        Test ! {self(), Outcome, element(2, process_info(self(), messages))}
    end),
    1 = erlang:trace(Caller, true, [procs]),
    Caller ! go,
    Parts = [receive {trace, Caller, spawn, Part, _} ->
                 true = erlang:suspend_process(Part, [asynchronous]), Part end
             || _ <- lists:seq(1, ?PARTS)],
    {Caller, Monitor, Parts}.

snapshot(S) ->
    Keys = [<<"key ", I:32>> || I <- lists:seq(1, 100)],
    ok = hyper_lmdb:batch_write(S, [{put, K, K} || K <- Keys]),
    Snapshot = hyper_lmdb:with_snapshot(S, fun(Open) ->
        ?assertEqual(ok, hyper_lmdb:prefetch(Open, Keys)),
        Open
    end),
    ?assertEqual({error, snapshot_expired}, hyper_lmdb:prefetch(Snapshot, Keys)).
