%% @doc All that is at a key: read_link/2, and `records' of range/2 and fold/4.
-module(records_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:in_each_mode("a store moves by its records", fun moves/2),
     test_store:in_each_mode("a mark and a value or link are two entries, the mark first", fun marks_first/1),
     test_store:in_each_mode("no part ends within a key", fun parts/1),
     test_store:in_each_mode("a limit counts keys", fun limits/1),
     test_store:in_each_mode("many records, one moment", fun many/1),
     test_store:in_each_mode("values that share a binary, and others", fun sizes/1),
     test_store:in_each_mode("keys only", fun keys_only/1),
     test_store:in_each_mode("the target of a link", fun read_link/1),
     test_store:in_each_mode("with checksums", #{checksum => true}, fun marks_first/1)].

%% A store was to be moved as the README said, `by range and put': links and marks stayed behind, and
%% nothing told where a link leads.
moves(From, Dir) ->
    rand:seed(exsss, 12),
    ok = hyper_lmdb:batch_write(From, all_shapes()),
    [ok = hyper_lmdb:batch_write(From, [random_op() || _ <- lists:seq(1, 200)]) || _ <- lists:seq(1, 10)],
    Other = <<Dir/binary, "-other">>,
    try
        To = test_store:start_ok(#{name => Other}),
        ok = copy(From, To, #{records => true, limit => 7}),
        ?assertEqual(records(From, #{}), records(To, #{})),
        Keys = lists:usort([Key || {Key, _} <- records(From, #{})]),
        ?assert(length(Keys) > 100),
        [?assertEqual({F, Key, apply(hyper_lmdb, F, [From, Key])}, {F, Key, apply(hyper_lmdb, F, [To, Key])})
         || F <- [get, read_link, read, type, resolve, list], Key <- Keys]
    after
        hyper_lmdb:stop(#{name => Other}),
        file:del_dir_r(Other)
    end.

copy(From, To, Range) ->
    {ok, Entries, Next} = hyper_lmdb:range(From, Range),
    ok = hyper_lmdb:batch_write(To, [op(Entry) || Entry <- Entries]),
    case Next of
        done -> ok;
        _ -> copy(From, To, Range#{continue => Next})
    end.

op({Key, {value, Value}}) -> {put, Key, Value};
op({Key, {link, Target}}) -> {link, Target, Key};
op({Key, group}) -> {group, Key}.

%% A value, a link and a mark, alone and together; keys that are no paths; the root as a target.
all_shapes() ->
    [{put, <<"value">>, <<"v">>}, {put, <<"empty">>, <<>>}, {link, <<"value">>, <<"link">>}, {group, <<"mark">>},
     {put, <<"value+mark">>, <<"v">>}, {group, <<"value+mark">>},
     {group, <<"link+mark">>}, {link, <<"value">>, <<"link+mark">>},
     {put, <<"a/b/c">>, <<"v">>}, {link, <<"gone">>, <<"a/dead">>}, {link, <<>>, <<"a/root">>},
     {put, <<"//no//path/">>, <<"v">>}, {link, <<"a">>, <<"/link">>}, {group, <<"g//">>},
     {put, <<0>>, <<0>>}, {put, <<255, 255>>, <<255>>}, {put, <<0, "hyper_lmdb-">>, <<"v">>}].

random_op() ->
    Key = << <<(lists:nth(rand:uniform(5), "ab/-c"))>> || _ <- lists:seq(1, rand:uniform(5)) >>,
    case rand:uniform(6) of
        1 -> {group, Key};
        2 -> {link, <<"t", Key/binary>>, Key};
        3 -> {delete, Key};
        _ -> {put, Key, rand:bytes(rand:uniform(300) - 1)}
    end.

records(S, Range) ->
    {ok, Entries} = hyper_lmdb:fold(S, fun(Key, Record, Acc) -> [{Key, Record} | Acc] end, [], Range#{records => true}),
    lists:reverse(Entries).

shapes() ->
    [{<<"a">>, {value, <<"1">>}}, {<<"b">>, group}, {<<"b">>, {value, <<"2">>}}, {<<"c">>, group},
     {<<"d">>, group}, {<<"d">>, {link, <<"a">>}}, {<<"e">>, {link, <<"nowhere">>}}].

%% In reverse the keys turn round, not what is at a key.
reversed() ->
    [{<<"e">>, {link, <<"nowhere">>}}, {<<"d">>, group}, {<<"d">>, {link, <<"a">>}}, {<<"c">>, group},
     {<<"b">>, group}, {<<"b">>, {value, <<"2">>}}, {<<"a">>, {value, <<"1">>}}].

with_shapes(S) -> ok = hyper_lmdb:batch_write(S, [op(Entry) || Entry <- shapes()]).

marks_first(S) ->
    with_shapes(S),
    [begin
         ?assertEqual({ok, shapes(), done}, hyper_lmdb:range(S, #{Records => true})),
         ?assertEqual({ok, reversed(), done}, hyper_lmdb:range(S, #{Records => true, reverse => true})),
         ?assertEqual({ok, [{<<"a">>, <<"1">>}, {<<"b">>, <<"2">>}], done}, hyper_lmdb:range(S, #{Records => false}))
     end || Records <- [records, <<"records">>]],
    ?assertEqual(shapes(), records(S, #{})),
    hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        ok = hyper_lmdb:reset(S),
        ?assertEqual({ok, shapes(), done}, hyper_lmdb:range(Snapshot, #{records => true})),
        ?assertEqual({ok, <<"a">>}, hyper_lmdb:read_link(Snapshot, <<"d">>)),
        ?assertEqual(not_found, hyper_lmdb:read_link(S, <<"d">>))
    end),
    ?assertEqual({ok, [], done}, hyper_lmdb:range(S, #{records => true})).

parts(S) ->
    with_shapes(S),
    [?assertEqual({Limit, Reverse, Whole}, {Limit, Reverse, in_parts(S, #{records => true, limit => Limit, reverse => Reverse})})
     || {Reverse, Whole} <- [{false, shapes()}, {true, reversed()}], Limit <- lists:seq(1, 6)].

in_parts(S, Range) ->
    case hyper_lmdb:range(S, Range) of
        {ok, Entries, done} -> Entries;
        {ok, Entries, Next} ->
            ?assertEqual(Next, element(1, lists:last(Entries))),
            Entries ++ in_parts(S, Range#{continue => Next})
    end.

limits(S) ->
    with_shapes(S),
    Upto = fun(Last) -> [Entry || {Key, _} = Entry <- shapes(), Key =< Last] end,
    [begin
         ?assertMatch({ok, _, Last}, hyper_lmdb:range(S, #{records => true, limit => Limit})),
         ?assertEqual({ok, Upto(Last), Last}, hyper_lmdb:range(S, #{records => true, limit => Limit})),
         ?assertEqual(Upto(Last), records(S, #{limit => Limit}))
     end || {Limit, Last} <- [{1, <<"a">>}, {2, <<"b">>}, {3, <<"c">>}, {4, <<"d">>}]],
    ?assertEqual({ok, shapes(), done}, hyper_lmdb:range(S, #{records => true, limit => 6})).

%% More than a part, and more than a fold gets without a snapshot.
many(S) ->
    Entries = lists:append([[{<<I:32>>, group}, {<<I:32>>, {value, <<"v", I:32>>}}] || I <- lists:seq(1, 5000)]),
    ok = hyper_lmdb:batch_write(S, [op(Entry) || Entry <- Entries]),
    ?assertEqual(Entries, records(S, #{})),
    ?assertEqual(Entries, in_parts(S, #{records => true})),
    [?assertEqual({Limit, lists:sublist(Entries, 2 * Limit)}, {Limit, records(S, #{limit => Limit})})
     || Limit <- [255, 256, 257, 2000, 2001, 4999]].

sizes(S) ->
    Values = [{<<I:32>>, {value, binary:copy(<<I>>, Size)}}
              || {I, Size} <- lists:enumerate([0, 1, 64, 65, 66, 400, 511, 512, 513, 4096, 65535, 65536, 2000000])],
    Marked = lists:append([[{Key, group}, Entry] || {Key, _} = Entry <- Values]),
    ok = hyper_lmdb:batch_write(S, [op(Entry) || Entry <- Marked]),
    ?assertEqual(Marked, in_parts(S, #{records => true})),
    ?assertEqual(Marked, records(S, #{})).

keys_only(S) ->
    with_shapes(S),
    Keys = [<<"a">>, <<"b">>, <<"c">>, <<"d">>, <<"e">>],
    Range = #{records => true, keys_only => true},
    ?assertEqual({ok, Keys, done}, hyper_lmdb:range(S, Range)),
    ?assertEqual({ok, lists:reverse(Keys)}, hyper_lmdb:fold(S, fun(Key, Acc) -> [Key | Acc] end, [], Range)),
    ?assertEqual({ok, [<<"b">>, <<"a">>]}, hyper_lmdb:fold(S, fun(Key, Acc) -> [Key | Acc] end, [], Range#{limit => 2})),
    ?assertEqual({ok, [<<"a">>, <<"b">>], done}, hyper_lmdb:range(S, #{keys_only => true})).

%% As the key says, through no other link; in the form that it was stored in.
read_link(S) ->
    ok = hyper_lmdb:make_link(S, [<<"t">>, <<"//x/">>], <<"l">>),
    ok = hyper_lmdb:make_link(S, <<"l">>, <<"d/ll">>),
    ok = hyper_lmdb:make_link(S, <<>>, <<"root">>),
    ok = hyper_lmdb:make_link(S, <<"d">>, <<"e">>),
    ok = hyper_lmdb:batch_write(S, [{put, <<"v">>, <<"t">>}, {group, <<"g">>}, {link, <<"a">>, <<"no//path">>}]),
    [?assertEqual({Key, Target}, {Key, hyper_lmdb:read_link(S, Key)})
     || {Key, Target} <- [{<<"l">>, {ok, <<"t/x">>}}, {"l", {ok, <<"t/x">>}}, {l, {ok, <<"t/x">>}}, {<<"d/ll">>, {ok, <<"l">>}},
                          {[<<"d">>, <<"ll">>], {ok, <<"l">>}}, {<<"root">>, {ok, <<>>}}, {<<"no//path">>, {ok, <<"a">>}},
                          {<<"e">>, {ok, <<"d">>}}, {<<"e/ll">>, not_found}, {<<"v">>, not_found}, {<<"g">>, not_found},
                          {<<"t/x">>, not_found}, {<<"/l">>, not_found}, {<<>>, {error, bad_key}},
                          {<<0, "hyper_lmdb">>, {error, bad_key}}, {test_store:too_long(S), {error, key_too_large}}]],
    ok = hyper_lmdb:put(S, <<"l">>, <<"now a value">>),
    ?assertEqual(not_found, hyper_lmdb:read_link(S, <<"l">>)).
