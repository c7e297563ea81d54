%% The timed loops. The lists come from persistent_term, so walking them makes no garbage and the
%% collector never copies them; every answer is matched, so a wrong one ends the run.
-module(bench_loops).
-compile({no_auto_import, [get/2, put/2]}).
-export([get/2, get_ets/2, get_dets/2, put/2, put_ets/2, put_dets/2, put_dets_sync/2, batch/2,
         batch_ets/2, batch_dets/2, batch_dets_sync/2, read_many_dets/2, read_many/2, read_many_keys/2,
         read_many_ets/2, read/2, write/2, list/2, empty/1]).

get(Store, [Key | Keys]) ->
    {ok, _} = hyper_lmdb:get(Store, Key),
    get(Store, Keys);
get(_, []) -> ok.

get_ets(Table, [Key | Keys]) ->
    [_] = ets:lookup(Table, Key),
    get_ets(Table, Keys);
get_ets(_, []) -> ok.

get_dets(Table, [Key | Keys]) ->
    [_] = dets:lookup(Table, Key),
    get_dets(Table, Keys);
get_dets(_, []) -> ok.

put(Store, [{Key, Value} | Pairs]) ->
    ok = hyper_lmdb:put(Store, Key, Value),
    put(Store, Pairs);
put(_, []) -> ok.

put_ets(Table, [Pair | Pairs]) ->
    true = ets:insert(Table, Pair),
    put_ets(Table, Pairs);
put_ets(_, []) -> ok.

put_dets(Table, [Pair | Pairs]) ->
    ok = dets:insert(Table, Pair),
    put_dets(Table, Pairs);
put_dets(_, []) -> ok.

put_dets_sync(Table, [Pair | Pairs]) ->
    ok = dets:insert(Table, Pair),
    ok = dets:sync(Table),
    put_dets_sync(Table, Pairs);
put_dets_sync(_, []) -> ok.

batch(Store, [Ops | Batches]) ->
    ok = hyper_lmdb:batch_write(Store, Ops),
    batch(Store, Batches);
batch(_, []) -> ok.

batch_ets(Table, [Pairs | Batches]) ->
    true = ets:insert(Table, Pairs),
    batch_ets(Table, Batches);
batch_ets(_, []) -> ok.

batch_dets(Table, [Pairs | Batches]) ->
    ok = dets:insert(Table, Pairs),
    batch_dets(Table, Batches);
batch_dets(_, []) -> ok.

batch_dets_sync(Table, [Pairs | Batches]) ->
    ok = dets:insert(Table, Pairs),
    ok = dets:sync(Table),
    batch_dets_sync(Table, Batches);
batch_dets_sync(_, []) -> ok.

read_many(Store, [Keys | Batches]) ->
    {ok, [_ | _]} = hyper_lmdb:read_many(Store, Keys),
    read_many(Store, Batches);
read_many(_, []) -> ok.

read_many_keys(Store, [Keys | Batches]) ->
    {ok, [_ | _]} = hyper_lmdb:read_many_fast(Store, Keys),
    read_many_keys(Store, Batches);
read_many_keys(_, []) -> ok.

read_many_ets(Table, [Keys | Batches]) ->
    [_ | _] = [{Key, ets:lookup(Table, Key)} || Key <- Keys],
    read_many_ets(Table, Batches);
read_many_ets(_, []) -> ok.

read_many_dets(Table, [Keys | Batches]) ->
    [_ | _] = [{Key, dets:lookup(Table, Key)} || Key <- Keys],
    read_many_dets(Table, Batches);
read_many_dets(_, []) -> ok.

read(Store, [Path | Paths]) ->
    {ok, _} = hyper_lmdb:read(Store, Path),
    read(Store, Paths);
read(_, []) -> ok.

write(Store, [{Path, Value} | Pairs]) ->
    ok = hyper_lmdb:write(Store, Path, Value),
    write(Store, Pairs);
write(_, []) -> ok.

list(Store, [Path | Paths]) ->
    {ok, [_ | _]} = hyper_lmdb:list(Store, Path),
    list(Store, Paths);
list(_, []) -> ok.

empty([Key | Keys]) ->
    Key = bench_raw:empty(Key),
    empty(Keys);
empty([]) -> ok.
