%% @doc start, stop, handles, spellings of a directory, reset, sync, info, scope.
-module(lifecycle_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:in_each_mode("data outlives a stop", fun data_outlives_stop/2),
     test_store:in_each_mode("a stopped handle stays closed", fun closed_handle/2),
     test_store:in_each_mode("a second start gives an equal handle", fun equal_handles/2),
     test_store:in_each_mode("the map form", fun map_form/2),
     test_store:in_each_mode("spellings of one directory", fun spellings/2),
     test_store:in_each_mode("stop closes for everyone", fun stop_is_for_all/2),
     test_store:in_each_mode("reset", fun reset/2),
     test_store:in_each_mode("sync", fun sync/2),
     test_store:in_each_mode("info", fun info/2),
     test_store:in_each_mode("file modes", fun file_modes/2),
     test_store:in_dir("relative names are fixed at start", fun relative_name/1),
     test_store:in_dir("parents are created", fun parents/1),
     test_store:in_dir("racing starts", fun racing_starts/1),
     test_store:in_dir("start and stop race", fun start_stop_race/1),
     test_store:in_dir("the mode may change between starts", fun mode_changes/1),
     test_store:titled("init and scope", fun init_and_scope/0),
     test_store:titled("format_error", fun format_error/0),
     test_store:titled("two stores do not mix", fun two_stores/0)].

data_outlives_stop(S, Dir) ->
    Pairs = [{<<"key ", (integer_to_binary(I))/binary>>, rand:bytes(I)} || I <- lists:seq(0, 500)],
    ok = hyper_lmdb:batch_write(S, [{put, K, V} || {K, V} <- Pairs]),
    Id = test_store:info(S, store_id),
    S2 = test_store:restart(S, #{name => Dir}),
    [?assertEqual({ok, V}, hyper_lmdb:get(S2, K)) || {K, V} <- Pairs],
    ?assertEqual(length(Pairs), test_store:info(S2, entries)),
    ?assertEqual(Id, test_store:info(S2, store_id)).

calls() -> [{batch_write, [[]]}, {read_many, [[]]} | test_terms:calls()].

closed_handle(S, Dir) ->
    Map = #{name => Dir},
    ok = hyper_lmdb:stop(S),
    [?assertEqual({F, {error, closed}}, {F, apply(hyper_lmdb, F, [S | Args])}) || {F, Args} <- calls()],
    [?assertEqual({F, {error, not_started}}, {F, apply(hyper_lmdb, F, [Map | Args])})
     || {F, Args} <- calls()],
    New = test_store:start_ok(Map),
    ?assertNotEqual(S, New),
    ?assertEqual(ok, hyper_lmdb:put(New, <<"k">>, <<"v">>)),
    ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(Map, <<"k">>)),
    [?assertEqual({F, {error, closed}}, {F, apply(hyper_lmdb, F, [S | Args])}) || {F, Args} <- calls()],
    ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(New, <<"k">>)).

equal_handles(S, Dir) ->
    {ok, Again} = hyper_lmdb:start(#{name => Dir}),
    ?assert(S =:= Again),
    ?assert(S == Again),
    ?assertEqual(yes, maps:get(Again, #{S => yes})),
    Mode = test_store:info(S, durability),
    ?assertEqual({ok, S}, hyper_lmdb:start(#{name => Dir, durability => Mode})).

map_form(S, Dir) ->
    [begin
         ?assertEqual(ok, hyper_lmdb:put(Map, <<"k">>, term_to_binary(Map))),
         ?assertEqual({ok, term_to_binary(Map)}, hyper_lmdb:get(S, <<"k">>)),
         ?assertEqual(true, hyper_lmdb:exists(Map, <<"k">>)),
         ?assertEqual({error, exists}, hyper_lmdb:put_new(Map, <<"k">>, <<>>)),
         ?assertMatch({ok, [{<<"k">>, {ok, _}}]}, hyper_lmdb:read_many(Map, [<<"k">>])),
         ?assertEqual(ok, hyper_lmdb:batch_write(Map, [{delete, <<"k">>}])),
         ?assertEqual(not_found, hyper_lmdb:get(Map, <<"k">>)),
         ?assertEqual(ok, hyper_lmdb:delete(Map, <<"k">>)),
         ?assertEqual(0, test_store:count(Map)),
         ?assertEqual(ok, hyper_lmdb:sync(Map)),
         ?assertEqual(ok, hyper_lmdb:reset(Map))
     end || Map <- [#{name => Dir}, #{<<"name">> => Dir},
                    #{<<"name">> => Dir, <<"other-layer">> => [1], <<"durability">> => <<"ignored">>}]],
    ?assertEqual({error, not_started}, hyper_lmdb:get(#{name => <<Dir/binary, "x">>}, <<"k">>)),
    ?assertEqual(ok, hyper_lmdb:stop(#{<<"name">> => Dir})),
    ?assertEqual({error, closed}, hyper_lmdb:get(S, <<"k">>)).

spellings(S, Dir) ->
    Base = filename:basename(Dir),
    Link = <<Dir/binary, "-link">>,
    ok = file:make_symlink(Dir, Link),
    try
        Spellings = [<<Dir/binary, "/">>, <<Dir/binary, "/.">>, <<Dir/binary, "/../", Base/binary>>,
                     filename:join([filename:dirname(Dir), <<".">>, Base]), Link,
                     <<Link/binary, "/./">>, binary_to_list(Dir)],
        [begin
             ?assertEqual({Name, {ok, S}}, {Name, hyper_lmdb:start(#{name => Name})}),
             ?assertEqual(ok, hyper_lmdb:put(#{name => Name}, <<"by">>, <<"a spelling">>)),
             ?assertEqual({ok, <<"a spelling">>}, hyper_lmdb:get(S, <<"by">>)),
             ok = hyper_lmdb:reset(S)
         end || Name <- Spellings],
        ok = hyper_lmdb:stop(#{name => Link}),
        [?assertEqual({Name, {error, not_started}}, {Name, hyper_lmdb:get(#{name => Name}, <<"by">>)})
         || Name <- [Dir | Spellings]]
    after
        ok = file:delete(Link)
    end.

stop_is_for_all(S, Dir) ->
    {ok, S} = hyper_lmdb:start(#{name => Dir}),
    {ok, S} = hyper_lmdb:start(#{name => Dir}),
    ?assertEqual(ok, hyper_lmdb:stop(S)),
    ?assertEqual({error, closed}, hyper_lmdb:stop(S)),
    ?assertEqual({error, not_started}, hyper_lmdb:stop(#{name => Dir})).

reset(S, Dir) ->
    Keys = [<<I:32>> || I <- lists:seq(1, 2000)],
    ok = hyper_lmdb:batch_write(S, [{put, K, rand:bytes(300)} || K <- Keys]),
    Id = test_store:info(S, store_id),
    ?assertEqual(ok, hyper_lmdb:reset(S)),
    ?assertEqual(0, test_store:count(S)),
    ?assertEqual(Id, test_store:info(S, store_id)),
    ?assertEqual({ok, [{K, not_found} || K <- Keys]}, hyper_lmdb:read_many_fast(S, Keys)),
    ?assertEqual(ok, hyper_lmdb:reset(S)),
    ?assertEqual(ok, hyper_lmdb:put_new(S, <<"after">>, <<"reset">>)),
    S2 = test_store:restart(S, #{name => Dir}),
    ?assertEqual({ok, <<"reset">>}, hyper_lmdb:get(S2, <<"after">>)),
    ?assertEqual(1, test_store:info(S2, entries)).

sync(S, _Dir) ->
    ?assertEqual(ok, hyper_lmdb:sync(S)),
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    ?assertEqual(ok, hyper_lmdb:sync(S)),
    Results = test_store:in_parallel(50, fun(I) ->
        ok = hyper_lmdb:put(S, <<I:32>>, <<"v">>),
        hyper_lmdb:sync(S)
    end),
    ?assertEqual([ok], lists:usort(Results)),
    ?assertEqual(51, test_store:count(S)).

info(S, Dir) ->
    {ok, Info} = hyper_lmdb:info(S),
    Numbers = [capacity, entries, page_size, max_key_bytes, tree_depth, map_bytes, file_bytes, used_bytes,
               last_transaction_id, reader_slots, reader_slots_used, writes_inline, groups,
               grouped_writes, queued_bytes, waiting_writers, flushes, write_buffer_bytes,
               sync_interval_ms, max_value_bytes, max_batch_bytes, buffered_keys, buffer_bytes,
               journal_bytes, applied_buffers, replayed_records, replayed_bytes],
    [?assertMatch({Key, #{Key := Number}} when is_integer(Number), {Key, Info}) || Key <- Numbers],
    [?assertMatch({Key, #{Key := false}}, {Key, Info}) || Key <- [failed, apply_stalled, checksum, read_only]],
    #{name := Name, store_id := Id, durability := Mode, lmdb_version := Version,
      last_transaction_id := Transaction} = Info,
    ?assertEqual(Dir, iolist_to_binary([Name])),
    ?assert(lists:member(Mode, test_store:modes())),
    ?assertMatch({match, _}, re:run(Id, "^[0-9a-f]{32}$")),
    ?assertMatch({match, _}, re:run(Version, "[0-9]+\\.[0-9]+")),
    ok = hyper_lmdb:put(S, <<"k">>, rand:bytes(10000)),
    {ok, After} = hyper_lmdb:info(S),
    ?assertMatch(#{name := Name, store_id := Id}, After),
    %% The write is in LMDB, or in buffer and journal.
    ?assertEqual(1, maps:get(entries, After) + maps:get(buffered_keys, After)),
    case After of
        #{entries := 1} -> ok;
        #{buffer_bytes := Buffered, journal_bytes := Journaled} ->
            ?assert(Buffered >= 10000),
            ?assert(Journaled >= 10000)
    end,
    ok = test_store:settle(S),
    %% Counted when all is done, the journal's end included.
    Applied = case Mode of map_async -> 0; _ -> 1 end,
    ok = test_store:wait_until(fun() -> test_store:info(S, applied_buffers) =:= Applied end),
    {ok, Settled} = hyper_lmdb:info(S),
    ?assertMatch(#{entries := 1, buffered_keys := 0, buffer_bytes := 0, journal_bytes := 0}, Settled),
    ?assertEqual(Transaction + 1, maps:get(last_transaction_id, Settled)),
    ?assert(maps:get(used_bytes, Settled) >= 10000),
    ?assertEqual(1, maps:get(writes_inline, After) + maps:get(grouped_writes, After)
                    - maps:get(writes_inline, Info) - maps:get(grouped_writes, Info)).

file_modes(S, Dir) ->
    {0, Mode} = test_store:shell(["stat -c %a '", Dir, "'"]),
    ?assertEqual("700", Mode),
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    Journal = case test_store:info(S, durability) of
        map_async -> "";
        _ -> ["'", Dir, "'/journal-*"]
    end,
    {0, Modes} = test_store:shell(["stat -c %a '", Dir, "'/*.mdb ", Journal]),
    ?assertEqual(["600"], lists:usort(string:split(Modes, "\n", all))).

relative_name(Dir) ->
    {ok, Before} = file:get_cwd(),
    ok = file:make_dir(Dir),
    ok = file:set_cwd(Dir),
    try
        S = test_store:start_ok(#{name => <<"here">>}),
        ok = hyper_lmdb:put(#{name => <<"here">>}, <<"k">>, <<"v">>),
        ok = file:set_cwd("/"),
        ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(#{name => <<"here">>}, <<"k">>)),
        ?assertEqual({ok, S}, hyper_lmdb:start(#{name => <<Dir/binary, "/here">>})),
        ?assertEqual(<<Dir/binary, "/here">>, iolist_to_binary(test_store:info(S, name))),
        ok = file:set_cwd(Dir),
        ?assertEqual({ok, S}, hyper_lmdb:start(#{name => <<"./here">>}))
    after
        ok = file:set_cwd(Before)
    end.

parents(Dir) ->
    Deep = <<Dir/binary, "/a/b/", (unicode:characters_to_binary("späße"))/binary>>,
    S = test_store:start_ok(#{name => Deep}),
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    ?assert(filelib:is_dir(Deep)).

racing_starts(Dir) ->
    Started = test_store:in_parallel(100, fun(_) -> hyper_lmdb:start(#{name => Dir}) end),
    [{ok, S}] = lists:usort(Started),
    test_store:track(S),
    ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v">>)).

%% Whoever starts gets a store that works, or one that another has stopped by now; never two.
start_stop_race(Dir) ->
    Rounds = test_store:in_parallel(8, fun(I) ->
        [start_use_stop(Dir, <<I:8, J:32>>) || J <- lists:seq(1, 40)]
    end),
    Written = [Key || Round <- Rounds, {ok, Key} <- Round],
    S = test_store:start_ok(#{name => Dir}),
    [?assertEqual({ok, Key}, hyper_lmdb:get(S, Key)) || Key <- Written],
    ?assert(Written =/= []).

start_use_stop(Dir, Key) ->
    {ok, S} = hyper_lmdb:start(#{name => Dir}),
    Put = hyper_lmdb:put(S, Key, Key),
    Stopped = hyper_lmdb:stop(S),
    ?assert(lists:member(Put, [ok, {error, closed}])),
    ?assert(lists:member(Stopped, [ok, {error, closed}])),
    {Put, Key}.

mode_changes(Dir) ->
    Modes = [map_async, sync, sync, map_async, map_async, sync, async, async, map_async, async, sync],
    lists:foldl(fun(Mode, Before) ->
        S = test_store:start_ok(#{name => Dir, durability => Mode}),
        ?assertEqual(Mode, test_store:info(S, durability)),
        [?assertEqual({ok, K}, hyper_lmdb:get(S, K)) || K <- Before],
        Key = <<(length(Before)):32>>,
        ok = hyper_lmdb:put(S, Key, Key),
        ok = hyper_lmdb:stop(S),
        [Key | Before]
    end, [], Modes).

init_and_scope() ->
    ?assertEqual(ok, hyper_lmdb:init()),
    ?assertEqual(local, hyper_lmdb:scope()),
    ?assertEqual(local, hyper_lmdb:scope(#{<<"name">> => <<"anything">>})).

format_error() ->
    Reasons = test_terms:reasons(),
    Texts = [unicode:characters_to_binary([hyper_lmdb:format_error(R)]) || R <- Reasons],
    [?assertMatch({_, true}, {R, byte_size(T) > 15}) || {R, T} <- lists:zip(Reasons, Texts)],
    ?assertEqual(length(Reasons), length(lists:usort(Texts))),
    %% Who has a result in hand need not take it apart.
    [?assertEqual({R, T}, {R, unicode:characters_to_binary([hyper_lmdb:format_error({error, R})])})
     || {R, T} <- lists:zip(Reasons, Texts)].

two_stores() ->
    [test_store:with_store(#{durability => A}, fun(SA) ->
         test_store:with_store(#{durability => B}, fun(SB) ->
             _ = test_store:in_parallel(10, fun(I) ->
                 [begin
                      ok = hyper_lmdb:put(SA, <<I, J:16>>, <<"A">>),
                      ok = hyper_lmdb:put(SB, <<I, J:16>>, <<"B">>)
                  end || J <- lists:seq(1, 50)]
             end),
             ok = hyper_lmdb:delete(SA, <<1, 1:16>>),
             ?assertEqual({ok, <<"B">>}, hyper_lmdb:get(SB, <<1, 1:16>>)),
             ok = hyper_lmdb:reset(SB),
             ?assertEqual(0, test_store:count(SB)),
             ?assertEqual(499, test_store:count(SA)),
             [?assertEqual({ok, <<"A">>}, hyper_lmdb:get(SA, <<I, J:16>>))
              || I <- lists:seq(2, 10), J <- lists:seq(1, 50)],
             ?assertNotEqual(test_store:info(SA, store_id), test_store:info(SB, store_id)),
             ok = hyper_lmdb:stop(SB),
             ?assertEqual(ok, hyper_lmdb:put(SA, <<"still">>, <<"open">>))
         end)
     end) || A <- test_store:modes(), B <- test_store:modes()],
    ok.
