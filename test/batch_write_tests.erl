%% @doc batch_write/2: all or nothing, in order, with checks.
-module(batch_write_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:in_each_mode("an empty batch", fun empty_batch/1),
     test_store:in_each_mode("puts and deletes", fun puts_and_deletes/1),
     test_store:in_each_mode("the last of equal keys wins", fun doubles/1),
     test_store:in_each_mode("checks", fun checks/1),
     test_store:in_each_mode("checks see earlier elements", fun checks_see_earlier/1),
     test_store:in_each_mode("a failing check changes nothing", fun failing_check/1),
     test_store:in_each_mode("a bad element changes nothing", #{max_value_bytes => 100}, fun bad_element/1),
     test_store:in_each_mode("the first bad element is named", fun first_bad_element/1),
     test_store:in_each_mode("batch_too_large", #{max_batch_bytes => 1000}, fun too_large/1),
     test_store:in_each_mode("a million operations", fun million/1),
     test_store:in_each_mode("a million operations over the bound", #{max_batch_bytes => 16 bsl 20},
                  fun million_too_large/1),
     test_store:in_each_mode("random batches against a map", fun random_batches/1),
     test_store:in_each_mode("check and put as compare and swap", fun compare_and_swap/1),
     test_store:titled("a commit keeps nobody waiting who adds", 120, fun() -> test_store:with_store(fun commit_beside_adds/1) end)].

%% Who added to a batch that was being committed waited, on its scheduler, for as long as it took to
%% copy the batch. A busy machine may make one attempt look like that, but not each.
commit_beside_adds(S) ->
    ?assert(lists:any(fun(_) -> {Commit, Add} = longest_add(S), Add * 4 < Commit end, lists:seq(1, 5))).

longest_add(S) ->
    {ok, Batch} = hyper_lmdb:begin_batch(S),
    [ok = hyper_lmdb:batch_write(Batch, <<I:32>>, <<I:32>>) || I <- lists:seq(1, 500000)],
    Adder = test_store:spawn_call(fun() -> longest_add(Batch, 0) end),
    {Commit, {ok, _, _}} = timer:tc(hyper_lmdb_nif, batch_take, [Batch]),
    {Commit, test_store:await(Adder)}.

longest_add(Batch, Longest) ->
    case timer:tc(hyper_lmdb, batch_write, [Batch, <<"k">>, <<>>]) of
        {Took, ok} -> longest_add(Batch, max(Took, Longest));
        {Took, {error, committed}} -> max(Took, Longest)
    end.

empty_batch(S) ->
    ?assertEqual(ok, hyper_lmdb:batch_write(S, [])),
    ?assertEqual(0, test_store:count(S)).

puts_and_deletes(S) ->
    ok = hyper_lmdb:put(S, <<"old">>, <<"1">>),
    ?assertEqual(ok, hyper_lmdb:batch_write(S, [{put, <<"a">>, <<"A">>}, {delete, <<"old">>},
                                                {delete, <<"never there">>}, {put, <<"b">>, <<>>}])),
    ?assertEqual({ok, <<"A">>}, hyper_lmdb:get(S, <<"a">>)),
    ?assertEqual({ok, <<>>}, hyper_lmdb:get(S, <<"b">>)),
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"old">>)),
    ?assertEqual(2, test_store:count(S)).

doubles(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"k">>, <<"1">>}, {put, <<"other">>, <<"o">>},
                                    {put, <<"k">>, <<"2">>}, {put, <<"k">>, <<"3">>}]),
    ?assertEqual({ok, <<"3">>}, hyper_lmdb:get(S, <<"k">>)),
    ok = hyper_lmdb:batch_write(S, [{put, <<"k">>, <<"4">>}, {delete, <<"k">>}, {put, <<"k">>, <<"5">>}]),
    ?assertEqual({ok, <<"5">>}, hyper_lmdb:get(S, <<"k">>)),
    ok = hyper_lmdb:batch_write(S, [{put, <<"k">>, <<"6">>}, {delete, <<"k">>}]),
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"k">>)),
    ok = hyper_lmdb:batch_write(S, [{delete, <<"k">>}, {put, <<"k">>, <<"7">>}]),
    ?assertEqual({ok, <<"7">>}, hyper_lmdb:get(S, <<"k">>)),
    ?assertEqual(2, test_store:count(S)).

checks(S) ->
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    ok = hyper_lmdb:put(S, <<"empty">>, <<>>),
    Write = fun(Ops) -> hyper_lmdb:batch_write(S, Ops) end,
    ?assertEqual(ok, Write([{check, <<"k">>, <<"v">>}])),
    ?assertEqual(ok, Write([{check, <<"no">>, absent}, {check, <<"empty">>, <<>>}])),
    Failing = [{check, <<"k">>, absent}, {check, <<"k">>, <<"w">>}, {check, <<"k">>, <<"v", 0>>},
               {check, <<"k">>, <<>>}, {check, <<"no">>, <<"v">>}, {check, <<"no">>, <<>>},
               {check, <<"empty">>, absent}, {check, <<"empty">>, <<0>>}],
    [?assertEqual({error, {check_failed, 1}}, Write([Check])) || Check <- Failing],
    [?assertEqual({error, {check_failed, 3}},
                  Write([{check, <<"k">>, <<"v">>}, {put, <<"new">>, <<>>}, Check])) || Check <- Failing],
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"new">>)).

checks_see_earlier(S) ->
    ?assertEqual(ok, hyper_lmdb:batch_write(S, [
        {check, <<"k">>, absent}, {put, <<"k">>, <<"1">>}, {check, <<"k">>, <<"1">>},
        {put, <<"k">>, <<"2">>}, {check, <<"k">>, <<"2">>},
        {delete, <<"k">>}, {check, <<"k">>, absent}, {put, <<"k">>, <<"3">>}])),
    ?assertEqual({ok, <<"3">>}, hyper_lmdb:get(S, <<"k">>)),
    ?assertEqual({error, {check_failed, 2}},
                 hyper_lmdb:batch_write(S, [{put, <<"k">>, <<"4">>}, {check, <<"k">>, <<"3">>}])),
    ?assertEqual({error, {check_failed, 2}},
                 hyper_lmdb:batch_write(S, [{delete, <<"k">>}, {check, <<"k">>, <<"3">>}])),
    %% Later elements are not seen.
    ?assertEqual({error, {check_failed, 1}},
                 hyper_lmdb:batch_write(S, [{check, <<"k">>, <<"5">>}, {put, <<"k">>, <<"5">>}])),
    ?assertEqual({ok, <<"3">>}, hyper_lmdb:get(S, <<"k">>)).

failing_check(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"a">>, <<"1">>}, {put, <<"b">>, <<"2">>}]),
    ok = test_store:settle(S),
    Id = test_store:info(S, last_transaction_id),
    ?assertEqual({error, {check_failed, 4}},
                 hyper_lmdb:batch_write(S, [{put, <<"a">>, <<"changed">>}, {delete, <<"b">>},
                                            {put, <<"c">>, <<"new">>}, {check, <<"x">>, <<"y">>},
                                            {put, <<"d">>, <<"new">>}])),
    ?assertEqual({ok, [{<<"a">>, {ok, <<"1">>}}, {<<"b">>, {ok, <<"2">>}},
                       {<<"c">>, not_found}, {<<"d">>, not_found}]},
                 hyper_lmdb:read_many(S, [<<"a">>, <<"b">>, <<"c">>, <<"d">>])),
    ?assertEqual(2, test_store:count(S)),
    ?assertMatch({ok, #{last_transaction_id := Id, buffered_keys := 0, journal_bytes := 0, entries := 2}},
                 hyper_lmdb:info(S)).

bad_element(S) ->
    Long = test_store:too_long(S),
    Large = binary:copy(<<"v">>, 101),
    Good = {put, <<"good">>, <<"g">>},
    [?assertEqual({error, {Index, Reason}}, hyper_lmdb:batch_write(S, Ops))
     || {Op, Reason} <- [{{put, <<>>, <<"v">>}, bad_key}, {{delete, <<>>}, bad_key},
                         {{check, <<>>, absent}, bad_key}, {{put, Long, <<>>}, key_too_large},
                         {{delete, Long}, key_too_large}, {{check, Long, <<>>}, key_too_large},
                         {{put, <<0, "hyper_lmdb">>, <<>>}, bad_key},
                         {{delete, <<0, "hyper_lmdb">>}, bad_key},
                         {{put, <<"k">>, Large}, value_too_large}],
        {Index, Ops} <- [{1, [Op]}, {1, [Op, Good]}, {2, [Good, Op]}, {3, [Good, Good, Op, Good]}]],
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"good">>)),
    ?assertEqual({error, value_too_large}, hyper_lmdb:put(S, <<"k">>, Large)),
    ?assertEqual({error, value_too_large}, hyper_lmdb:put_new(S, <<"k">>, Large)),
    ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, binary:copy(<<"v">>, 100))).

first_bad_element(S) ->
    ?assertEqual({error, {2, key_too_large}},
                 hyper_lmdb:batch_write(S, [{put, <<"a">>, <<>>}, {delete, test_store:too_long(S)},
                                            {put, <<>>, <<>>}])).

too_large(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"k">>, binary:copy(<<"v">>, 500)}]),
    Batch = [{put, <<"l", I>>, binary:copy(<<"v">>, 100)} || I <- lists:seq(1, 10)],
    ?assertEqual({error, batch_too_large}, hyper_lmdb:batch_write(S, Batch)),
    ?assertEqual(1, test_store:count(S)),
    ?assertEqual(ok, hyper_lmdb:batch_write(S, lists:sublist(Batch, 5))).

million(S) ->
    Ops = million_puts(),
    ?assertEqual(ok, hyper_lmdb:batch_write(S, Ops)),
    ?assertEqual(1000000, test_store:count(S)),
    [?assertEqual({ok, <<I:64>>}, hyper_lmdb:get(S, <<I:64>>)) || I <- [1, 2, 4095, 500000, 1000000]],
    ?assertEqual(ok, hyper_lmdb:batch_write(S, [{delete, K} || {put, K, _} <- Ops])),
    ?assertEqual(0, test_store:count(S)).

million_too_large(S) ->
    ?assertEqual({error, batch_too_large}, hyper_lmdb:batch_write(S, million_puts())),
    ?assertEqual(0, test_store:count(S)),
    ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v">>)).

million_puts() -> [{put, <<I:64>>, <<I:64>>} || I <- lists:seq(1, 1000000)].

random_batches(S) ->
    test_store:seed(),
    Keys = [<<"key ", I>> || I <- lists:seq(1, 20)],
    Model = lists:foldl(fun(_, Model) -> random_batch(S, Keys, Model) end, #{}, lists:seq(1, 300)),
    ?assertEqual(maps:size(Model), test_store:count(S)).

random_batch(S, Keys, Model) ->
    Ops = [random_op(Keys) || _ <- lists:seq(1, rand:uniform(12))],
    {Expected, Next} = apply_ops(Ops, 1, Model, Model),
    ?assertEqual({Ops, Expected}, {Ops, hyper_lmdb:batch_write(S, Ops)}),
    {ok, Found} = hyper_lmdb:read_many(S, Keys),
    ?assertEqual(Next, maps:from_list([{K, V} || {K, {ok, V}} <- Found])),
    Next.

random_op(Keys) ->
    Key = lists:nth(rand:uniform(length(Keys)), Keys),
    Value = <<(rand:uniform(3))>>,
    case rand:uniform(12) of
        N when N =< 6 -> {put, Key, Value};
        N when N =< 10 -> {delete, Key};
        11 -> {check, Key, Value};
        12 -> {check, Key, absent}
    end.

apply_ops([], _, Now, _) -> {ok, Now};
apply_ops([{put, K, V} | Ops], I, Now, Before) -> apply_ops(Ops, I + 1, Now#{K => V}, Before);
apply_ops([{delete, K} | Ops], I, Now, Before) -> apply_ops(Ops, I + 1, maps:remove(K, Now), Before);
apply_ops([{check, K, Wanted} | Ops], I, Now, Before) ->
    case maps:get(K, Now, absent) of
        Wanted -> apply_ops(Ops, I + 1, Now, Before);
        _ -> {{error, {check_failed, I}}, Before}
    end.

%% 20 processes count together; a lost update would leave the sum short.
compare_and_swap(S) ->
    ok = hyper_lmdb:put(S, <<"counter">>, <<0:32>>),
    Rounds = 25,
    _ = test_store:in_parallel(20, fun(_) -> [increment(S) || _ <- lists:seq(1, Rounds)] end),
    ?assertEqual({ok, <<(20 * Rounds):32>>}, hyper_lmdb:get(S, <<"counter">>)).

increment(S) ->
    {ok, <<Now:32>>} = hyper_lmdb:get(S, <<"counter">>),
    case hyper_lmdb:batch_write(S, [{check, <<"counter">>, <<Now:32>>},
                                    {put, <<"counter">>, <<(Now + 1):32>>}]) of
        ok -> ok;
        {error, {check_failed, 1}} -> increment(S)
    end.
