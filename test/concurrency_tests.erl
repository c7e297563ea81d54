%% @doc Many processes on one store: all are answered, nothing is lost, nothing stays behind.
-module(concurrency_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:in_each_mode("1,000 processes write at once", fun thousand_writers/1),
     test_store:in_each_mode("writers of one key", fun one_key/1),
     test_store:in_each_mode("put_new has one winner", fun one_winner/1),
     test_store:in_each_mode("a batch is seen whole", fun batches_seen_whole/1),
     test_store:in_each_mode("read_many sees one moment", fun one_moment/1),
     test_store:in_each_mode("a write is seen when it is answered", fun read_your_writes/1),
     test_store:in_each_mode("reset while readers read", fun reset_under_readers/1),
     test_store:in_each_mode("stop under load, by handle", fun(S, Dir) -> stop_under_load(S, S, Dir) end),
     test_store:in_each_mode("stop under load, by map", fun(S, Dir) -> stop_under_load(#{name => Dir}, S, Dir) end),
     test_store:in_each_mode("a bounded queue", #{write_buffer_bytes => 1 bsl 16}, fun bounded_queue/1),
     test_store:in_each_mode("a request larger than the queue", #{write_buffer_bytes => 1 bsl 16}, fun larger_than_queue/1),
     test_store:in_each_mode("killed callers", #{write_buffer_bytes => 1 bsl 16}, fun killed_callers/1),
     test_store:in_each_mode("a full mailbox", fun full_mailbox/1),
     test_store:in_each_mode("bad writes fail alone", fun bad_writes_fail_alone/1),
     test_store:in_each_mode("two processes commit one batch", fun two_commits/1)].

thousand_writers(S) ->
    Results = test_store:in_parallel(1000, fun(I) ->
        Put = hyper_lmdb:put(S, <<"p", I:32>>, <<I:32>>),
        New = hyper_lmdb:put_new(S, <<"n", I:32>>, <<I:32>>),
        Batch = hyper_lmdb:batch_write(S, [{check, <<"p", I:32>>, <<I:32>>}, {put, <<"b", I:32>>, <<I:32>>}]),
        {Put, New, Batch, hyper_lmdb:get(S, <<"p", I:32>>), test_store:flush_mailbox()}
    end),
    [?assertEqual({ok, ok, ok, {ok, <<I:32>>}, []}, Result)
     || {I, Result} <- lists:zip(lists:seq(1, 1000), Results)],
    ?assertEqual(3000, test_store:count(S)),
    ?assertEqual({ok, [{<<T, I:32>>, {ok, <<I:32>>}} || T <- "pnb", I <- lists:seq(1, 1000)]},
                 hyper_lmdb:read_many_fast(S, [<<T, I:32>> || T <- "pnb", I <- lists:seq(1, 1000)])),
    idle(S).

%% Nothing is queued, nobody waits.
idle(S) ->
    ok = test_store:wait_until(fun() ->
        {ok, Info} = hyper_lmdb:info(S),
        {0, 0} =:= {maps:get(queued_bytes, Info), maps:get(waiting_writers, Info)}
    end).

one_key(S) ->
    _ = test_store:in_parallel(50, fun(I) ->
        [ok = hyper_lmdb:put(S, <<"k">>, binary:copy(<<I>>, 1 + J * 37)) || J <- lists:seq(1, 40)]
    end),
    {ok, <<I, _/binary>> = Last} = hyper_lmdb:get(S, <<"k">>),
    ?assertEqual(binary:copy(<<I>>, 1 + 40 * 37), Last),
    ?assertEqual(1, test_store:count(S)).

one_winner(S) ->
    [begin
         Results = test_store:in_parallel(50, fun(I) -> {hyper_lmdb:put_new(S, <<Round>>, <<I>>), I} end),
         [Winner] = [I || {ok, I} <- Results],
         ?assertEqual(49, length([I || {{error, exists}, I} <- Results])),
         ?assertEqual({ok, <<Winner>>}, hyper_lmdb:get(S, <<Round>>))
     end || Round <- lists:seq(1, 20)].

versions(S, Fun) ->
    Keys = [<<"key ", I>> || I <- lists:seq(1, 100)],
    Write = fun(Version) ->
        ok = hyper_lmdb:batch_write(S, [{put, K, <<Version:32>>} || K <- Keys])
    end,
    Write(0),
    Readers = [test_store:spawn_call(fun() -> Fun(Keys) end) || _ <- lists:seq(1, 4)],
    _ = test_store:in_parallel(2, fun(Writer) -> [Write(Writer bsl 16 + V) || V <- lists:seq(1, 100)] end),
    test_store:gather(Readers).

one_moment(S) ->
    versions(S, fun(Keys) ->
        [begin
             {ok, Found} = hyper_lmdb:read_many_fast(S, Keys),
             ?assertMatch([_], lists:usort([V || {_, {ok, V}} <- Found]))
         end || _ <- lists:seq(1, 300)]
    end).

%% Two gets in a row: with a batch half applied, the second could be older than the first.
batches_seen_whole(S) ->
    versions(S, fun(_) ->
        [begin
             Now = [{ok, _} = hyper_lmdb:get(S, <<"key ", I>>) || I <- lists:seq(1, 100, 9)],
             %% Of one writer, versions may only go up from key to key.
             [?assertEqual(lists:sort(Seen), Seen)
              || Writer <- [1, 2], Seen <- [[V || {ok, <<W:16, V:16>>} <- Now, W =:= Writer]]]
         end || _ <- lists:seq(1, 300)]
    end).

read_your_writes(S) ->
    _ = test_store:in_parallel(16, fun(I) ->
        [begin
             ok = hyper_lmdb:put(S, <<I>>, <<J:32>>),
             ?assertEqual({ok, <<J:32>>}, hyper_lmdb:get(S, <<I>>)),
             ?assertEqual({ok, <<J:32>>}, test_store:await(test_store:spawn_call(fun() -> hyper_lmdb:get(S, <<I>>) end))),
             ok = hyper_lmdb:delete(S, <<I>>),
             ?assertEqual(false, hyper_lmdb:exists(S, <<I>>))
         end || J <- lists:seq(1, 30)]
    end).

reset_under_readers(S) ->
    Keys = [<<I:32>> || I <- lists:seq(1, 500)],
    Fill = fun() -> ok = hyper_lmdb:batch_write(S, [{put, K, binary:copy(K, 50)} || K <- Keys]) end,
    Fill(),
    Stop = atomics:new(1, []),
    Readers = [test_store:spawn_call(fun() -> read_all_or_nothing(S, Keys, Stop, 0) end) || _ <- lists:seq(1, 4)],
    [begin ok = hyper_lmdb:reset(S), Fill() end || _ <- lists:seq(1, 50)],
    atomics:put(Stop, 1, 1),
    ?assert(lists:all(fun(Reads) -> Reads > 0 end, test_store:gather(Readers))).

read_all_or_nothing(S, Keys, Stop, Reads) ->
    {ok, Found} = hyper_lmdb:read_many_fast(S, Keys),
    case lists:usort([V || {_, V} <- Found]) of
        [not_found] -> ok;
        _ -> ?assertEqual([{K, {ok, binary:copy(K, 50)}} || K <- Keys], Found)
    end,
    case atomics:get(Stop, 1) of
        0 -> read_all_or_nothing(S, Keys, Stop, Reads + 1);
        1 -> Reads + 1
    end.

stop_under_load(Used, S, Dir) ->
    Writers = [test_store:spawn_call(fun() -> write_until_refused(Used, I, 0) end) || I <- lists:seq(1, 100)],
    Readers = [test_store:spawn_call(fun() -> read_until_refused(Used) end) || _ <- lists:seq(1, 10)],
    test_store:wait_until(fun() -> test_store:count(S) > 300 end),
    ?assertEqual(ok, hyper_lmdb:stop(S)),
    Refused = case is_map(Used) of true -> not_started; false -> closed end,
    Written = test_store:gather(Writers),
    %% A map finds the store before it closes, so its callers may hear either word.
    [?assertMatch({_, true}, {Reason, lists:member(Reason, [Refused, closed])}) || {_, _, Reason} <- Written],
    [?assertMatch({_, true}, {Reason, lists:member(Reason, [Refused, closed])}) || Reason <- test_store:gather(Readers)],
    S2 = test_store:start_ok(#{name => Dir}),
    [?assertEqual({ok, <<I:16, J:32>>}, hyper_lmdb:get(S2, <<I:16, J:32>>))
     || {I, Count, _} <- Written, J <- lists:seq(0, Count - 1)],
    %% A refused write was not carried out.
    ?assertEqual(lists:sum([Count || {_, Count, _} <- Written]), test_store:info(S2, entries)).

write_until_refused(S, I, J) ->
    case hyper_lmdb:put(S, <<I:16, J:32>>, <<I:16, J:32>>) of
        ok -> write_until_refused(S, I, J + 1);
        {error, Reason} -> {I, J, Reason}
    end.

read_until_refused(S) ->
    case hyper_lmdb:read_many_fast(S, [<<1:16, 1:32>>, <<2:16, 1:32>>]) of
        {ok, [_, _]} -> read_until_refused(S);
        {error, Reason} -> Reason
    end.

%% 5,000 writers of 4 KB share a queue of 64 KiB: all are answered, and the queue keeps its bound.
bounded_queue(S) ->
    Bound = test_store:info(S, write_buffer_bytes),
    Value = rand:bytes(4000),
    Writers = [test_store:spawn_call(fun() -> hyper_lmdb:put(S, <<I:32>>, Value) end) || I <- lists:seq(1, 5000)],
    Watch = fun Watch(Most) ->
        {ok, #{queued_bytes := Queued}} = hyper_lmdb:info(S),
        case test_store:count(S) of
            5000 -> max(Queued, Most);
            _ -> Watch(max(Queued, Most))
        end
    end,
    Watcher = test_store:spawn_call(fun() -> Watch(0) end),
    ?assertEqual([ok], lists:usort(test_store:gather(Writers))),
    Most = test_store:await(Watcher),
    io:format(user, "~n  most queued: ~b of ~b bytes~n", [Most, Bound]),
    ?assert(Most =< Bound),
    idle(S).

larger_than_queue(S) ->
    Value = rand:bytes(1 bsl 20),
    Results = test_store:in_parallel(20, fun(I) ->
        [hyper_lmdb:put(S, <<I, J>>, Value) || J <- lists:seq(1, 5)]
    end),
    ?assertEqual([ok], lists:usort(lists:append(Results))),
    ?assertEqual(100, test_store:count(S)),
    {ok, Found} = hyper_lmdb:get(S, <<20, 5>>),
    ?assert(Found =:= Value),
    idle(S).

%% A caller that dies has submitted its write or not; the store goes on, and no room is lost.
killed_callers(S) ->
    test_store:seed(),
    Value = rand:bytes(4000),
    [begin
         Pids = [spawn(fun() -> hyper_lmdb:put(S, <<Round:16, I:16>>, Value) end) || I <- lists:seq(1, 200)],
         erlang:yield(),
         [begin exit(Pid, kill), rand:uniform(3) =:= 1 andalso erlang:yield() end || Pid <- Pids]
     end || Round <- lists:seq(1, 20)],
    idle(S),
    Keys = [<<Round:16, I:16>> || Round <- lists:seq(1, 20), I <- lists:seq(1, 200)],
    {ok, Found} = hyper_lmdb:read_many_fast(S, Keys),
    [?assert(Result =:= not_found orelse Result =:= {ok, Value}) || {_, Result} <- Found],
    ?assertEqual([ok], lists:usort(test_store:in_parallel(500, fun(I) -> hyper_lmdb:put(S, <<"after", I:32>>, Value) end))),
    idle(S).

full_mailbox(S) ->
    Clutter = [{unrelated, I, make_ref()} || I <- lists:seq(1, 20000)],
    Left = test_store:await(test_store:spawn_call(fun() ->
        [self() ! Message || Message <- Clutter],
        [ok = hyper_lmdb:put(S, <<I:32>>, <<I:32>>) || I <- lists:seq(1, 200)],
        ok = hyper_lmdb:batch_write(S, [{put, <<I:32>>, <<>>} || I <- lists:seq(1, 200)]),
        ok = hyper_lmdb:sync(S),
        ok = hyper_lmdb:reset(S),
        {error, {check_failed, 1}} = hyper_lmdb:batch_write(S, [{check, <<"x">>, <<"y">>}]),
        test_store:flush_mailbox()
    end)),
    ?assert(Left =:= Clutter).

%% One bad request among those of a group must not take the others down.
bad_writes_fail_alone(S) ->
    Long = test_store:too_long(S),
    Results = test_store:in_parallel(400, fun(I) ->
        case I rem 4 of
            0 -> {good, hyper_lmdb:put(S, <<I:32>>, <<"v">>)};
            1 -> {long, hyper_lmdb:put(S, Long, <<"v">>)};
            2 -> {check, hyper_lmdb:batch_write(S, [{put, <<"x", I:32>>, <<>>}, {check, <<"no">>, <<>>}])};
            3 -> {batch, hyper_lmdb:batch_write(S, [{put, <<I:32>>, <<>>}, {delete, <<"no">>}])}
        end
    end),
    ?assertEqual([{batch, ok}, {check, {error, {check_failed, 2}}}, {good, ok}, {long, {error, key_too_large}}],
                 lists:usort(Results)),
    ?assertEqual(200, test_store:count(S)).

%% One of them takes it, and it is written once.
two_commits(S) ->
    [begin
         {ok, Batch} = hyper_lmdb:begin_batch(S),
         ok = hyper_lmdb:batch_write(Batch, <<"k">>, <<Round:32>>),
         Before = writes(S),
         Calls = [test_store:spawn_call(fun() -> receive go -> hyper_lmdb:commit_batch(Batch) end end) || _ <- [1, 2]],
         [Pid ! go || {Pid, _} <- Calls],
         ?assertEqual({Round, [ok, {error, committed}]}, {Round, lists:sort(test_store:gather(Calls))}),
         ?assertEqual({{ok, <<Round:32>>}, Before + 1}, {hyper_lmdb:get(S, <<"k">>), writes(S)})
     end || Round <- lists:seq(1, 200)].

%% Writes so far. Transactions where each is one; those of a journaled store come later.
writes(S) ->
    {ok, #{durability := Mode} = Info} = hyper_lmdb:info(S),
    #{last_transaction_id := Transactions, writes_inline := Inline, grouped_writes := Grouped} = Info,
    case Mode of
        map_async -> Transactions;
        _ -> Inline + Grouped
    end.
