%% A fold over all entries, keys of 16 bytes and values of 100, beside ets:foldl over the same; ns an
%% entry. The fun counts and does nothing else.
-module(bench_fold).
-export([run/2]).

-define(IN_A_BATCH, 1000).

%% -> measurements, one a side
run(Dir, #{fold_keys := Keys, write_rounds := Rounds}) ->
    Name = iolist_to_binary(filename:join(Dir, "hyper_fold")),
    {ok, Filled} = hyper_lmdb:start(#{name => Name}),
    Table = ets:new(fold, [public]),
    [begin
         Pairs = [{iolist_to_binary(io_lib:format("key~13..0b", [I])), rand:bytes(100)} || I <- Part],
         true = ets:insert(Table, Pairs),
         ok = hyper_lmdb:batch_write(Filled, bench_stores:puts(Pairs))
     end || Part <- bench_stores:chunks(lists:seq(1, Keys), ?IN_A_BATCH)],
    %% A stop leaves nothing in the write buffer.
    ok = hyper_lmdb:stop(Filled),
    {ok, Store} = hyper_lmdb:start(#{name => Name}),
    Cases = [{ours, fun() -> {bench_rounds:ns(fun() -> {ok, Keys} = fold(Store) end), Keys} end},
             {ets, fun() -> {bench_rounds:ns(fun() -> Keys = foldl(Table) end), Keys} end}],
    Timings = bench_rounds:run(Rounds, Cases),
    ok = hyper_lmdb:stop(Store),
    true = ets:delete(Table),
    [(maps:get(Side, Timings))#{'case' => fold, side => Side} || Side <- [ours, ets]].

fold(Store) -> hyper_lmdb:fold(Store, fun(_Key, _Value, Count) -> Count + 1 end, 0, #{}).

foldl(Table) -> ets:foldl(fun({_Key, _Value}, Count) -> Count + 1 end, 0, Table).
