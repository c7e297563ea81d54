%% @doc The journal of `sync' and `async': what a killed VM leaves is found again, and a store that is
%% at rest or was stopped leaves none.
-module(journal_tests).
-include_lib("eunit/include/eunit.hrl").
-export([load/1]).

-define(WRITERS, 4).
-define(BEHIND, 8). % batches later a batch deletes one of its keys
-define(SMALL, (64 bsl 10)).

all_test_() ->
    [[journaled("a killed VM loses nothing acknowledged", fun killed/2, Bytes) || Bytes <- [?SMALL, 1 bsl 20, 64 bsl 20]],
     journaled("a store at rest has no journal", fun at_rest/2, 64 bsl 20),
     journaled("a stop leaves no journal", fun stopped/2, 64 bsl 20),
     [journaled(lists:concat([WayOut, " leaves no journal"]),
                fun(Options, Dir) -> shut_down(WayOut, Options, Dir) end, 64 bsl 20)
      || WayOut <- [init_stop, sigterm, application_stop, stop]],
     journaled("another store's journal", fun mismatch/2, 64 bsl 20),
     [test_store:in_dir("a mode at each start, and a kill", fun mode_changes/1),
      test_store:in_dir("sync/1 flushes an async store", fun sync/1)]].

journaled(Title, Fun, Bytes) ->
    [test_store:titled(lists:concat([Title, " (", Mode, ", ", Bytes bsr 10, " KiB)"]), 240, fun() ->
         test_store:with_dir(fun(Dir) ->
             Fun(#{name => Dir, durability => Mode, write_buffer_bytes => Bytes}, Dir)
         end)
     end) || Mode <- [sync, async]].

%% -- a VM that is killed -------------------------------------------------------------------------

%% Batch N of a writer: three values, a link, a mark, and the deletion of a value of batch N - 8.
batch(W, N) ->
    [{put, key(W, N, I), value(W, N, I)} || I <- [$1, $2, $3]]
        ++ [{link, key(W, N, $1), key(W, N, $l)}, {group, key(W, N, $g)}]
        ++ [{delete, key(W, N - ?BEHIND, $2)} || N > ?BEHIND].

prefix(W) -> iolist_to_binary(io_lib:format("w~3..0b/", [W])).
key(W, N, I) -> <<(prefix(W))/binary, (iolist_to_binary(io_lib:format("~6..0b", [N])))/binary, $/, I>>.
value(W, N, I) -> binary:copy(<<(key(W, N, I))/binary, ".">>, 1 + erlang:phash2({W, N, I}, 40)).

%% What a writer's keys are once its batches up to Last are written.
keys(W, Last) ->
    [key(W, N, I) || N <- lists:seq(1, Last), I <- "123l", I =/= $2 orelse N + ?BEHIND > Last].

%% In the child.
load(#{options := Options, writers := Writers}) ->
    {ok, S} = hyper_lmdb:start(Options),
    [spawn_link(fun() -> write(S, W, 1, child_vm:writer("/dev/stdout")) end) || W <- Writers],
    receive never -> ok end.

write(S, W, N, Say) ->
    ok = hyper_lmdb:batch_write(S, batch(W, N)),
    Say(["ack ", integer_to_list(W), $ , integer_to_list(N)]),
    write(S, W, N + 1, Say).

%% The last acknowledged batch of each writer of a child that was killed in full flight.
kill_under_load(Options, Writers) ->
    Port = child_vm:open(?MODULE, load, #{options => Options, writers => Writers}),
    First = lists:flatten(io_lib:format("ack ~b 1", [hd(Writers)])),
    {Before, seen} = child_vm:lines(Port, First),
    erlang:send_after(100 + rand:uniform(900), self(), kill),
    receive kill -> child_vm:kill(Port) end,
    {After, Status} = child_vm:lines(Port, none),
    ?assertNotEqual(0, Status),
    {Acks, Others} = ack_child:acknowledged(Before ++ After),
    ?assertEqual([], Others),
    lists:foldl(fun({W, N}, Last) -> Last#{W => max(N, maps:get(W, Last, 0))} end,
                maps:from_keys(Writers, 0), Acks).

%% How many batches of a writer are there: those acknowledged, or the next one too, whole.
found(S, W, Acked) ->
    {ok, Keys} = hyper_lmdb:list_prefix(S, prefix(W)),
    Last = case {keys(W, Acked), keys(W, Acked + 1)} of
        {Keys, _} -> Acked;
        {_, Keys} -> Acked + 1;
        {Expected, _} -> error({lost, W, Acked, {missing, lists:sublist(Expected -- Keys, 5)},
                                {too_many, lists:sublist(Keys -- keys(W, Acked + 1), 5)}})
    end,
    {ok, Values} = hyper_lmdb:read_many_fast(S, [K || K <- Keys, binary:last(K) =/= $l]),
    Wrong = [K || {K, V} <- Values, {N, I} <- [number(W, K)], V =/= {ok, value(W, N, I)}],
    ?assertEqual({W, []}, {W, Wrong}),
    {ok, Linked} = hyper_lmdb:read_many(S, [key(W, N, $l) || N <- lists:seq(1, Last)]),
    ?assertEqual({W, [{ok, value(W, N, $1)} || N <- lists:seq(1, Last)]}, {W, [V || {_, V} <- Linked]}),
    ?assertEqual({W, [composite]}, {W, lists:usort([hyper_lmdb:type(S, key(W, N, $g)) || N <- lists:seq(1, Last)])}),
    ?assertEqual(not_found, hyper_lmdb:type(S, key(W, Last + 1, $g))),
    Last.

number(W, Key) ->
    Size = byte_size(prefix(W)),
    <<_:Size/binary, N:6/binary, $/, I>> = Key,
    {binary_to_integer(N), I}.

%% Rounds over one directory; each round's writers are new, and all are looked at each time.
killed(Options, Dir) ->
    test_store:seed(),
    lists:foldl(fun(Round, Known) ->
        Acked = kill_under_load(Options, [10 * Round + I || I <- lists:seq(1, ?WRITERS)]),
        ?assert(lists:max(maps:values(Acked)) > 0),
        Left = test_store:journal(Dir),
        S = test_store:start_ok(Options),
        {ok, #{replayed_records := Records, replayed_bytes := Bytes, buffered_keys := Buffered}} = hyper_lmdb:info(S),
        %% A VM that is younger than two seconds has applied nothing unless a buffer was full.
        ?assert(maps:get(write_buffer_bytes, Options) < 64 bsl 20 orelse Records >= lists:sum(maps:values(Acked))),
        ?assertEqual(Records > 0, Bytes > 0),
        ?assert(Records =:= 0 orelse Left =/= []),
        ?assertEqual({0, []}, {Buffered, test_store:journal(Dir)}),
        All = maps:merge(Known, Acked),
        Found = maps:map(fun(W, N) -> found(S, W, N) end, All),
        io:format(user, "~n  round ~b: ~b batches acknowledged, ~b records in ~p", [Round, lists:sum(maps:values(Acked)), Records, Left]),
        test_store:stop_clean(S, Dir),
        Found
    end, #{}, lists:seq(1, 3)).

%% -- where there is no journal -------------------------------------------------------------------

at_rest(Options, Dir) ->
    S = test_store:start_ok(Options),
    ?assertEqual([], test_store:journal(Dir)),
    [begin
         ok = hyper_lmdb:put(S, <<I>>, <<I>>),
         Start = erlang:monotonic_time(millisecond),
         ?assertMatch([_], test_store:journal(Dir)),
         ok = test_store:wait_until(fun() -> test_store:journal(Dir) =:= [] end),
         Took = erlang:monotonic_time(millisecond) - Start,
         io:format(user, "~n  gone after ~b ms", [Took]),
         ok = test_store:wait_until(fun() -> test_store:info(S, applied_buffers) =:= I end),
         ?assertMatch({ok, #{entries := I, buffered_keys := 0, journal_bytes := 0, buffer_bytes := 0, apply_stalled := false}},
                      hyper_lmdb:info(S)),
         ?assertEqual({ok, <<I>>}, hyper_lmdb:get(S, <<I>>))
     end || I <- [1, 2]].

stopped(Options, Dir) ->
    [begin
         S = test_store:start_ok(Options),
         ok = hyper_lmdb:put(S, <<I>>, rand:bytes(1000)),
         test_store:stop_clean(S, Dir)
     end || I <- lists:seq(1, 20)],
    S2 = test_store:start_ok(Options),
    ?assertMatch({ok, #{entries := 20, replayed_records := 0}}, hyper_lmdb:info(S2)).

shut_down(WayOut, Options, Dir) ->
    Argument = #{options => Options, writers => 20, way_out => WayOut, milliseconds => 200},
    {Lines, 0} = child_vm:run(ack_child, load, Argument, none),
    {[_ | _] = Acks, []} = ack_child:acknowledged(Lines),
    ?assertEqual([], test_store:journal(Dir)),
    S = test_store:start_ok(Options),
    ?assertEqual(0, test_store:info(S, replayed_records)),
    ?assertEqual([], [Ack || {W, N} = Ack <- Acks, hyper_lmdb:get(S, ack_child:key(W, N)) =/= {ok, ack_child:key(W, N)}]).

%% -- files that do not belong together -----------------------------------------------------------

mismatch(Options, Dir) ->
    Other = <<Dir/binary, "/other">>,
    [child_vm:in_killed_vm(Options#{name := Name}, fun(S) -> ok = hyper_lmdb:put(S, <<"k">>, Name) end) || Name <- [Dir, Other]],
    [Journal] = test_store:journal(Dir),
    [Journal] = test_store:journal(Other),
    File = filename:join(Dir, Journal),
    ok = file:rename(File, filename:join(Dir, "kept")),
    {ok, _} = file:copy(filename:join(Other, Journal), File),
    [?assertEqual({Given, {error, journal_mismatch}}, {Given, test_store:start(Given#{name => Dir})})
     || Given <- [#{durability => Mode} || Mode <- test_store:modes()] ++ [#{read_only => true}]],
    ?assertMatch({match, _}, re:run(hyper_lmdb:format_error(journal_mismatch), "journal")),
    %% Nothing was changed: with its own journal it starts.
    ok = file:rename(filename:join(Dir, "kept"), File),
    S = test_store:start_ok(Options),
    ?assertEqual({ok, Dir}, hyper_lmdb:get(S, <<"k">>)),
    test_store:stop_clean(S, Dir),
    test_store:stop_clean(test_store:start_ok(Options#{name := Other}), Other).

%% -- modes ---------------------------------------------------------------------------------------

%% Each mode is killed, and what it left is taken over by the next.
mode_changes(Dir) ->
    test_store:seed(),
    Modes = [sync, async, map_async, async, async, sync, map_async, map_async, sync],
    lists:foldl(fun({Round, Mode}, Known) ->
        Options = #{name => Dir, durability => Mode},
        S = test_store:start_ok(Options),
        ?assertEqual({Mode, []}, {test_store:info(S, durability), test_store:journal(Dir)}),
        Found = maps:map(fun(W, N) -> found(S, W, N) end, Known),
        ok = hyper_lmdb:stop(S),
        maps:merge(Found, kill_under_load(Options, [10 * Round + I || I <- lists:seq(1, ?WRITERS)]))
    end, #{}, lists:zip(lists:seq(1, length(Modes)), Modes)).

sync(Dir) ->
    S = test_store:start_ok(#{name => Dir, durability => async, sync_interval_ms => 3600000}),
    ?assertEqual(ok, hyper_lmdb:sync(S)),
    Before = test_store:info(S, flushes),
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    ?assertEqual(ok, hyper_lmdb:sync(S)),
    ?assert(test_store:info(S, flushes) > Before),
    _ = test_store:in_parallel(50, fun(I) ->
        [begin ok = hyper_lmdb:put(S, <<I, J>>, <<J>>), ok = hyper_lmdb:sync(S) end || J <- lists:seq(1, 5)]
    end),
    ?assertEqual(251, test_store:count(S)),
    %% While a buffer is being applied, and with nothing to flush.
    ok = test_store:settle(S),
    ?assertEqual(ok, hyper_lmdb:sync(S)).
