%% @doc Stores to copy while writers write, and copies to look into.
-module(backup_copies).
-include_lib("eunit/include/eunit.hrl").
-export([with_copy/3, contents/1, leftovers/1]).
-export([start_writers/1, acked/1, last_batches/1, batches_so_far/1, megabytes/2]).

-define(WRITERS, 4).
-define(SLOTS, 50).

%% The copy becomes the only file of a new directory.
directory_from(File) ->
    Dir = <<File/binary, ".dir">>,
    ok = file:make_dir(Dir),
    {ok, _} = file:copy(File, <<Dir/binary, "/data.mdb">>),
    Dir.

with_copy(File, Mode, Fun) ->
    Dir = directory_from(File),
    S = test_store:start_ok(#{name => Dir, durability => Mode}),
    Result = Fun(S),
    %% It may have been restarted.
    test_store:stop_clean(#{name => Dir}, Dir),
    ok = file:del_dir_r(Dir),
    Result.

contents(S) ->
    {ok, Keys} = hyper_lmdb:list_prefix(S, <<>>),
    {ok, Values} = hyper_lmdb:read_many_fast(S, Keys),
    Values.

leftovers(Dir) ->
    {ok, Names} = file:list_dir(Dir),
    [Name || ".hyper_lmdb-backup-" ++ _ = Name <- Names].

%% -- writers -------------------------------------------------------------------------------------

%% Batch N of a writer puts its number under three keys far apart.
key(W, Slot, Place) -> <<Place, W, Slot:16, "/some way to go">>.

batch(W, N) -> [{put, key(W, N rem ?SLOTS, Place), <<N:64, 0:800>>} || Place <- [1, 100, 200]].

start_writers(S) ->
    Acked = atomics:new(?WRITERS, []),
    {Acked, [spawn_link(fun() -> write(S, Acked, W, 1) end) || W <- lists:seq(1, ?WRITERS)]}.

write(S, Acked, W, N) ->
    case hyper_lmdb:batch_write(S, batch(W, N)) of
        ok -> atomics:put(Acked, W, N), write(S, Acked, W, N + 1);
        {error, closed} -> ok
    end.

acked(Acked) -> [atomics:get(Acked, W) || W <- lists:seq(1, ?WRITERS)].

%% Everything up to the last batch of each writer is there, whole, and nothing else; that batch.
last_batches(S) ->
    [begin
         Numbers = numbers(S, W),
         Last = lists:max(lists:append(Numbers)),
         ?assertEqual([lists:duplicate(3, wanted(Last, Slot)) || Slot <- lists:seq(0, ?SLOTS - 1)], Numbers),
         Last
     end || W <- lists:seq(1, ?WRITERS)].

numbers(S, W) ->
    [[number(hyper_lmdb:get(S, key(W, Slot, Place))) || Place <- [1, 100, 200]] || Slot <- lists:seq(0, ?SLOTS - 1)].

%% Of writers that write.
batches_so_far(S) -> [lists:max(lists:append(numbers(S, W))) || W <- lists:seq(1, ?WRITERS)].

number(not_found) -> 0;
number({ok, <<N:64, _/binary>>}) -> N.

wanted(Last, Slot) -> max(0, Last - (Last - Slot + ?SLOTS) rem ?SLOTS).

%% About as many, of 10,000 bytes a value.
megabytes(S, Count) ->
    [ok = hyper_lmdb:batch_write(S, [{put, <<"big", I:32, J:32>>, rand:bytes(10000)} || J <- lists:seq(1, 100)])
     || I <- lists:seq(1, Count)].
