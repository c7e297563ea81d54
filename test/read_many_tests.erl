%% @doc What read_many makes of many values at once: each is itself, in order, whatever it shares its
%% memory with.
-module(read_many_tests).

-include_lib("eunit/include/eunit.hrl").

%% One byte to each side of where a value gets memory of its own.
-define(SIZES, [0, 1, 63, 64, 65, 66, 100, 511, 512, 513, 4095, 4096, 4097, 70000]).
-define(MOST_SHARED, 4096).

read_many_test_() ->
    [test_store:in_each_mode("values of all sizes, mixed", fun mixed/1),
     test_store:in_each_mode("too many bytes for a scheduler: known after some values, and found on the way",
                             fun too_many_bytes/1),
     test_store:in_each_mode("a kept value holds little memory", fun little_kept/1),
     test_store:in_each_mode("hits, misses and wrong keys between them", fun between/1)].

mixed(S) ->
    _ = test_store:seed(),
    Pairs = [{integer_to_binary(I), rand:bytes(pick(?SIZES))} || I <- lists:seq(1, 400)],
    ok = hyper_lmdb:batch_write(S, [{put, K, V} || {K, V} <- Pairs]),
    [begin
         %% 200 run on the scheduler, where they hold less than its share of bytes; 2,000 never do.
         Asked = [pick(Pairs) || _ <- lists:seq(1, Count)],
         Keys = [K || {K, _} <- Asked],
         Wanted = {ok, [{K, {ok, V}} || {K, V} <- Asked]},
         ?assertEqual(Wanted, hyper_lmdb:read_many(S, Keys)),
         ?assertEqual(Wanted, hyper_lmdb:read_many_fast(S, Keys))
     end || Count <- [1, 2, 3, 40, 41, 200, 2000]].

%% 100 values of 16 KiB are read on the scheduler, 150 are too much; the small ones promise less.
too_many_bytes(S) ->
    Large = [{<<"large", (integer_to_binary(I))/binary>>, binary:copy(<<I:16>>, 8192)} || I <- lists:seq(1, 150)],
    Small = [{<<"small", (integer_to_binary(I))/binary>>, <<I:16>>} || I <- lists:seq(1, 20)],
    [ok = hyper_lmdb:batch_write(S, [{put, K, V}]) || {K, V} <- Large ++ Small],
    [begin
         Wanted = {ok, [{K, {ok, V}} || {K, V} <- Asked]},
         Keys = [K || {K, _} <- Asked],
         ?assertEqual(Wanted, hyper_lmdb:read_many(S, Keys)),
         ?assertEqual(Wanted, hyper_lmdb:read_many_fast(S, Keys))
     end || Asked <- [lists:sublist(Large, 100), Large, Small ++ Large]].

little_kept(S) ->
    Keys = [integer_to_binary(I) || I <- lists:seq(1, 1000)],
    ok = hyper_lmdb:batch_write(S, [{put, K, binary:copy(K, 100 div byte_size(K))} || K <- Keys]),
    {ok, Results} = hyper_lmdb:read_many(S, Keys),
    [?assert(binary:referenced_byte_size(V) =< ?MOST_SHARED) || {_, {ok, V}} <- Results],
    {ok, [{_, {ok, Alone}}]} = hyper_lmdb:read_many(S, [hd(Keys)]),
    ?assertEqual(byte_size(Alone), binary:referenced_byte_size(Alone)).

between(S) ->
    V = binary:copy(<<"v">>, 100),
    ok = hyper_lmdb:batch_write(S, [{put, <<"a">>, V}, {put, <<"b">>, <<V/binary, "b">>}]),
    Long = test_store:too_long(S),
    ?assertEqual({ok, [{<<"a">>, {ok, V}}, {Long, {error, key_too_large}}, {<<"x">>, not_found},
                       {<<"b">>, {ok, <<V/binary, "b">>}}, {<<"a">>, {ok, V}}]},
                 hyper_lmdb:read_many(S, [<<"a">>, Long, <<"x">>, <<"b">>, <<"a">>])),
    ?assertEqual({ok, []}, hyper_lmdb:read_many(S, [])).

pick(List) -> lists:nth(rand:uniform(length(List)), List).
