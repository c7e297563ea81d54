%% @doc Stores that compress: values are what they were, whatever the option is and was.
-module(compression_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:each_mode("each compression gives back what it was given", 120, fun round_trip/1),
     test_store:in_dir("values of other compressions are readable", fun changes/1),
     test_store:in_dir("info says how values are compressed", fun info/1),
     test_store:in_dir("what is no compression is a bad option", fun bad_option/1),
     test_store:in_dir("a running store's compression cannot differ", fun conflict/1),
     {"text takes less of the file, noise no more", {timeout, 120, fun size_on_disk/0}},
     {"the threshold counts", {timeout, 60, fun threshold/0}},
     {"max_value_bytes is of the value before it is compressed", {timeout, 60, fun limits/0}},
     {"batches, paths and marks", {timeout, 60, fun batches/0}},
     {"large values are compressed and inflated off the normal schedulers", {timeout, 120, fun schedulers/0}},
     {"nobody waits while a large batch is compressed", {timeout, 120, fun beside_large/0}},
     {"large batches that wait for room", {timeout, 120, fun several_large/0}}].

codecs() -> [none, lz4, zstd].

%% Sizes that are compressed at once, on a dirty scheduler, and read on one.
sizes() -> [0, 1, 1023, 1024, 1025, 5000, 30000, 65536, 65537, 400000, 3000000].

%% Words at random, repeated from 100,000 bytes on; another text for each size.
text(Size) ->
    Part = words(min(Size, 100000), Size),
    binary:part(binary:copy(Part, Size div byte_size(Part) + 1), 0, Size).

words(AtLeast, Seed) ->
    Words = {<<"store ">>, <<"journal ">>, <<"page ">>, <<"of ">>, <<"the ">>, <<"reader ">>},
    {Picked, _} = lists:mapfoldl(fun(_, State) -> rand:uniform_s(tuple_size(Words), State) end,
                                 rand:seed_s(exsss, Seed + 1),
                                 lists:seq(1, AtLeast div 4 + 1)),
    << <<(element(N, Words))/binary>> || N <- Picked >>.

noise(Size) -> crypto:strong_rand_bytes(Size).

values(Codec) ->
    [{iolist_to_binary(io_lib:format("~s/~b", [Codec, Size])), text(Size)} || Size <- sizes()].

write(Store, Values) -> [ok = hyper_lmdb:put(Store, Key, Value) || {Key, Value} <- Values].

read(Store, Values) ->
    [?assertEqual({Key, {ok, Value}}, {Key, hyper_lmdb:get(Store, Key)}) || {Key, Value} <- Values],
    [?assertEqual({Key, {ok, Value}}, {Key, hyper_lmdb:read(Store, Key)}) || {Key, Value} <- Values],
    Keys = [Key || {Key, _} <- Values],
    Found = {ok, [{Key, {ok, Value}} || {Key, Value} <- Values]},
    ?assertEqual(Found, hyper_lmdb:read_many(Store, Keys)),
    ?assertEqual(Found, hyper_lmdb:read_many_fast(Store, Keys)),
    ?assertEqual(lists:usort(Values), in_range(Store, #{}, [])).

in_range(Store, Range, Before) ->
    case hyper_lmdb:range(Store, Range) of
        {ok, Entries, done} -> Before ++ Entries;
        {ok, Entries, Continue} -> in_range(Store, Range#{continue => Continue}, Before ++ Entries)
    end.

round_trip(Mode) ->
    Values = values(any),
    [test_store:with_store(#{durability => Mode, compression => Codec, checksum => Checksum}, fun(S) ->
         write(S, Values),
         read(S, Values),
         ok = hyper_lmdb:sync(S),
         read(S, Values)
     end) || Codec <- codecs(), Checksum <- [false, true]].

changes(Dir) ->
    lists:foldl(fun(Codec, Before) ->
        Store = test_store:start_ok(#{name => Dir, compression => Codec}),
        Values = values(Codec),
        write(Store, Values),
        Now = Before ++ Values,
        read(Store, Now),
        ok = hyper_lmdb:stop(Store),
        Now
    end, [], [zstd, none, lz4, zstd, none]).

info(Dir) ->
    Store = test_store:start_ok(#{name => Dir}),
    ?assertEqual(none, test_store:info(Store, compression)),
    ?assertEqual(1024, test_store:info(Store, compression_threshold)),
    Again = test_store:restart(Store, #{<<"name">> => Dir, <<"compression">> => <<"zstd">>,
                                        <<"compression_threshold">> => 100}),
    ?assertEqual(zstd, test_store:info(Again, compression)),
    ?assertEqual(100, test_store:info(Again, compression_threshold)).

bad_option(Dir) ->
    [?assertEqual({error, {bad_option, compression}},
                  test_store:start(#{name => Dir, compression => Wrong}))
     || Wrong <- [gzip, true, 1, <<"LZ4">>, "zstd", []]],
    [?assertEqual({error, {bad_option, compression_threshold}},
                  test_store:start(#{name => Dir, compression_threshold => Wrong}))
     || Wrong <- [-1, 1.5, none, (1 bsl 30) + 1]],
    ?assertNot(filelib:is_file(Dir)).

conflict(Dir) ->
    Store = test_store:start_ok(#{name => Dir, compression => lz4}),
    ?assertEqual({error, {conflicting_option, compression}},
                 hyper_lmdb:start(#{name => Dir, compression => zstd})),
    ?assertEqual({error, {conflicting_option, compression_threshold}},
                 hyper_lmdb:start(#{name => Dir, compression_threshold => 1})),
    ?assertEqual({ok, Store}, hyper_lmdb:start(#{name => Dir, compression => lz4})).

%% Bytes of the file that 50 values take.
used(Codec, Value) ->
    test_store:with_store(#{compression => Codec}, fun(S, Dir) ->
        [ok = hyper_lmdb:put(S, <<N>>, Value) || N <- lists:seq(1, 50)],
        Again = test_store:restart(S, #{name => Dir}),
        test_store:info(Again, used_bytes)
    end).

size_on_disk() ->
    Plain = used(none, text(50000)),
    [?assert(used(Codec, text(50000)) * 2 < Plain) || Codec <- [lz4, zstd]],
    Noise = noise(50000),
    PlainNoise = used(none, Noise),
    [?assertEqual(PlainNoise, used(Codec, Noise)) || Codec <- [lz4, zstd]].

threshold() ->
    Text = text(50000),
    Taken = fun(Threshold) ->
        test_store:with_store(#{compression => zstd, compression_threshold => Threshold}, fun(S) ->
            ok = hyper_lmdb:put(S, <<"k">>, Text),
            ?assertEqual({ok, Text}, hyper_lmdb:get(S, <<"k">>)),
            test_store:info(S, buffer_bytes)
        end)
    end,
    ?assert(Taken(50000) + 20000 < Taken(50001)).

limits() ->
    test_store:with_dir(fun(Dir) ->
        Text = text(100000),
        S = test_store:start_ok(#{name => Dir, compression => zstd, max_value_bytes => 100000}),
        ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, Text)),
        ?assertEqual({error, value_too_large}, hyper_lmdb:put(S, <<"l">>, <<Text/binary, 0>>)),
        Less = test_store:restart(S, #{name => Dir, max_value_bytes => 99999}),
        ?assertEqual({error, value_too_large}, hyper_lmdb:get(Less, <<"k">>)),
        ?assertEqual(true, hyper_lmdb:exists(Less, <<"k">>)),
        Enough = test_store:restart(Less, #{name => Dir}),
        ?assertEqual({ok, Text}, hyper_lmdb:get(Enough, <<"k">>))
    end).

batches() ->
    Small = text(2000),
    Large = text(300000),
    Texts = list_to_tuple([binary:part(Large, N, N * 20) || N <- lists:seq(1, 1500)]),
    [test_store:with_store(#{compression => Codec, durability => Mode}, fun(S) ->
         ?assertEqual(ok, hyper_lmdb:batch_write(S, [{put, <<"a">>, Small}, {check, <<"a">>, Small},
                                                     {put, <<"b">>, Large}, {put, <<"n">>, <<>>}])),
         ?assertEqual({error, {check_failed, 2}},
                      hyper_lmdb:batch_write(S, [{check, <<"b">>, Large},
                                                 {check, <<"a">>, Large}])),
         ?assertEqual(ok, hyper_lmdb:batch_write(S, [{check, <<"b">>, Large}, {group, <<"a">>}])),
         ?assertEqual({ok, Small}, hyper_lmdb:get(S, <<"a">>)),
         ?assertEqual(composite, hyper_lmdb:type(S, <<"a">>)),
         ?assertEqual({error, exists}, hyper_lmdb:put_new(S, <<"b">>, Small)),
         ?assertEqual(ok, hyper_lmdb:make_link(S, <<"a">>, <<"link">>)),
         ?assertEqual(ok, hyper_lmdb:write(S, [<<"link">>, <<"deep">>], Large)),
         ?assertEqual({ok, Large}, hyper_lmdb:read(S, <<"a/deep">>)),
         ?assertEqual({ok, Small}, hyper_lmdb:read(S, <<"link">>)),
         {ok, Batch} = hyper_lmdb:begin_batch(S),
         [ok = hyper_lmdb:batch_write(Batch, integer_to_binary(N), element(N, Texts))
          || N <- lists:seq(1, 1500)],
         ?assertEqual(ok, hyper_lmdb:commit_batch(Batch)),
         [?assertEqual({ok, element(N, Texts)}, hyper_lmdb:get(S, integer_to_binary(N)))
          || N <- lists:seq(1, 1500)]
     end) || Codec <- [lz4, zstd], Mode <- test_store:modes()].

%% What would hold a normal scheduler for milliseconds is done on those that are for that.
schedulers() ->
    test_store:with_store(#{compression => zstd}, fun(S) ->
        Large = text(20000000),
        Several = [{put, <<"several", N>>, text(15000 + N)} || N <- lists:seq(100, 190)],
        Texts = [{<<"text", N>>, text(200000 + N)} || N <- lists:seq(100, 190)],
        on_dirty_cpu(fun() -> ok = hyper_lmdb:put(S, <<"large">>, Large) end),
        on_dirty_cpu(fun() -> ok = hyper_lmdb:batch_write(S, Several) end),
        write(S, Texts),
        on_dirty_cpu(fun() -> [{ok, _} = hyper_lmdb:get(S, Key) || {Key, _} <- Texts] end),
        on_dirty_cpu(fun() -> [{ok, _} = hyper_lmdb:read(S, Key) || {Key, _} <- Texts] end),
        Keys = [Key || {put, Key, _} <- Several],
        on_dirty_cpu(fun() -> {ok, _} = hyper_lmdb:read_many(S, Keys) end)
    end).

%% A batch of 256 MiB took the writer's queue for itself and only then was compressed: all other
%% writers waited for that second.
%% One attempt in which nobody did is enough: a put that has to wait does so in each.
beside_large() ->
    test_store:with_store(#{compression => zstd, durability => sync}, fun(S) ->
        Batch = large_batch(1, 96),
        ?assert(lists:any(fun(_) -> nobody_waits_beside(S, Batch) end, [1, 2, 3]))
    end).

nobody_waits_beside(S, Batch) ->
    Self = self(),
    {Small, Monitor} = spawn_monitor(fun() -> Self ! {worst, self(), worst_put(S, 0)} end),
    {Took, ok} = timer:tc(hyper_lmdb, batch_write, [S, Batch]),
    Small ! stop,
    Worst = receive {worst, Small, Time} -> Time end,
    receive {'DOWN', Monitor, process, Small, normal} -> ok end,
    io:format(user, "~n  a batch of 96 MiB: ~b ms; a put beside it: at most ~b ms~n",
              [Took div 1000, Worst div 1000]),
    Worst * 2 < Took.

worst_put(S, Worst) ->
    {Time, ok} = timer:tc(hyper_lmdb, put, [S, <<"small">>, <<"v">>]),
    receive stop -> max(Time, Worst) after 1 -> worst_put(S, max(Time, Worst)) end.

large_batch(Id, Values) ->
    Value = words(1 bsl 20, Id),
    [{put, <<Id, N:32>>, <<Id, N:32, Value/binary>>} || N <- lists:seq(1, Values)].

%% Each is larger than the queue, so that one goes at a time and the others wait, some in vain.
several_large() ->
    test_store:with_store(#{compression => lz4, write_buffer_bytes => 1 bsl 20}, fun(S) ->
        Batches = [large_batch(Id, 2) || Id <- lists:seq(1, 8)],
        Calls = [test_store:spawn_call(fun() -> write_until_told(S, Batch) end) || Batch <- Batches],
        test_store:wait_until(fun() -> test_store:info(S, waiting_writers) > 3 end),
        {Killed, Stopped} = lists:split(4, [Pid || {Pid, _} <- Calls]),
        [exit(Pid, kill) || Pid <- Killed],
        [Pid ! stop || Pid <- Stopped],
        [ok = test_store:await(Call) || {Pid, _} = Call <- Calls, lists:member(Pid, Stopped)],
        test_store:wait_until(fun() -> test_store:info(S, queued_bytes) =:= 0 end),
        ?assertEqual(0, test_store:info(S, waiting_writers)),
        [?assertEqual({ok, Value}, hyper_lmdb:get(S, Key))
         || {put, Key, Value} <- lists:append(lists:nthtail(4, Batches))]
    end).

write_until_told(S, Batch) ->
    ok = hyper_lmdb:batch_write(S, Batch),
    receive stop -> ok after 0 -> write_until_told(S, Batch) end.

on_dirty_cpu(Fun) ->
    erlang:system_flag(microstate_accounting, true),
    try
        erlang:system_flag(microstate_accounting, reset),
        Fun(),
        Spent = fun(Type) ->
            lists:sum([maps:get(emulator, Counters) + maps:get(nif, Counters, 0)
                       || #{type := T, counters := Counters} <- erlang:statistics(microstate_accounting),
                          T =:= Type])
        end,
        Normal = Spent(scheduler),
        ?assert(Spent(dirty_cpu_scheduler) > Normal)
    after
        erlang:system_flag(microstate_accounting, false)
    end.
