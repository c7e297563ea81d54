%% @doc checksum => true: damage in the file shows as checksum_mismatch, never as a wrong value.
-module(checksum_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:each_mode("round trip", 60, fun round_trip/1),
     test_store:each_mode("a flipped byte is found", 60, fun flipped/1),
     test_store:each_mode("a flipped byte of a link is found", 60, fun flipped_link/1),
     test_store:each_mode("without checksums it is not", 60, fun not_flipped/1),
     test_store:titled("the option may change between starts", fun mixed/0)].

round_trip(Mode) ->
    test_store:with_store(#{durability => Mode, checksum => true}, fun(S, Dir) ->
        Values = [{<<N:32>>, rand:bytes(N)} || N <- [0, 1, 7, 8, 63, 100, 2000, 4096, 100000]],
        [ok = hyper_lmdb:put(S, K, V) || {K, V} <- Values],
        [?assertEqual({ok, V}, hyper_lmdb:get(S, K)) || {K, V} <- Values],
        ?assertEqual({ok, [{K, {ok, V}} || {K, V} <- Values]}, hyper_lmdb:read_many_fast(S, [K || {K, _} <- Values])),
        ?assertEqual(ok, hyper_lmdb:batch_write(S, [{check, K, V} || {K, V} <- Values])),
        S2 = test_store:restart(S, #{name => Dir, durability => Mode, checksum => true}),
        [?assertEqual({ok, V}, hyper_lmdb:get(S2, K)) || {K, V} <- Values]
    end).

%% Stores two values and flips a bit of the first in the closed file.
with_damage(Options, Fun) ->
    test_store:with_store(Options, fun(S, Dir) ->
        [with_damage(S, Dir, Options, rand:bytes(Size), Fun) || Size <- [50, 30000]]
    end).

with_damage(S0, Dir, Options, Value, Fun) ->
    _ = hyper_lmdb:stop(S0),
    S = test_store:start_ok(Options#{name => Dir}),
    ok = hyper_lmdb:batch_write(S, [{put, <<"damaged">>, Value}, {put, <<"whole">>, <<"whole">>}]),
    ok = hyper_lmdb:stop(S),
    Damaged = flip(filename:join(Dir, "data.mdb"), Value),
    S2 = test_store:start_ok(Options#{name => Dir}),
    Fun(S2, Value, Damaged),
    ?assertEqual({ok, <<"whole">>}, hyper_lmdb:get(S2, <<"whole">>)),
    ?assertEqual(ok, hyper_lmdb:put(S2, <<"damaged">>, <<"mended">>)),
    ?assertEqual({ok, <<"mended">>}, hyper_lmdb:get(S2, <<"damaged">>)),
    ok = hyper_lmdb:stop(S2).

%% Every copy of the value in the file, old pages too; what it reads as then.
flip(File, Value) ->
    {ok, Bytes} = file:read_file(File),
    Places = binary:matches(Bytes, Value),
    ?assert(Places =/= []),
    Middle = byte_size(Value) div 2,
    <<Before:Middle/binary, Byte, After/binary>> = Value,
    {ok, Fd} = file:open(File, [read, write, raw, binary]),
    [ok = file:pwrite(Fd, Start + Middle, <<(Byte bxor 4)>>) || {Start, _} <- Places],
    ok = file:close(Fd),
    <<Before/binary, (Byte bxor 4), After/binary>>.

flipped_link(Mode) ->
    test_store:with_store(#{durability => Mode, checksum => true}, fun(S, Dir) ->
        Target = binary:copy(<<"t">>, 50),
        ok = hyper_lmdb:batch_write(S, [{group, <<"l">>}, {link, Target, <<"l">>}]),
        ok = hyper_lmdb:stop(S),
        _ = flip(filename:join(Dir, "data.mdb"), Target),
        S2 = test_store:start_ok(#{name => Dir, durability => Mode}),
        [?assertEqual({error, checksum_mismatch}, Answer)
         || Answer <- [hyper_lmdb:read_link(S2, <<"l">>), hyper_lmdb:read(S2, <<"l">>),
                       hyper_lmdb:range(S2, #{records => true})]]
    end).

flipped(Mode) ->
    with_damage(#{durability => Mode, checksum => true}, fun(S, Value, Damaged) ->
        ?assertEqual({error, checksum_mismatch}, hyper_lmdb:get(S, <<"damaged">>)),
        ?assertEqual({ok, [{<<"whole">>, {ok, <<"whole">>}}, {<<"damaged">>, {error, checksum_mismatch}}]},
                     hyper_lmdb:read_many_fast(S, [<<"whole">>, <<"damaged">>])),
        [?assertEqual({error, checksum_mismatch}, hyper_lmdb:range(S, #{records => Records})) || Records <- [true, false]],
        [?assertEqual({error, checksum_mismatch}, hyper_lmdb:batch_write(S, [{check, <<"damaged">>, V}]))
         || V <- [Value, Damaged]]
    end).

%% Shows that the byte was one of the value, and that only the checksum told.
not_flipped(Mode) ->
    with_damage(#{durability => Mode, checksum => false}, fun(S, _, Damaged) ->
        ?assertEqual({ok, Damaged}, hyper_lmdb:get(S, <<"damaged">>))
    end).

mixed() ->
    test_store:with_store(#{checksum => true}, fun(S, Dir) ->
        ok = hyper_lmdb:put(S, <<"with">>, <<"1">>),
        S2 = test_store:restart(S, #{name => Dir, checksum => false}),
        ok = hyper_lmdb:put(S2, <<"without">>, <<"2">>),
        ?assertEqual({ok, <<"1">>}, hyper_lmdb:get(S2, <<"with">>)),
        S3 = test_store:restart(S2, #{name => Dir, checksum => true}),
        ?assertEqual({ok, <<"1">>}, hyper_lmdb:get(S3, <<"with">>)),
        ?assertEqual({ok, <<"2">>}, hyper_lmdb:get(S3, <<"without">>))
    end).
