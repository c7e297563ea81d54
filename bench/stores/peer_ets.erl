-module(peer_ets).
-behaviour(bench_peer).
-export([title/0, modes/0, puts_off/1, most_bytes/0, open/2, close/1, settle/2,
         form/2, run/3, fold/2]).

title() -> "ets".

modes() -> [{ets, bench_stores:promise(ets)}].

puts_off(_) -> false.

most_bytes() -> 1 bsl 30.

open(_, ets) -> {ok, ets:new(bench, [set, public, {read_concurrency, true}])}.

close(Table) ->
    true = ets:delete(Table),
    ok.

settle(Table, _) -> Table.

form(Verb, Pairs) -> bench_peer:form(Verb, Pairs).

run(put, Table, Pairs) -> bench_loops:put_ets(Table, Pairs);
run(batch, Table, Batches) -> bench_loops:batch_ets(Table, Batches);
run(get, Table, Keys) -> bench_loops:get_ets(Table, Keys);
run(read_many, Table, Batches) -> bench_loops:read_many_ets(Table, Batches).

fold(Table, Fun) -> ets:foldl(Fun, 0, Table).
