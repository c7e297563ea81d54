%% @doc A store opened with read_only => true.
-module(read_only_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    test_store:each_mode("reads work, writes are refused", 60, fun reads_only/1)
    ++ test_store:each_mode("nothing in the directory changes", 60, fun leaves_files_alone/1)
    ++ [test_store:titled("a store that is not there", fun missing/0),
        test_store:titled("on a read-only file system", fun read_only_mount/0)].

%% The store, written in Mode, opened for reading.
with_read_only(Mode, Fun) ->
    test_store:with_store(#{durability => Mode}, fun(S, Dir) ->
        ok = hyper_lmdb:batch_write(S, [{put, <<I:32>>, <<"v", I:32>>} || I <- lists:seq(1, 500)]),
        ok = hyper_lmdb:stop(S),
        Fun(Dir)
    end).

reads_only(Mode) ->
    with_read_only(Mode, fun(Dir) ->
        S = test_store:start_ok(#{name => Dir, read_only => true}),
        ?assertEqual({ok, <<"v", 7:32>>}, hyper_lmdb:get(S, <<7:32>>)),
        ?assertEqual(not_found, hyper_lmdb:get(S, <<"no">>)),
        ?assertEqual(true, hyper_lmdb:exists(S, <<7:32>>)),
        ?assertMatch({ok, [{_, {ok, _}}, {_, not_found}]}, hyper_lmdb:read_many_fast(S, [<<1:32>>, <<"no">>])),
        ?assertMatch({ok, #{entries := 500, read_only := true}}, hyper_lmdb:info(S)),
        [?assertEqual({Function, {error, read_only}}, {Function, apply(hyper_lmdb, Function, [S | Args])})
         || {Function, Args} <- [{put, [<<"k">>, <<"v">>]}, {delete, [<<1:32>>]}, {put_new, [<<"k">>, <<"v">>]},
                                 {put_new, [<<1:32>>, <<"v">>]}, {batch_write, [[{put, <<"k">>, <<"v">>}]]},
                                 {batch_write, [[{delete, <<1:32>>}]]}, {reset, []},
                                 {write, [<<"k">>, <<"v">>]}, {make_group, [<<"k">>]}, {make_link, [<<"k">>, <<"l">>]},
                                 {delete_prefix, [<<>>]}]],
        ?assertEqual(500, test_store:info(S, entries)),
        ?assertEqual({error, {conflicting_option, read_only}}, hyper_lmdb:start(#{name => Dir, read_only => false})),
        S2 = test_store:restart(S, #{name => Dir, read_only => false}),
        ?assertEqual(ok, hyper_lmdb:put(S2, <<"k">>, <<"v">>))
    end).

leaves_files_alone(Mode) ->
    with_read_only(Mode, fun(Dir) ->
        Picture = fun() ->
            {ok, Bytes} = file:read_file(filename:join(Dir, "data.mdb")),
            {filelib:file_size(filename:join(Dir, "data.mdb")), erlang:md5(Bytes),
             test_store:mark(Dir)}
        end,
        Before = Picture(),
        S = test_store:start_ok(#{name => Dir, read_only => true}),
        {ok, _} = hyper_lmdb:get(S, <<1:32>>),
        {error, read_only} = hyper_lmdb:put(S, <<1:32>>, <<>>),
        ok = hyper_lmdb:stop(S),
        ?assertEqual(Before, Picture())
    end).

missing() ->
    test_store:with_dir(fun(Dir) ->
        ?assertEqual({error, no_such_directory}, test_store:start(#{name => Dir, read_only => true})),
        ?assertNot(filelib:is_file(Dir)),
        ok = file:make_dir(Dir),
        ?assertEqual({error, not_a_database}, test_store:start(#{name => Dir, read_only => true})),
        ?assertEqual({ok, []}, file:list_dir(Dir))
    end).

read_only_mount() ->
    case test_store:is_root() of
        false -> io:format(user, "~n*** SKIPPED: only root can mount a file system read-only~n", []);
        true -> with_read_only(sync, fun on_read_only_mount/1)
    end.

on_read_only_mount(Dir) ->
    Mount = fun(What) -> {0, _} = test_store:shell(["mount ", What, " '", Dir, "'"]) end,
    Mount(["--bind '", Dir, "'"]),
    Mount("-o remount,bind,ro"),
    try
        ?assertEqual({error, permission_denied}, test_store:start(#{name => Dir})),
        S = test_store:start_ok(#{name => Dir, read_only => true}),
        ?assertEqual({ok, <<"v", 7:32>>}, hyper_lmdb:get(S, <<7:32>>)),
        ?assertEqual({error, read_only}, hyper_lmdb:put(S, <<"k">>, <<"v">>)),
        ok = hyper_lmdb:stop(S)
    after
        {0, _} = test_store:shell(["umount '", Dir, "'"])
    end.
