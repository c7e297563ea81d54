%% Many processes at once: 1, 2 and 8 readers, 1, 8 and 64 writers. The clock runs from the word
%% "go" to the last one done; the figure is wall time over the operations of all.
-module(bench_concurrent).
-export([readers/2, writers/2]).

-define(READ_CHUNKS, 8).
-define(WRITE_CHUNKS, 64).

readers(#{map := Map, raw_map := RawMap, ets := Ets}, #{keys := Keys, ops := Ops,
                                                        rounds := Rounds}) ->
    Size = max(1, Ops div 4),
    Chunks = [[Key || {Key, _} <- bench_stores:random_pairs(Size, Keys)]
              || _ <- lists:seq(1, ?READ_CHUNKS)],
    bench_stores:keep(read_chunks, Chunks),
    bench_stores:keep(raw_reads, bench_raw:pairs([{Key, <<>>} || Key <- lists:append(Chunks)])),
    Raw = fun(P) ->
                  fun() ->
                          {bench_raw:get(RawMap, bench_stores:kept(raw_reads), P),
                           P * Size * ?READ_CHUNKS}
                  end
          end,
    measure(get, Rounds,
            [{raw, P, Raw(P)} || P <- [1, 2, 8]] ++
                [{Side, P, together(P, read_chunks, fun(Chunk) -> Loop(Store, Chunk) end)}
                 || {Side, Loop, Store} <- [{ours, fun bench_loops:get/2, Map},
                                            {ets, fun bench_loops:get_ets/2, Ets}],
                    P <- [1, 2, 8]]).

writers(#{map := Map, sync := Sync, ets := Ets}, #{keys := Keys, ops := Ops, rounds := Rounds}) ->
    keep_writes(map_chunks, max(1, Ops div ?WRITE_CHUNKS), Keys),
    keep_writes(sync_chunks, max(1, Ops div 2500), Keys),
    Case = fun(Side, Loop, Store, Chunks) ->
                   [{Side, P, together(P, Chunks, fun(Chunk) -> Loop(Store, Chunk) end)}
                    || P <- [1, 8, 64]]
           end,
    measure(put_map, Rounds, Case(ours, fun bench_loops:put/2, Map, map_chunks) ++
                Case(ets, fun bench_loops:put_ets/2, Ets, map_chunks)) ++
        measure(put_sync, Rounds, Case(ours, fun bench_loops:put/2, Sync, sync_chunks)).

keep_writes(Name, Size, Keys) ->
    bench_stores:keep(Name, [bench_stores:random_pairs(Size, Keys)
                             || _ <- lists:seq(1, ?WRITE_CHUNKS)]).

measure(Name, Rounds, Cases) ->
    Timings = bench_rounds:run(Rounds, [{{Side, P}, Fun} || {Side, P, Fun} <- Cases]),
    [(maps:get({Side, P}, Timings))#{'case' => Name, side => Side, processes => P}
     || {Side, P, _} <- Cases].

%% Splits chunks among P processes, starts them, and says go when all are there. Few processes do
%% more each, so that a run is long enough to be spread over the cores.
together(P, Name, Loop) ->
    fun() ->
            Chunks = bench_stores:kept(Name),
            Share = max(1, min(length(Chunks) div 2, length(Chunks) div P)),
            Parent = self(),
            Workers = [spawn_monitor(fun() -> work(Parent, Name, (I - 1) * Share, Share, Loop) end)
                       || I <- lists:seq(1, P)],
            [receive {Pid, ready} -> ok end || {Pid, _} <- Workers],
            Start = erlang:monotonic_time(),
            [Pid ! go || {Pid, _} <- Workers],
            Ends = [receive {'DOWN', Monitor, process, _, Result} -> finished(Result) end
                    || {_, Monitor} <- Workers],
            Ns = erlang:convert_time_unit(lists:max(Ends) - Start, native, nanosecond),
            {Ns, P * Share * length(hd(Chunks))}
    end.

work(Parent, Name, Skip, Share, Loop) ->
    Mine = lists:sublist(bench_stores:kept(Name), Skip + 1, Share),
    Parent ! {self(), ready},
    receive go -> ok end,
    [ok = Loop(Chunk) || Chunk <- Mine],
    exit({ended, erlang:monotonic_time()}).

finished({ended, At}) -> At;
finished(Reason) -> error({worker_failed, Reason}).
