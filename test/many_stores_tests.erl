%% @doc Many stores in one VM: what they cost, and that they leave nothing behind.
-module(many_stores_tests).
-include_lib("eunit/include/eunit.hrl").

-define(STORES, 200).
-define(MOST_BYTES_A_STORE, (1 bsl 20)).

all_test_() ->
    test_store:each_mode("200 stores at once", 240, fun two_hundred/1)
    ++ test_store:each_mode("start and stop over and over", 240, fun over_and_over/1)
    ++ test_store:each_mode("no descriptors left is an error", 60, fun too_many_files/1)
    ++ test_store:each_mode("no descriptors left while it runs", 120, fun no_descriptors/1).

%% In a VM of its own, whose memory has no history.
two_hundred(Mode) ->
    Peer = child_vm:start_peer([]),
    {Times, Each} = child_vm:call(Peer, fun() -> start_two_hundred(Mode) end),
    child_vm:stop_peer(Peer),
    io:format(user, "~n  ~s: start of an empty directory, median of ~b: ~.1f ms; memory at rest: ~b KiB a store~n",
              [Mode, ?STORES, test_store:median(Times) / 1000, Each div 1024]),
    ?assert(Each =< ?MOST_BYTES_A_STORE).

start_two_hundred(Mode) ->
    test_store:with_dir(fun(Dir) ->
        warm_up(Dir, Mode),
        Before = anonymous_bytes(),
        Started = [timer:tc(fun() -> test_store:start_ok(#{name => name(Dir, I), durability => Mode}) end)
                   || I <- lists:seq(1, ?STORES)],
        {Times, Stores} = lists:unzip(Started),
        Each = (anonymous_bytes() - Before) div ?STORES,
        Numbered = lists:zip(lists:seq(1, ?STORES), Stores),
        [ok = hyper_lmdb:put(S, <<"number">>, <<I:32>>) || {I, S} <- Numbered],
        [?assertEqual({ok, <<I:32>>}, hyper_lmdb:get(S, <<"number">>)) || {I, S} <- Numbered],
        ?assertEqual(?STORES, length(lists:usort([test_store:info(S, store_id) || S <- Stores]))),
        [?assertEqual(ok, hyper_lmdb:stop(S)) || S <- Stores],
        {Times, Each}
    end).

name(Dir, I) -> <<Dir/binary, "/store ", (integer_to_binary(I))/binary>>.

warm_up(Dir, Mode) ->
    S = test_store:start_ok(#{name => name(Dir, 0), durability => Mode}),
    ok = hyper_lmdb:stop(S).

%% Memory that is no file's: what the VM itself uses is given back as far as it goes.
anonymous_bytes() ->
    [erlang:garbage_collect(P) || P <- processes()],
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [KiB]} = re:run(Status, "RssAnon:\\s+(\\d+) kB", [{capture, all_but_first, list}]),
    1024 * list_to_integer(KiB).

over_and_over(Mode) ->
    test_store:with_dir(fun(Dir) ->
        Cycle = fun(I) ->
            S = test_store:start_ok(#{name => Dir, durability => Mode}),
            ok = hyper_lmdb:put(S, <<I:32>>, <<I:32>>),
            {ok, <<I:32>>} = hyper_lmdb:get(S, <<I:32>>),
            ok = hyper_lmdb:stop(S)
        end,
        [Cycle(I) || I <- lists:seq(1, 20)],
        Before = resources(),
        [Cycle(I) || I <- lists:seq(21, 300)],
        ok = test_store:wait_until(fun() -> resources() =:= Before end),
        S = test_store:start_ok(#{name => Dir, durability => Mode}),
        ?assertEqual(300, test_store:info(S, entries))
    end).

%% File descriptors, threads, mapped regions of store files.
resources() ->
    {ok, Fds} = file:list_dir("/proc/self/fd"),
    {ok, Threads} = file:list_dir("/proc/self/task"),
    {ok, Maps} = file:read_file("/proc/self/maps"),
    {length(Fds), length(Threads), length(binary:matches(Maps, <<".mdb">>))}.

%% A VM with few descriptors: the start fails by name, and works when some are free again.
too_many_files(Mode) ->
    test_store:with_dir(fun(Dir) ->
        Peer = child_vm:start_peer({"/bin/sh", ["-c", "ulimit -n 60; exec erl \"$@\"", "sh"]}, []),
        child_vm:call(Peer, fun() ->
            {[Last | Others] = Stores, Reason} = start_until_refused(Dir, Mode, []),
            ?assertEqual(too_many_files, Reason),
            ?assert(length(Stores) > 2),
            Puts = [{S, hyper_lmdb:put(S, <<"k">>, <<"v">>)} || S <- Stores],
            %% A journal takes one; where there is none the write is refused and leaves nothing.
            Refused = [S || Mode =/= map_async, {S, {error, too_many_files}} <- Puts],
            ?assertEqual([], [Put || {S, Put} <- Puts, Put =/= ok, not lists:member(S, Refused)]),
            ?assertEqual([], [S || S <- Refused, hyper_lmdb:exists(S, <<"k">>)]),
            ?assertEqual(ok, hyper_lmdb:stop(Last)),
            [?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v">>)) || S <- Others],
            [?assertEqual(ok, hyper_lmdb:stop(S)) || S <- Others],
            {Again, too_many_files} = start_until_refused(Dir, Mode, []),
            ?assertEqual(length(Stores), length(Again))
        end),
        child_vm:stop_peer(Peer)
    end).

%% The removal of an applied journal listed the directory, which takes a descriptor: without one the
%% store was given up for good.
no_descriptors(Mode) ->
    test_store:with_dir(fun(Dir) ->
        Peer = child_vm:start_peer({"/bin/sh", ["-c", "ulimit -n 60; exec erl \"$@\"", "sh"]}, []),
        child_vm:call(Peer, fun() ->
            {ok, S} = hyper_lmdb:start(#{name => Dir, durability => Mode}),
            %% To load a module takes a descriptor too.
            ok = test_store:settle(S),
            ok = hyper_lmdb:put(S, <<"before">>, <<"v">>),
            Files = open_until_refused([]),
            ok = test_store:settle(S),
            ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, <<"before">>)),
            %% The journal that is gone has freed one; a buffer that begins takes one.
            Expected = case Mode of map_async -> ok; _ -> {error, too_many_files} end,
            [ok = file:close(File) || File <- open_until_put(S, Expected, Files)],
            ?assertEqual(ok, hyper_lmdb:put(S, <<"after">>, <<"v">>)),
            ?assertMatch({ok, #{failed := false}}, hyper_lmdb:info(S)),
            ok = hyper_lmdb:stop(S),
            {ok, S2} = hyper_lmdb:start(#{name => Dir, durability => Mode}),
            ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S2, <<"after">>)),
            ok = hyper_lmdb:stop(S2)
        end),
        child_vm:stop_peer(Peer)
    end).

%% The file of a journal is closed a while after nothing is buffered any more.
open_until_put(S, Expected, Files) ->
    More = open_until_refused(Files),
    case hyper_lmdb:put(S, <<"without">>, <<"v">>) of
        Expected -> More;
        ok ->
            ok = test_store:settle(S),
            open_until_put(S, Expected, More)
    end.

open_until_refused(Files) ->
    case file:open("/dev/null", [read, raw]) of
        {ok, File} -> open_until_refused([File | Files]);
        {error, emfile} -> Files
    end.

start_until_refused(Dir, Mode, Stores) ->
    case hyper_lmdb:start(#{name => name(Dir, length(Stores)), durability => Mode}) of
        {ok, S} -> start_until_refused(Dir, Mode, [S | Stores]);
        {error, Reason} -> {Stores, Reason}
    end.
