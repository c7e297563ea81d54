%% @doc No call puts a scheduler to sleep, at the limits of what calls share.
%%
%% Opening a snapshot once slept for up to a millisecond where all places were taken, and a commit of
%% a large batch kept others waiting at its lock: with one scheduler everything in the VM waited. So
%% every exported function is called in a loop, on one scheduler, beside a timer, once at each limit;
%% and beside the same timer as many processes of plain Erlang. Only how late the timer is in each
%% counts: a busy machine makes both late, and a call that sleeps makes ours late in every round.
-module(scheduler_tests).
-include_lib("eunit/include/eunit.hrl").

-export([worst/2]).

-define(ROUNDS, 5).
-define(ROUND_MS, 300).
-define(TIMES, 4). % as late as the timer beside plain Erlang is at its worst
-define(KEYS, 20000).
-define(LARGE_BATCH, 200000).

all_test_() ->
    [test_store:titled("every exported function is called", 60, fun every_function/0)
     | [test_store:titled(lists:concat(["on time: ", Limit]), 240, fun() -> in_one_scheduler(Limit) end)
        || Limit <- [nothing_taken, snapshots_taken, slots_taken, queue_full, large_batch_committed]]].

every_function() ->
    Exported = [Function || {Name, _} = Function <- hyper_lmdb:module_info(exports), Name =/= module_info],
    Called = [Function || {Function, _} <- calls(#{})],
    ?assertEqual([], Exported -- Called).

in_one_scheduler(Limit) ->
    test_store:with_dir(fun(Dir) ->
        Peer = child_vm:start_peer(["+S", "1:1"]),
        try
            Rounds = child_vm:call(Peer, fun() -> ?MODULE:worst(Limit, Dir) end),
            {Theirs, Ours} = lists:unzip(Rounds),
            io:format(user, "~n  ~s: a timer is late by at most, us: plain Erlang ~w, ours ~w~n", [Limit, Theirs, Ours]),
            ?assert(lists:min(Ours) =< ?TIMES * test_store:median(Theirs))
        after
            child_vm:kill_peer(Peer)
        end
    end).

%% -- in the VM with one scheduler ------------------------------------------------------------------

%% The worst lateness of each round, in microseconds: beside plain Erlang, beside this library.
worst(Limit, Dir) ->
    {ok, S} = hyper_lmdb:start(options(Limit, Dir)),
    Value = binary:copy(<<"v">>, 100),
    ok = hyper_lmdb:batch_write(S, [{put, key(I), Value} || I <- lists:seq(1, ?KEYS)]),
    {ok, Other} = hyper_lmdb:start(#{name => <<Dir/binary, "/other">>}),
    Context = #{store => S, other => Other, dir => Dir, keys => [key(I) || I <- lists:seq(1, 500)]},
    Holders = [holder(Hold) || Hold <- taking(Limit, S)],
    Rounds = [round(Limit, Context) || _ <- lists:seq(1, ?ROUNDS)],
    [exit(Holder, kill) || Holder <- Holders],
    Rounds.

key(I) -> <<"group/", I:32>>.

options(slots_taken, Dir) -> #{name => Dir, max_readers => 4};
options(queue_full, Dir) -> #{name => Dir, durability => sync, write_buffer_bytes => 1 bsl 20};
options(_, Dir) -> #{name => Dir}.

%% What takes all there is of something, for as long as it is let.
taking(snapshots_taken, S) ->
    {ok, #{max_readers := Slots}} = hyper_lmdb:info(S),
    [fun() -> hyper_lmdb:with_snapshot(S, fun(_) -> receive never -> ok end end) end || _ <- lists:seq(1, Slots div 2)];
taking(slots_taken, S) ->
    [fun() -> hyper_lmdb:range(S, #{limit => 2000}) end || _ <- lists:seq(1, 4)];
taking(queue_full, S) ->
    [fun() -> hyper_lmdb:put(S, key(I), binary:copy(<<I:32>>, 16 bsl 10)) end || I <- lists:seq(1, 200)];
taking(_, _) ->
    [].

holder(Hold) -> spawn(fun() -> forever(Hold) end).

forever(Step) ->
    _ = Step(),
    forever(Step).

round(Limit, Context) ->
    Calls = calls(Context#{batch => large_batch(Limit, Context)}),
    Theirs = beside([fun their_step/0 || _ <- Calls]),
    {Theirs, beside([Call || {_, Call} <- Calls])}.

large_batch(large_batch_committed, #{store := S}) ->
    {ok, Batch} = hyper_lmdb:begin_batch(S),
    [ok = hyper_lmdb:batch_write(Batch, key(I), <<I:32>>) || I <- lists:seq(1, ?LARGE_BATCH)],
    Batch;
large_batch(_, #{store := S}) ->
    {ok, Batch} = hyper_lmdb:begin_batch(S),
    Batch.

%% How late a timer of one millisecond is at worst while each step is repeated by a process.
beside(Steps) ->
    erlang:garbage_collect(),
    Self = self(),
    Timer = spawn_opt(fun() -> Self ! {self(), late(0)} end, [link, {priority, high}]),
    Loads = [spawn_monitor(fun() -> forever(Step) end) || Step <- Steps],
    receive after ?ROUND_MS -> ok end,
    Timer ! stop,
    Worst = receive {Timer, Late} -> Late end,
    [exit(Load, kill) || {Load, _} <- Loads],
    [receive {'DOWN', Monitor, process, _, killed} -> ok;
             {'DOWN', Monitor, process, _, Reason} -> error({a_call_failed, Reason})
     end || {_, Monitor} <- Loads],
    Worst.

late(Worst) ->
    Before = erlang:monotonic_time(microsecond),
    receive stop -> Worst
    after 1 -> late(max(Worst, erlang:monotonic_time(microsecond) - Before - 1000))
    end.

%% What a process of plain Erlang does that keeps and sorts data: half a millisecond or so a turn.
their_step() ->
    Numbers = [erlang:phash2(I) || I <- lists:seq(1, 500)],
    Map = maps:from_list([{Number, binary:copy(<<"v">>, 100)} || Number <- lists:sort(Numbers)]),
    byte_size(term_to_binary(Map)).

calls(Context) ->
    S = maps:get(store, Context, none),
    Other = maps:get(other, Context, none),
    Dir = maps:get(dir, Context, <<>>),
    Batch = maps:get(batch, Context, none),
    Keys = [Key | _] = maps:get(keys, Context, [<<"k">>]),
    Copy = fun() -> filename:join(Dir, "copy-" ++ integer_to_list(erlang:unique_integer([positive]))) end,
    Own = fun() -> <<Dir/binary, "/own">> end,
    Snapshot = fun(Fun) -> hyper_lmdb:with_snapshot(S, Fun) end,
    [{{start, 1}, fun() -> hyper_lmdb:start(#{name => <<Dir/binary, "/other">>}) end},
     {{stop, 1}, fun() -> {ok, Mine} = hyper_lmdb:start(#{name => Own()}), hyper_lmdb:stop(Mine) end},
     {{reset, 1}, fun() -> hyper_lmdb:reset(Other) end},
     {{sync, 1}, fun() -> hyper_lmdb:sync(S) end},
     {{info, 1}, fun() -> hyper_lmdb:info(S) end},
     {{backup, 2}, fun() -> hyper_lmdb:backup(Other, Copy()) end},
     {{backup, 3}, fun() -> hyper_lmdb:backup(Other, Copy(), #{compact => true}) end},
     {{init, 0}, fun() -> hyper_lmdb:init() end},
     {{scope, 0}, fun() -> hyper_lmdb:scope() end},
     {{scope, 1}, fun() -> hyper_lmdb:scope(S) end},
     {{child_spec, 1}, fun() -> hyper_lmdb:child_spec(#{name => Dir}) end},
     {{format_error, 1}, fun() -> hyper_lmdb:format_error(closed) end},
     {{get, 2}, fun() -> hyper_lmdb:get(S, Key) end},
     {{put, 3}, fun() -> hyper_lmdb:put(S, Key, Key) end},
     {{delete, 2}, fun() -> hyper_lmdb:delete(S, <<"none">>) end},
     {{exists, 2}, fun() -> hyper_lmdb:exists(S, Key) end},
     {{prefetch, 2}, fun() -> hyper_lmdb:prefetch(S, Keys) end},
     {{read_link, 2}, fun() -> hyper_lmdb:read_link(S, <<"link">>) end},
     {{put_new, 3}, fun() -> hyper_lmdb:put_new(S, Key, Key) end},
     {{batch_write, 2}, fun() -> hyper_lmdb:batch_write(S, [{put, K, K} || K <- Keys]) end},
     {{delete_prefix, 2}, fun() -> hyper_lmdb:delete_prefix(Other, <<>>) end},
     {{read, 2}, fun() -> hyper_lmdb:read(S, Key) end},
     {{write, 3}, fun() -> hyper_lmdb:write(S, Key, Key) end},
     {{read_many, 2}, fun() -> hyper_lmdb:read_many(S, Keys) end},
     {{make_group, 2}, fun() -> hyper_lmdb:make_group(S, <<"marked">>) end},
     {{make_link, 3}, fun() -> hyper_lmdb:make_link(S, <<"group">>, <<"link">>) end},
     {{type, 2}, fun() -> hyper_lmdb:type(S, <<"group">>) end},
     {{list, 2}, fun() -> hyper_lmdb:list(S, <<"group">>) end},
     {{list, 3}, fun() -> hyper_lmdb:list(S, <<"group">>, #{limit => 100}) end},
     {{resolve, 2}, fun() -> hyper_lmdb:resolve(S, <<"group">>) end},
     {{path, 2}, fun() -> hyper_lmdb:path(S, <<"a//b">>) end},
     {{add_path, 3}, fun() -> hyper_lmdb:add_path(S, <<"a">>, <<"b">>) end},
     {{list_prefix, 2}, fun() -> hyper_lmdb:list_prefix(S, <<"group">>) end},
     {{list_prefix, 3}, fun() -> hyper_lmdb:list_prefix(S, <<"group">>, #{limit => 100}) end},
     {{range, 2}, fun() -> hyper_lmdb:range(S, #{}) end},
     {{fold, 4}, fun() -> hyper_lmdb:fold(S, fun(_, N) -> N + 1 end, 0, #{keys_only => true}) end},
     {{with_snapshot, 2}, fun() -> Snapshot(fun(Open) -> hyper_lmdb:get(Open, Key) end) end},
     {{begin_batch, 1}, fun() -> hyper_lmdb:begin_batch(S) end},
     {{batch_write, 3}, fun() -> hyper_lmdb:batch_write(Batch, Key, Key) end},
     {{batch_make_group, 2}, fun() -> hyper_lmdb:batch_make_group(Batch, Key) end},
     {{batch_make_link, 3}, fun() -> hyper_lmdb:batch_make_link(Batch, <<"a">>, <<"b">>) end},
     {{commit_batch, 1}, fun() -> hyper_lmdb:commit_batch(Batch) end},
     {{read_fast, 2}, fun() -> hyper_lmdb:read_fast(S, Key) end},
     {{write_fast, 3}, fun() -> hyper_lmdb:write_fast(S, Key, Key) end},
     {{read_many_fast, 2}, fun() -> hyper_lmdb:read_many_fast(S, Keys) end}].
