%% @doc with_snapshot/2: one moment for every function that reads, and each of the ways a snapshot
%% ends.
-module(snapshot_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:in_each_mode("every function that reads sees one moment", fun every_read/1),
     test_store:in_each_mode("links as they were, whatever the cache has seen since", fun links_as_they_were/1),
     test_store:in_each_mode("what a link was says nothing of the path now", fun link_that_was/2),
     test_store:in_each_mode("reset leaves what a snapshot sees", fun reset_leaves_it/1),
     test_store:in_each_mode("a stop ends it", fun ended_by_stop/2)
     | [test_store:titled(Title, 120, fun() -> test_store:with_store(Fun) end)
        || {Title, Fun} <- [{"writes through it are refused", fun read_only/1},
                            {"its answer is that of the function", fun answers/1},
                            {"it ends with the function", fun ends_with_the_function/1},
                            {"it ends with a function that raises", fun ends_with_an_exception/1},
                            {"it ends with its owner", fun ends_with_its_owner/1},
                            {"owners are killed while others read", fun owners_killed_under_readers/1},
                            {"a snapshot of a snapshot is that snapshot", fun nested/1},
                            {"any process reads through it, several at once", fun several_readers/1},
                            {"one thousand, one after another", fun many/1},
                            {"half of the reader slots may have one", fun half_of_the_slots/1},
                            {"who waits for one comes in turn", fun in_turn/1},
                            {"the writer's thread is left alone", fun no_wakes/1},
                            {"what info says", fun in_info/1}]]]
    ++ [test_store:titled("who has one does not wait for another without an end", 120, fun inside_another/0),
        test_store:in_dir("it ends with its age", fun ended_by_age/1),
        test_store:in_dir("memory ends the oldest", fun ended_by_memory/1)].

put_all(S, Pairs) -> ok = hyper_lmdb:batch_write(S, [{put, K, V} || {K, V} <- Pairs]).

%% What every function that reads answers.
look(S) ->
    [{Call, apply(hyper_lmdb, Function, [S | Args])}
     || {Function, Args} = Call <-
            [{get, [<<"a">>]}, {exists, [<<"a">>]}, {read, [<<"l">>]}, {read_fast, [<<"a">>]},
             {read_many, [[<<"a">>, <<"l">>, <<"g/x">>]]}, {read_many_fast, [[<<"a">>, <<"b">>]]},
             {type, [<<"g">>]}, {list, [<<"g">>]}, {list, [<<>>, #{reverse => true}]}, {resolve, [<<"l">>]},
             {list_prefix, [<<>>]}, {list_prefix, [<<"g">>, #{limit => 1, return_cursor => true}]},
             {range, [#{}]}, {range, [#{reverse => true, limit => 1}]},
             {fold, [fun(K, V, Acc) -> [{K, V} | Acc] end, [], #{}]}]].

change(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"a">>, <<"2">>}, {delete, <<"g/x">>}, {put, <<"g/y">>, <<>>},
                                    {link, <<"b">>, <<"l">>}, {put, <<"b">>, <<"new">>}]).

every_read(S) ->
    put_all(S, [{<<"a">>, <<"1">>}, {<<"g/x">>, <<"x">>}]),
    ok = hyper_lmdb:make_link(S, <<"a">>, <<"l">>),
    Before = look(S),
    hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        change(S),
        ?assertEqual(Before, look(Snapshot)),
        %% Into LMDB, and other buffers.
        [begin
             ok = hyper_lmdb:sync(S),
             [ok = hyper_lmdb:put(S, <<"filler", I:32>>, binary:copy(<<I:32>>, 1000)) || I <- lists:seq(1, 200)],
             ?assertEqual(Before, look(Snapshot))
         end || _ <- [1, 2, 3]],
        ?assertNotEqual(Before, look(S))
    end).

%% The cache keeps the newest answers only; those of a snapshot must come from elsewhere.
links_as_they_were(S) ->
    put_all(S, [{<<"one/x">>, <<"1">>}, {<<"two/x">>, <<"2">>}]),
    ok = hyper_lmdb:make_link(S, <<"one">>, <<"l">>),
    ?assertEqual({ok, <<"1">>}, hyper_lmdb:read(S, <<"l/x">>)),
    hyper_lmdb:with_snapshot(S, fun(First) ->
        ok = hyper_lmdb:make_link(S, <<"two">>, <<"l">>),
        ?assertEqual({{ok, <<"1">>}, {ok, <<"2">>}}, {hyper_lmdb:read(First, <<"l/x">>), hyper_lmdb:read(S, <<"l/x">>)}),
        hyper_lmdb:with_snapshot(S, fun(Second) ->
            ok = hyper_lmdb:delete(S, <<"l">>),
            [?assertEqual({{ok, <<"1">>}, {ok, <<"2">>}, not_found},
                          {hyper_lmdb:read(First, <<"l/x">>), hyper_lmdb:read(Second, <<"l/x">>), hyper_lmdb:read(S, <<"l/x">>)})
             || _ <- [1, 2, 3]],
            ?assertEqual({<<"one/x">>, <<"two/x">>, not_found},
                         {hyper_lmdb:resolve(First, <<"l/x">>), hyper_lmdb:resolve(Second, <<"l/x">>), hyper_lmdb:resolve(S, <<"l/x">>)})
        end)
    end).

%% A snapshot's reader looked below a directory whose links were gone by then; the next read of a path
%% there, by the store, led to the root.
link_that_was(S, Dir) ->
    Mode = test_store:info(S, durability),
    ok = hyper_lmdb:put(S, <<"v">>, <<>>),
    ok = hyper_lmdb:make_link(S, <<"g">>, <<"a">>),
    ok = hyper_lmdb:make_link(S, <<"g">>, <<"b">>),
    Again = test_store:restart(S, #{name => Dir, durability => Mode}),
    hyper_lmdb:with_snapshot(Again, fun(Snapshot) ->
        ok = hyper_lmdb:put(Again, <<"a">>, <<>>),
        [?assertEqual({Function, N, not_found}, {Function, N, hyper_lmdb:Function(Store, <<"a/x/", (atom_to_binary(Function))/binary>>)})
         || Function <- [type, resolve, list, read], {N, Store} <- [{1, Again}, {2, Snapshot}, {3, Again}]]
    end).

reset_leaves_it(S) ->
    put_all(S, [{<<I:16>>, <<I:16>>} || I <- lists:seq(1, 5000)]),
    hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        ok = hyper_lmdb:reset(S),
        ok = hyper_lmdb:put(S, <<"new">>, <<>>),
        ?assertEqual({ok, 5000}, hyper_lmdb:fold(Snapshot, fun(_, N) -> N + 1 end, 0, #{keys_only => true})),
        ?assertEqual({ok, <<1:16>>}, hyper_lmdb:get(Snapshot, <<1:16>>)),
        ?assertEqual({ok, [{<<"new">>, <<>>}], done}, hyper_lmdb:range(S, #{}))
    end).

ended_by_stop(S, Dir) ->
    ok = hyper_lmdb:put(S, <<"a">>, <<"1">>),
    hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        ok = hyper_lmdb:stop(S),
        [?assertEqual({Call, {error, closed}}, {Call, Answer}) || {Call, Answer} <- look(Snapshot)],
        Again = test_store:start_ok(#{name => Dir}),
        ?assertEqual({ok, <<"1">>}, hyper_lmdb:get(Again, <<"a">>)),
        ?assertEqual({error, closed}, hyper_lmdb:get(Snapshot, <<"a">>))
    end).

read_only(S) ->
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    Writes = [{stop, []}, {reset, []}, {sync, []}, {put, [<<"k">>, <<"w">>]}, {delete, [<<"k">>]},
              {put_new, [<<"n">>, <<"v">>]}, {batch_write, [[{put, <<"k">>, <<"w">>}]]}, {batch_write, [[]]},
              {delete_prefix, [<<>>]}, {write, [<<"k">>, <<"w">>]}, {write, [<<"k">>, a_term]},
              {make_group, [<<"g">>]}, {make_link, [<<"k">>, <<"l">>]}, {begin_batch, []}, {write_fast, [<<"k">>, <<"w">>]}],
    hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        [?assertEqual({Write, {error, read_only}}, {Write, apply(hyper_lmdb, Function, [Snapshot | Args])})
         || {Function, Args} = Write <- Writes],
        ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(Snapshot, <<"k">>))
    end),
    ?assertEqual({ok, [{<<"k">>, <<"v">>}], done}, hyper_lmdb:range(S, #{})).

answers(S) ->
    ?assertEqual(anything, hyper_lmdb:with_snapshot(S, fun(_) -> anything end)),
    {ok, #{name := Name}} = hyper_lmdb:info(S),
    ?assertEqual(not_found, hyper_lmdb:with_snapshot(#{<<"name">> => Name}, fun(Snapshot) -> hyper_lmdb:get(Snapshot, <<"k">>) end)),
    ?assertEqual({error, not_started}, hyper_lmdb:with_snapshot(#{name => <<"/none">>}, fun(_) -> anything end)),
    ?assertError(badarg, hyper_lmdb:with_snapshot(S, fun() -> anything end)),
    ok = hyper_lmdb:stop(S),
    ?assertEqual({error, closed}, hyper_lmdb:with_snapshot(S, fun(_) -> anything end)).

open(S) -> {ok, #{snapshots := Open}} = hyper_lmdb:info(S), Open.

expired(Snapshot) ->
    [?assertEqual({Call, {error, snapshot_expired}}, {Call, Answer}) || {Call, Answer} <- look(Snapshot)],
    ?assertMatch({ok, #{}}, hyper_lmdb:info(Snapshot)).

ends_with_the_function(S) ->
    Kept = hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        ?assertEqual(1, open(S)),
        ?assertEqual(1, open(Snapshot)),
        Snapshot
    end),
    ?assertEqual(0, open(S)),
    expired(Kept).

ends_with_an_exception(S) ->
    Self = self(),
    [begin
         ?assertException(Class, oops, hyper_lmdb:with_snapshot(S, fun(Snapshot) -> Self ! Snapshot, Raise() end)),
         receive Snapshot -> expired(Snapshot) end,
         ?assertEqual(0, open(S))
     end || {Class, Raise} <- [{throw, fun() -> throw(oops) end}, {error, fun() -> error(oops) end}, {exit, fun() -> exit(oops) end}]].

%% A process that holds a snapshot until it is told or killed.
holder(S) ->
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        hyper_lmdb:with_snapshot(S, fun(Snapshot) -> Self ! {self(), Snapshot}, receive stop -> ok end end)
    end),
    receive
        {Pid, Snapshot} -> {ok, Pid, Monitor, Snapshot};
        {'DOWN', Monitor, process, Pid, Reason} -> Reason
    end.

kill({ok, Pid, Monitor, _}) ->
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, killed} -> ok end.

ends_with_its_owner(S) ->
    {ok, _, _, Snapshot} = Holder = holder(S),
    ?assertEqual(not_found, hyper_lmdb:get(Snapshot, <<"a">>)),
    kill(Holder),
    test_store:wait_until(fun() -> open(S) =:= 0 end),
    expired(Snapshot).

owners_killed_under_readers(S) ->
    put_all(S, [{<<I:16>>, binary:copy(<<I>>, 100)} || I <- lists:seq(1, 2000)]),
    [begin
         {ok, _, _, Snapshot} = Holder = holder(S),
         Readers = [test_store:spawn_call(fun() -> read_until_expired(Snapshot) end) || _ <- lists:seq(1, 4)],
         kill(Holder),
         [?assertEqual(expired, test_store:await(Reader)) || Reader <- Readers]
     end || _ <- lists:seq(1, 50)],
    test_store:wait_until(fun() -> open(S) =:= 0 end).

read_until_expired(Snapshot) ->
    case {hyper_lmdb:range(Snapshot, #{}), hyper_lmdb:get(Snapshot, <<1:16>>)} of
        {{ok, Entries, done}, {ok, _}} when length(Entries) =:= 2000 -> read_until_expired(Snapshot);
        {{ok, Entries, _}, {error, snapshot_expired}} when length(Entries) =:= 2000 -> expired;
        {{error, snapshot_expired}, {error, snapshot_expired}} -> expired
    end.

nested(S) ->
    hyper_lmdb:with_snapshot(S, fun(Outer) ->
        ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
        ?assertEqual(not_found, hyper_lmdb:with_snapshot(Outer, fun(Inner) -> hyper_lmdb:get(Inner, <<"k">>) end)),
        ?assertEqual(1, open(S)),
        ?assertEqual(not_found, hyper_lmdb:get(Outer, <<"k">>))
    end).

several_readers(S) ->
    Pairs = [{<<"key", (integer_to_binary(I))/binary>>, binary:copy(<<I:16>>, 50)} || I <- lists:seq(1001, 1500)],
    put_all(S, Pairs),
    hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        {ok, 500} = hyper_lmdb:delete_prefix(S, <<>>),
        Read = fun() ->
            [?assertEqual({ok, Value}, hyper_lmdb:get(Snapshot, Key)) || {Key, Value} <- Pairs],
            ?assertEqual({ok, Pairs, done}, hyper_lmdb:range(Snapshot, #{})),
            ?assertEqual({ok, [{Key, {ok, Value}} || {Key, Value} <- Pairs]},
                         hyper_lmdb:read_many(Snapshot, [Key || {Key, _} <- Pairs])),
            done
        end,
        Readers = [test_store:spawn_call(Read) || _ <- lists:seq(1, 20)],
        [?assertEqual(done, test_store:await(Reader)) || Reader <- Readers]
    end).

many(S) ->
    [?assertEqual(not_found, hyper_lmdb:with_snapshot(S, fun(Snapshot) -> hyper_lmdb:get(Snapshot, <<"k">>) end))
     || _ <- lists:seq(1, 1000)],
    %% Dropped without an end: by processes that die.
    [kill(holder(S)) || _ <- lists:seq(1, 1000)],
    test_store:wait_until(fun() -> open(S) =:= 0 end),
    {ok, #{reader_slots_used := Used, reader_slots := Slots}} = hyper_lmdb:info(S),
    ?assert(Used < Slots).

half_of_the_slots(S) ->
    Holders = all_places(S),
    Refused = [test_store:spawn_call(fun() -> hyper_lmdb:with_snapshot(S, fun(_) -> ok end) end) || _ <- lists:seq(1, 20)],
    ?assertEqual([{error, readers_full}], lists:usort(test_store:gather(Refused))),
    %% The other half is for everybody else.
    Reads = [test_store:spawn_call(fun() -> [hyper_lmdb:get(S, <<"k">>) || _ <- lists:seq(1, 1000)] end) || _ <- lists:seq(1, 50)],
    [?assertEqual([not_found], lists:usort(test_store:await(Read))) || Read <- Reads],
    [kill(Holder) || Holder <- Holders],
    test_store:wait_until(fun() -> hyper_lmdb:with_snapshot(S, fun(_) -> ok end) =:= ok end).

%% Who holds each of them.
all_places(S) ->
    {ok, #{max_readers := Slots}} = hyper_lmdb:info(S),
    [{ok, _, _, _} = holder(S) || _ <- lists:seq(1, (Slots - 8) div 2)].

%% A fold inside a snapshot waited for the place that the snapshot had.
inside_another() ->
    test_store:with_store(#{max_readers => 4}, fun(S) ->
        ok = hyper_lmdb:batch_write(S, [{put, <<I:16>>, <<>>} || I <- lists:seq(1, 300)]),
        Count = fun() -> hyper_lmdb:fold(S, fun(_, N) -> N + 1 end, 0, #{keys_only => true}) end,
        ?assertEqual({error, readers_full}, hyper_lmdb:with_snapshot(S, fun(_) -> Count() end)),
        ?assertEqual({ok, 300}, Count()),
        ?assertError(left, hyper_lmdb:with_snapshot(S, fun(_) -> error(left) end)),
        ?assertEqual({ok, 300}, Count())
    end).

%% A place that got free was anybody's who happened to ask next, and a process that slept while it
%% waited slept on a scheduler.
in_turn(S) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<I:16>>, <<>>} || I <- lists:seq(1, 300)]),
    Holders = all_places(S),
    Self = self(),
    Waiters = [begin
                   Pid = spawn(fun() ->
                       {ok, 300} = hyper_lmdb:fold(S, fun(_, N) -> N =:= 0 andalso (Self ! {self(), I}), N + 1 end, 0, #{keys_only => true})
                   end),
                   ok = test_store:wait_until(fun() -> waits(Pid) end),
                   Pid
               end || I <- lists:seq(1, 20)],
    %% One of those in front dies: nobody waits for it for long.
    exit(hd(Waiters), kill),
    [Last | Others] = Holders,
    kill(Last),
    ?assertEqual(lists:seq(2, 20), [receive {_, I} -> I after 30000 -> nobody end || _ <- tl(Waiters)]),
    [kill(Holder) || Holder <- Others],
    test_store:wait_until(fun() -> open(S) =:= 0 end).

waits(Pid) ->
    {current_function, Where} = process_info(Pid, current_function),
    Where =:= {hyper_lmdb, next_snapshot, 3}.

%% Each snapshot woke the thread that writes, which found nothing to do.
no_wakes(S) ->
    Times = 2000,
    case switches("hyper_lmdb_wr") of
        unknown -> io:format(user, "~n*** SKIPPED: no way to count what a thread does here~n", []);
        Before ->
            [not_found = hyper_lmdb:with_snapshot(S, fun(Snapshot) -> hyper_lmdb:get(Snapshot, <<"k">>) end) || _ <- lists:seq(1, Times)],
            ?assert(switches("hyper_lmdb_wr") - Before < Times div 10)
    end.

%% How often threads of a name have gone to sleep.
switches(Name) ->
    Tasks = filelib:wildcard("/proc/self/task/*"),
    Counts = [count(Task) || Task <- Tasks, read(Task ++ "/comm") =:= list_to_binary(Name ++ "\n")],
    case Counts of
        [] -> unknown;
        _ -> lists:sum(Counts)
    end.

count(Task) ->
    {match, [Count]} = re:run(read(Task ++ "/status"), "\nvoluntary_ctxt_switches:\\s*([0-9]+)", [{capture, all_but_first, list}]),
    list_to_integer(Count).

read(File) ->
    case file:read_file(File) of
        {ok, Bytes} -> Bytes;
        {error, _} -> <<>>
    end.

in_info(S) ->
    ?assertMatch({ok, #{snapshots := 0, oldest_snapshot_ms := 0, max_snapshot_age_ms := 300000}}, hyper_lmdb:info(S)),
    hyper_lmdb:with_snapshot(S, fun(_) ->
        test_store:wait_until(fun() -> {ok, #{oldest_snapshot_ms := Age}} = hyper_lmdb:info(S), Age > 5 end),
        hyper_lmdb:with_snapshot(S, fun(_) -> ?assertMatch({ok, #{snapshots := 2}}, hyper_lmdb:info(S)) end)
    end).

ended_by_age(Dir) ->
    S = test_store:start_ok(#{name => Dir, max_snapshot_age_ms => 300}),
    ?assertEqual({error, {conflicting_option, max_snapshot_age_ms}}, hyper_lmdb:start(#{name => Dir, max_snapshot_age_ms => 301})),
    put_all(S, [{<<I:16>>, <<>>} || I <- lists:seq(1, 3000)]),
    hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        ?assertEqual({ok, <<>>}, hyper_lmdb:get(Snapshot, <<1:16>>)),
        %% Nobody looks at it, and it ends.
        test_store:wait_until(fun() -> open(S) =:= 0 end),
        expired(Snapshot)
    end),
    ?assertEqual({error, snapshot_expired},
                 hyper_lmdb:fold(S, fun(_, N) -> N =:= 0 andalso test_store:wait_until(fun() -> open(S) =:= 0 end), N + 1 end, 0, #{keys_only => true})).

ended_by_memory(Dir) ->
    S = test_store:start_ok(#{name => Dir, write_buffer_bytes => 1 bsl 20}),
    Fill = fun() -> [ok = hyper_lmdb:put(S, <<I:32>>, binary:copy(<<I>>, 1000)) || I <- lists:seq(1, 4000)] end,
    %% Each keeps a buffer or two of its own.
    Keep = fun Keep(0, Older) ->
                   [Newest | _] = Older,
                   Oldest = lists:last(Older),
                   test_store:wait_until(fun() -> hyper_lmdb:get(Oldest, <<"a">>) =:= {error, snapshot_expired} end),
                   ?assertEqual(not_found, hyper_lmdb:get(Newest, <<"a">>)),
                   expired(Oldest);
               Keep(N, Older) ->
                   hyper_lmdb:with_snapshot(S, fun(Snapshot) -> Fill(), Keep(N - 1, [Snapshot | Older]) end)
           end,
    Keep(6, []).
