%% @doc range/2: parts put together are the whole, in both directions, beside the model; and each
%% rule by name.
-module(range_tests).
-include_lib("eunit/include/eunit.hrl").

-define(ROUNDS, 20).

all_test_() ->
    [test_store:titled(Title, 120, fun() -> test_store:with_store(Fun) end)
     || {Title, Fun} <- [{"beside the model, whole and in parts", fun beside_model/1},
                         {"from is in, to is out, both ways", fun bounds/1},
                         {"bounds that are empty", fun empty_bounds/1},
                         {"the last of all prefixes", fun last_prefix/1},
                         {"zero bytes", fun zero_bytes/1},
                         {"in reverse from a key that is not there", fun reverse_from_missing/1},
                         {"values only", fun values_only/1},
                         {"a limit", fun limits/1},
                         {"parts end by themselves", fun bounded_parts/1},
                         {"large values", fun large_values/1},
                         {"removed keys in the way", fun removed_keys/1},
                         {"what continue takes", fun continuations/1},
                         {"forms of options", fun options/1},
                         {"wrong options", fun wrong_options/1}]].

beside_model(S) ->
    Seen = [begin
                rand:seed(exsss, Round),
                ok = hyper_lmdb:reset(S),
                Ops = [random_op() || _ <- lists:seq(1, 30 + rand:uniform(60))],
                {ok, M} = prop_model:run({batch_write, Ops}, prop_model:new()),
                ok = hyper_lmdb:batch_write(S, Ops),
                length([asked(S, Round, M, random_range()) || _ <- lists:seq(1, 60)])
            end || Round <- lists:seq(1, ?ROUNDS)],
    ?assertEqual(60 * ?ROUNDS, lists:sum(Seen)).

asked(S, Round, M, Range) ->
    {ok, Whole, done} = prop_model:observe({range, Range}, M),
    Case = {seed, Round, Range},
    ?assertEqual({Case, {ok, Whole, done}}, {Case, hyper_lmdb:range(S, Range)}),
    ?assertEqual({Case, Whole}, {Case, parts(S, Range#{limit => rand:uniform(4)})}),
    Keys = case Range of
               #{keys_only := true} -> Whole;
               #{} -> [Key || {Key, _} <- Whole]
           end,
    ?assertEqual({Case, {ok, Keys, done}}, {Case, hyper_lmdb:range(S, Range#{keys_only => true})}).

random_op() ->
    case rand:uniform(8) of
        1 -> {delete, random_key()};
        2 -> {group, random_key()};
        3 -> {link, random_key(), random_key()};
        _ -> {put, random_key(), integer_to_binary(rand:uniform(1000))}
    end.

random_range() ->
    maps:from_list([{reverse, rand:uniform(2) =:= 1}]
                   ++ [{Bound, random_bytes(0)} || Bound <- [prefix, from, to], rand:uniform(3) =:= 1]
                   ++ [{continue, random_key()} || rand:uniform(4) =:= 1]
                   ++ [{keys_only, true} || rand:uniform(3) =:= 1]).

random_key() -> random_bytes(1).

random_bytes(Least) ->
    << <<(lists:nth(rand:uniform(5), [0, 1, $a, 254, 255]))>> || _ <- lists:seq(2 - Least, rand:uniform(4)) >>.

parts(S, Range) ->
    case hyper_lmdb:range(S, Range) of
        {ok, Entries, done} -> Entries;
        {ok, Entries, Next} -> Entries ++ parts(S, Range#{continue => Next})
    end.

keys(S, Range) ->
    {ok, Keys, done} = hyper_lmdb:range(S, Range#{keys_only => true}),
    Keys.

write(S, Keys) -> ok = hyper_lmdb:batch_write(S, [{put, Key, <<"v">>} || Key <- Keys]).

bounds(S) ->
    write(S, [<<"a">>, <<"b">>, <<"c">>, <<"d">>]),
    ?assertEqual([<<"b">>, <<"c">>], keys(S, #{from => <<"b">>, to => <<"d">>})),
    ?assertEqual([<<"c">>, <<"b">>], keys(S, #{from => <<"b">>, to => <<"d">>, reverse => true})),
    ?assertEqual([<<"c">>], keys(S, #{prefix => <<"c">>, from => <<"b">>, to => <<"d">>})),
    ?assertEqual([], keys(S, #{prefix => <<"d">>, from => <<"b">>, to => <<"d">>})),
    ?assertEqual([], keys(S, #{from => <<"c">>, to => <<"b">>})).

empty_bounds(S) ->
    write(S, [<<"a">>, <<"b">>]),
    [begin
         ?assertEqual(2, length(keys(S, #{prefix => <<>>, from => <<>>, reverse => Reverse}))),
         ?assertEqual([], keys(S, #{to => <<>>, reverse => Reverse})),
         ?assertEqual([], keys(S, #{from => <<"a">>, to => <<"a">>, reverse => Reverse}))
     end || Reverse <- [false, true]],
    ok = hyper_lmdb:reset(S),
    [?assertEqual({ok, [], done}, hyper_lmdb:range(S, Range)) || Range <- [#{}, #{reverse => true}]].

last_prefix(S) ->
    Longest = binary:copy(<<255>>, test_store:longest_key(S)),
    write(S, [<<254, 255>>, <<255>>, <<255, 0>>, <<255, 255, 1>>, Longest]),
    [begin
         ?assertEqual(4, length(keys(S, #{prefix => <<255>>, reverse => Reverse}))),
         ?assertEqual(2, length(keys(S, #{prefix => <<255, 255>>, reverse => Reverse}))),
         ?assertEqual([Longest], keys(S, #{prefix => Longest, reverse => Reverse})),
         ?assertEqual([], keys(S, #{prefix => <<Longest/binary, 255>>, reverse => Reverse})),
         ?assertEqual([<<254, 255>>], keys(S, #{prefix => <<254>>, reverse => Reverse}))
     end || Reverse <- [false, true]].

zero_bytes(S) ->
    Keys = [<<0>>, <<0, 0>>, <<0, "a">>, <<"a">>, <<"a", 0>>, <<"a", 0, 0>>, <<"aa">>],
    write(S, Keys),
    ?assertEqual(Keys, parts(S, #{limit => 1, keys_only => true})),
    ?assertEqual(lists:reverse(Keys), parts(S, #{limit => 1, keys_only => true, reverse => true})),
    ?assertEqual([<<0>>, <<0, 0>>, <<0, "a">>], keys(S, #{prefix => <<0>>})),
    ?assertEqual([<<"a", 0>>, <<"a">>], keys(S, #{from => <<"a">>, to => <<"a", 0, 0>>, reverse => true})).

reverse_from_missing(S) ->
    write(S, [<<"b">>, <<"d">>]),
    ?assertEqual([<<"b">>], keys(S, #{to => <<"c">>, reverse => true})),
    ?assertEqual([<<"d">>, <<"b">>], keys(S, #{to => <<"z">>, reverse => true})),
    ?assertEqual([], keys(S, #{to => <<"a">>, reverse => true})),
    ?assertEqual([<<"b">>], keys(S, #{continue => <<"c">>, reverse => true})).

values_only(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"v">>, <<"1">>}, {link, <<"v">>, <<"l">>}, {group, <<"g">>},
                                    {group, <<"m">>}, {put, <<"m">>, <<"2">>}]),
    Expected = {ok, [{<<"m">>, <<"2">>}, {<<"v">>, <<"1">>}], done},
    ?assertEqual(Expected, hyper_lmdb:range(S, #{})),
    %% The store's own record lies in LMDB.
    {ok, #{name := Name}} = hyper_lmdb:info(S),
    Again = test_store:restart(S, #{name => Name}),
    ?assertEqual(Expected, hyper_lmdb:range(Again, #{})),
    ?assertEqual({ok, [], done}, hyper_lmdb:range(Again, #{prefix => <<0>>})).

limits(S) ->
    write(S, [<<I:16>> || I <- lists:seq(1, 10)]),
    {ok, Nine, <<9:16>>} = hyper_lmdb:range(S, #{limit => 9, keys_only => true}),
    ?assertEqual(9, length(Nine)),
    [?assertMatch({ok, [_, _, _, _, _, _, _, _, _, _], done}, hyper_lmdb:range(S, #{limit => Limit}))
     || Limit <- [10, 11, 256, 257, 1 bsl 63, 1 bsl 70, infinity]].

%% Whatever is asked for, a call does bounded work; who goes on gets it all.
bounded_parts(S) ->
    Keys = [<<I:32>> || I <- lists:seq(1, 5000)],
    write(S, Keys),
    {ok, Part, Next} = hyper_lmdb:range(S, #{limit => 5000, keys_only => true}),
    ?assert(length(Part) < 5000),
    ?assertEqual(lists:last(Part), Next),
    ?assertEqual(Keys, parts(S, #{keys_only => true})).

large_values(S) ->
    Sizes = [0, 1, 63, 64, 65, 511, 65535, 65536, 200000, 600000, 1100000, 2000000, 3],
    Values = [{<<I>>, binary:copy(<<I>>, Size)} || {I, Size} <- lists:zip(lists:seq(1, length(Sizes)), Sizes)],
    [ok = hyper_lmdb:put(S, Key, Value) || {Key, Value} <- Values],
    ?assertEqual(Values, parts(S, #{})),
    ?assertEqual(lists:reverse(Values), parts(S, #{reverse => true, limit => 2})),
    {ok, Part, _} = hyper_lmdb:range(S, #{}),
    ?assert(lists:sum([byte_size(Value) || {_, Value} <- Part]) =< 1 bsl 20),
    ?assertEqual({ok, [lists:nth(12, Values)], <<12>>}, hyper_lmdb:range(S, #{from => <<12>>, limit => 1})).

removed_keys(S) ->
    Keys = [<<"k", I:32>> || I <- lists:seq(1, 3000)],
    write(S, [<<"a">>, <<"z">> | Keys]),
    ok = hyper_lmdb:batch_write(S, [{delete, Key} || Key <- Keys]),
    [?assertEqual({Range, [<<"a">>, <<"z">>]}, {Range, lists:sort(parts(S, Range#{keys_only => true}))})
     || Range <- [#{}, #{reverse => true}, #{limit => 1}, #{limit => 10, reverse => true}]],
    %% A small part comes back before it has passed them all.
    {ok, [<<"a">>], Next} = hyper_lmdb:range(S, #{limit => 10, keys_only => true}),
    ?assert(Next > <<"a">> andalso Next < <<"z">>).

continuations(S) ->
    write(S, [<<"a">>, <<"b">>, <<"c">>]),
    {ok, [<<"a">>], Next} = hyper_lmdb:range(S, #{limit => 1, keys_only => true}),
    ok = hyper_lmdb:delete(S, Next),
    ?assertEqual([<<"b">>, <<"c">>], keys(S, #{continue => Next})),
    %% One from outside the range begins or ends it.
    ?assertEqual([<<"b">>], keys(S, #{continue => <<"A">>, prefix => <<"b">>})),
    ?assertEqual([], keys(S, #{continue => <<"z">>, prefix => <<"b">>})),
    ?assertEqual([<<"b">>], keys(S, #{continue => <<"z">>, prefix => <<"b">>, reverse => true})),
    test_store:with_store(fun(Other) ->
        write(Other, [<<"a">>, <<"x">>]),
        ?assertEqual([<<"x">>], keys(Other, #{continue => Next}))
    end).

options(S) ->
    write(S, [<<"a/b">>, <<"a/c">>, <<"d">>]),
    Expected = hyper_lmdb:range(S, #{prefix => <<"a/">>, reverse => true, limit => 1, keys_only => true}),
    ?assertEqual({ok, [<<"a/c">>], <<"a/c">>}, Expected),
    ?assertEqual(Expected, hyper_lmdb:range(S, #{<<"prefix">> => <<"a/">>, <<"reverse">> => true,
                                                 <<"limit">> => 1, <<"keys_only">> => true})),
    ?assertEqual([<<"a/b">>], keys(S, #{<<"continue">> => <<"a/c">>, <<"reverse">> => true})),
    [?assertEqual({From, [<<"a/c">>, <<"d">>]}, {From, keys(S, #{from => From})})
     || From <- [<<"a/c">>, [<<"a">>, <<"c">>], [a, "c"], "a/c", 'a/c']],
    ?assertEqual(3, length(keys(S, #{<<"of another layer">> => 1}))).

wrong_options(S) ->
    [?assertEqual({Key, Value, {error, {bad_option, Key}}}, {Key, Value, hyper_lmdb:range(S, #{Key => Value})})
     || {Key, Values} <- [{prefix, [1, nil_is_no_key(), <<1:1>>, {}]}, {from, [1, #{}]}, {to, [1.5, self()]},
                          {continue, [nil, done, <<>>, test_store:too_long(S), <<1:1>>, "k"]},
                          {reverse, [2, nil]}, {keys_only, [<<"yes">>]}, {limit, [0, <<"0">>, -1, 1.0, none]},
                          {cursor, [<<"k">>]}, {17, [1]}, {{}, [1]}], Value <- Values],
    [?assertEqual({error, {bad_option, limit}}, hyper_lmdb:range(S, #{<<"limit">> => Limit})) || Limit <- [0, x]].

nil_is_no_key() -> [<<"a">> | <<"b">>].
