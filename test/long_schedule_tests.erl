%% @doc A mixed load on a warm cache must not hold a normal scheduler.
%%
%% `system_monitor` reports every time slice of 5 ms or more. On a busy machine the kernel takes the
%% CPU away from a scheduler in the middle of a slice, which looks the same. So the load runs in short
%% attempts, beside plain Erlang processes that meet the same noise: one attempt without such a slice
%% of ours is enough to pass, since a call that really blocks (a commit, a flush) does so in every
%% one; where none is clean, ours must still not be many more than theirs.
-module(long_schedule_tests).
-include_lib("eunit/include/eunit.hrl").

-define(LIMIT_MS, 5).
-define(ATTEMPTS, 8).
-define(CALLERS, 4).
-define(LOAD_MS, 1000).
-define(KEYS, 5000).
-define(LARGE, 10).

all_test_() ->
    test_store:each_mode("mixed load", 240, fun(Mode) -> load(Mode, fun our_step/3) end)
    ++ test_store:each_mode("large reads, snapshots, backups, compressed values", 240,
                            fun(Mode) -> load(Mode, fun our_large_step/3) end)
    ++ [test_store:titled("a call that holds a scheduler is seen", 120, fun control/0)].

load(Mode, Step) ->
    Options = #{durability => Mode, sync_interval_ms => 100, compression => zstd, compression_threshold => 1024},
    test_store:with_store(Options, fun(S, Dir) ->
        Keys = list_to_tuple([<<"key ", I:32>> || I <- lists:seq(1, ?KEYS)]),
        ok = hyper_lmdb:batch_write(S, [{put, K, rand:bytes(100)} || K <- tuple_to_list(Keys)]),
        [ok = hyper_lmdb:put(S, large(I), text()) || I <- lists:seq(1, ?LARGE)],
        {ok, _} = hyper_lmdb:read_many(S, tuple_to_list(Keys)),
        Table = ets:new(control, [public]),
        true = ets:insert(Table, [{K, K} || K <- tuple_to_list(Keys)]),
        Ours = fun() -> Step(S, Dir, Keys) end,
        Theirs = fun() -> their_step(Table, Keys) end,
        attempts(Mode, Ours, Theirs, [])
    end).

attempts(Mode, _, _, Counts) when length(Counts) =:= ?ATTEMPTS ->
    {Ours, Theirs} = lists:unzip(Counts),
    io:format(user, "  ~s: no attempt was free of them: a busy machine, or a call that blocks~n", [Mode]),
    ?assert(lists:sum(Ours) =< 2 * lists:sum(Theirs) + ?ATTEMPTS);
attempts(Mode, Ours, Theirs, Counts) ->
    {OurSlices, TheirSlices} = observe(Ours, Theirs),
    io:format(user, "~n  ~s: slices of ~b ms and more: ours ~b, plain Erlang ~b~n",
              [Mode, ?LIMIT_MS, length(OurSlices), length(TheirSlices)]),
    [io:format(user, "    ~0p~n", [Slice]) || Slice <- lists:sublist(OurSlices, 5)],
    case OurSlices of
        [] -> ok;
        _ -> attempts(Mode, Ours, Theirs, [{length(OurSlices), length(TheirSlices)} | Counts])
    end.

our_step(S, _, Keys) ->
    Key = element(rand:uniform(tuple_size(Keys)), Keys),
    case rand:uniform(20) of
        N when N =< 10 -> {ok, _} = hyper_lmdb:get(S, Key);
        N when N =< 14 -> ok = hyper_lmdb:put(S, Key, Key);
        15 -> true = hyper_lmdb:exists(S, Key);
        16 -> ok = hyper_lmdb:batch_write(S, [{put, K, Key} || K <- some(Keys, 100)]);
        17 -> {ok, _} = hyper_lmdb:read_many(S, some(Keys, 100));
        18 -> {ok, _} = hyper_lmdb:read_many(S, some(Keys, 2000));
        19 -> ok = hyper_lmdb:batch_write(S, [{put, K, Key} || K <- some(Keys, 2000)]);
        20 -> {ok, _} = hyper_lmdb:info(S)
    end.

our_large_step(S, Dir, Keys) ->
    Part = some(Keys, 100),
    case rand:uniform(16) of
        N when N =< 2 -> {ok, [_ | _], _} = hyper_lmdb:range(S, #{from => hd(Part), limit => 256});
        3 -> {ok, Entries, _} = hyper_lmdb:range(S, #{prefix => <<"key">>, limit => 2000, reverse => true}), 2000 = length(Entries);
        4 -> {ok, ?KEYS} = hyper_lmdb:fold(S, fun(_, Count) -> Count + 1 end, 0, #{prefix => <<"key">>, keys_only => true});
        N when N =< 6 -> ok = hyper_lmdb:with_snapshot(S, fun(Snapshot) -> through(Snapshot, Part) end);
        N when N =< 8 -> {ok, _} = hyper_lmdb:read_many_fast(S, Part);
        9 -> {ok, _} = hyper_lmdb:read_many_fast(S, some(Keys, 3000));
        10 -> ok = hyper_lmdb:prefetch(S, Part);
        11 -> ok = hyper_lmdb:put(S, large(rand:uniform(?LARGE)), text());
        12 -> {ok, <<"words ", _/binary>>} = hyper_lmdb:get(S, large(rand:uniform(?LARGE)));
        13 -> backed_up(hyper_lmdb:backup(S, copy(Dir)));
        14 -> {ok, _} = hyper_lmdb:list_prefix(S, <<"key">>);
        _ -> ok = hyper_lmdb:batch_write(S, [{put, K, K} || K <- Part])
    end.

%% A snapshot that is read by one is waited for elsewhere.
through(Snapshot, [Key | _] = Part) ->
    {ok, _} = hyper_lmdb:get(Snapshot, Key),
    {ok, _} = hyper_lmdb:read_many(Snapshot, Part),
    {ok, _, _} = hyper_lmdb:range(Snapshot, #{from => Key, limit => 1000}),
    ok.

%% One copy is made at a time.
backed_up(ok) -> ok;
backed_up({error, overloaded}) -> ok.

copy(Dir) -> filename:join(Dir, "copy-" ++ integer_to_list(erlang:unique_integer([positive]))).

%% Two thirds of a mebibyte, which a scheduler must not be held by.
large(I) -> <<"large ", I:32>>.
text() -> binary:copy(<<"words ", (rand:bytes(4))/binary, " and more words ">>, 25000).

control() ->
    Held = fun() -> atomics:info(atomics:new(16000000, [])) end,
    {Ours, _} = observe(Held, fun() -> ok end),
    ?assertNotEqual([], Ours).

their_step(Table, Keys) ->
    Key = element(rand:uniform(tuple_size(Keys)), Keys),
    case rand:uniform(20) of
        N when N =< 15 -> [_] = ets:lookup(Table, Key);
        N when N =< 17 -> [ets:lookup(Table, K) || K <- some(Keys, 100)];
        _ -> [ets:insert(Table, {K, Key}) || K <- some(Keys, 2000)]
    end.

some(Keys, Count) ->
    First = rand:uniform(tuple_size(Keys) - Count),
    [element(I, Keys) || I <- lists:seq(First, First + Count - 1)].

%% Both loads at once, so that the machine's noise meets both.
observe(Ours, Theirs) ->
    Until = erlang:monotonic_time(millisecond) + ?LOAD_MS,
    watching(fun() ->
        OurPids = [spawn_monitor(fun() -> repeat(Ours, Until) end) || _ <- lists:seq(1, ?CALLERS)],
        TheirPids = [spawn_monitor(fun() -> repeat(Theirs, Until) end) || _ <- lists:seq(1, ?CALLERS)],
        [receive {'DOWN', Monitor, process, _, Reason} -> ?assertEqual(normal, Reason) end
         || {_, Monitor} <- OurPids ++ TheirPids],
        {OurPids, TheirPids}
    end).

repeat(Step, Until) ->
    _ = Step(),
    erlang:monotonic_time(millisecond) < Until andalso repeat(Step, Until),
    ok.

watching(Run) ->
    Before = erlang:system_monitor(self(), [{long_schedule, ?LIMIT_MS}]),
    try
        {OurPids, TheirPids} = Run(),
        Slices = slices_until(hold_a_scheduler(), 60),
        Of = fun(Pids) -> [Slice || {Pid, _} = Slice <- Slices, lists:keymember(Pid, 1, Pids)] end,
        {Of(OurPids), Of(TheirPids)}
    after
        erlang:system_monitor(Before)
    end.

%% Reports come in order, but late: those before that of this process are complete. That it comes
%% at all shows each time that the monitor works.
hold_a_scheduler() ->
    %% The VM sets the counters to zero in one go, however many they are; 128 MB take well over the
    %% limit on memory that is warm.
    spawn(fun() -> exit({held, atomics:info(atomics:new(16000000, []))}) end).

slices_until(Last, Tries) ->
    receive
        {monitor, Last, long_schedule, _} -> [];
        {monitor, Pid, long_schedule, Info} -> [{Pid, Info} | slices_until(Last, Tries)]
    after 2000 ->
        %% The report of a process that ends may be missing: another one is as good.
        Tries > 0 orelse error(no_report_of_a_held_scheduler),
        slices_until(hold_a_scheduler(), Tries - 1)
    end.
