%% @doc What start/1 answers when a directory is not what it should be.
-module(open_failure_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    test_store:each_mode("a file that is no database", 60, fun no_database/1)
    ++ test_store:each_mode("a data file cut short", 120, fun cut_short/1)
    ++ test_store:each_mode("garbage over the meta pages", 60, fun garbage/1)
    ++ test_store:each_mode("a foreign LMDB file is left alone", 60, fun foreign/1)
    ++ test_store:each_mode("the name of a file", 60, fun name_of_a_file/1)
    ++ test_store:each_mode("a failed start can be mended", 60, fun mended/1)
    ++ [test_store:titled("unclean shutdown", fun unclean/0),
        test_store:titled("unclean shutdown, reset", fun unclean_reset/0),
        test_store:titled("unclean shutdown is seen by every mode", fun unclean_in_every_mode/0),
        test_store:titled("a mark of this boot is no damage", fun same_boot/0),
        test_store:titled("a clean stop leaves no mark", fun clean_stop/0),
        test_store:titled("leftovers of an interrupted creation", fun leftovers/0),
        test_store:titled("a directory without permission", 60, fun no_permission/0),
        test_store:titled("files without permission", 60, fun no_file_permission/0),
        test_store:titled("a store that may only be read", 60, fun only_readable/0)].

%% Makes a store with some data, stops it and hands over its data file.
with_data_file(Mode, Fun) ->
    test_store:with_store(#{durability => Mode}, fun(S, Dir) ->
        ok = hyper_lmdb:batch_write(S, [{put, <<I:32>>, rand:bytes(200)} || I <- lists:seq(1, 1000)]),
        ok = hyper_lmdb:stop(S),
        Fun(Dir, filename:join(Dir, "data.mdb"))
    end).

no_database(Mode) ->
    [test_store:with_dir(fun(Dir) ->
         ok = file:make_dir(Dir),
         ok = file:write_file(filename:join(Dir, "data.mdb"), Bytes),
         ?assertEqual({byte_size(Bytes), {error, not_a_database}},
                      {byte_size(Bytes), test_store:start(#{name => Dir, durability => Mode})}),
         ?assertEqual({ok, Bytes}, file:read_file(filename:join(Dir, "data.mdb")))
     end) || Bytes <- [<<>>, <<"x">>, <<"this is a letter, not a database\n">>, binary:copy(<<0>>, 8192),
                       binary:copy(<<255>>, 100000), rand:bytes(4096), rand:bytes(65536)]],
    ok.

%% Whatever the length: an error with a name or a store that can be read, never a crash.
cut_short(Mode) ->
    with_data_file(Mode, fun(Dir, File) ->
        {ok, Bytes} = file:read_file(File),
        Lengths = [0, 1, 16, 100, 4095, 4096, 4097, 8191, 8192, 8193, 12288, byte_size(Bytes) div 2],
        Outcomes = [begin
             ok = file:write_file(File, binary:part(Bytes, 0, Length)),
             Outcome = test_store:start(#{name => Dir, durability => Mode}),
             case Outcome of
                 {ok, S} -> ok = hyper_lmdb:stop(S), {Length, opened};
                 {error, Reason} ->
                     ?assertMatch({_, true}, {Reason, lists:member(Reason, [not_a_database, corrupted])}),
                     {Length, Reason}
             end
         end || Length <- Lengths],
        io:format(user, "~n  ~0p~n", [Outcomes]),
        [?assertEqual({L, not_a_database}, {L, R}) || {L, R} <- Outcomes, L < 4096],
        ok = file:write_file(File, Bytes),
        S = test_store:start_ok(#{name => Dir, durability => Mode}),
        ?assertEqual(1000, test_store:info(S, entries))
    end).

garbage(Mode) ->
    with_data_file(Mode, fun(Dir, File) ->
        {ok, <<_:8192/binary, Rest/binary>>} = file:read_file(File),
        ok = file:write_file(File, [rand:bytes(8192), Rest]),
        ?assertEqual({error, not_a_database}, test_store:start(#{name => Dir, durability => Mode}))
    end).

%% Somebody else's database: refused by name, and not a byte of it changed.
foreign(Mode) ->
    test_store:with_dir(fun(Dir) ->
        File = filename:join(Dir, "data.mdb"),
        Bytes = test_store:fixture("foreign.mdb"),
        ok = file:make_dir(Dir),
        ok = file:write_file(File, Bytes),
        %% It is one of LMDB 0.9.
        Reason = case test_store:with_store(fun test_store:has_page_size/1) of
            true -> version_mismatch;
            false -> unknown_format
        end,
        ?assertEqual({error, Reason}, test_store:start(#{name => Dir, durability => Mode})),
        ?assertEqual({error, Reason},
                     test_store:start(#{name => Dir, durability => Mode, on_unclean => reset})),
        ?assertEqual({ok, byte_size(Bytes)}, {ok, filelib:file_size(File)}),
        ?assertEqual({ok, Bytes}, file:read_file(File)),
        ?assertNot(filelib:is_file(filename:join(Dir, "dirty.mark")))
    end).

name_of_a_file(Mode) ->
    test_store:with_dir(fun(Dir) ->
        ok = file:write_file(Dir, <<"a file">>),
        ?assertEqual({error, no_such_directory}, test_store:start(#{name => Dir, durability => Mode})),
        ?assertEqual({error, no_such_directory},
                     test_store:start(#{name => <<Dir/binary, "/below">>, durability => Mode})),
        ?assertEqual({ok, <<"a file">>}, file:read_file(Dir)),
        ok = file:delete(Dir)
    end).

mended(Mode) ->
    with_data_file(Mode, fun(Dir, File) ->
        Kept = <<File/binary, ".kept">>,
        ok = file:rename(File, Kept),
        ok = file:write_file(File, <<"no database">>),
        [?assertEqual({error, not_a_database}, test_store:start(#{name => Dir, durability => Mode}))
         || _ <- lists:seq(1, 20)],
        ok = file:rename(Kept, File),
        S = test_store:start_ok(#{name => Dir, durability => Mode}),
        ?assertEqual(1000, test_store:info(S, entries))
    end).

%% -- the mark of a map_async store ---------------------------------------------------------------

-define(OTHER_BOOT, <<"00000000-0000-4000-8000-000000000000">>).

mark_file(Dir) -> filename:join(Dir, "dirty.mark").

with_marked_store(Mark, Fun) ->
    with_data_file(map_async, fun(Dir, _) ->
        ok = file:write_file(mark_file(Dir), Mark),
        Fun(Dir)
    end).

unclean() ->
    with_marked_store(?OTHER_BOOT, fun(Dir) ->
        [?assertEqual({error, unclean_shutdown}, test_store:start(#{name => Dir})) || _ <- [1, 2]],
        ?assertEqual({error, unclean_shutdown}, test_store:start(#{name => Dir, on_unclean => error})),
        ?assertEqual(?OTHER_BOOT, test_store:mark(Dir))
    end).

unclean_reset() ->
    with_marked_store(?OTHER_BOOT, fun(Dir) ->
        S = test_store:start_ok(#{name => Dir, on_unclean => reset}),
        ?assertEqual(0, test_store:info(S, entries)),
        ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
        S2 = test_store:restart(S, #{name => Dir, on_unclean => reset}),
        ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S2, <<"k">>))
    end).

unclean_in_every_mode() ->
    with_marked_store(?OTHER_BOOT, fun(Dir) ->
        [?assertEqual({Options, {error, unclean_shutdown}}, {Options, test_store:start(Options#{name => Dir})})
         || Options <- [#{durability => Mode} || Mode <- test_store:modes()]
                        ++ [#{}, #{read_only => true}]]
    end).

same_boot() ->
    {ok, Boot} = file:read_file("/proc/sys/kernel/random/boot_id"),
    [with_marked_store(string:trim(Boot), fun(Dir) ->
         S = test_store:start_ok(#{name => Dir, durability => Mode}),
         ?assertEqual(1000, test_store:info(S, entries))
     end) || Mode <- test_store:modes()],
    ok.

clean_stop() ->
    test_store:with_store(#{durability => map_async}, fun(S, Dir) ->
        {ok, Boot} = file:read_file("/proc/sys/kernel/random/boot_id"),
        %% The boot, and behind a slash which disk it is.
        ?assertEqual([string:trim(Boot)], lists:sublist(binary:split(test_store:mark(Dir), <<"/">>), 1)),
        ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
        ok = hyper_lmdb:stop(S),
        ?assertEqual(clean, test_store:mark(Dir))
    end).

leftovers() ->
    test_store:with_dir(fun(Dir) ->
        ok = file:make_dir(Dir),
        Leftover = filename:join(Dir, ".new-0123456789abcdef0123456789abcdef"),
        ok = file:write_file(Leftover, <<"half a database">>),
        S = test_store:start_ok(#{name => Dir}),
        ?assertNot(filelib:is_file(Leftover)),
        ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v">>))
    end).

%% -- permission ----------------------------------------------------------------------------------

%% Runs Fun where file modes count: root's VM passes them by, so there a VM without that right.
without_privilege(Fun) ->
    case {test_store:is_root(), os:find_executable("setpriv")} of
        {false, _} -> Fun();
        {true, false} -> io:format(user, "~n*** SKIPPED: root is not bound by file modes, and there is no setpriv~n", []);
        {true, Setpriv} ->
            Peer = child_vm:start_peer({Setpriv, ["--bounding-set=-dac_override,-dac_read_search",
                                                  os:find_executable("erl")]}, []),
            try child_vm:call(Peer, Fun) after child_vm:stop_peer(Peer) end
    end.

no_permission() ->
    test_store:with_dir(fun(Dir) ->
        ok = file:make_dir(Dir),
        Below = <<Dir/binary, "/below">>,
        Started = fun(Name) -> fun() -> hyper_lmdb:start(#{name => Name}) end end,
        ok = file:change_mode(Dir, 8#500),
        ?assertEqual({error, permission_denied}, without_privilege(Started(Below))),
        ?assertEqual({error, permission_denied}, without_privilege(Started(Dir))),
        ok = file:change_mode(Dir, 8#000),
        ?assertEqual({error, permission_denied}, without_privilege(Started(Dir))),
        ?assertEqual({error, permission_denied}, without_privilege(Started(Below))),
        ok = file:change_mode(Dir, 8#700),
        ?assertMatch({ok, _}, without_privilege(Started(Below)))
    end).

no_file_permission() ->
    with_data_file(sync, fun(Dir, File) ->
        ok = file:change_mode(File, 8#000),
        ?assertEqual({error, permission_denied}, without_privilege(fun() -> hyper_lmdb:start(#{name => Dir}) end)),
        ok = file:change_mode(File, 8#400),
        ?assertEqual({error, permission_denied}, without_privilege(fun() -> hyper_lmdb:start(#{name => Dir}) end)),
        ?assertEqual({ok, 1000}, without_privilege(fun() ->
            {ok, S} = hyper_lmdb:start(#{name => Dir, read_only => true}),
            {ok, test_store:info(S, entries)}
        end))
    end).

%% Who may only read was refused: LMDB wanted to write to its lock file.
only_readable() ->
    test_store:with_dir(fun(Dir) ->
        child_vm:in_killed_vm(#{name => Dir}, fun(S) -> ok = hyper_lmdb:put(S, <<"k">>, <<"v">>) end),
        ?assertMatch([_ | _], test_store:journal(Dir)),
        {ok, Files} = file:list_dir(Dir),
        [ok = file:change_mode(filename:join(Dir, File), 8#400) || File <- Files],
        ok = file:change_mode(Dir, 8#500),
        ?assertEqual({ok, <<"v">>}, without_privilege(fun() ->
            {ok, S} = hyper_lmdb:start(#{name => Dir, read_only => true}),
            hyper_lmdb:get(S, <<"k">>)
        end)),
        ?assertEqual({error, permission_denied}, without_privilege(fun() -> hyper_lmdb:start(#{name => Dir}) end)),
        ok = file:change_mode(Dir, 8#700)
    end).
