%% @doc A file system without room: disk_full, a VM that lives, and data that stays.
%% The store runs in a VM of its own, so that a signal would show as its death.
-module(full_disk_tests).
-include_lib("eunit/include/eunit.hrl").

-define(MOUNT_BYTES, (16 bsl 20)).

all_test_() ->
    [[test_store:each_mode("fill it, on " ++ Kind, 240, fun(Mode) -> with_mount(Kind, Mode, fun fill/3) end),
      test_store:each_mode("a batch larger than the room, on " ++ Kind, 240,
                           fun(Mode) -> with_mount(Kind, Mode, fun large_batch/3) end),
      [test_store:titled(lists:concat(["a journal that finds no room in LMDB, on ", Kind, " (", Mode, ")"]), 240,
                         fun() -> with_mount(Kind, Mode, fun stalled/3) end) || Mode <- [sync, async]],
      test_store:each_mode("no room for a new store, on " ++ Kind, 240,
                           fun(Mode) -> with_mount(Kind, Mode, fun no_room_at_start/3) end),
      test_store:each_mode("no room for a backup, on " ++ Kind, 240,
                           fun(Mode) -> with_mount(Kind, Mode, fun backup/3) end),
      test_store:each_mode("what frees works on a full disk, on " ++ Kind, 240,
                           fun(Mode) -> with_mount(Kind, Mode, fun frees/3) end)]
     || Kind <- ["tmpfs", "ext4"]]
    ++ test_store:each_mode("a limit on the size of files", 120, fun file_size_limit/1).

with_mount(Kind, Mode, Fun) ->
    test_store:with_dir(fun(Dir) ->
        ok = file:make_dir(Dir),
        case mount(Kind, Dir) of
            {skip, Why} ->
                io:format(user, "~n*** SKIPPED: a full ~s: ~ts~n", [Kind, Why]);
            Mounted ->
                Peer = child_vm:start_peer([]),
                Options = #{name => <<Mounted/binary, "/store">>, durability => Mode, capacity => 1 bsl 30},
                try child_vm:call(Peer, fun() -> Fun(Options, Mounted, Mode) end), child_vm:stop_peer(Peer)
                after
                    %% A killed VM may hold the mount for another moment.
                    child_vm:kill_peer(Peer),
                    ok = test_store:wait_until(fun() ->
                        {0, ""} =:= test_store:shell(["umount '", Mounted, "'"])
                    end)
                end
        end
    end).

mount(Kind, Dir) ->
    Mounted = <<Dir/binary, "/mounted">>,
    ok = file:make_dir(Mounted),
    Size = integer_to_list(?MOUNT_BYTES),
    Command = case Kind of
        "tmpfs" -> ["mount -t tmpfs -o size=", Size, " tmpfs '", Mounted, "'"];
        "ext4" -> ["truncate -s ", Size, " '", Dir, "/image' && mkfs.ext4 -q -m 0 '", Dir, "/image'",
                   " && mount -o loop '", Dir, "/image' '", Mounted, "'"]
    end,
    case {test_store:is_root(), test_store:shell(["PATH=$PATH:/sbin:/usr/sbin; ", Command])} of
        {_, {0, _}} -> Mounted;
        {false, _} -> {skip, "only root may mount"};
        {true, {_, Message}} -> {skip, Message}
    end.

key(I) -> <<"key ", I:32>>.
value(I) -> binary:copy(<<I:32>>, 700).

large(I) -> binary:copy(<<I:32>>, 2500).
small(I) -> binary:copy(<<I:32>>, 25).

store(S, I) -> store(S, I, fun value/1).
store(S, I, Value) -> hyper_lmdb:put(S, key(I), Value(I)).

fill_up(S, I) -> fill_up(S, I, fun value/1).
fill_up(S, I, Value) ->
    case store(S, I, Value) of
        ok -> fill_up(S, I + 1, Value);
        {error, disk_full} -> I
    end.

there(S, Numbers) -> there(S, Numbers, fun value/1).
there(S, Numbers, Value) -> [?assertEqual({ok, Value(I)}, hyper_lmdb:get(S, key(I))) || I <- Numbers].

ballast(Mounted, Bytes) -> ballast(Mounted, "ballast", Bytes).
ballast(Mounted, Name, Bytes) -> ok = file:write_file(filename:join(Mounted, Name), rand:bytes(Bytes)).
drop_ballast(Mounted) -> drop_ballast(Mounted, "ballast").
drop_ballast(Mounted, Name) -> ok = file:delete(filename:join(Mounted, Name)).

free_bytes(Mounted) ->
    {0, Bytes} = test_store:shell(["df -B1 --output=avail '", Mounted, "' | tail -n 1"]),
    list_to_integer(string:trim(Bytes)).

fill(Options, Mounted, _Mode) ->
    S = start(Options),
    %% A journal that LMDB did not get before the disk was full needs as much room again.
    Free = free_bytes(Mounted),
    ballast(Mounted, Free div 4),
    ballast(Mounted, "for the next start", Free * 3 div 8),
    Full = fill_up(S, 0),
    ?assert(Full > 100),
    %% Again and from many sides: always the same word, and no group takes others down. (A journal that
    %% LMDB has by now leaves its room to one or two.)
    Answers = test_store:in_parallel(100, fun(I) -> hyper_lmdb:put(S, <<"more", I>>, rand:bytes(1 bsl 20)) end),
    ?assertEqual([{error, disk_full}], lists:usort(Answers) -- [ok]),
    More = length([ok || ok <- Answers]),
    ?assert(More < 10),
    there(S, lists:seq(0, Full - 1)),
    ?assertEqual(not_found, hyper_lmdb:get(S, key(Full))),
    ?assertEqual(Full + More, test_store:count(S)),
    ?assertEqual(false, test_store:info(S, failed)),
    %% A delete copies pages; where not even those fit it says so, and takes nothing.
    Deleted = [I || I <- lists:seq(0, Full div 2), deleted(S, I)],
    Left = lists:seq(0, Full - 1) -- Deleted,
    there(S, Left),
    drop_ballast(Mounted),
    [?assertEqual(ok, store(S, I)) || I <- lists:seq(Full, Full + 20)],
    [?assertEqual(ok, hyper_lmdb:delete(S, key(I))) || I <- lists:seq(Full, Full + 20)],
    ok = hyper_lmdb:sync(S),
    ok = hyper_lmdb:stop(S),
    drop_ballast(Mounted, "for the next start"),
    S2 = start(Options),
    there(S2, Left),
    ?assertEqual(length(Left) + More, test_store:info(S2, entries)),
    ?assertEqual(ok, store(S2, Full)),
    ok = hyper_lmdb:stop(S2).

deleted(S, I) ->
    case hyper_lmdb:delete(S, key(I)) of
        ok -> ?assertEqual(not_found, hyper_lmdb:get(S, key(I))), true;
        {error, disk_full} -> false
    end.

start(Options) -> {ok, S} = hyper_lmdb:start(Options), S.

large_batch(Options, _Mounted, _Mode) ->
    S = start(Options),
    [ok = store(S, I) || I <- lists:seq(1, 100)],
    Batch = [{delete, key(1)} | [{put, key(I), value(I)} || I <- lists:seq(200, 200 + ?MOUNT_BYTES div 2000)]],
    ?assertEqual({error, disk_full}, hyper_lmdb:batch_write(S, Batch)),
    ?assertEqual(100, test_store:count(S)),
    there(S, lists:seq(1, 100)),
    ?assertEqual({error, disk_full}, hyper_lmdb:put(S, <<"large">>, rand:bytes(2 * ?MOUNT_BYTES))),
    ?assertEqual(ok, hyper_lmdb:batch_write(S, lists:sublist(Batch, 20))),
    ok = hyper_lmdb:stop(S).

%% On a full disk the journaled modes refused deletes, delete_prefix and reset with disk_full: nothing could
%% be freed through the store.
frees(Options, Mounted, _Mode) ->
    [begin
         frees_of(Options, Mounted, Value, Batch),
         ok = file:del_dir_r(maps:get(name, Options)),
         drop_ballast(Mounted)
     end || {Value, Batch} <- [{fun large/1, 1}, {fun small/1, 50}]].

frees_of(Options, Mounted, Value, Batch) ->
    S = start(Options),
    Full = fill_up(S, fill_in_batches(S, 0, Value, Batch), Value),
    ?assert(Full > 512),
    %% Nor has anybody else left a block.
    {error, enospc} = file:write_file(<<Mounted/binary, "/ballast">>, rand:bytes(?MOUNT_BYTES)),
    One = lists:seq(0, 239),
    [?assertEqual({I, ok}, {I, hyper_lmdb:delete(S, key(I))}) || I <- One],
    Together = lists:seq(240, 255),
    ?assertEqual(ok, hyper_lmdb:batch_write(S, [{delete, key(I)} || I <- Together])),
    ?assertEqual({ok, 256}, hyper_lmdb:delete_prefix(S, <<"key ", 0, 0, 1>>)),
    ByPrefix = lists:seq(256, 511),
    [?assertEqual(not_found, hyper_lmdb:get(S, key(I))) || I <- One ++ Together ++ ByPrefix],
    %% What was freed can be used, still with not a block left on the disk.
    Again = lists:seq(1, 100),
    [?assertEqual({I, ok}, {I, store(S, I, Value)}) || I <- Again],
    Left = Again ++ lists:seq(512, Full - 1),
    there(S, Left, Value),
    ok = hyper_lmdb:sync(S),
    ok = hyper_lmdb:stop(S),
    S2 = start(Options),
    there(S2, Left, Value),
    %% While a snapshot sees the old pages, puts leave some for what frees.
    hyper_lmdb:with_snapshot(S2, fun(_) ->
        _ = fill_up(S2, Full, Value),
        [?assertEqual({I, ok}, {I, hyper_lmdb:delete(S2, key(I))}) || I <- lists:sublist(Again, 3)]
    end),
    [?assertEqual({I, ok}, {I, hyper_lmdb:delete(S2, key(I))}) || I <- Again],
    ?assertEqual(ok, hyper_lmdb:reset(S2)),
    ?assertEqual(0, test_store:count(S2)),
    %% In map_async blocks are set aside for the worst that a write may take, so that not all is had back.
    Anew = lists:seq(1, case Options of #{durability := map_async} -> 500; _ -> Full div 2 end),
    ?assertEqual(length(Anew) + 1, fill_in_batches(S2, 1, Value, Batch, length(Anew))),
    there(S2, Anew, Value),
    ok = hyper_lmdb:stop(S2),
    S3 = start(Options),
    there(S3, Anew, Value),
    ?assertEqual(length(Anew), test_store:count(S3)),
    ok = hyper_lmdb:stop(S3).

%% Until the disk is full; the number after the last one.
fill_in_batches(S, I, Value, Batch) -> fill_in_batches(S, I, Value, Batch, infinity).
fill_in_batches(_, I, _, _, 0) -> I;
fill_in_batches(S, I, Value, Batch, Left) ->
    Count = min(Batch, Left),
    case hyper_lmdb:batch_write(S, [{put, key(N), Value(N)} || N <- lists:seq(I, I + Count - 1)]) of
        ok when Left =:= infinity -> fill_in_batches(S, I + Count, Value, Batch, Left);
        ok -> fill_in_batches(S, I + Count, Value, Batch, Left - Count);
        {error, disk_full} -> I
    end.

%% What was acknowledged stays readable while LMDB cannot take it, outlives a stop in the journal, and
%% goes into LMDB when there is room.
stalled(Options, Mounted, _Mode) ->
    S = start(Options),
    %% More than is kept for removals, of what LMDB does not have yet.
    Full = 1200,
    ok = hyper_lmdb:batch_write(S, [{put, key(I), value(I)} || I <- lists:seq(0, Full - 1)]),
    {error, enospc} = file:write_file(<<Mounted/binary, "/ballast">>, rand:bytes(?MOUNT_BYTES)),
    ok = test_store:wait_until(fun() -> test_store:info(S, apply_stalled) end),
    there(S, lists:seq(0, Full - 1)),
    ?assertEqual(Full, test_store:count(S)),
    ?assertEqual(false, test_store:info(S, failed)),
    ?assertMatch({error, disk_full}, hyper_lmdb:reset(S)),
    ?assertEqual(ok, hyper_lmdb:stop(S)),
    ?assertNotEqual([], test_store:journal(maps:get(name, Options))),
    ?assertEqual([{error, disk_full}], lists:usort([hyper_lmdb:start(Options) || _ <- [1, 2, 3]])),
    ReadOnly = start(Options#{read_only => true}),
    there(ReadOnly, lists:seq(0, Full - 1)),
    ok = hyper_lmdb:stop(ReadOnly),
    drop_ballast(Mounted),
    S2 = start(Options),
    ?assertEqual({Full, []}, {test_store:info(S2, entries), test_store:journal(maps:get(name, Options))}),
    there(S2, lists:seq(0, Full - 1)),
    ?assertEqual(ok, store(S2, Full)),
    ok = hyper_lmdb:stop(S2).

no_room_at_start(Options, Mounted, _Mode) ->
    {error, enospc} = file:write_file(<<Mounted/binary, "/ballast">>, rand:bytes(2 * ?MOUNT_BYTES)),
    case hyper_lmdb:start(Options) of
        {error, disk_full} -> ok;
        %% ext4 keeps a few blocks back, enough for a store with nothing in it.
        {ok, Empty} ->
            ?assertEqual({error, disk_full}, hyper_lmdb:put(Empty, <<"k">>, rand:bytes(?MOUNT_BYTES))),
            ok = hyper_lmdb:stop(Empty)
    end,
    drop_ballast(Mounted),
    S = start(Options),
    ?assertEqual(ok, store(S, 1)),
    ok = hyper_lmdb:stop(S).

backup(#{name := Dir} = Options, Mounted, _Mode) ->
    S = start(Options),
    [ok = store(S, I) || I <- lists:seq(1, 1000)],
    File = <<Mounted/binary, "/copy">>,
    %% LMDB gets what is buffered before there is no room any more, and the journal's room is free.
    ok = test_store:settle(S),
    ok = test_store:wait_until(fun() -> test_store:journal(Dir) =:= [] end),
    ballast(Mounted, free_bytes(Mounted) - (5 bsl 19)),
    {ok, Before} = file:list_dir(Mounted),
    [?assertEqual({error, disk_full}, hyper_lmdb:backup(S, File, #{compact => Compact})) || Compact <- [false, true, false]],
    {ok, After} = file:list_dir(Mounted),
    ?assertEqual(lists:sort(Before), lists:sort(After)),
    ?assertEqual(ok, store(S, 1001)),
    there(S, lists:seq(1, 1001)),
    ?assertEqual(false, test_store:info(S, failed)),
    drop_ballast(Mounted),
    ?assertEqual(ok, hyper_lmdb:backup(S, File)),
    ok = hyper_lmdb:stop(S).

%% The system sends SIGXFSZ, which would end the VM, to a thread that writes past the limit. From OTP
%% 26 on a VM does not even boot under such a limit: its JIT maps a large file. So it comes afterwards.
file_size_limit(Mode) ->
    test_store:with_dir(fun(Dir) ->
        {_, OsPid} = Peer = child_vm:start_peer([]),
        {0, ""} = test_store:shell("prlimit --fsize=8388608 --pid " ++ OsPid),
        child_vm:call(Peer, fun() ->
            S = start(#{name => Dir, durability => Mode}),
            {Full, Reason} = fill_to_limit(S, 0),
            ?assert(lists:member(Reason, [file_too_large, map_full])),
            ?assert(Full > 100),
            there(S, lists:seq(0, Full - 1)),
            ?assertEqual(not_found, hyper_lmdb:get(S, key(Full))),
            ok = hyper_lmdb:stop(S)
        end),
        child_vm:stop_peer(Peer)
    end).

fill_to_limit(S, I) ->
    case store(S, I) of
        ok -> fill_to_limit(S, I + 1);
        {error, Reason} -> {I, Reason}
    end.
