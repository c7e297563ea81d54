%% @doc A store that reaches its capacity: map_full, decided before a write is acknowledged.
-module(capacity_tests).
-include_lib("eunit/include/eunit.hrl").
-export([log/2]).

-define(CAPACITY, (4 bsl 20)).

all_test_() ->
    [in_each_mode("fill, delete, go on", fun fill_delete_go_on/2),
     in_each_mode("a batch that cannot fit", fun batch_that_cannot_fit/2),
     in_each_mode("large values", fun large_values/2),
     in_each_mode("reset makes room", fun reset_makes_room/2),
     in_each_mode("1,000 mixed writers at the limit", fun mixed_writers/2),
     in_each_mode("overwriting needs no more room", fun overwriting/2),
     in_each_mode("a larger capacity at the next start", fun larger_next_time/2),
     in_each_mode("a capacity below what is there", fun smaller_next_time/2),
     test_store:titled("little address space", 120, fun little_address_space/0)].

in_each_mode(Title, Fun) ->
    test_store:each_mode(Title, 240, fun(Mode) ->
        Options = #{durability => Mode, capacity => ?CAPACITY},
        test_store:with_store(Options, fun(S, Dir) -> Fun(S, Options#{name => Dir}) end)
    end).

key(I) -> <<"key ", I:32>>.
value(I) -> binary:copy(<<I:32>>, 500).

%% Writes until the store is full, in batches as long as they fit; how many values are there then.
fill(S, I) ->
    case hyper_lmdb:batch_write(S, [{put, key(J), value(J)} || J <- lists:seq(I, I + 49)]) of
        ok -> fill(S, I + 50);
        {error, map_full} -> fill_singly(S, I)
    end.

fill_singly(S, I) ->
    case hyper_lmdb:put(S, key(I), value(I)) of
        ok -> fill_singly(S, I + 1);
        {error, map_full} -> I
    end.

all_there(S, From, To) ->
    [?assertEqual({ok, value(I)}, hyper_lmdb:get(S, key(I))) || I <- lists:seq(From, To)].

fill_delete_go_on(S, Options) ->
    Full = fill(S, 0),
    %% Pages hold one value of 2,000 bytes or two: a quarter of the capacity is the least.
    ?assert(Full * 2000 > ?CAPACITY div 4),
    all_there(S, 0, Full - 1),
    ?assertEqual(not_found, hyper_lmdb:get(S, key(Full))),
    ?assertEqual({error, map_full}, hyper_lmdb:put(S, key(Full), value(Full))),
    ?assertEqual({error, map_full}, hyper_lmdb:put_new(S, key(Full), value(Full))),
    ?assertEqual({error, exists}, hyper_lmdb:put_new(S, key(0), value(0))),
    ?assertEqual({error, map_full}, hyper_lmdb:batch_write(S, [{put, key(Full), value(Full)}])),
    ?assertEqual(ok, hyper_lmdb:batch_write(S, [{check, key(0), value(0)}])),
    [?assertEqual(ok, hyper_lmdb:delete(S, key(I))) || I <- lists:seq(0, Full div 2 - 1)],
    all_there(S, Full div 2, Full - 1),
    Again = fill(S, Full),
    ?assert(Again - Full >= Full div 4),
    all_there(S, Full div 2, Again - 1),
    S2 = test_store:restart(S, Options),
    all_there(S2, Full div 2, Again - 1),
    ?assertEqual(Again - Full div 2, test_store:info(S2, entries)).

batch_that_cannot_fit(S, _) ->
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    Batch = [{delete, <<"k">>} | [{put, key(I), value(I)} || I <- lists:seq(1, 4000)]],
    ?assertEqual({error, map_full}, hyper_lmdb:batch_write(S, Batch)),
    ?assertEqual(1, test_store:count(S)),
    ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, <<"k">>)),
    ?assertEqual(ok, hyper_lmdb:batch_write(S, lists:sublist(Batch, 300))).

large_values(S, _) ->
    ?assertEqual({error, map_full}, hyper_lmdb:put(S, <<"huge">>, rand:bytes(2 * ?CAPACITY))),
    Large = rand:bytes(?CAPACITY div 4),
    Stored = length(lists:takewhile(fun(I) -> ok =:= hyper_lmdb:put(S, <<I>>, Large) end, lists:seq(1, 10))),
    ?assert(Stored >= 1 andalso Stored =< 4),
    [begin
         ok = hyper_lmdb:delete(S, <<1>>),
         ?assertEqual(ok, hyper_lmdb:put(S, <<1>>, Large))
     end || _ <- lists:seq(1, 20)],
    [?assertEqual({ok, Large}, hyper_lmdb:get(S, <<I>>)) || I <- lists:seq(1, Stored)].

reset_makes_room(S, _) ->
    [begin
         Full = fill(S, 0),
         ?assert(Full > 100),
         ?assertEqual(ok, hyper_lmdb:reset(S)),
         ?assertEqual(0, test_store:count(S))
     end || _ <- lists:seq(1, 3)].

mixed_writers(S, _) ->
    Results = test_store:in_parallel(1000, fun(I) ->
        [{I * 10 + J, case (I + J) rem 3 of
             0 -> hyper_lmdb:batch_write(S, [{put, key(I * 10 + J), value(I * 10 + J)}, {delete, <<"no">>}]);
             _ -> hyper_lmdb:put(S, key(I * 10 + J), value(I * 10 + J))
         end} || J <- lists:seq(1, 4)]
    end),
    Outcomes = lists:append(Results),
    ?assertEqual([ok, {error, map_full}], lists:usort([R || {_, R} <- Outcomes])),
    [case R of
         ok -> ?assertEqual({ok, value(K)}, hyper_lmdb:get(S, key(K)));
         _ -> ?assertEqual(not_found, hyper_lmdb:get(S, key(K)))
     end || {K, R} <- Outcomes].

%% Half full, then each value written over many times: old pages must be used again.
overwriting(S, _) ->
    Keys = lists:seq(1, ?CAPACITY div 8000),
    [?assertEqual({Round, ok}, {Round, hyper_lmdb:put(S, key(I), value(I + Round))})
     || Round <- lists:seq(1, 6), I <- Keys],
    [?assertEqual({ok, value(I + 6)}, hyper_lmdb:get(S, key(I))) || I <- Keys].

larger_next_time(S, Options) ->
    Full = fill(S, 0),
    S2 = test_store:restart(S, Options#{capacity => 4 * ?CAPACITY}),
    ?assertEqual(ok, hyper_lmdb:put(S2, key(Full), value(Full))),
    More = fill(S2, Full),
    ?assert(More > 2 * Full),
    all_there(S2, 0, More - 1),
    %% A smaller one again: what is there stays, and can be read and deleted.
    S3 = test_store:restart(S2, Options),
    all_there(S3, 0, More - 1),
    ?assertEqual({error, map_full}, hyper_lmdb:put(S3, key(More), value(More))),
    ?assertEqual(ok, hyper_lmdb:delete(S3, key(0))).

%% What frees was map_full, too, in a store that was larger than the capacity it was started with.
smaller_next_time(S, #{name := Dir} = Options) ->
    Value = rand:bytes(1000),
    [ok = hyper_lmdb:put(S, <<I:32>>, Value) || I <- lists:seq(1, 1000)],
    Small = Options#{capacity => 1 bsl 18},
    S2 = test_store:restart(S, Small),
    ?assertEqual({error, map_full}, hyper_lmdb:put(S2, <<"more">>, Value)),
    ?assertEqual({ok, 1000}, hyper_lmdb:delete_prefix(S2, <<>>)),
    ok = hyper_lmdb:put(S2, <<"more">>, Value),
    S3 = test_store:restart(S2, Options#{name => Dir}),
    [ok = hyper_lmdb:put(S3, <<I:32>>, Value) || I <- lists:seq(1, 1000)],
    S4 = test_store:restart(S3, Small),
    ?assertEqual(ok, hyper_lmdb:reset(S4)),
    ?assertEqual(0, test_store:count(S4)).

%% Who asked for a capacity got less, and neither he nor who had the default was told.
little_address_space() ->
    test_store:with_dir(fun(Dir) ->
        Peer = child_vm:start_peer({"/bin/sh", ["-c", "ulimit -v 12000000; exec erl \"$@\"", "sh"]}, []),
        child_vm:call(Peer, fun() ->
            ok = logger:add_handler(?MODULE, ?MODULE, #{config => self(), level => notice}),
            Default = #{name => <<Dir/binary, "/default">>},
            {ok, S} = hyper_lmdb:start(Default),
            {ok, #{capacity := Capacity, capacity_reduced := true}} = hyper_lmdb:info(S),
            ?assert(Capacity < 12 bsl 30),
            ?assertEqual(1, told(Capacity)),
            {ok, S} = hyper_lmdb:start(Default),
            ?assertEqual(0, told(Capacity)),
            ?assertEqual({error, no_memory},
                         hyper_lmdb:start(#{name => <<Dir/binary, "/given">>, capacity => 1 bsl 40})),
            {ok, Given} = hyper_lmdb:start(#{name => <<Dir/binary, "/given">>, capacity => 1 bsl 27}),
            {ok, #{capacity := 134217728, capacity_reduced := false}} = hyper_lmdb:info(Given)
        end),
        child_vm:stop_peer(Peer)
    end).

%% How many events in the log so far were about this capacity.
told(Capacity) ->
    receive
        {logged, #{msg := {Format, Args}}} ->
            Text = lists:flatten(io_lib:format(Format, Args)),
            length([found || string:find(Text, integer_to_list(Capacity)) =/= nomatch]) + told(Capacity)
    after 0 -> 0
    end.

log(Event, #{config := Pid}) -> Pid ! {logged, Event}.
