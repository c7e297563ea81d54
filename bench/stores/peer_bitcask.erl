%% An append-only file and every key in memory. It has no batches: a batch is 100 puts. Replaced values
%% stay on disk until a merge, which nothing starts here. Its files are read and written by its NIF,
%% which takes a sixth of the time its default, a process for each file, takes for a get. Its strategy
%% o_sync does not reach the open of a file in either (2.1.0), so what is synced is synced by a call.
-module(peer_bitcask).
-behaviour(bench_peer).
-export([title/0, modes/0, puts_off/1, most_bytes/0, open/2, close/1, settle/2,
         form/2, run/3, fold/2]).

title() -> "bitcask".

modes() ->
    [{bitcask, "kill -9: nothing lost; power cut: what the system has not written back is lost"},
     {bitcask_sync, "`sync` after each: kill -9 and power cut: nothing lost"}].

puts_off(_) -> false.

most_bytes() -> 4 bsl 30.

open(Dir, Mode) ->
    case code:which(bitcask) of
        non_existing -> bench_peer:missing("bitcask (erlang-bitcask)");
        _ ->
            {ok, _} = application:ensure_all_started(bitcask),
            ok = application:set_env(bitcask, io_mode, nif),
            Store = bitcask:open(Dir, [read_write]),
            true = is_reference(Store),
            {ok, {Mode, Store}}
    end.

close({_, Store}) -> bitcask:close(Store).

settle(Store, _) -> Store.

form(Verb, Pairs) -> bench_peer:form(Verb, Pairs).

run(put, {bitcask, Store}, Pairs) -> put_each(Store, Pairs);
run(put, {bitcask_sync, Store}, Pairs) ->
    lists:foreach(fun(Pair) -> put_each(Store, [Pair]), ok = bitcask:sync(Store) end, Pairs);
run(batch, {bitcask, Store}, Batches) ->
    lists:foreach(fun(Batch) -> put_each(Store, Batch) end, Batches);
run(batch, {bitcask_sync, Store}, Batches) ->
    lists:foreach(fun(Batch) -> put_each(Store, Batch), ok = bitcask:sync(Store) end, Batches);
run(get, {_, Store}, Keys) -> get_each(Store, Keys);
run(read_many, {_, Store}, Batches) ->
    lists:foreach(fun(Batch) -> [_ | _] = [{Key, bitcask:get(Store, Key)} || Key <- Batch] end,
                  Batches).

put_each(Store, [{Key, Value} | Pairs]) ->
    ok = bitcask:put(Store, Key, Value),
    put_each(Store, Pairs);
put_each(_, []) -> ok.

get_each(Store, [Key | Keys]) ->
    {ok, _} = bitcask:get(Store, Key),
    get_each(Store, Keys);
get_each(_, []) -> ok.

fold({_, Store}, Fun) -> bitcask:fold(Store, fun(Key, _, Count) -> Fun(Key, Count) end, 0).
