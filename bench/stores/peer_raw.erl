%% LMDB used directly, in loops inside a NIF: no Erlang term is made and the clock is the loop's own,
%% so this is a floor rather than a store one could use.
-module(peer_raw).
-behaviour(bench_peer).
-export([title/0, modes/0, puts_off/1, most_bytes/0, open/2, close/1, settle/2,
         form/2, run/3, fold/2]).

title() -> "raw LMDB in C".

modes() -> [{raw_map, bench_stores:promise(raw_map)}, {raw_sync, bench_stores:promise(raw_sync)}].

puts_off(_) -> false.

most_bytes() -> 4 bsl 30.

open(Dir, Mode) ->
    ok = bench_raw:load(os:getenv("BENCH_RAW_NIF")),
    ok = filelib:ensure_path(Dir),
    {ok, bench_raw:open(iolist_to_binary(Dir),
                        case Mode of raw_map -> map_async; raw_sync -> sync end)}.

close(Store) -> bench_raw:close(Store).

settle(Store, _) -> Store.

form(_, Pairs) -> bench_raw:pairs(Pairs).

run(put, Store, Pairs) -> bench_raw:put(Store, Pairs);
run(batch, Store, Pairs) -> bench_raw:batch_write(Store, Pairs, 100);
run(get, Store, Pairs) -> bench_raw:get(Store, Pairs, 1);
run(read_many, Store, Pairs) -> bench_raw:read_many(Store, Pairs, 100).

fold(Store, _) -> bench_raw:fold(Store).
