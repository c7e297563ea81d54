%% @doc The longest chain of links that is followed, from each place a path may enter it.
-module(link_chain_tests).
-include_lib("eunit/include/eunit.hrl").

-define(MOST, 4096).

all_test_() ->
    [test_store:titled(Title ++ Cache, 60, fun() -> test_store:with_store(Options, Fun) end)
     || {Cache, Options} <- [{"", #{}}, {" (cache off)", #{path_cache_entries => 0}}],
        {Title, Fun} <- [{"a chain of 1,000 links", fun thousand/1},
                         {"4,096 links are followed, 4,097 are not", fun longest/1},
                         {"what is remembered of a chain does not lengthen it", fun longest_from_behind/1},
                         {"links of parents and own links are counted together", fun parent_and_own/1},
                         {"a chain that is cut is a chain no longer", fun cut/1}]].

name(I) -> <<"l", (integer_to_binary(I))/binary>>.

%% Links l1 to l2 to .. to end: as many as asked for.
chain(S, Count) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"end">>, <<"e">>}, {put, <<"end/x">>, <<"x">>}, {link, <<"end">>, name(Count)}
                                    | [{link, name(I + 1), name(I)} || I <- lists:seq(1, Count - 1)]]).

leads_on(S, Link) ->
    ?assertEqual({Link, {ok, <<"e">>}, composite, <<"end">>, {ok, [<<"x">>]}}, {Link, hyper_lmdb:read(S, Link), hyper_lmdb:type(S, Link),
                                                                hyper_lmdb:resolve(S, Link), hyper_lmdb:list(S, Link)}),
    ?assertEqual({Link, {ok, <<"x">>}, simple, <<"end/x">>}, {Link, hyper_lmdb:read(S, [Link, <<"x">>]), hyper_lmdb:type(S, [Link, <<"x">>]),
                                                       hyper_lmdb:resolve(S, [Link, <<"x">>])}),
    ok = hyper_lmdb:write(S, [Link, Link], Link),
    ?assertEqual({ok, Link}, hyper_lmdb:get(S, [<<"end">>, Link])),
    ok = hyper_lmdb:delete(S, [<<"end">>, Link]).

leads_nowhere(S, Link) ->
    [?assertEqual({Path, not_found, not_found, not_found, not_found}, {Path, hyper_lmdb:read(S, Path), hyper_lmdb:type(S, Path),
                                                                       hyper_lmdb:resolve(S, Path), hyper_lmdb:list(S, Path)})
     || Path <- [Link, <<Link/binary, "/x">>]],
    Before = test_store:count(S),
    [?assertEqual({error, bad_key}, Result)
     || Result <- [hyper_lmdb:write(S, [Link, <<"y">>], <<>>), hyper_lmdb:make_group(S, [Link, <<"y">>]),
                   hyper_lmdb:make_link(S, <<"end">>, [Link, <<"y">>])]],
    ?assertEqual(Before, test_store:count(S)).

thousand(S) ->
    chain(S, 1000),
    [leads_on(S, name(I)) || I <- [1, 2, 500, 1000]].

longest(S) ->
    chain(S, ?MOST + 1),
    leads_nowhere(S, name(1)),
    leads_on(S, name(2)),
    leads_nowhere(S, name(1)).

longest_from_behind(S) ->
    chain(S, ?MOST + 2),
    [leads_on(S, name(I)) || I <- [?MOST + 2, ?MOST, 2000, 4, 3]],
    [leads_nowhere(S, name(I)) || I <- [2, 1, 2]].

%% The own link of `l1/own' comes after those that lead to its parent.
parent_and_own(S) ->
    chain(S, ?MOST),
    ok = hyper_lmdb:batch_write(S, [{link, <<"v">>, <<"end/own">>}, {put, <<"v">>, <<"own">>}]),
    ?assertEqual({ok, <<"own">>}, hyper_lmdb:read(S, <<"l2/own">>)),
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"l1/own">>)),
    %% And before those of its target.
    ok = hyper_lmdb:batch_write(S, [{link, <<"l1/x">>, <<"over">>}, {link, <<"l2/x">>, <<"full">>}]),
    ?assertEqual({not_found, {ok, <<"x">>}}, {hyper_lmdb:read(S, <<"over">>), hyper_lmdb:read(S, <<"full">>)}).

cut(S) ->
    chain(S, ?MOST + 1),
    leads_nowhere(S, name(1)),
    ok = hyper_lmdb:write(S, name(3000), <<"v">>),
    ?assertEqual({{ok, <<"v">>}, <<"l3000">>}, {hyper_lmdb:read(S, name(1)), hyper_lmdb:resolve(S, name(1))}),
    ok = hyper_lmdb:make_link(S, <<"end">>, name(3000)),
    leads_on(S, name(1)).
