%% @doc A process that calls the library in a loop gives way to others: each call counts towards its
%% timeslice of 4,000 reductions, by about the time it takes on an idle machine and not by many times
%% that. Without it each counts 3 to 6, a batch of 100 as many as its elements, and 64 processes that
%% get kept a timer waiting for 50 ms.
-module(timeslice_tests).
-include_lib("eunit/include/eunit.hrl").

-define(PARTS, 25).
-define(CALLS, 40).

calls_count_test_() ->
    test_store:titled("calls count towards the timeslice", 60, fun() ->
        test_store:with_store(fun(S) ->
            Keys = [<<"key ", I:32>> || I <- lists:seq(1, 100)],
            ok = hyper_lmdb:batch_write(S, [{put, K, K} || K <- Keys]),
            ok = hyper_lmdb:put(S, <<"large">>, binary:copy(<<"v">>, 64 bsl 10)),
            ok = test_store:settle(S),
            Key = hd(Keys),
            [begin
                 Charged = reductions(Call),
                 io:format(user, "~n  ~s: ~.1f, from ~b to ~b", [Name, float(Charged), Least, 3 * Least]),
                 ?assert(Charged >= Least, Name),
                 ?assert(Charged =< 3 * Least, Name)
             end || {Name, Least, Call} <-
                    [{get, 15, fun() -> {ok, _} = hyper_lmdb:get(S, Key) end},
                     {exists, 15, fun() -> true = hyper_lmdb:exists(S, Key) end},
                     {not_found, 15, fun() -> not_found = hyper_lmdb:get(S, <<"none">>) end},
                     {read, 15, fun() -> {ok, _} = hyper_lmdb:read(S, Key) end},
                     {large, 250, fun() -> {ok, _} = hyper_lmdb:get(S, <<"large">>) end},
                     {read_many, 1500, fun() -> {ok, _} = hyper_lmdb:read_many(S, Keys) end},
                     {range, 500, fun() -> {ok, _, _} = hyper_lmdb:range(S, #{limit => 100}) end},
                     {put, 60, fun() -> ok = hyper_lmdb:put(S, Key, Key) end},
                     {delete, 60, fun() -> ok = hyper_lmdb:delete(S, <<"none">>) end},
                     {batch, 2500, fun() -> ok = hyper_lmdb:batch_write(S, [{put, K, K} || K <- Keys]) end}]]
        end)
    end).

%% Of one call, without those of the loop.
reductions(Call) -> of_one(fun count/1, Call) - of_one(fun count/1, fun() -> ok end).

count(Run) ->
    {reductions, Before} = process_info(self(), reductions),
    Run(),
    {reductions, After} = process_info(self(), reductions),
    After - Before.

%% The median part: what the machine does in between counts towards a few of them.
of_one(Of, Call) ->
    Part = fun() -> _ = [Call() || _ <- lists:seq(1, ?CALLS)], ok end,
    test_store:median([Of(Part) || _ <- lists:seq(1, ?PARTS)]) / ?CALLS.
