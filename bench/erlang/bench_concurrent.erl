%% Many processes at once: 1, 2 and 8 readers, 1, 8 and 64 writers. The clock runs from the word
%% "go" to the last one done; the figure is wall time over the operations of all.
-module(bench_concurrent).
-export([readers/2, writers/2]).

-define(READ_CHUNKS, 8).
-define(READ_MS, 200).
-define(WRITE_CHUNKS, 64).

readers(#{async := Async, map := Map, raw_map := RawMap, ets := Ets} = Stores,
        #{keys := Keys, ops := Ops, read_rounds := Rounds} = Settings) ->
    Size = max(1, Ops div ?READ_CHUNKS),
    Chunks = [[Key || {Key, _} <- bench_stores:random_pairs(Size, Keys)]
              || _ <- lists:seq(1, ?READ_CHUNKS)],
    bench_stores:keep(read_chunks, Chunks),
    bench_stores:keep(raw_reads, bench_raw:pairs([{Key, <<>>} || Key <- lists:append(Chunks)])),
    measure(get, Rounds, Stores, Settings,
            [{raw, P, raw_threads(RawMap, P, Size * ?READ_CHUNKS, Settings)} || P <- [1, 2, 8]] ++
                together(map_async, [1, 2, 8], read_chunks, ?READ_MS, loop(fun bench_loops:get/2, Map),
                         Settings) ++
                together(async, [1, 2, 8], read_chunks, ?READ_MS, loop(fun bench_loops:get/2, Async),
                         Settings) ++
                together(ets, [1, 2, 8], read_chunks, ?READ_MS, loop(fun bench_loops:get_ets/2, Ets),
                         Settings)).

%% For as long as the others: in a shorter sample two threads warm the caches for each other, which one
%% alone has to do by itself.
raw_threads(Store, Threads, Ops, #{pace := Pace}) ->
    fun() ->
            bench_rounds:at_least(?READ_MS * Pace, fun() ->
                {bench_raw:get(Store, bench_stores:kept(raw_reads), Threads), Threads * Ops}
            end)
    end.

writers(#{async := Async, map := Map, sync := Sync, ets := Ets} = Stores,
        #{keys := Keys, ops := Ops, write_rounds := Rounds} = Settings) ->
    keep_writes(map_chunks, max(1, Ops div ?WRITE_CHUNKS), Keys),
    keep_writes(sync_chunks, max(1, Ops div 10000), Keys),
    %% As long as in bench_single: from one flush to the next, and to fill a write buffer.
    measure(put_async, Rounds, Stores, Settings,
            together(ours, [1, 8, 64], map_chunks, 2000, loop(fun bench_loops:put/2, Async),
                     Settings)) ++
    measure(put_map, Rounds, Stores, Settings,
            together(ours, [1, 8, 64], map_chunks, 1100, loop(fun bench_loops:put/2, Map),
                     Settings) ++
                together(ets, [1, 8, 64], map_chunks, 100, loop(fun bench_loops:put_ets/2, Ets),
                         Settings)) ++
        measure(put_sync, Rounds, Stores, Settings,
                together(ours, [1, 8, 64], sync_chunks, 300, loop(fun bench_loops:put/2, Sync),
                         Settings)).

loop(Fun, Store) -> fun(Chunk) -> Fun(Store, Chunk) end.

keep_writes(Name, Size, Keys) ->
    bench_stores:keep(Name, [bench_stores:random_pairs(Size, Keys)
                             || _ <- lists:seq(1, ?WRITE_CHUNKS)]).

measure(Name, Rounds, Stores, Settings, Cases) ->
    Timings = bench_rounds:run(Rounds, [{{Side, P}, at_rest(Fun, Stores, Settings)}
                                        || {Side, P, Fun} <- Cases]),
    [(maps:get({Side, P}, Timings))#{'case' => Name, side => Side, processes => P}
     || {Side, P, _} <- Cases].

at_rest(Fun, Stores, Settings) ->
    fun() ->
            ok = bench_stores:settle(Stores, Settings),
            Fun()
    end.

together(Side, Counts, Name, Ms, Loop, #{pace := Pace}) ->
    [{Side, P, fun() -> run(P, Name, Ms * Pace, Loop) end} || P <- Counts].

%% Starts P processes, says go when all are there, and counts what they did until the time was up.
run(P, Name, Ms, Loop) ->
    Parent = self(),
    Workers = [spawn_monitor(fun() -> work(Parent, Name, I, Loop) end) || I <- lists:seq(1, P)],
    [receive {Pid, ready} -> ok end || {Pid, _} <- Workers],
    Start = erlang:monotonic_time(),
    Deadline = Start + erlang:convert_time_unit(round(Ms * 1000), microsecond, native),
    [Pid ! {go, Deadline} || {Pid, _} <- Workers],
    Done = [receive {'DOWN', Monitor, process, _, Result} -> done(Result) end
            || {_, Monitor} <- Workers],
    Ns = erlang:convert_time_unit(lists:max([At || {At, _} <- Done]) - Start, native, nanosecond),
    {Ns, lists:sum([Ops || {_, Ops} <- Done])}.

%% Each goes round all chunks, from one of its own on.
work(Parent, Name, I, Loop) ->
    {Before, Mine} = lists:split((I - 1) rem length(bench_stores:kept(Name)),
                                 bench_stores:kept(Name)),
    Chunks = Mine ++ Before,
    Size = length(hd(Chunks)),
    Parent ! {self(), ready},
    receive {go, Deadline} -> exit(until(Deadline, Chunks, Chunks, Loop, Size, 0)) end.

until(Deadline, [Chunk | Chunks], All, Loop, Size, Ops) ->
    ok = Loop(Chunk),
    case erlang:monotonic_time() of
        Now when Now >= Deadline -> {done, Now, Ops + Size};
        _ -> until(Deadline, Chunks, All, Loop, Size, Ops + Size)
    end;
until(Deadline, [], All, Loop, Size, Ops) -> until(Deadline, All, All, Loop, Size, Ops).

done({done, At, Ops}) -> {At, Ops};
done(Reason) -> error({worker_failed, Reason}).
