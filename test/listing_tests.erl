%% @doc list/3 and list_prefix/3: parts put together are the whole, in both directions, beside the
%% model; and each rule of a listing by name.
-module(listing_tests).
-include_lib("eunit/include/eunit.hrl").

-define(ROUNDS, 25).

all_test_() ->
    [test_store:titled(Title, 120, fun() -> test_store:with_store(Fun) end)
     || {Title, Fun} <- [{"parts of prefixes are the whole", fun prefix_parts/1},
                         {"parts of groups are the whole, both ways", fun group_parts/1},
                         {"names around the slash", fun around_the_slash/1},
                         {"long names", fun long_names/1},
                         {"the page loops of old callers end", fun old_loops/1},
                         {"a limit of 0", fun limit_of_nothing/1},
                         {"nothing comes before the empty name", fun reverse_from_empty/1},
                         {"cursors of a prefix", fun prefix_cursors/1},
                         {"options", fun options/1},
                         {"the reserved key", fun reserved/1},
                         {"through links", fun links/1},
                         {"what is no group", fun no_group/1},
                         {"long ones come in parts, as one moment", fun long_ones/1},
                         {"the root", fun root/1}]].

%% -- beside the model ----------------------------------------------------------------------------

%% A round's number is its seed, and stands in what a failure prints.
in_rounds(S, Fun) ->
    [begin
         rand:seed(exsss, Round),
         ok = hyper_lmdb:reset(S),
         Ops = [random_op() || _ <- lists:seq(1, 20 + rand:uniform(60))],
         {ok, M} = prop_model:run({batch_write, Ops}, prop_model:new()),
         ok = hyper_lmdb:batch_write(S, Ops),
         Fun(Round, M, [element(tuple_size(Op), Op) || {link, _, _} = Op <- Ops]
                       ++ [element(2, Op) || Op <- Ops, element(1, Op) =/= link])
     end || Round <- lists:seq(1, ?ROUNDS)].

prefix_parts(S) ->
    Seen = in_rounds(S, fun(Round, M, Keys) ->
        [begin
             {ok, Whole} = prop_model:observe({list_prefix, Prefix}, M),
             Case = {seed, Round, prefix, Prefix},
             ?assertEqual({Case, {ok, Whole}}, {Case, hyper_lmdb:list_prefix(S, Prefix)}),
             ?assertEqual({Case, Whole}, {Case, parts(list_prefix, S, Prefix, #{})}),
             From = random_key(),
             ?assertEqual({Case, From, {ok, [Key || Key <- Whole, Key > From]}},
                          {Case, From, hyper_lmdb:list_prefix(S, Prefix, #{cursor => From})}),
             length(Whole)
         end || Prefix <- [<<>> | [random_prefix(Keys) || _ <- lists:seq(1, 30)]]]
    end),
    %% Many prefixes have something to list.
    ?assert(length([N || Round <- Seen, N <- Round, N > 4]) > 5 * ?ROUNDS).

group_parts(S) ->
    Seen = in_rounds(S, fun(Round, M, Keys) ->
        [group_beside_model(S, {seed, Round, group, Group}, Group, prop_model:observe({list, Group}, M))
         || Group <- [<<>> | [random_prefix(Keys) || _ <- lists:seq(1, 30)]]]
    end),
    ?assert(length([N || Round <- Seen, N <- Round, N > 2]) > 3 * ?ROUNDS).

group_beside_model(S, Case, Group, not_found) ->
    [?assertEqual({Case, not_found}, {Case, hyper_lmdb:list(S, Group, Listing)})
     || Listing <- [#{}, #{reverse => true}, #{limit => 0, return_cursor => true}]],
    0;
group_beside_model(S, Case, Group, {ok, Names}) ->
    Back = lists:reverse(Names),
    ?assertEqual({Case, {ok, Names}}, {Case, hyper_lmdb:list(S, Group)}),
    ?assertEqual({Case, {ok, Back}}, {Case, hyper_lmdb:list(S, Group, #{reverse => true})}),
    ?assertEqual({Case, Names}, {Case, parts(list, S, Group, #{})}),
    ?assertEqual({Case, Back}, {Case, parts(list, S, Group, #{reverse => true})}),
    From = random_key(),
    ?assertEqual({Case, From, {ok, [Name || Name <- Names, Name > From]}},
                 {Case, From, hyper_lmdb:list(S, Group, #{cursor => From})}),
    ?assertEqual({Case, From, {ok, [Name || Name <- Back, Name < From]}},
                 {Case, From, hyper_lmdb:list(S, Group, #{cursor => From, reverse => true})}),
    length(Names).

%% All parts of a listing, each of another size: the cursor of one that has names is the last of them.
parts(Function, S, At, Listing) ->
    Limit = rand:uniform(5) - 1,
    {ok, Names, Cursor} = hyper_lmdb:Function(S, At, Listing#{limit => Limit, return_cursor => true}),
    ?assert(length(Names) =< Limit),
    case Names of
        [] when Cursor =:= nil -> [];
        [] when Limit =:= 0 -> parts(Function, S, At, Listing#{cursor => Cursor});
        [_ | _] ->
            ?assertEqual(lists:last(Names), Cursor),
            Names ++ parts(Function, S, At, Listing#{cursor => Cursor})
    end.

random_op() ->
    case rand:uniform(8) of
        1 -> {group, random_key()};
        2 -> {link, random_key(), random_key()};
        _ -> {put, random_key(), <<"v">>}
    end.

%% Bytes on both sides of `/'. Many keys have empty segments, and are no paths.
random_key() -> << <<(random_byte())>> || _ <- lists:seq(1, rand:uniform(7)) >>.

random_byte() -> element(rand:uniform(10), {0, 1, $-, $., $/, $/, $/, $0, $a, 255}).

%% The beginning of a key that is there, or something else.
random_prefix(Keys) ->
    Key = lists:nth(rand:uniform(length(Keys)), Keys),
    case rand:uniform(5) of
        1 -> random_key();
        2 -> <<Key/binary, (random_byte())>>;
        _ -> binary:part(Key, 0, rand:uniform(byte_size(Key)))
    end.

%% -- rules ---------------------------------------------------------------------------------------

%% `x-y' and `x.' sort before `x/z' as keys, after `x' as names.
around_the_slash(S) ->
    Below = [<<"x">>, <<"x-y">>, <<"x/z">>, <<"x.">>, <<"y/z">>, <<"y-">>, <<"z", 0, "/q">>, <<"z0">>, <<"z/q">>, <<255>>],
    ok = hyper_lmdb:batch_write(S, [{group, <<"g/empty">>}, {group, <<"none">>}]
                                   ++ [{put, <<"g/", K/binary>>, <<>>} || K <- Below]),
    Names = [<<"empty">>, <<"x">>, <<"x-y">>, <<"x.">>, <<"y">>, <<"y-">>, <<"z">>, <<"z", 0>>, <<"z0">>, <<255>>],
    each_next(S, <<"g">>, #{}, Names ++ [nil]),
    each_next(S, <<"g">>, #{reverse => true}, lists:reverse(Names) ++ [nil]),
    [?assertEqual({ok, [], nil}, hyper_lmdb:list(S, Empty, #{return_cursor => true, reverse => Reverse}))
     || Empty <- [<<"none">>, <<"g/empty">>], Reverse <- [true, false]].

%% One name at a time; behind the last there is no more.
each_next(S, Group, Listing, [nil]) ->
    ?assertEqual({ok, [], nil}, hyper_lmdb:list(S, Group, Listing#{limit => 1, return_cursor => true}));
each_next(S, Group, Listing, [Name | Rest]) ->
    ?assertEqual({ok, [Name], Name}, hyper_lmdb:list(S, Group, Listing#{limit => 1, return_cursor => true})),
    each_next(S, Group, Listing#{cursor => Name}, Rest).

long_names(S) ->
    Longest = test_store:longest_key(S),
    Names = [binary:copy(<<Byte>>, Size) || Byte <- [1, $a, 255], Size <- [Longest - 1, Longest]],
    ok = hyper_lmdb:batch_write(S, [{put, Name, <<>>} || Name <- Names]),
    Beyond = binary:copy(<<255>>, 4 * Longest),
    ?assertEqual(Names, parts(list, S, <<>>, #{})),
    ?assertEqual(lists:reverse(Names), parts(list, S, <<>>, #{reverse => true, cursor => Beyond})),
    ?assertEqual(Names, parts(list_prefix, S, <<>>, #{})),
    ?assertEqual({ok, []}, hyper_lmdb:list(S, <<>>, #{cursor => Beyond})),
    ?assertEqual({{ok, []}, {ok, []}}, {hyper_lmdb:list_prefix(S, <<>>, #{cursor => Beyond}), hyper_lmdb:list_prefix(S, Beyond)}).

%% Callers of the older library never saw `nil' with a page that had names, and hand back what they were
%% given until a page is empty: with a last page that had `nil' beside its names they began again, for ever.
old_loops(S) ->
    Keys = [<<"p/", I:16>> || I <- lists:seq(1, 20)],
    ok = hyper_lmdb:batch_write(S, [{put, Key, <<>>} || Key <- Keys]),
    [?assertEqual({Limit, Keys}, {Limit, old_loop(S, #{<<"limit">> => Limit, <<"return_cursor">> => true}, 30)})
     || Limit <- [1, 3, 5, 19, 20, 21]].

old_loop(_, _, 0) -> goes_on_for_ever;
old_loop(S, Page, MostPages) ->
    case hyper_lmdb:list_prefix(S, <<"p/">>, Page) of
        {ok, [], nil} -> [];
        {ok, Keys, Cursor} ->
            case old_loop(S, Page#{<<"cursor">> => Cursor}, MostPages - 1) of
                Rest when is_list(Rest) -> Keys ++ Rest;
                Never -> Never
            end
    end.

%% The next part begins where this one did.
limit_of_nothing(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"g/", I>>, <<>>} || I <- "abc"] ++ [{group, <<"none">>}]),
    [begin
         ?assertEqual({ok, []}, hyper_lmdb:F(S, At, Listing#{limit => 0})),
         {ok, Whole} = hyper_lmdb:F(S, At, Listing),
         {ok, [], Cursor} = hyper_lmdb:F(S, At, Listing#{limit => 0, return_cursor => true}),
         Expected = case Whole of [] -> {At, Listing, nil, Whole}; _ -> {At, Listing, cursor, Whole} end,
         Kind = case Cursor of nil -> nil; _ when is_binary(Cursor) -> cursor end,
         {ok, Next} = hyper_lmdb:F(S, At, Listing#{cursor => Cursor}),
         ?assertEqual(Expected, {At, Listing, Kind, Next})
     end || {F, At, Listing} <- [{F, At, Listing} || {F, At} <- [{list, <<"g">>}, {list_prefix, <<"g/">>}],
                                                     Listing <- [#{}, #{cursor => <<>>}]]
                                ++ [{list, <<"g">>, #{cursor => <<"a">>}}, {list_prefix, <<"g/">>, #{cursor => <<"g/a">>}},
                                    {list, <<"g">>, #{reverse => true}}, {list, <<"g">>, #{reverse => true, cursor => <<"c">>}}]].

%% Where nothing is left there is no cursor, whatever the limit.
reverse_from_empty(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"g/", I>>, <<>>} || I <- "abc"]),
    Before = #{reverse => true, cursor => <<>>, return_cursor => true},
    [?assertEqual({ok, [], nil}, hyper_lmdb:list(S, At, Listing))
     || At <- [<<>>, <<"g">>], Listing <- [Before, Before#{limit => 1}, Before#{limit => 0}]],
    ?assertEqual({ok, []}, hyper_lmdb:list(S, <<"g">>, #{reverse => true, cursor => <<"a">>})),
    ?assertEqual({ok, [<<"a">>]}, hyper_lmdb:list(S, <<"g">>, #{reverse => true, cursor => <<"a", 0>>})).

%% One from before the prefix begins with the prefix; one from behind it ends.
prefix_cursors(S) ->
    Keys = [<<"p">>, <<"p/a">>, <<"p/b">>, <<"q">>],
    ok = hyper_lmdb:batch_write(S, [{put, Key, <<>>} || Key <- [<<"a">> | Keys]]),
    [?assertEqual({Cursor, {ok, Expected, lists:last([nil | Expected])}},
                  {Cursor, hyper_lmdb:list_prefix(S, <<"p">>, #{cursor => Cursor, return_cursor => true})})
     || {Cursor, Expected} <- [{nil, [<<"p">>, <<"p/a">>, <<"p/b">>]}, {undefined, [<<"p">>, <<"p/a">>, <<"p/b">>]},
                               {<<>>, [<<"p">>, <<"p/a">>, <<"p/b">>]}, {<<"a">>, [<<"p">>, <<"p/a">>, <<"p/b">>]},
                               {<<"p">>, [<<"p/a">>, <<"p/b">>]}, {<<"p/a!">>, [<<"p/b">>]}, {<<"p/b">>, []},
                               {<<"q">>, []}]].

options(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"a">>, <<>>}, {put, <<"b">>, <<>>}]),
    [?assertEqual({error, {bad_option, reverse}}, hyper_lmdb:list_prefix(S, <<>>, #{Key => true}))
     || Key <- [reverse, <<"reverse">>]],
    ?assertEqual({ok, [<<"a">>, <<"b">>]}, hyper_lmdb:list_prefix(S, <<>>, #{reverse => false})),
    [begin
         [?assertEqual({error, {bad_option, Key}}, hyper_lmdb:F(S, <<>>, #{Key => 1}))
          || Key <- [no_such_option, 'Limit', '', 1, {limit}, "limit"]],
         ?assertEqual({ok, [<<"a">>], <<"a">>},
                      hyper_lmdb:F(S, <<>>, #{<<"no such option">> => 1, <<>> => {}, <<"limit">> => 1,
                                              <<"return_cursor">> => true})),
         [?assertEqual({F, Value, {error, {bad_option, Key}}}, {F, Value, hyper_lmdb:F(S, <<>>, #{Form => Value})})
          || {Key, Values} <- [{limit, [-1, 1.0, nil, <<"-1">>]}, {cursor, [a, "a", 0, <<1:1>>]},
                               {return_cursor, [2, nil, <<"yes">>]}, {reverse, [2, nil, <<"yes">>]}],
             Value <- Values, Form <- [Key, atom_to_binary(Key)]],
         ?assertEqual({ok, [<<"a">>, <<"b">>]}, hyper_lmdb:F(S, <<>>, #{limit => infinity, cursor => nil})),
         ?assertEqual({ok, [<<"a">>, <<"b">>], <<"b">>}, hyper_lmdb:F(S, <<>>, #{limit => (1 bsl 64) - 1, return_cursor => true}))
     end || F <- [list, list_prefix]].

%% What lies below it is no path, though a key like others.
reserved(S) ->
    Key = <<0, "hyper_lmdb">>,
    Below = <<Key/binary, "/x">>,
    Beside = [<<0>>, <<0, "hyper_lmd">>, <<Key/binary, "-">>, <<Key/binary, "x">>, <<1>>],
    ok = hyper_lmdb:batch_write(S, [{put, K, <<>>} || K <- [Below | Beside]]),
    ?assertEqual({ok, Beside}, hyper_lmdb:list(S, <<>>)),
    ?assertEqual({ok, lists:reverse(Beside)}, hyper_lmdb:list(S, <<>>, #{reverse => true})),
    ?assertEqual({Beside, lists:reverse(Beside)}, {parts(list, S, <<>>, #{}), parts(list, S, <<>>, #{reverse => true})}),
    [?assertEqual({error, bad_key}, hyper_lmdb:list(S, Path)) || Path <- [Key, Below, [Key, <<"y">>]]],
    Keys = lists:sort([Below | Beside]),
    ?assertEqual({ok, Keys}, hyper_lmdb:list_prefix(S, <<>>)),
    ?assertEqual(Keys, parts(list_prefix, S, <<>>, #{})),
    ?assertEqual({ok, [K || <<0, "hyper_lmdb", _/binary>> = K <- Keys]}, hyper_lmdb:list_prefix(S, Key)).

links(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"t/b">>, <<>>}, {put, <<"t/a/c">>, <<>>}, {link, <<"t">>, <<"l">>},
                                    {link, <<"l">>, <<"ll">>}, {link, <<"t/b">>, <<"v">>}, {link, <<"gone">>, <<"dead">>},
                                    {link, <<"o">>, <<"o">>}, {link, <<>>, <<"up">>}]),
    [?assertEqual({At, Listing, hyper_lmdb:list(S, Target, Listing)}, {At, Listing, hyper_lmdb:list(S, At, Listing)})
     || {At, Target} <- [{<<"l">>, <<"t">>}, {<<"ll">>, <<"t">>}, {<<"ll/a">>, <<"t/a">>}, {<<"up/l">>, <<"t">>}, {<<"up">>, <<>>}],
        Listing <- [#{}, #{reverse => true}, #{limit => 1, return_cursor => true}, #{cursor => <<"a">>}]],
    ?assertEqual({ok, [<<"a">>, <<"b">>]}, hyper_lmdb:list(S, <<"ll">>)),
    [?assertEqual({At, not_found}, {At, hyper_lmdb:list(S, At)}) || At <- [<<"v">>, <<"dead">>, <<"o">>, <<"o/x">>, <<"dead/x">>]],
    ?assertEqual({ok, [<<"dead">>, <<"l">>, <<"ll">>, <<"o">>, <<"t/a/c">>, <<"t/b">>, <<"up">>, <<"v">>]},
                 hyper_lmdb:list_prefix(S, <<>>)),
    %% A prefix is not resolved.
    ?assertEqual({ok, []}, hyper_lmdb:list_prefix(S, <<"l/">>)).

no_group(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"v">>, <<>>}, {put, <<"w//x">>, <<>>}, {put, <<"w/">>, <<>>}]),
    [?assertEqual({At, not_found}, {At, hyper_lmdb:list(S, At, Listing)})
     || At <- [<<"v">>, <<"v/x">>, <<"w">>, <<"none">>], Listing <- [#{}, #{limit => 0}, #{reverse => true, cursor => <<>>}]].

root(S) ->
    Roots = [<<>>, <<"/">>, [], [<<>>], '', "//"],
    Listings = [#{}, #{reverse => true}, #{limit => 1}, #{cursor => <<>>}],
    [?assertEqual({ok, []}, hyper_lmdb:list(S, Root, Listing)) || Root <- Roots, Listing <- Listings],
    ?assertEqual({ok, [], nil}, hyper_lmdb:list(S, <<>>, #{limit => 0, return_cursor => true})),
    ok = hyper_lmdb:put(S, <<"a">>, <<>>),
    [?assertEqual({ok, [<<"a">>]}, hyper_lmdb:list(S, Root, Listing)) || Root <- Roots, Listing <- Listings].

%% A listing of everything held a dirty scheduler, on which the VM reads files, for as long as it took:
%% a call is over after 2,000 names. Each batch writes all names of one number: a mixture would show.
long_ones(S) ->
    Count = 7001,
    Names = [[list_to_binary(io_lib:format("g/~b~6..0b", [N, I])) || I <- lists:seq(1, Count)] || N <- [0, 1]],
    Of = fun(N) -> lists:nth(N + 1, Names) end,
    Write = fun(N) ->
        ok = hyper_lmdb:batch_write(S, [{delete, K} || K <- Of(1 - N)] ++ [{put, K, <<>>} || K <- Of(N)])
    end,
    Write(0),
    [?assertMatch({2000, true}, begin {ok, Part, More} = hyper_lmdb_nif:F(S, <<"g">>, {infinity, nil, false}), {length(Part), More} end)
     || F <- [list, list_prefix]],
    Writer = spawn(fun() -> (fun Loop(N) -> Write(N), Loop(1 - N) end)(1) end),
    Whole = fun(Listed) -> lists:member(Listed, Names) end,
    Full = fun({ok, Children}) -> [<<"g/", Child/binary>> || Child <- Children] end,
    [begin
         ?assert(Whole(Full(hyper_lmdb:list(S, <<"g">>)))),
         ?assert(Whole(lists:reverse(Full(hyper_lmdb:list(S, <<"g">>, #{reverse => true}))))),
         {ok, Keys} = hyper_lmdb:list_prefix(S, <<"g">>),
         ?assert(Whole(Keys)),
         {ok, First, Last} = hyper_lmdb:list_prefix(S, <<"g">>, #{limit => 5000, return_cursor => true}),
         ?assertEqual({5000, lists:last(First)}, {length(First), Last})
     end || _ <- lists:seq(1, 3)],
    exit(Writer, kill).
