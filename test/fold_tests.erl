%% @doc fold/4: a range as of one moment, whatever is written meanwhile.
-module(fold_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:in_each_mode("it sees one moment", fun one_moment/1)
     | [test_store:titled(Title, 120, fun() -> test_store:with_store(Fun) end)
        || {Title, Fun} <- [{"it is a range", fun ranges/1},
                            {"a limit", fun limits/1},
                            {"the wrong function", fun functions/1},
                            {"a function that raises", fun raises/1},
                            {"short ones take no snapshot", fun short_ones/1},
                            {"more at once than there are places for snapshots", fun many_at_once/1}]]].

put_all(S, Pairs) -> ok = hyper_lmdb:batch_write(S, [{put, K, V} || {K, V} <- Pairs]).

%% Each batch writes all keys with one number: a mixture would show.
one_moment(S) ->
    Write = fun(N) -> put_all(S, [{<<K:16>>, <<N:64>>} || K <- lists:seq(1, 3000)]) end,
    Write(0),
    Writer = spawn_link(fun() -> (fun Loop(N) -> Write(N), Loop(N + 1) end)(1) end),
    [begin
         {ok, {Count, Numbers}} = hyper_lmdb:fold(S, fun(_, V, {C, Ns}) -> {C + 1, Ns#{V => seen}} end, {0, #{}}, #{}),
         ?assertEqual({3000, 1}, {Count, map_size(Numbers)})
     end || _ <- lists:seq(1, 20)],
    unlink(Writer),
    exit(Writer, kill).

ranges(S) ->
    Pairs = [{<<"k", I:16>>, <<I:16>>} || I <- lists:seq(1, 6000)],
    put_all(S, [{<<"a">>, <<>>}, {<<"z">>, <<>>} | Pairs]),
    List = fun(Key, Value, Acc) -> [{Key, Value} | Acc] end,
    ?assertEqual({ok, lists:reverse(Pairs)}, hyper_lmdb:fold(S, List, [], #{prefix => <<"k">>})),
    ?assertEqual({ok, Pairs}, hyper_lmdb:fold(S, List, [], #{prefix => <<"k">>, reverse => true})),
    ?assertEqual({ok, [K || {K, _} <- Pairs]},
                 hyper_lmdb:fold(S, fun(Key, Acc) -> [Key | Acc] end, [], #{<<"prefix">> => <<"k">>, reverse => true, keys_only => true})),
    ?assertEqual({ok, 6000}, hyper_lmdb:fold(S, fun(_, _, N) -> N + 1 end, 0, #{from => <<"b">>, to => <<"z">>})),
    ?assertEqual({ok, 6001}, hyper_lmdb:fold(S, fun(_, _, N) -> N + 1 end, 0, #{continue => <<"a">>})),
    ?assertEqual({error, {bad_option, cursor}}, hyper_lmdb:fold(S, List, [], #{cursor => <<"a">>})),
    ?assertEqual({ok, acc}, hyper_lmdb:fold(S, List, acc, #{prefix => <<"none">>})).

limits(S) ->
    put_all(S, [{<<I:16>>, <<>>} || I <- lists:seq(1, 5000)]),
    [?assertEqual({Limit, {ok, lists:seq(min(Limit, 5000), 1, -1)}},
                  {Limit, hyper_lmdb:fold(S, fun(<<I:16>>, Acc) -> [I | Acc] end, [], #{limit => Limit, keys_only => true})})
     || Limit <- [1, 255, 256, 257, 1999, 2000, 2001, 4000, 4999, 5000, 5001, infinity]].

functions(S) ->
    [?assertError(badarg, hyper_lmdb:fold(S, Fun, [], Range))
     || {Fun, Range} <- [{fun(_, Acc) -> Acc end, #{}}, {fun(_, _, Acc) -> Acc end, #{keys_only => true}}, {none, #{}},
                         {fun(_, _, Acc) -> Acc end, []}]].

raises(S) ->
    put_all(S, [{<<I:16>>, <<>>} || I <- lists:seq(1, 3000)]),
    ?assertThrow({at, 2500}, hyper_lmdb:fold(S, fun(_, 2500) -> throw({at, 2500}); (_, N) -> N + 1 end, 0, #{keys_only => true})),
    ?assertEqual(0, test_store:info(S, snapshots)).

short_ones(S) ->
    put_all(S, [{<<I:16>>, <<>>} || I <- lists:seq(1, 300)]),
    Open = fun(Range) -> {ok, Most} = hyper_lmdb:fold(S, fun(_, Acc) -> max(Acc, test_store:info(S, snapshots)) end, 0, Range#{keys_only => true}), Most end,
    ?assertEqual([1, 0, 0, 0], [Open(Range) || Range <- [#{}, #{limit => 256}, #{limit => 10}, #{to => <<200:16>>}]]).

%% Of 500 folds that began together 377 were `readers_full': each of the 59 places for a snapshot was
%% taken by another fold that was soon over.
many_at_once(S) ->
    put_all(S, [{<<I:16>>, <<>>} || I <- lists:seq(1, 2000)]),
    Folds = [test_store:spawn_call(fun() -> hyper_lmdb:fold(S, fun(_, N) -> N + 1 end, 0, #{keys_only => true}) end)
             || _ <- lists:seq(1, 500)],
    ?assertEqual([{ok, 2000}], lists:usort(test_store:gather(Folds))).
