%% A batch is one insert of 100 objects, which promises nothing about all or nothing.
-module(peer_dets).
-behaviour(bench_peer).
-export([title/0, modes/0, puts_off/1, most_bytes/0, open/2, close/1, settle/2,
         form/2, run/3, fold/2]).

title() -> "dets".

modes() -> [{dets, bench_stores:promise(dets)}, {dets_sync, bench_stores:promise(dets_sync)}].

puts_off(_) -> false.

most_bytes() -> 1 bsl 30.

open(Dir, Mode) ->
    ok = filelib:ensure_path(Dir),
    {ok, {Mode, bench_stores:open_dets(filename:join(Dir, "dets"))}}.

close({_, Table}) -> dets:close(Table).

settle({_, Table} = State, _) ->
    ok = dets:sync(Table),
    State.

form(Verb, Pairs) -> bench_peer:form(Verb, Pairs).

run(put, {dets, Table}, Pairs) -> bench_loops:put_dets(Table, Pairs);
run(put, {dets_sync, Table}, Pairs) -> bench_loops:put_dets_sync(Table, Pairs);
run(batch, {dets, Table}, Batches) -> bench_loops:batch_dets(Table, Batches);
run(batch, {dets_sync, Table}, Batches) -> bench_loops:batch_dets_sync(Table, Batches);
run(get, {_, Table}, Keys) -> bench_loops:get_dets(Table, Keys);
run(read_many, {_, Table}, Batches) -> bench_loops:read_many_dets(Table, Batches).

fold({_, Table}, Fun) -> dets:foldl(Fun, 0, Table).
