%% @doc The path cache is never seen: an answer is the same with it and without it, before and after
%% any read.
-module(path_cache_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:titled(lists:concat([Title, " ", Cache]), 60, fun() -> test_store:with_store(Options, Fun) end)
     || {Cache, Options} <- caches(),
        {Title, Fun} <- [{"a value over a link", fun value_over_link/1},
                         {"a batch that was given up", fun given_up/1},
                         {"a read before changes nothing", fun read_before/1},
                         {"a long target on the way", fun long_on_the_way/1},
                         {"every way to change a link", fun every_change/1}]]
    ++ [test_store:titled("two stores, two caches", 60, fun two_stores/0),
        test_store:titled("hits are counted", 60, fun hits/0)]
    ++ [test_store:titled(lists:concat(["values that appear below a link, ", Mode]), 60, fun() -> appear(Mode) end)
        || Mode <- test_store:modes()]
    ++ test_store:each_mode("each change is seen by the very next read", 120, fun next_read/1).

caches() ->
    [{"(cache)", #{}}, {"(no cache)", #{path_cache_entries => 0}}, {"(one entry)", #{path_cache_entries => 1}},
     {"(one millisecond)", #{path_cache_ttl_ms => 1}}].

warm(S, Paths) -> [{hyper_lmdb:read(S, P), hyper_lmdb:resolve(S, P)} || P <- Paths ++ Paths].

value_over_link(S) ->
    ok = hyper_lmdb:write(S, <<"t/x">>, <<"1">>),
    ok = hyper_lmdb:make_link(S, <<"t">>, <<"l">>),
    warm(S, [<<"l/x">>, <<"l">>]),
    ?assertEqual({ok, <<"1">>}, hyper_lmdb:read(S, <<"l/x">>)),
    ok = hyper_lmdb:put(S, <<"l">>, <<"plain">>),
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"l/x">>)),
    ?assertEqual({ok, <<"plain">>}, hyper_lmdb:read(S, <<"l">>)),
    ?assertEqual({ok, [{<<"l/x">>, not_found}]}, hyper_lmdb:read_many(S, [<<"l/x">>])).

given_up(S) ->
    ok = hyper_lmdb:write(S, <<"t/x">>, <<"1">>),
    ok = hyper_lmdb:make_link(S, <<"t">>, <<"l">>),
    warm(S, [<<"l/x">>]),
    {ok, B} = hyper_lmdb:begin_batch(S),
    ok = hyper_lmdb:batch_make_link(B, <<"loop">>, <<"loop">>),
    ok = hyper_lmdb:batch_write(B, <<"loop/x">>, <<>>),
    ?assertEqual({error, {2, bad_key}}, hyper_lmdb:commit_batch(B)),
    ?assertEqual({ok, <<"1">>}, hyper_lmdb:read(S, <<"l/x">>)),
    %% What is first looked at after it, too.
    ok = hyper_lmdb:make_link(S, <<"t">>, <<"m">>),
    {ok, C} = hyper_lmdb:begin_batch(S),
    ok = hyper_lmdb:batch_make_link(C, <<"loop">>, <<"loop">>),
    ok = hyper_lmdb:batch_write(C, <<"loop/x">>, <<>>),
    ?assertEqual({error, {2, bad_key}}, hyper_lmdb:commit_batch(C)),
    warm(S, [<<"m/x">>]),
    ok = hyper_lmdb:batch_write(S, [{put, <<"m">>, <<"plain">>}]),
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"m/x">>)),
    ok = hyper_lmdb:put(S, <<"l">>, <<"plain">>),
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"l/x">>)).

read_before(S) ->
    Look = fun() -> [{hyper_lmdb:read(S, P), hyper_lmdb:type(S, P), hyper_lmdb:resolve(S, P), hyper_lmdb:list(S, P)}
                     || P <- [<<"a/x">>, <<"b/x">>, <<"c/x">>, <<"c">>, <<"nowhere/x">>]] end,
    First = Look(),
    ok = hyper_lmdb:make_link(S, <<"b">>, <<"a">>),
    ok = hyper_lmdb:make_link(S, <<"c">>, <<"b">>),
    ok = hyper_lmdb:write(S, <<"a/x">>, <<"1">>),
    ?assertNotEqual(First, Look()),
    ?assertEqual([{ok, <<"1">>}, {ok, <<"1">>}, {ok, <<"1">>}, not_found, not_found],
                 [hyper_lmdb:read(S, P) || P <- [<<"a/x">>, <<"b/x">>, <<"c/x">>, <<"c">>, <<"nowhere/x">>]]),
    Again = Look(),
    ?assertEqual(Again, Look()).

%% What an intermediate step may weigh does not depend on what was known before.
long_on_the_way(S) ->
    Long = binary:copy(<<"l">>, 400),
    Rest = binary:copy(<<"r">>, 200),
    ok = hyper_lmdb:make_link(S, <<"s">>, Long),
    ok = hyper_lmdb:make_link(S, Long, <<"a">>),
    ok = hyper_lmdb:put(S, [<<"s">>, Rest], <<"v">>),
    First = hyper_lmdb:read(S, [<<"a">>, Rest]),
    warm(S, [<<"a">>, Long, <<"s">>, [<<"a">>, Rest]]),
    ?assertEqual(First, hyper_lmdb:read(S, [<<"a">>, Rest])),
    test_store:with_store(#{path_cache_entries => 0}, fun(Plain) ->
        ok = hyper_lmdb:make_link(Plain, <<"s">>, Long),
        ok = hyper_lmdb:make_link(Plain, Long, <<"a">>),
        ok = hyper_lmdb:put(Plain, [<<"s">>, Rest], <<"v">>),
        ?assertEqual(First, hyper_lmdb:read(Plain, [<<"a">>, Rest]))
    end).

every_change(S) ->
    [begin
         ok = hyper_lmdb:reset(S),
         ok = hyper_lmdb:batch_write(S, [{put, <<"t/x">>, <<"t">>}, {put, <<"u/x">>, <<"u">>},
                                         {link, <<"m">>, <<"l">>}, {link, <<"t">>, <<"m">>}]),
         warm(S, [<<"l/x">>, <<"m/x">>, <<"l">>, <<"m">>]),
         ?assertEqual({ok, <<"t">>}, hyper_lmdb:read(S, <<"l/x">>)),
         ok = Change(),
         ?assertEqual({Name, Expected}, {Name, hyper_lmdb:read(S, <<"l/x">>)})
     end || {Name, Expected, Change} <-
                [{make_link, {ok, <<"u">>}, fun() -> hyper_lmdb:make_link(S, <<"u">>, <<"m">>) end},
                 {batch_link, {ok, <<"u">>}, fun() -> hyper_lmdb:batch_write(S, [{link, <<"u">>, <<"m">>}]) end},
                 {delete, not_found, fun() -> hyper_lmdb:delete(S, <<"m">>) end},
                 {batch_delete, not_found, fun() -> hyper_lmdb:batch_write(S, [{delete, <<"m">>}]) end},
                 {delete_prefix, not_found, fun() -> {ok, 1} = hyper_lmdb:delete_prefix(S, <<"m">>), ok end},
                 {put, not_found, fun() -> hyper_lmdb:put(S, <<"m">>, <<"v">>) end},
                 {write, not_found, fun() -> hyper_lmdb:write(S, <<"m">>, <<"v">>) end},
                 {batch_put, not_found, fun() -> hyper_lmdb:batch_write(S, [{put, <<"m">>, <<"v">>}]) end},
                 {shorter_prefix, {ok, <<"u">>}, fun() -> ok = hyper_lmdb:delete(S, <<"t/x">>), hyper_lmdb:make_link(S, <<"u">>, <<"t">>) end},
                 {reset, not_found, fun() -> hyper_lmdb:reset(S) end}]].

%% A restart, so that LMDB has all that is there and the cache may know that nothing lies below l.
appear(Mode) ->
    test_store:with_dir(fun(Dir) ->
        Options = #{name => Dir, durability => Mode, write_buffer_bytes => 4 bsl 20},
        First = test_store:start_ok(Options),
        ok = hyper_lmdb:batch_write(First, [{put, <<"t/a/x">>, <<"far">>}, {link, <<"t">>, <<"l">>}]),
        S = test_store:restart(First, Options),
        Read = fun() -> hyper_lmdb:read(S, <<"l/a/x">>) end,
        Large = [{put, <<"large/", (integer_to_binary(N))/binary>>, binary:copy(<<"v">>, 1 bsl 18)}
                 || N <- lists:seq(1, 12)],
        Near = {put, <<"l/a/x">>, <<"near">>},
        [begin
             [?assertEqual({Name, {ok, <<"far">>}}, {Name, Read()}) || _ <- [1, 2, 3]],
             ok = Change(),
             ?assertEqual({Name, Expected}, {Name, Read()}),
             {ok, _} = hyper_lmdb:delete_prefix(S, <<"l/">>),
             timer:sleep(110) % until what lies below is looked at again
         end || {Name, Expected, Change} <-
                    [{put, {ok, <<"near">>}, fun() -> hyper_lmdb:put(S, <<"l/a/x">>, <<"near">>) end},
                     {put_new, {ok, <<"near">>}, fun() -> hyper_lmdb:put_new(S, <<"l/a/x">>, <<"near">>) end},
                     {batch, {ok, <<"near">>}, fun() -> hyper_lmdb:batch_write(S, [{put, <<"z">>, <<>>}, Near]) end},
                     {link, {ok, <<"z">>}, fun() -> hyper_lmdb:batch_write(S, [{put, <<"z">>, <<"z">>}, {link, <<"z">>, <<"l/a/x">>}]) end},
                     {mark, {ok, <<"near">>}, fun() -> ok = hyper_lmdb:batch_write(S, [{group, <<"l/a/x">>}]),
                                                       {ok, <<"far">>} = Read(),
                                                       hyper_lmdb:batch_write(S, [Near]) end},
                     {beside, {ok, <<"near">>}, fun() -> ok = hyper_lmdb:put(S, <<"l/a/y">>, <<>>),
                                                         {ok, <<"far">>} = Read(),
                                                         hyper_lmdb:put(S, <<"l/a/x">>, <<"near">>) end},
                     {large, {ok, <<"near">>}, fun() -> hyper_lmdb:batch_write(S, Large ++ [Near]) end}]],
        %% A value that was there before the link above it, and that only a buffer holds.
        %% It was read through the link before, so that it is looked for in the cache first.
        ok = hyper_lmdb:make_link(S, <<"t/a">>, <<"n">>),
        [{ok, <<"far">>} = hyper_lmdb:read(S, <<"n/x">>) || _ <- [1, 2, 3]],
        ok = hyper_lmdb:delete(S, <<"n">>),
        ok = hyper_lmdb:write(S, <<"n/x">>, <<"near">>),
        ok = hyper_lmdb:make_link(S, <<"t/a">>, <<"n">>),
        [not_found = hyper_lmdb:read(S, <<"n/y">>) || _ <- [1, 2, 3]],
        ?assertEqual({ok, <<"near">>}, hyper_lmdb:read(S, <<"n/x">>)),
        ok = hyper_lmdb:stop(S)
    end).

two_stores() ->
    test_store:with_store(fun(A) ->
        test_store:with_store(fun(B) ->
            [begin
                 ok = hyper_lmdb:make_link(S, Target, <<"l">>),
                 ok = hyper_lmdb:write(S, [Target, <<"x">>], Target)
             end || {S, Target} <- [{A, <<"ta">>}, {B, <<"tb">>}]],
            [?assertEqual({ok, Target}, hyper_lmdb:read(S, <<"l/x">>))
             || {S, Target} <- [{A, <<"ta">>}, {B, <<"tb">>}, {A, <<"ta">>}]],
            ok = hyper_lmdb:delete(A, <<"l">>),
            ?assertEqual({ok, <<"tb">>}, hyper_lmdb:read(B, <<"l/x">>)),
            ?assertEqual(not_found, hyper_lmdb:read(A, <<"l/x">>))
        end)
    end).

hits() ->
    test_store:with_store(fun(S) ->
        ok = hyper_lmdb:make_link(S, <<"t">>, <<"l">>),
        ok = hyper_lmdb:write(S, <<"t/x">>, <<"1">>),
        {ok, _} = hyper_lmdb:read(S, <<"l/x">>),
        Before = test_store:info(S, path_cache_hits),
        [{ok, <<"1">>} = hyper_lmdb:read(S, <<"l/x">>) || _ <- lists:seq(1, 100)],
        ?assert(test_store:info(S, path_cache_hits) >= Before + 100),
        ?assert(test_store:info(S, path_cache_size) > 0)
    end),
    test_store:with_store(#{path_cache_ttl_ms => 0}, fun(S) ->
        ok = hyper_lmdb:make_link(S, <<"t">>, <<"l">>),
        not_found = hyper_lmdb:read(S, <<"l/x">>),
        ?assertEqual(0, test_store:info(S, path_cache_size))
    end).

next_read(Mode) ->
    test_store:with_store(#{durability => Mode}, fun(S) ->
        Paths = [<<"l/x">>, <<"m/x">>, <<"l">>],
        Seen = fun() -> [hyper_lmdb:read(S, P) || P <- Paths] end,
        ok = hyper_lmdb:write(S, <<"t/x">>, <<"t">>),
        ok = hyper_lmdb:write(S, <<"u/x">>, <<"u">>),
        [begin
             warm(S, Paths),
             ok = apply(hyper_lmdb, Function, [S | Args]),
             ?assertEqual({Function, Args, Expected}, {Function, Args, Seen()})
         end || {Function, Args, Expected} <-
                    [{make_link, [<<"t">>, <<"l">>], [{ok, <<"t">>}, not_found, not_found]},
                     {make_link, [<<"u">>, <<"l">>], [{ok, <<"u">>}, not_found, not_found]},
                     {make_link, [<<"l">>, <<"m">>], [{ok, <<"u">>}, {ok, <<"u">>}, not_found]},
                     {put, [<<"l">>, <<"v">>], [not_found, not_found, {ok, <<"v">>}]},
                     {make_link, [<<"t">>, <<"l">>], [{ok, <<"t">>}, {ok, <<"t">>}, not_found]},
                     {delete, [<<"l">>], [not_found, not_found, not_found]},
                     {delete, [<<"m">>], [not_found, not_found, not_found]},
                     {make_link, [<<"u">>, <<"m">>], [not_found, {ok, <<"u">>}, not_found]},
                     {batch_write, [[{delete, <<"m">>}, {link, <<"t">>, <<"l">>}]], [{ok, <<"t">>}, not_found, not_found]},
                     {make_link, [<<"t">>, <<"m">>], [{ok, <<"t">>}, {ok, <<"t">>}, not_found]},
                     %% A value where the link led elsewhere.
                     {put, [<<"m/x">>, <<"near">>], [{ok, <<"t">>}, {ok, <<"near">>}, not_found]},
                     {reset, [], [not_found, not_found, not_found]}]]
    end).
