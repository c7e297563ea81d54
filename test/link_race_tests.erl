%% @doc A link that is turned over while others read and write through it.
-module(link_race_tests).
-include_lib("eunit/include/eunit.hrl").

-define(FLIPS, 2000).

flip_test_() -> test_store:titled("readers see no turn undone", 120, fun() -> test_store:with_store(fun flip/1) end).

%% Turn number N makes the link lead to a value that says N. What a reader sees lies between the
%% turns acknowledged before its call and those begun before its return.
flip(S) ->
    Begun = atomics:new(1, []),
    Acknowledged = atomics:new(1, []),
    ok = turn(S, 0),
    Readers = [test_store:spawn_call(fun() -> read(S, Begun, Acknowledged, 0) end) || _ <- [1, 2, 3]],
    Writer = test_store:spawn_call(fun() -> write(S, Acknowledged, 0) end),
    [begin
         atomics:put(Begun, 1, N),
         ok = turn(S, N),
         atomics:put(Acknowledged, 1, N)
     end || N <- lists:seq(1, ?FLIPS)],
    ?assert(lists:all(fun(Count) -> Count > 0 end, test_store:gather(Readers))),
    ?assert(test_store:await(Writer) > 0).

%% The target that is not led to gets its new value first.
turn(S, N) ->
    Target = lists:nth(N rem 2 + 1, [<<"even">>, <<"odd">>]),
    ok = hyper_lmdb:put(S, <<Target/binary, "/v">>, <<N:32>>),
    hyper_lmdb:make_link(S, Target, <<"l">>).

read(S, Begun, Acknowledged, Count) ->
    Least = atomics:get(Acknowledged, 1),
    {ok, <<N:32>>} = hyper_lmdb:read(S, <<"l/v">>),
    Most = atomics:get(Begun, 1),
    %% The other target's next value is there before the turn, the one led to never changes.
    ?assert(N >= Least andalso N =< Most),
    case Least of ?FLIPS -> Count + 1; _ -> read(S, Begun, Acknowledged, Count + 1) end.

%% Through the link into whichever target it leads to; never into the link's own subtree.
write(S, Acknowledged, Count) ->
    ok = hyper_lmdb:write(S, <<"l/w">>, <<Count:32>>),
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"l/w">>)),
    Written = [hyper_lmdb:get(S, <<Target/binary, "/w">>) || Target <- [<<"even">>, <<"odd">>]],
    ?assert(lists:member({ok, <<Count:32>>}, Written)),
    case atomics:get(Acknowledged, 1) of ?FLIPS -> Count + 1; _ -> write(S, Acknowledged, Count + 1) end.
