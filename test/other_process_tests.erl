%% @doc A second OS process on one directory: refused, unless both only read.
-module(other_process_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    test_store:each_mode("another process is refused", 120, fun refused/1)
    ++ test_store:each_mode("a reader and a writer keep each other out", 120, fun reader_or_writer/1)
    ++ [test_store:titled("readers of a quiet store", 120, fun two_readers/0),
        test_store:titled("reading the lock file does not unlock", 120, fun lock_file_read/0),
        test_store:titled("the option of older versions is unknown", 60, fun no_option/0)].

with_peer(Fun) ->
    Peer = child_vm:start_peer([]),
    try Fun(Peer) after child_vm:kill_peer(Peer) end.

%% A store of the peer is known there by its name only: a handle does not travel.
start_there(Peer, Options) ->
    child_vm:call(Peer, fun() ->
        case hyper_lmdb:start(Options) of
            {ok, _} -> ok;
            Error -> Error
        end
    end).

there(Peer, Dir, Function, Args) ->
    child_vm:call(Peer, fun() -> apply(hyper_lmdb, Function, [#{name => Dir} | Args]) end).

refused(Mode) ->
    test_store:with_store(#{durability => Mode}, fun(S, Dir) ->
        ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
        with_peer(fun(Peer) ->
            [?assertEqual({error, already_open}, start_there(Peer, #{name => Dir, durability => Theirs}))
             || Theirs <- test_store:modes()],
            ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"w">>)),
            ok = hyper_lmdb:stop(S),
            ?assertEqual(ok, start_there(Peer, #{name => Dir, durability => Mode})),
            ?assertEqual({ok, <<"w">>}, there(Peer, Dir, get, [<<"k">>])),
            ?assertEqual({error, already_open}, test_store:start(#{name => Dir, durability => Mode})),
            child_vm:kill_peer(Peer)
        end),
        %% A killed process holds nothing.
        S2 = test_store:start_ok(#{name => Dir, durability => Mode}),
        ?assertEqual({ok, <<"w">>}, hyper_lmdb:get(S2, <<"k">>))
    end).

%% A reader beside a writer of another process answered from its memory, for ever; one that came
%% first took the writer's map away.
reader_or_writer(Mode) ->
    test_store:with_store(#{durability => Mode}, fun(S, Dir) ->
        ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
        Reading = #{name => Dir, read_only => true},
        with_peer(fun(Peer) ->
            ?assertEqual({error, already_open}, start_there(Peer, Reading)),
            ok = hyper_lmdb:stop(S),
            ok = start_there(Peer, Reading),
            ?assertEqual({ok, <<"v">>}, there(Peer, Dir, get, [<<"k">>])),
            ?assertEqual({error, already_open}, test_store:start(#{name => Dir, durability => Mode})),
            ok = there(Peer, Dir, stop, []),
            S2 = test_store:start_ok(#{name => Dir, durability => Mode}),
            ?assertEqual(ok, hyper_lmdb:put(S2, <<"k">>, <<"w">>))
        end)
    end).

two_readers() ->
    test_store:with_store(fun(S, Dir) ->
        ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
        S2 = test_store:restart(S, #{name => Dir, read_only => true}),
        with_peer(fun(Peer) ->
            ok = start_there(Peer, #{name => Dir, read_only => true}),
            ?assertEqual({ok, <<"v">>}, there(Peer, Dir, get, [<<"k">>])),
            ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S2, <<"k">>)),
            ?assertEqual({error, already_open}, begin ok = hyper_lmdb:stop(S2), test_store:start(#{name => Dir}) end)
        end)
    end).

%% POSIX drops a process's locks on a file when any of its descriptors of it is closed.
lock_file_read() ->
    test_store:with_store(fun(S, Dir) ->
        [begin
             {ok, Fd} = file:open(filename:join(Dir, Name), [read, raw, binary]),
             {ok, _} = file:read(Fd, 4096),
             ok = file:close(Fd)
         end || Name <- ["lock.mdb", "data.mdb"]],
        with_peer(fun(Peer) ->
            ?assertEqual({error, already_open}, start_there(Peer, #{name => Dir}))
        end),
        ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v">>))
    end).

no_option() ->
    test_store:with_dir(fun(Dir) ->
        [?assertEqual({error, {bad_option, shared}}, test_store:start(Options#{name => Dir, shared => true}))
         || Options <- [#{}, #{durability => map_async}, #{read_only => true}]],
        S = test_store:start_ok(#{<<"name">> => Dir, <<"shared">> => true}),
        ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<>>))
    end).
