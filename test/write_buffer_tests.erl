%% @doc Write buffers of `sync' and `async', small enough to be applied all the time: what is buffered
%% and what is in LMDB are one store to every caller.
-module(write_buffer_tests).
-include_lib("eunit/include/eunit.hrl").

-define(CHILDREN, 20).

all_test_() ->
    [test_store:titled(lists:concat([Title, " (", Mode, ")"]), 240, fun() ->
         test_store:with_dir(fun(Dir) ->
             Fun(#{name => Dir, durability => Mode, write_buffer_bytes => 64 bsl 10}, Dir)
         end)
     end) || {Title, Fun} <- [{"buffered and applied are one", fun one_store/2},
                              {"deletions of a prefix, buffered and applied", fun prefixes/2},
                              {"larger than a buffer, in between", fun large_ones/2}],
             Mode <- [sync, async]].

%% Each batch renames all children of a group, so that half of one would show in every listing.
one_store(Options, _) ->
    S = test_store:start_ok(Options),
    ok = hyper_lmdb:batch_write(S, [{link, <<"t">>, <<"l">>}, {put, <<"to">>, <<>>} | renamed(0)]),
    Stop = atomics:new(1, []),
    Looks = [fun() -> listed(hyper_lmdb:list(S, <<"t">>)) end,
             fun() -> listed(hyper_lmdb:list(S, <<"l">>)) end,
             fun() -> listed(hyper_lmdb:list(S, <<"t">>, #{reverse => true})) end,
             fun() -> {ok, Keys} = hyper_lmdb:list_prefix(S, <<"t/">>), listed({ok, [K || <<"t/", K/binary>> <- Keys]}) end,
             fun() -> composite = hyper_lmdb:type(S, <<"t">>), <<"t">> = hyper_lmdb:resolve(S, <<"l">>) end,
             fun() -> {ok, [{_, {ok, V}}, {_, {ok, V}}]} = hyper_lmdb:read_many(S, [<<"t/ver">>, <<"l/ver">>]) end],
    Readers = [test_store:spawn_call(fun() -> look(Look, Stop, 0) end) || Look <- Looks],
    Last = rename(S, 1),
    atomics:put(Stop, 1, 1),
    ?assert(lists:min(test_store:gather(Readers)) > 10),
    ?assert(test_store:info(S, applied_buffers) >= 20),
    %% What is left is deleted key by key, wherever it lies.
    ?assertEqual({ok, ?CHILDREN + 1}, hyper_lmdb:delete_prefix(S, <<"t/">>)),
    ?assertEqual({not_found, not_found}, {hyper_lmdb:list(S, <<"t">>), hyper_lmdb:type(S, <<"l">>)}),
    ?assertEqual({ok, [<<"l">>, <<"to">>]}, hyper_lmdb:list_prefix(S, <<>>)),
    ok = test_store:settle(S),
    ?assertEqual({Last, 2}, {Last, test_store:info(S, entries)}).

child(I, V) -> iolist_to_binary(io_lib:format("~2..0b-~6..0b", [I, V])).

renamed(V) ->
    [{delete, <<"t/", (child(I, V - 1))/binary>>} || I <- lists:seq(1, ?CHILDREN), V > 0]
        ++ [{put, <<"t/", (child(I, V))/binary>>, binary:copy(<<V:32>>, 20)} || I <- lists:seq(1, ?CHILDREN)]
        ++ [{put, <<"t/ver">>, <<V:32>>}].

%% Until enough buffers went into LMDB.
rename(S, V) ->
    ok = hyper_lmdb:batch_write(S, renamed(V)),
    case V rem 50 =:= 0 andalso test_store:info(S, applied_buffers) >= 20 of
        true -> V;
        false -> rename(S, V + 1)
    end.

listed({ok, Names}) ->
    {[<<"ver">>], Children} = lists:partition(fun(Name) -> Name =:= <<"ver">> end, Names),
    [V] = lists:usort([V || <<_:3/binary, V/binary>> <- Children]),
    Expected = [child(I, binary_to_integer(V)) || I <- lists:seq(1, ?CHILDREN)],
    ?assertEqual(Expected, lists:sort(Children)).

look(Look, Stop, Count) ->
    _ = Look(),
    case atomics:get(Stop, 1) of
        0 -> look(Look, Stop, Count + 1);
        1 -> Count
    end.

%% Prefixes come and go; the counts must be exact whatever lies where.
prefixes(Options, Dir) ->
    test_store:seed(),
    S = test_store:start_ok(Options),
    Model = lists:foldl(fun(_, Model) ->
        P = rand:uniform(5),
        case rand:uniform(3) of
            1 ->
                Gone = [K || <<Q, _/binary>> = K <- maps:keys(Model), Q =:= P],
                ?assertEqual({ok, length(Gone)}, hyper_lmdb:delete_prefix(S, <<P>>)),
                ?assertEqual({ok, []}, hyper_lmdb:list_prefix(S, <<P>>)),
                maps:without(Gone, Model);
            _ ->
                New = [{<<P, (rand:uniform(3000)):16>>, rand:bytes(50)} || _ <- lists:seq(1, 100)],
                ok = hyper_lmdb:batch_write(S, [{put, K, V} || {K, V} <- New]),
                maps:merge(Model, maps:from_list(New))
        end
    end, #{}, lists:seq(1, 300)),
    ?assert(test_store:info(S, applied_buffers) > 5),
    same(S, Model),
    test_store:stop_clean(S, Dir),
    same(test_store:start_ok(Options), Model).

same(S, Model) ->
    Keys = lists:sort(maps:keys(Model)),
    ?assertEqual({ok, Keys}, hyper_lmdb:list_prefix(S, <<>>)),
    {ok, Found} = hyper_lmdb:read_many_fast(S, Keys),
    ?assertEqual([{K, {ok, maps:get(K, Model)}} || K <- Keys], Found).

%% What goes straight into LMDB must not overtake, or be overtaken by, what is buffered.
large_ones(Options, Dir) ->
    S = test_store:start_ok(Options),
    Keys = [<<"k", I>> || I <- lists:seq(1, 10)],
    [begin
         Value = binary:copy(<<Round:32>>, Size div 4),
         [ok = hyper_lmdb:put(S, K, Value) || K <- Keys],
         ?assertEqual({ok, [{K, {ok, Value}} || K <- Keys]}, hyper_lmdb:read_many_fast(S, Keys)),
         Round rem 7 =:= 0 andalso (ok = hyper_lmdb:reset(S)),
         Round rem 7 =:= 0 andalso ?assertEqual(0, test_store:count(S))
     end || {Round, Size} <- lists:zip(lists:seq(1, 40), lists:append(lists:duplicate(10, [8, 100000, 4000, 20000])))],
    test_store:stop_clean(S, Dir),
    S2 = test_store:start_ok(Options),
    ?assertEqual({ok, [{K, {ok, binary:copy(<<40:32>>, 5000)}} || K <- Keys]}, hyper_lmdb:read_many_fast(S2, Keys)).
