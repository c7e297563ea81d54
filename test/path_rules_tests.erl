%% @doc How paths are written, and how they lead through links: each rule by name.
-module(path_rules_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:titled(Title, 60, fun() -> test_store:with_store(Fun) end)
     || {Title, Fun} <- [{"forms of a path", fun forms/1}, {"the root", fun root/1}, {"lengths", fun lengths/1},
                         {"an own link goes first", fun own_link_first/1}, {"chains and cycles", fun chains/1},
                         {"not a cycle", fun false_cycle/1}, {"writes through links", fun writes/1},
                         {"bytes mean nothing", fun injection/1}, {"marks", fun marks/1},
                         {"the old batch form", fun old_batch/1}, {"the reserved key", fun reserved/1},
                         {"read_many is read", fun read_many/1}, {"children", fun children/1},
                         {"delete_prefix", fun delete_prefix/1}]]
    ++ [test_store:titled("closed and unknown stores", fun closed/0)].

forms(S) ->
    ok = hyper_lmdb:write(S, <<"a/b">>, <<"v">>),
    [?assertEqual({P, {ok, <<"v">>}}, {P, hyper_lmdb:read(S, P)})
     || P <- [<<"a/b">>, <<"/a/b">>, <<"a//b/">>, [<<"a">>, <<"b">>], "a/b", 'a/b', [a, "b"], [<<>>, <<"/a/">>, b]]],
    ?assertEqual(<<"a/b">>, hyper_lmdb:path(S, <<"//a//b//">>)),
    ?assertEqual(<<"a/b/c">>, hyper_lmdb:add_path(S, [a, <<"b/">>], "/c")),
    ok = hyper_lmdb:write(S, term, {any, "term"}),
    ?assertEqual({ok, term_to_binary({any, "term"})}, hyper_lmdb:read(S, <<"term">>)),
    [?assertError(badarg, Fun()) || Fun <- [fun() -> hyper_lmdb:read(S, 1) end, fun() -> hyper_lmdb:write(S, {}, <<>>) end,
                                            fun() -> hyper_lmdb:make_link(S, <<"a">>, 1.0) end,
                                            fun() -> hyper_lmdb:list(S, <<"a">>, []) end, fun() -> hyper_lmdb:type(x, <<"a">>) end,
                                            fun() -> hyper_lmdb:path(S, #{}) end, fun() -> hyper_lmdb:commit_batch(S) end]].

root(S) ->
    ?assertEqual({ok, []}, hyper_lmdb:list(S, <<>>)),
    ok = hyper_lmdb:write(S, <<"d/x">>, <<"1">>),
    ok = hyper_lmdb:make_link(S, <<"/">>, <<"up">>),
    ?assertEqual({composite, <<>>, not_found}, {hyper_lmdb:type(S, <<>>), hyper_lmdb:resolve(S, "/"), hyper_lmdb:read(S, <<>>)}),
    ?assertEqual({ok, [<<"d">>, <<"up">>]}, hyper_lmdb:list(S, <<"up/up">>)),
    ?assertEqual({ok, <<"1">>}, hyper_lmdb:read(S, <<"up/up/d/x">>)),
    [?assertEqual({error, bad_key}, Result)
     || Result <- [hyper_lmdb:write(S, <<"/">>, <<>>), hyper_lmdb:make_link(S, <<"d">>, <<>>)]].

lengths(S) ->
    Longest = binary:copy(<<"k">>, test_store:longest_key(S)),
    ok = hyper_lmdb:write(S, [<<"//">>, Longest, <<"/">>], <<"v">>),
    ?assertEqual({ok, <<"v">>}, hyper_lmdb:read(S, <<"//", Longest/binary, "/">>)),
    Over = <<Longest/binary, "k">>,
    [?assertEqual({error, key_too_large}, Result)
     || Result <- [hyper_lmdb:read(S, Over), hyper_lmdb:write(S, Over, <<>>), hyper_lmdb:list(S, Over), hyper_lmdb:type(S, Over),
                   hyper_lmdb:resolve(S, Over), hyper_lmdb:make_group(S, Over), hyper_lmdb:make_link(S, <<"a">>, Over),
                   hyper_lmdb:make_link(S, Over, <<"a">>)]],
    %% A link that outgrows the longest key leads nowhere, and nothing is written through it.
    ok = hyper_lmdb:make_link(S, Longest, <<"l">>),
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"l/x">>)),
    ?assertEqual({error, bad_key}, hyper_lmdb:write(S, <<"l/x">>, <<>>)).

own_link_first(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"c/b">>, <<"cb">>}, {put, <<"d">>, <<"d">>}, {put, <<"c/v">>, <<"cv">>},
                                    {put, <<"a/v">>, <<"av">>}, {link, <<"c">>, <<"a">>}, {link, <<"d">>, <<"a/b">>}]),
    ?assertEqual({ok, <<"d">>}, hyper_lmdb:read(S, <<"a/b">>)),
    ?assertEqual({ok, <<"av">>}, hyper_lmdb:read(S, <<"a/v">>)),
    ?assertEqual({ok, <<"cv">>}, begin ok = hyper_lmdb:delete(S, <<"a/v">>), hyper_lmdb:read(S, <<"a/v">>) end).

chains(S) ->
    Name = fun(I) -> <<"l", (integer_to_binary(I))/binary>> end,
    ok = hyper_lmdb:batch_write(S, [{link, Name(I + 1), Name(I)} || I <- lists:seq(1, 1000)]),
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"l1/x">>)),
    ok = hyper_lmdb:write(S, <<"l1/x">>, <<"end">>),
    ?assertEqual({ok, <<"end">>}, hyper_lmdb:get(S, <<"l1001/x">>)),
    ?assertEqual({ok, <<"end">>}, hyper_lmdb:read(S, <<"l1/x">>)),
    ok = hyper_lmdb:make_link(S, Name(1), Name(1001)),
    ?assertEqual([not_found, not_found, not_found], [hyper_lmdb:F(S, <<"l5">>) || F <- [read, type, resolve]]),
    ?assertEqual({error, bad_key}, hyper_lmdb:write(S, <<"l1/y">>, <<>>)),
    %% The link itself can be replaced all the same.
    ok = hyper_lmdb:write(S, Name(1001), <<"v">>),
    ?assertEqual({ok, <<"v">>}, hyper_lmdb:read(S, Name(1))).

%% One link twice in a path that ends.
false_cycle(S) ->
    ok = hyper_lmdb:make_link(S, <<"d">>, <<"d/again">>),
    ok = hyper_lmdb:write(S, <<"d/x">>, <<"1">>),
    ?assertEqual({ok, <<"1">>}, hyper_lmdb:read(S, <<"d/again/again/again/x">>)),
    ?assertEqual(<<"d/x">>, hyper_lmdb:resolve(S, <<"d/again/again/x">>)).

writes(S) ->
    ok = hyper_lmdb:make_link(S, <<"t">>, <<"l">>),
    ok = hyper_lmdb:write(S, <<"l/x">>, <<"1">>),
    ?assertEqual({ok, <<"1">>}, hyper_lmdb:get(S, <<"t/x">>)),
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"l/x">>)),
    ok = hyper_lmdb:make_group(S, <<"l/g">>),
    ok = hyper_lmdb:make_link(S, <<"t/x">>, <<"l/y">>),
    ?assertEqual({ok, [<<"g">>, <<"x">>, <<"y">>]}, hyper_lmdb:list(S, <<"t">>)),
    %% What is at the path itself is written where it is.
    ok = hyper_lmdb:put(S, <<"l/own">>, <<"1">>),
    ok = hyper_lmdb:write(S, <<"l/own">>, <<"2">>),
    ?assertEqual({{ok, <<"2">>}, not_found}, {hyper_lmdb:get(S, <<"l/own">>), hyper_lmdb:get(S, <<"t/own">>)}),
    ok = hyper_lmdb:write(S, <<"l">>, <<"v">>),
    ?assertEqual({{ok, <<"v">>}, not_found}, {hyper_lmdb:get(S, <<"l">>), hyper_lmdb:get(S, <<"t">>)}).

injection(S) ->
    [begin
         ok = hyper_lmdb:write(S, <<"k">>, <<Prefix/binary, "t">>),
         ok = hyper_lmdb:write(S, <<"t/x">>, <<"1">>),
         ?assertEqual({{ok, <<Prefix/binary, "t">>}, simple, not_found},
                      {hyper_lmdb:read(S, <<"k">>), hyper_lmdb:type(S, <<"k">>), hyper_lmdb:read(S, <<"k/x">>)})
     end || Prefix <- [<<"link:">>, <<"group">>, <<"@link:">>] ++ [<<B>> || B <- lists:seq(0, 255)]].

marks(S) ->
    ok = hyper_lmdb:write(S, <<"a">>, <<"v">>),
    ?assertEqual({simple, not_found}, {hyper_lmdb:type(S, <<"a">>), hyper_lmdb:list(S, <<"a">>)}),
    ok = hyper_lmdb:make_group(S, <<"a">>),
    ?assertEqual({composite, {ok, []}, {ok, <<"v">>}}, {hyper_lmdb:type(S, <<"a">>), hyper_lmdb:list(S, <<"a">>), hyper_lmdb:read(S, <<"a">>)}),
    ok = hyper_lmdb:make_link(S, <<"t">>, <<"a">>),
    ok = hyper_lmdb:make_group(S, <<"a">>),
    ?assertEqual(not_found, hyper_lmdb:type(S, <<"a">>)),
    ok = hyper_lmdb:put(S, <<"a">>, <<"w">>),
    ?assertEqual(composite, hyper_lmdb:type(S, <<"a">>)),
    ok = hyper_lmdb:delete(S, <<"a">>),
    ?assertEqual(not_found, hyper_lmdb:type(S, <<"a">>)),
    %% Descendants make a group, and its end ends with them; a user's `group' is a name like others.
    ok = hyper_lmdb:write(S, <<"p/group">>, <<"group">>),
    ?assertEqual({composite, not_found, {ok, [<<"group">>]}},
                 {hyper_lmdb:type(S, <<"p">>), hyper_lmdb:read(S, <<"p">>), hyper_lmdb:list(S, <<"p">>)}),
    ok = hyper_lmdb:delete(S, <<"p/group">>),
    ?assertEqual({not_found, not_found}, {hyper_lmdb:type(S, <<"p">>), hyper_lmdb:resolve(S, <<"p">>)}).

old_batch(S) ->
    {ok, B} = hyper_lmdb:begin_batch(S),
    ok = hyper_lmdb:batch_make_link(B, <<"t">>, <<"l">>),
    ok = test_store:await(test_store:spawn_call(fun() -> hyper_lmdb:batch_write(B, <<"l/x">>, <<"1">>) end)),
    ok = hyper_lmdb:batch_make_group(B, <<"l/g">>),
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"l/x">>)),
    ?assertEqual(ok, hyper_lmdb:commit_batch(B)),
    ?assertEqual({{ok, <<"1">>}, {ok, [<<"g">>, <<"x">>]}}, {hyper_lmdb:get(S, <<"t/x">>), hyper_lmdb:list(S, <<"t">>)}),
    [?assertEqual({error, committed}, Result)
     || Result <- [hyper_lmdb:commit_batch(B), hyper_lmdb:batch_write(B, <<"x">>, <<>>), hyper_lmdb:batch_make_group(B, <<"x">>),
                   hyper_lmdb:batch_make_link(B, <<"x">>, <<"y">>)]],
    %% Swallowed errors were the old way: here one bad element leaves all unwritten, and is named.
    {ok, C} = hyper_lmdb:begin_batch(S),
    [ok, ok, ok] = [hyper_lmdb:batch_write(C, <<"first">>, <<>>), hyper_lmdb:batch_make_link(C, <<"o">>, <<"o">>), hyper_lmdb:batch_write(C, <<"o/x">>, <<>>)],
    ?assertEqual({error, {3, bad_key}}, hyper_lmdb:commit_batch(C)),
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"first">>)).

reserved(S) ->
    Key = <<0, "hyper_lmdb">>,
    ok = hyper_lmdb:make_link(S, <<>>, <<"r">>),
    [?assertEqual({error, bad_key}, Result)
     || Result <- [hyper_lmdb:read(S, Key), hyper_lmdb:write(S, [Key], <<>>), hyper_lmdb:make_group(S, Key), hyper_lmdb:make_link(S, <<"a">>, Key),
                   hyper_lmdb:list(S, Key), hyper_lmdb:write(S, [<<"r">>, Key], <<>>)]],
    ?assertEqual(not_found, hyper_lmdb:read(S, [<<"r">>, Key])),
    ?assertEqual({{ok, [<<"r">>]}, {ok, [<<"r">>]}}, {hyper_lmdb:list(S, <<>>), hyper_lmdb:list_prefix(S, <<>>)}).

read_many(S) ->
    ok = hyper_lmdb:make_link(S, <<"t">>, <<"l">>),
    ok = hyper_lmdb:write(S, <<"t/x">>, <<"1">>),
    Paths = [<<"l/x">>, <<"//t/x/">>, <<"l">>, <<>>, <<"none">>, test_store:too_long(S), <<"l/x">>],
    ?assertEqual({ok, [{hyper_lmdb:path(S, P), hyper_lmdb:read(S, P)} || P <- Paths]}, hyper_lmdb:read_many(S, Paths)),
    ?assertEqual({ok, [{<<"l/x">>, not_found}, {<<"t/x">>, {ok, <<"1">>}}]}, hyper_lmdb:read_many_fast(S, [<<"l/x">>, <<"t/x">>])).

children(S) ->
    [ok = hyper_lmdb:write(S, P, <<>>) || P <- [<<"g/x/z">>, <<"g/x-y">>, <<"g/x">>, <<"g/x.1/k">>, <<"g/x!">>, <<"a">>, <<"g-/h">>]],
    ok = hyper_lmdb:make_group(S, <<"g/e">>),
    ok = hyper_lmdb:put(S, <<"g//hidden">>, <<>>),
    Names = [<<"e">>, <<"x">>, <<"x!">>, <<"x-y">>, <<"x.1">>],
    ?assertEqual({ok, Names}, hyper_lmdb:list(S, <<"g">>)),
    ?assertEqual({ok, lists:reverse(Names)}, hyper_lmdb:list(S, <<"g">>, #{reverse => true})),
    ?assertEqual({ok, [<<"x">>, <<"x!">>], <<"x!">>}, hyper_lmdb:list(S, <<"g">>, #{cursor => <<"ee">>, limit => 2, return_cursor => true})),
    ?assertEqual({ok, [<<"x">>, <<"e">>], <<"e">>}, hyper_lmdb:list(S, <<"g">>, #{<<"cursor">> => <<"x!">>, reverse => true, <<"return_cursor">> => true})),
    ?assertEqual({ok, []}, hyper_lmdb:list(S, <<"g">>, #{limit => 0})),
    ?assertEqual({ok, [<<"a">>, <<"g">>, <<"g-">>]}, hyper_lmdb:list(S, <<>>)),
    %% A listing begins at its prefix and ends with it.
    ?assertEqual({ok, [<<"g/x">>, <<"g/x!">>], <<"g/x!">>}, hyper_lmdb:list_prefix(S, <<"g/x">>, #{limit => 2, return_cursor => true})),
    ?assertEqual({ok, [<<"g/x-y">>, <<"g/x.1/k">>, <<"g/x/z">>], <<"g/x/z">>},
                 hyper_lmdb:list_prefix(S, <<"g/x">>, #{cursor => <<"g/x!">>, limit => 3, return_cursor => true})).

delete_prefix(S) ->
    Ops = [{put, <<"p/", I:32>>, <<>>} || I <- lists:seq(1, 5000)],
    ok = hyper_lmdb:batch_write(S, [{group, <<"p">>}, {link, <<"q">>, <<"p-l">>}, {put, <<"q">>, <<>>} | Ops]),
    ?assertEqual({ok, 5000}, hyper_lmdb:delete_prefix(S, <<"p/">>)),
    ?assertEqual({ok, 0}, hyper_lmdb:delete_prefix(S, <<"p/">>)),
    ?assertEqual({{ok, 2}, {ok, 1}}, {hyper_lmdb:delete_prefix(S, <<"p">>), hyper_lmdb:delete_prefix(S, <<>>)}),
    ?assertEqual({ok, []}, hyper_lmdb:list(S, <<>>)).

closed() ->
    test_store:with_store(fun(S, Dir) ->
        {ok, B} = hyper_lmdb:begin_batch(S),
        ok = hyper_lmdb:batch_write(B, <<"a">>, <<>>),
        ok = hyper_lmdb:stop(S),
        [?assertEqual({F, {error, Reason}}, {F, apply(hyper_lmdb, F, [Store | Args])})
         || {Store, Reason} <- [{S, closed}, {#{name => Dir}, not_started}],
            {F, Args} <- [{read, [a]}, {write, [a, <<>>]}, {read_many, [[a]]}, {make_group, [a]}, {make_link, [a, b]}, {type, [a]},
                          {list, [a]}, {list, [a, #{limit => 1}]}, {resolve, [a]}, {list_prefix, [a]}, {delete_prefix, [a]}, {begin_batch, []}]],
        ?assertEqual({error, closed}, hyper_lmdb:commit_batch(B))
    end).
