%% @doc get, put, delete, exists, put_new, read_many_fast: what they answer on an open store.
-module(exact_keys_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:in_each_mode("put, get, overwrite, delete", fun life_of_a_key/1),
     test_store:in_each_mode("put_new", fun put_new/1),
     test_store:in_each_mode("read_many_fast", fun read_many_fast/1),
     test_store:in_each_mode("read_many_fast keeps order and doubles", fun read_many_order/1),
     test_store:in_each_mode("read_many of plain keys", fun read_many/1),
     test_store:in_each_mode("empty values", fun empty_values/1),
     test_store:in_each_mode("values of every first byte", fun every_first_byte/1),
     test_store:in_each_mode("keys of any bytes", fun any_key_bytes/1),
     test_store:in_each_mode("longest key, and one longer", fun key_lengths/1),
     test_store:in_each_mode("empty key", fun empty_key/1),
     test_store:in_each_mode("reserved key", fun reserved_key/1),
     test_store:in_each_mode("lists as keys", fun list_keys/1),
     test_store:in_each_mode("lists that join to a longest key, and longer", fun long_lists/1),
     test_store:in_each_mode("a list of a million binaries is no work", fun million_parts/1),
     test_store:in_each_mode("values of many sizes", fun value_sizes/1),
     test_store:in_each_mode("a value of 100 MB", fun large_value/1),
     test_store:in_each_mode("sub-binaries", fun sub_binaries/1)].

life_of_a_key(S) ->
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"k">>)),
    ?assertEqual(false, hyper_lmdb:exists(S, <<"k">>)),
    ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v1">>)),
    ?assertEqual({ok, <<"v1">>}, hyper_lmdb:get(S, <<"k">>)),
    ?assertEqual(true, hyper_lmdb:exists(S, <<"k">>)),
    ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v2, longer">>)),
    ?assertEqual({ok, <<"v2, longer">>}, hyper_lmdb:get(S, <<"k">>)),
    ?assertEqual(ok, hyper_lmdb:delete(S, <<"k">>)),
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"k">>)),
    ?assertEqual(false, hyper_lmdb:exists(S, <<"k">>)),
    ?assertEqual(ok, hyper_lmdb:delete(S, <<"k">>)),
    ?assertEqual(0, test_store:count(S)).

put_new(S) ->
    ?assertEqual(ok, hyper_lmdb:put_new(S, <<"k">>, <<"first">>)),
    ?assertEqual({error, exists}, hyper_lmdb:put_new(S, <<"k">>, <<"second">>)),
    ?assertEqual({ok, <<"first">>}, hyper_lmdb:get(S, <<"k">>)),
    ok = hyper_lmdb:put(S, <<"empty">>, <<>>),
    ?assertEqual({error, exists}, hyper_lmdb:put_new(S, <<"empty">>, <<"x">>)),
    ok = hyper_lmdb:delete(S, <<"k">>),
    ?assertEqual(ok, hyper_lmdb:put_new(S, <<"k">>, <<"third">>)),
    ?assertEqual({ok, <<"third">>}, hyper_lmdb:get(S, <<"k">>)).

read_many_fast(S) ->
    ok = hyper_lmdb:put(S, <<"a">>, <<"1">>),
    ok = hyper_lmdb:put(S, <<"b">>, <<>>),
    ?assertEqual({ok, []}, hyper_lmdb:read_many_fast(S, [])),
    ?assertEqual({ok, [{<<"a">>, {ok, <<"1">>}}, {<<"no">>, not_found}, {<<"b">>, {ok, <<>>}}]},
                 hyper_lmdb:read_many_fast(S, [<<"a">>, <<"no">>, <<"b">>])),
    Long = test_store:too_long(S),
    ?assertEqual({ok, [{<<>>, {error, bad_key}}, {<<"a">>, {ok, <<"1">>}},
                       {Long, {error, key_too_large}},
                       {<<0, "hyper_lmdb">>, {error, bad_key}}]},
                 hyper_lmdb:read_many_fast(S, [<<>>, <<"a">>, Long, <<0, "hyper_lmdb">>])).

read_many_order(S) ->
    Keys = [<<I:32>> || I <- lists:seq(1, 5000)],
    ok = hyper_lmdb:batch_write(S, [{put, K, <<"v", K/binary>>} || K <- Keys]),
    Shuffled = [K || {_, K} <- lists:sort([{erlang:phash2(K), K} || K <- Keys ++ Keys])],
    ?assertEqual({ok, [{K, {ok, <<"v", K/binary>>}} || K <- Shuffled]},
                 hyper_lmdb:read_many_fast(S, Shuffled)).

%% Keys without empty segments, and without links on the way, are paths to themselves.
read_many(S) ->
    Keys = [<<"a/", (integer_to_binary(I))/binary>> || I <- lists:seq(1, 1000)],
    ok = hyper_lmdb:batch_write(S, [{put, K, <<"v", K/binary>>} || K <- Keys]),
    ?assertEqual({ok, []}, hyper_lmdb:read_many(S, [])),
    ?assertEqual({ok, [{<<"a/9">>, {ok, <<"va/9">>}}, {<<"no">>, not_found}, {<<"a">>, not_found},
                       {<<"a/9">>, {ok, <<"va/9">>}}]},
                 hyper_lmdb:read_many(S, [<<"/a//9/">>, <<"no">>, <<"a">>, [<<"a">>, <<"9">>]])),
    ?assertEqual({ok, [{K, {ok, <<"v", K/binary>>}} || K <- Keys]}, hyper_lmdb:read_many(S, Keys)).

empty_values(S) ->
    ok = hyper_lmdb:put(S, <<"k">>, <<>>),
    ?assertEqual({ok, <<>>}, hyper_lmdb:get(S, <<"k">>)),
    ?assertEqual(true, hyper_lmdb:exists(S, <<"k">>)).

%% A value must never be taken for something else by its first bytes.
every_first_byte(S) ->
    Values = [<<Byte, Rest/binary>> || Byte <- lists:seq(0, 255),
                                       Rest <- [<<>>, <<0>>, <<"hyper_lmdb">>, <<255, 255, 255>>]],
    ok = hyper_lmdb:batch_write(S, [{put, <<"v", V/binary>>, V} || V <- Values]),
    [?assertEqual({ok, V}, hyper_lmdb:get(S, <<"v", V/binary>>)) || V <- Values],
    [begin
         ok = hyper_lmdb:put(S, <<"single">>, V),
         ?assertEqual({ok, V}, hyper_lmdb:get(S, <<"single">>))
     end || V <- Values].

any_key_bytes(S) ->
    Keys = [<<0>>, <<0, 0>>, <<0, 0, 0>>, <<255>>, <<255, 255>>, <<0, 255, 0>>, <<"a", 0>>, <<"a">>,
            <<"a", 0, "b">>, <<0, "hyper_lmd">>, <<0, "hyper_lmdb", 0>>, <<0, "hyper_lmdbx">>,
            <<0, "hyper_lmdc">>, <<"/">>, <<"//">>, <<"a/">>, <<"/a">>, <<"a//b">>, <<"a/b">>,
            <<195, 40>>, binary:copy(<<0>>, test_store:longest_key(S)),
            binary:copy(<<255>>, test_store:longest_key(S))]
        ++ [<<Byte>> || Byte <- lists:seq(1, 254)],
    [ok = hyper_lmdb:put(S, K, <<"value of ", K/binary>>) || K <- Keys],
    [?assertEqual({ok, <<"value of ", K/binary>>}, hyper_lmdb:get(S, K)) || K <- Keys],
    ?assertEqual(length(lists:usort(Keys)), test_store:count(S)),
    [ok = hyper_lmdb:delete(S, K) || K <- Keys],
    [?assertEqual(not_found, hyper_lmdb:get(S, K)) || K <- Keys],
    ?assertEqual(0, test_store:count(S)).

key_lengths(S) ->
    Longest = binary:copy(<<"k">>, test_store:longest_key(S)),
    ok = hyper_lmdb:put(S, Longest, <<"v">>),
    ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, Longest)),
    refused_everywhere(S, test_store:too_long(S), key_too_large),
    refused_everywhere(S, binary:copy(<<"k">>, 100000), key_too_large),
    ?assertEqual(1, test_store:count(S)).

empty_key(S) -> refused_everywhere(S, <<>>, bad_key).

reserved_key(S) ->
    refused_everywhere(S, <<0, "hyper_lmdb">>, bad_key),
    ?assertEqual(0, test_store:count(S)).

refused_everywhere(S, Key, Reason) ->
    ?assertEqual({error, Reason}, hyper_lmdb:get(S, Key)),
    ?assertEqual({error, Reason}, hyper_lmdb:put(S, Key, <<"v">>)),
    ?assertEqual({error, Reason}, hyper_lmdb:delete(S, Key)),
    ?assertEqual({error, Reason}, hyper_lmdb:exists(S, Key)),
    ?assertEqual({error, Reason}, hyper_lmdb:put_new(S, Key, <<"v">>)),
    ?assertEqual({ok, [{Key, {error, Reason}}]}, hyper_lmdb:read_many_fast(S, [Key])),
    [?assertEqual({error, {2, Reason}}, hyper_lmdb:batch_write(S, [{put, <<"other">>, <<>>}, Op]))
     || Op <- [{put, Key, <<"v">>}, {delete, Key}, {check, Key, <<"v">>}, {check, Key, absent}]],
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"other">>)).

list_keys(S) ->
    ok = hyper_lmdb:put(S, [<<"a">>, <<"b">>, <<"c">>], <<"joined">>),
    ?assertEqual({ok, <<"joined">>}, hyper_lmdb:get(S, <<"a/b/c">>)),
    ?assertEqual({ok, <<"joined">>}, hyper_lmdb:get(S, [<<"a/b">>, <<"c">>])),
    ?assertEqual({ok, <<"joined">>}, hyper_lmdb:get(S, [<<>>, <<"a">>, <<>>, <<"b">>, <<"c">>, <<>>])),
    ?assertEqual(true, hyper_lmdb:exists(S, [<<"a">>, <<"b">>, <<"c">>])),
    ?assertEqual({error, exists}, hyper_lmdb:put_new(S, [<<"a">>, <<"b/c">>], <<>>)),
    ?assertEqual({error, bad_key}, hyper_lmdb:get(S, [])),
    ?assertEqual({error, bad_key}, hyper_lmdb:get(S, [<<>>, <<>>])),
    ?assertEqual({error, key_too_large},
                 hyper_lmdb:get(S, [<<"x">>, test_store:too_long(S)])),
    ok = hyper_lmdb:batch_write(S, [{check, [<<"a">>, <<"b">>, <<"c">>], <<"joined">>},
                                    {put, [<<"x">>, <<"y">>], <<"in a batch">>}]),
    ?assertEqual({ok, <<"in a batch">>}, hyper_lmdb:get(S, <<"x/y">>)),
    {ok, [{_, Found}]} = hyper_lmdb:read_many(S, [[<<"x">>, <<"y">>]]),
    ?assertEqual({ok, <<"in a batch">>}, Found),
    ok = hyper_lmdb:delete(S, [<<"a">>, <<"b">>, <<"c">>]),
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"a/b/c">>)).

long_lists(S) ->
    N = test_store:longest_key(S),
    Most = (N - 1) div 2,
    %% So many short parts, and one that brings the whole to so many bytes.
    Joined = fun(Count, Size) -> lists:duplicate(Count, <<"a">>) ++ [binary:copy(<<"b">>, Size - 2 * Count)] end,
    Longest = [Joined(0, N), Joined(10, N), Joined(Most, N), [binary:copy(<<"a/">>, Most) | Joined(0, N - 2 * Most)],
               lists:duplicate(2000, <<"/">>) ++ Joined(Most, N) ++ lists:duplicate(2000, <<>>),
               lists:duplicate(100, "a//a") ++ Joined(0, N - 400)],
    [begin
         ok = hyper_lmdb:put(S, Key, <<"v">>),
         ?assertEqual(N, byte_size(hyper_lmdb:path(S, Key))),
         ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, hyper_lmdb:path(S, Key))),
         ?assertEqual({ok, <<"v">>}, hyper_lmdb:read(S, Key))
     end || Key <- Longest],
    [[?assertEqual({error, key_too_large}, hyper_lmdb:F(S, Key)) || F <- [get, delete, read, type, list]]
     || Key <- [Joined(Count, N + 1) || Count <- [0, 1, 10, Most]]
               ++ [[Part | Key] || Key <- Longest, Part <- [<<"a">>, "a", a]] ++ [Key ++ ["/a"] || Key <- Longest]].

million_parts(S) ->
    Parts = lists:duplicate(1000000, <<"a">>),
    Joined = iolist_to_binary(lists:join($/, Parts)),
    Before = reductions(),
    [?assertEqual({F, {error, key_too_large}}, {F, apply(hyper_lmdb, F, [S, Parts | Rest])})
     || {F, Rest} <- [{get, []}, {put, [<<>>]}, {delete, []}, {exists, []}, {put_new, [<<>>]}, {read, []}, {write, [<<>>]},
                      {make_group, []}, {make_link, [<<"l">>]}, {type, []}, {list, []}, {resolve, []}]],
    ?assertEqual({error, key_too_large}, hyper_lmdb:make_link(S, <<"l">>, Parts)),
    [?assertEqual({error, {2, key_too_large}}, hyper_lmdb:batch_write(S, [{put, <<"a">>, <<>>}, Op]))
     || Op <- [{put, Parts, <<>>}, {delete, Parts}, {check, Parts, absent}, {group, Parts}, {link, <<"l">>, Parts}]],
    [?assertError(badarg, hyper_lmdb:F(S, Parts ++ Tail)) || F <- [get, read, delete], Tail <- [[1], [<<1:1>>], <<"a">>]],
    %% Joined they would take thousands a part.
    ?assert(reductions() - Before < 50 * 25 * 1000000),
    %% Where the path is in the answer it is whole.
    ?assertEqual({ok, [{Joined, {error, key_too_large}}]}, hyper_lmdb:read_many(S, [Parts])).

reductions() -> element(2, process_info(self(), reductions)).

%% Around the sizes at which heap binaries, pages and overflow pages change hands.
value_sizes(S) ->
    Sizes = lists:usort([N + D || N <- [1, 64, 512, 2000, 4096, 8192, 65536, 524288, 1048576],
                                  D <- [-1, 0, 1]]),
    Values = [{<<"size ", (integer_to_binary(N))/binary>>, rand:bytes(N)} || N <- Sizes],
    [ok = hyper_lmdb:put(S, K, V) || {K, V} <- Values],
    [?assertEqual({ok, V}, hyper_lmdb:get(S, K)) || {K, V} <- Values],
    {ok, Found} = hyper_lmdb:read_many(S, [K || {K, _} <- Values]),
    ?assertEqual([{K, {ok, V}} || {K, V} <- Values], Found).

large_value(S) ->
    Value = rand:bytes(100 * 1000 * 1000),
    ok = hyper_lmdb:put(S, <<"large">>, Value),
    {ok, Found} = hyper_lmdb:get(S, <<"large">>),
    ?assert(Found =:= Value),
    {ok, [{_, {ok, Again}}]} = hyper_lmdb:read_many(S, [<<"large">>]),
    ?assert(Again =:= Value),
    ok = hyper_lmdb:put(S, <<"small">>, <<"s">>),
    ok = hyper_lmdb:delete(S, <<"large">>),
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"large">>)),
    ?assertEqual({ok, <<"s">>}, hyper_lmdb:get(S, <<"small">>)).

sub_binaries(S) ->
    Large = rand:bytes(100000),
    <<_:3, Key:20/binary, Value:5000/binary, _/bitstring>> = Large,
    ok = hyper_lmdb:put(S, Key, Value),
    ?assertEqual({ok, binary:copy(Value)}, hyper_lmdb:get(S, binary:copy(Key))).
