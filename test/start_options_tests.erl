%% @doc What start/1 takes, refuses and compares.
-module(start_options_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [{"wrong values are named", {timeout, 120, fun wrong_values/0}},
     {"good values run", {timeout, 120, fun good_values/0}},
     test_store:in_dir("atom and binary keys", fun key_forms/1),
     test_store:in_dir("unknown atom keys are refused", fun unknown_atoms/1),
     test_store:in_dir("unknown binary keys are ignored", fun unknown_binaries/1),
     test_store:titled("name is required", fun names/0),
     test_store:in_dir("the words of durability", fun words/1),
     {"conflicting options", {timeout, 120, fun conflicts/0}},
     {"old flags", {timeout, 60, fun old_flags/0}},
     test_store:titled("numbers and booleans as older callers write them", fun old_spellings/0),
     test_store:in_dir("hyphens stand for underscores", fun hyphens/1),
     test_store:titled("of several keys for one option", fun precedence/0),
     test_store:in_dir("a struct is no map of options", fun structs/1),
     test_store:titled("defaults", fun defaults/0),
     test_store:titled("max_readers is a limit", fun max_readers/0),
     test_store:in_dir("a failed start leaves nothing", fun failed_start/1)].

numbers() ->
    [capacity, write_buffer_bytes, sync_interval_ms, max_value_bytes, max_batch_bytes, max_readers,
     compression_threshold].

switches() -> [checksum, read_only, no_readahead, force].

wrong_values() ->
    NoNumber = [-1, 1 bsl 64, 1 bsl 200, 1.5, many, "10000", [], #{}, {1}, self(), <<1:1>>, <<>>, <<"-1">>,
                <<"+1">>, <<" 1">>, <<"1.5">>, <<"1 ">>, <<"0x1">>, <<"18446744073709551616">>, binary:copy(<<"9">>, 1 bsl 20)],
    NoSwitch = [2, -1, 1.0, yes, <<"yes">>, <<"2">>, <<>>, <<"TRUE">>, "true", [], undefined, #{}, {true}],
    NoWord = [fast, <<"fast">>, 1, "sync", [], {sync}, <<>>, <<"SYNC">>],
    Wrong = [{K, V} || K <- numbers(), V <- NoNumber] ++ [{K, V} || K <- switches(), V <- NoSwitch]
        ++ [{K, V} || K <- [durability, on_unclean, compression], V <- NoWord]
        ++ [{capacity, 0}, {write_buffer_bytes, 0}, {sync_interval_ms, 0}, {max_batch_bytes, 0},
            {max_readers, 0}, {page_size, 0}, {page_size, 2048}, {page_size, 5000}, {page_size, 131072}, {max_value_bytes, 1 bsl 30}],
    [test_store:with_dir(fun(Dir) ->
         ?assertEqual({Form, V, {error, {bad_option, K}}},
                      {Form, V, test_store:start(maps:put(Form, V, #{name => Dir}))}),
         ?assertNot(filelib:is_file(Dir))
     end) || {K, V} <- Wrong, Form <- [K, atom_to_binary(K)]],
    ok.

good_values() ->
    Good = [{durability, sync}, {durability, async}, {durability, map_async}, {capacity, 1 bsl 20}, {capacity, 1 bsl 32},
            {write_buffer_bytes, 1 bsl 20}, {sync_interval_ms, 50}, {sync_interval_ms, 60000},
            {on_unclean, error}, {on_unclean, reset}, {max_value_bytes, 0}, {max_value_bytes, 1000},
            {max_value_bytes, (1 bsl 30) - 1}, {max_batch_bytes, 100000}, {max_readers, 200},
            {compression, none}, {compression, lz4}, {compression, zstd},
            {compression_threshold, 0}, {compression_threshold, 5000},
            {checksum, true}, {checksum, false}, {write_buffer_bytes, 1 bsl 16},
            {no_readahead, true}, {force, true}, {read_only, false}],
    [test_store:with_dir(fun(Dir) ->
         {Form, {ok, S}} = {Form, test_store:start(maps:put(Form, Value, #{name => Dir}))},
         K =/= force andalso ?assertMatch({ok, #{K := V}}, hyper_lmdb:info(S)),
         ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<>>)),
         ?assertEqual({ok, <<>>}, hyper_lmdb:get(S, <<"k">>))
     end)
     || {K, V} <- Good, {Form, Value} <- [{K, V}, {atom_to_binary(K), as_message(V)}]].

%% What arrives from another layer has binaries where we have words.
as_message(V) when is_atom(V) -> atom_to_binary(V);
as_message(V) -> V.

key_forms(Dir) ->
    S = test_store:start_ok(#{<<"name">> => Dir, <<"durability">> => <<"sync">>, checksum => <<"true">>,
                              <<"capacity">> => 1 bsl 30}),
    ?assertMatch({ok, #{durability := sync, checksum := true, capacity := 1073741824}},
                 hyper_lmdb:info(S)).

unknown_atoms(Dir) ->
    [?assertEqual({error, {bad_option, Key}}, test_store:start(#{name => Dir, Key => 1}))
     || Key <- [no_such_option, 'Durability', mapsize, '']],
    ?assertNot(filelib:is_file(Dir)).

unknown_binaries(Dir) ->
    S = test_store:start_ok(#{<<"name">> => Dir, <<"store-module">> => hb_store, <<"ttl">> => 17,
                              <<"no_such_option">> => #{}, <<>> => <<>>}),
    ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v">>)).

names() ->
    ?assertEqual({error, {bad_option, name}}, test_store:start(#{})),
    ?assertEqual({error, {bad_option, name}}, test_store:start(#{durability => sync})),
    [?assertEqual({Bad, {error, {bad_option, name}}}, {Bad, test_store:start(#{name => Bad})})
     || Bad <- [<<>>, <<"/tmp/a", 0, "b">>, [$/, $t, 0], 1, 1.5, {a}, #{}, <<1:1>>, [a | b], self(),
                <<"/tmp/", (binary:copy(<<"x">>, 5000))/binary>>]].

words(Dir) ->
    [begin
         S = test_store:start_ok(#{name => Dir, durability => Word}),
         ?assertEqual(Mode, test_store:info(S, durability)),
         ok = hyper_lmdb:stop(S)
     end || Mode <- test_store:modes(), Word <- [Mode, atom_to_binary(Mode)]].

conflicts() ->
    Running = #{durability => sync, capacity => 1 bsl 30, write_buffer_bytes => 1 bsl 20,
                sync_interval_ms => 500, max_value_bytes => 1000, max_batch_bytes => 100000,
                max_readers => 200, checksum => true, on_unclean => error, read_only => false,
                no_readahead => false},
    Other = #{durability => map_async, capacity => 1 bsl 31, write_buffer_bytes => 1 bsl 21,
              sync_interval_ms => 501, max_value_bytes => 1001, max_batch_bytes => 100001,
              max_readers => 201, checksum => false, on_unclean => reset, read_only => true,
              no_readahead => true},
    test_store:with_store(Running, fun(S, Dir) ->
        ?assertEqual({ok, S}, hyper_lmdb:start(#{name => Dir})),
        ?assertEqual({ok, S}, hyper_lmdb:start(Running#{name => Dir})),
        [?assertEqual({ok, S}, hyper_lmdb:start(#{name => Dir, K => V})) || {K, V} <- maps:to_list(Running)],
        [?assertEqual({error, {conflicting_option, K}}, hyper_lmdb:start(maps:put(Form, V, #{name => Dir})))
         || {K, V} <- maps:to_list(Other), Form <- [K, atom_to_binary(K)]],
        ?assertEqual(ok, hyper_lmdb:put(S, <<"still">>, <<"open">>))
    end).

old_flags() ->
    Ran = fun(Options) -> test_store:with_store(Options, fun(S) -> test_store:info(S, durability) end) end,
    ?assertEqual(async, Ran(#{})),
    ?assertEqual(sync, Ran(#{no_sync => false})),
    ?assertEqual(async, Ran(#{no_sync => true})),
    ?assertEqual(async, Ran(#{<<"no_sync">> => <<"true">>})),
    ?assertEqual(map_async, Ran(#{no_sync => true, map_async => true})),
    ?assertEqual(async, Ran(#{map_async => true, durability => async})),
    ?assertEqual(async, Ran(#{map_async => false})),
    ?assertEqual(map_async, Ran(#{map_async => true})),
    ?assertEqual(map_async, Ran(#{<<"map_async">> => true})),
    ?assertEqual(sync, Ran(#{map_async => true, durability => sync})),
    ?assertEqual(map_async, Ran(#{no_sync => false, durability => map_async})),
    ?assertEqual(Ran(#{}), Ran(#{no_lock => true, no_meta_sync => true, no_tls => true, max_dbs => 5,
                                 no_readahead => true, max_readers => 130})),
    test_store:with_store(#{map_size => 1 bsl 30}, fun(S) ->
        ?assertEqual(1 bsl 30, test_store:info(S, capacity))
    end),
    test_store:with_dir(fun(Dir) ->
        [?assertEqual({error, {bad_option, K}}, test_store:start(#{name => Dir, K => wrong}))
         || K <- [no_sync, map_async, no_lock, no_meta_sync, no_tls, max_dbs]]
    end).

%% Messages carry numbers as text and booleans as numbers: the older library took them, and a store that
%% had `map_size' as text did not start any more.
old_spellings() ->
    [test_store:with_dir(fun(Dir) ->
         {Form, {ok, S}} = {Form, test_store:start(#{<<"name">> => Dir, Form => Value})},
         ?assertEqual({Form, Value, Expected}, {Form, Value, test_store:info(S, Known)})
     end)
     || {Key, Value, Known, Expected} <-
            [{map_size, <<"10737418240">>, capacity, 10737418240}, {capacity, <<"1073741824">>, capacity, 1 bsl 30},
             {max_readers, <<"0200">>, max_readers, 200}]
            ++ [{checksum, On, checksum, true} || On <- [1, <<"1">>, true, <<"true">>]]
            ++ [{checksum, Off, checksum, false} || Off <- [0, <<"0">>, false, <<"false">>]]
            ++ [{no_sync, 0, durability, sync}, {no_sync, <<"1">>, durability, async}, {map_async, 1, durability, map_async}],
        Form <- [Key, atom_to_binary(Key)]],
    test_store:with_store(fun(S) ->
        ok = hyper_lmdb:batch_write(S, [{put, <<"a">>, <<>>}, {put, <<"b">>, <<>>}]),
        ?assertEqual({ok, [<<"a">>], <<"a">>}, hyper_lmdb:list_prefix(S, <<>>, #{<<"limit">> => <<"1">>, <<"return-cursor">> => 1})),
        ?assertEqual({ok, [<<"b">>]}, hyper_lmdb:list(S, <<>>, #{limit => <<"1">>, reverse => <<"1">>})),
        ?assertEqual({ok, [<<"a">>], <<"a">>}, hyper_lmdb:range(S, #{limit => <<"1">>, <<"keys-only">> => <<"true">>}))
    end).

%% `<<"read-only">>' was a key of another layer, so that the store was writable.
hyphens(Dir) ->
    test_store:with_store(#{<<"read-only">> => false}, fun(_) -> ok end),
    ok = hyper_lmdb:stop(test_store:start_ok(#{name => Dir})),
    [begin
         S = test_store:start_ok(#{<<"name">> => Dir, Key => true}),
         ?assertEqual({Key, {error, read_only}}, {Key, hyper_lmdb:put(S, <<"k">>, <<"v">>)}),
         ok = hyper_lmdb:stop(S)
     end || Key <- [<<"read-only">>, 'read-only', <<"read_only">>, read_only]],
    S = test_store:start_ok(#{<<"name">> => Dir, <<"durability">> => <<"map-async">>, <<"max-value-bytes">> => <<"10">>,
                              <<"no-such-option">> => 1}),
    ?assertMatch({ok, #{durability := map_async, max_value_bytes := 10}}, hyper_lmdb:info(S)),
    ?assertEqual({error, {bad_option, 'no-such-option'}}, hyper_lmdb:start(#{name => Dir, 'no-such-option' => 1})).

%% What is passed over is not looked at.
precedence() ->
    Spellings = [max_value_bytes, <<"max_value_bytes">>, 'max-value-bytes', <<"max-value-bytes">>],
    [test_store:with_dir(fun(Dir) ->
         S = test_store:start_ok(maps:from_list([{name, Dir}, {Best, 7} | [{Key, wrong} || Key <- Passed]])),
         ?assertEqual({Best, 7}, {Best, test_store:info(S, max_value_bytes)})
     end) || N <- lists:seq(1, 4), [Best | Passed] <- [lists:nthtail(N - 1, Spellings)]],
    ok.

%% It was `{bad_option, '__struct__'}', which says nothing to who does not know what a struct is made of.
structs(Dir) ->
    Struct = #{'__struct__' => 'Elixir.MyApp.Config', name => Dir},
    S = test_store:start_ok(#{name => Dir}),
    [begin
         {Text, _} = {bad_argument_tests:explained(F, Args, length(Args)), F},
         ?assertMatch({match, _}, re:run(Text, "struct.*Map.from_struct"))
     end || {F, Args} <- [{start, [Struct]}, {child_spec, [Struct]}, {range, [S, Struct]}, {list, [S, <<>>, Struct]},
                          {list_prefix, [S, <<>>, Struct]}, {backup, [S, <<Dir/binary, "/copy">>, Struct]},
                          {fold, [S, fun(_, _, Acc) -> Acc end, 0, Struct]}]].

defaults() ->
    test_store:with_store(fun(S) ->
        ?assertMatch({ok, #{durability := async, capacity := 1099511627776,
                            write_buffer_bytes := 67108864, sync_interval_ms := 100,
                            max_value_bytes := 1073741823, max_batch_bytes := 268435456,
                            checksum := false, read_only := false}},
                     hyper_lmdb:info(S)),
        ?assert(test_store:info(S, reader_slots) >= 126)
    end),
    test_store:with_store(#{durability => sync}, fun(S) ->
        ?assertMatch({ok, #{capacity := 1099511627776, sync_interval_ms := 100}}, hyper_lmdb:info(S))
    end),
    test_store:with_store(#{durability => map_async}, fun(S) ->
        ?assertMatch({ok, #{capacity := 10737418240, sync_interval_ms := 1000}}, hyper_lmdb:info(S))
    end).

max_readers() ->
    test_store:with_store(#{max_readers => 300}, fun(S) ->
        ?assert(test_store:info(S, reader_slots) >= 300)
    end).

failed_start(Dir) ->
    {error, {bad_option, capacity}} = test_store:start(#{name => Dir, capacity => bad}),
    ?assertEqual({error, not_started}, hyper_lmdb:get(#{name => Dir}, <<"k">>)),
    S = test_store:start_ok(#{name => Dir}),
    ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v">>)).
