%% @doc A second OS process on one directory: refused, or let in where both ask for it.
-module(shared_store_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    test_store:each_mode("another process is refused", 120, fun refused/1)
    ++ [test_store:titled("two that share see each other's writes", 120, fun share/0),
        test_store:titled("what is remembered of paths outlives others' writes, not their links", 120, fun remembered/0),
        test_store:titled("sharing takes two", 120, fun takes_two/0),
        test_store:titled("writers in two processes", 120, fun two_writers/0),
        test_store:titled("the other one is killed", 120, fun killed/0),
        test_store:titled("the last one out leaves no mark", 120, fun last_one_out/0),
        test_store:titled("readers of a quiet store", 120, fun two_readers/0),
        test_store:titled("reading the lock file does not unlock", 120, fun lock_file_read/0),
        test_store:titled("a store with a journal cannot be shared", fun journaled_cannot/0)].

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

with_shared(Fun) ->
    test_store:with_store(#{durability => map_async, shared => true}, fun(S, Dir) ->
        with_peer(fun(Peer) ->
            ok = start_there(Peer, #{name => Dir, durability => map_async, shared => true}),
            Fun(S, Dir, Peer)
        end)
    end).

share() ->
    with_shared(fun(S, Dir, Peer) ->
        ok = hyper_lmdb:put(S, <<"ours">>, <<"1">>),
        ?assertEqual({ok, <<"1">>}, there(Peer, Dir, get, [<<"ours">>])),
        ok = there(Peer, Dir, put, [<<"theirs">>, <<"2">>]),
        ?assertEqual({ok, <<"2">>}, hyper_lmdb:get(S, <<"theirs">>)),
        ?assertEqual({error, exists}, there(Peer, Dir, put_new, [<<"ours">>, <<>>])),
        ok = there(Peer, Dir, batch_write, [[{check, <<"ours">>, <<"1">>}, {delete, <<"ours">>}]]),
        ?assertEqual(not_found, hyper_lmdb:get(S, <<"ours">>)),
        ok = hyper_lmdb:reset(S),
        ?assertEqual(not_found, there(Peer, Dir, get, [<<"theirs">>])),
        ok = hyper_lmdb:sync(S),
        ok = there(Peer, Dir, sync, []),
        {ok, #{store_id := Id}} = there(Peer, Dir, info, []),
        ?assertEqual(Id, test_store:info(S, store_id)),
        ok = there(Peer, Dir, stop, []),
        ?assertEqual(ok, hyper_lmdb:put(S, <<"alone">>, <<"again">>))
    end).

%% Only another process's change of a link ends what is remembered here; either way the answers are
%% those of the file.
remembered() ->
    with_shared(fun(S, Dir, Peer) ->
        ok = hyper_lmdb:batch_write(S, [{put, <<"one/x">>, <<"1">>}, {put, <<"two/x">>, <<"2">>}, {link, <<"one">>, <<"l">>}]),
        Read = fun() ->
            Misses = test_store:info(S, path_cache_misses),
            Value = hyper_lmdb:read(S, <<"l/x">>),
            {Value, case test_store:info(S, path_cache_misses) of Misses -> remembered; _ -> looked_up end}
        end,
        {{ok, <<"1">>}, looked_up} = Read(),
        [begin
             ok = there(Peer, Dir, put, [Key, Value]),
             ?assertEqual({Key, {{ok, <<"1">>}, remembered}}, {Key, Read()})
         end || {Key, Value} <- [{<<"else">>, <<>>}, {<<"two/x">>, <<"3">>}, {<<"l2">>, <<>>}]],
        ok = there(Peer, Dir, put, [<<"one/x">>, <<"4">>]),
        ?assertEqual({{ok, <<"4">>}, remembered}, Read()),
        ok = there(Peer, Dir, make_link, [<<"two">>, <<"l">>]),
        ?assertEqual({{ok, <<"3">>}, looked_up}, Read()),
        ?assertEqual({{ok, <<"3">>}, remembered}, Read()),
        ok = there(Peer, Dir, make_link, [<<"one">>, <<"elsewhere">>]),
        ?assertEqual({{ok, <<"3">>}, looked_up}, Read()),
        ok = there(Peer, Dir, delete, [<<"l">>]),
        ?assertEqual({not_found, looked_up}, Read())
    end).

takes_two() ->
    with_peer(fun(Peer) ->
        test_store:with_store(#{durability => map_async, shared => true}, fun(_, Dir) ->
            ?assertEqual({error, already_open}, start_there(Peer, #{name => Dir})),
            [?assertEqual({error, already_open}, start_there(Peer, #{name => Dir, durability => Mode}))
             || Mode <- test_store:modes()]
        end),
        [test_store:with_store(#{durability => Mode}, fun(_, Dir) ->
            ?assertEqual({error, already_open}, start_there(Peer, #{name => Dir, durability => map_async, shared => true}))
        end) || Mode <- test_store:modes()]
    end).

%% Both count up one counter; an update lost between the processes would leave it short.
two_writers() ->
    with_shared(fun(S, Dir, Peer) ->
        ok = hyper_lmdb:put(S, <<"counter">>, <<0:32>>),
        Count = fun Count(0) -> ok;
                    Count(N) ->
            {ok, <<Now:32>>} = hyper_lmdb:get(#{name => Dir}, <<"counter">>),
            case hyper_lmdb:batch_write(#{name => Dir}, [{check, <<"counter">>, <<Now:32>>},
                                                         {put, <<"counter">>, <<(Now + 1):32>>}]) of
                ok -> Count(N - 1);
                {error, {check_failed, 1}} -> Count(N)
            end
        end,
        Ours = test_store:spawn_call(fun() -> Count(500) end),
        ok = child_vm:call(Peer, fun() -> Count(500) end),
        ok = test_store:await(Ours),
        ?assertEqual({ok, <<1000:32>>}, hyper_lmdb:get(S, <<"counter">>))
    end).

%% Killed while it writes: its lock is recovered, its acknowledged writes stay, ours go on.
killed() ->
    with_shared(fun(S, Dir, Peer) ->
        ok = child_vm:call(Peer, fun() ->
            ok = hyper_lmdb:put(#{name => Dir}, <<"acknowledged">>, <<"yes">>),
            [spawn(fun() -> write_for_ever(Dir, <<I>>, 0) end) || I <- [1, 2, 3, 4]],
            ok
        end),
        ok = test_store:wait_until(fun() -> hyper_lmdb:exists(S, <<4, 50:32>>) end),
        Ours = test_store:spawn_call(fun() -> [hyper_lmdb:put(S, <<"o", I:32>>, <<I:32>>) || I <- lists:seq(1, 2000)] end),
        child_vm:kill_peer(Peer),
        ?assertEqual([ok], lists:usort(test_store:await(Ours))),
        ?assertEqual({ok, <<"yes">>}, hyper_lmdb:get(S, <<"acknowledged">>)),
        {ok, Found} = hyper_lmdb:read_many_fast(S, [<<"o", I:32>> || I <- lists:seq(1, 2000)]),
        ?assertEqual(2000, length([V || {_, {ok, V}} <- Found])),
        with_peer(fun(Next) ->
            ok = start_there(Next, #{name => Dir, durability => map_async, shared => true}),
            ?assertEqual({ok, <<"yes">>}, there(Next, Dir, get, [<<"acknowledged">>]))
        end)
    end).

write_for_ever(Dir, Key, I) ->
    ok = hyper_lmdb:put(#{name => Dir}, <<Key/binary, I:32>>, <<"v">>),
    write_for_ever(Dir, Key, I + 1).

last_one_out() ->
    with_shared(fun(S, Dir, Peer) ->
        ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
        ok = hyper_lmdb:stop(S),
        ?assertNotEqual(clean, test_store:mark(Dir)),
        ok = there(Peer, Dir, stop, []),
        ?assertEqual(clean, test_store:mark(Dir)),
        S2 = test_store:start_ok(#{name => Dir}),
        ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S2, <<"k">>))
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

journaled_cannot() ->
    test_store:with_dir(fun(Dir) ->
        [?assertEqual({error, {bad_option, shared}}, test_store:start(Options#{name => Dir, shared => true}))
         || Options <- [#{}, #{durability => async}, #{durability => sync}]]
    end).
