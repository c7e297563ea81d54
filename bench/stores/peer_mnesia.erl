%% One disc_copies table of one node. A put is a dirty_write, a batch is a transaction of 100 writes.
%% Both go to a process that writes its log every two seconds or when it has enough, so neither
%% promises what an async write of the library does. The log is dumped into the table's file every
%% 50,000 writes rather than every 1,000, as applications that write much set it.
-module(peer_mnesia).
-behaviour(bench_peer).
-export([title/0, modes/0, puts_off/1, most_bytes/0, open/2, close/1, settle/2,
         form/2, run/3, fold/2]).

-define(TABLE, bench).

title() -> "mnesia, disc_copies".

modes() ->
    [{mnesia, "kill -9: what the log's process still holds is lost, up to 2 s of it; power cut: what "
      "the system has not written back"},
     {mnesia_sync, "`sync_log` after each: kill -9 and power cut: nothing lost"}].

puts_off(Mode) -> Mode =:= mnesia.

most_bytes() -> 1 bsl 30.

open(Dir, Mode) ->
    case code:which(mnesia) of
        non_existing -> bench_peer:missing("mnesia (erlang-mnesia)");
        _ ->
            ok = filelib:ensure_path(filename:dirname(Dir)),
            [ok = application:set_env(mnesia, Key, Value)
             || {Key, Value} <- [{dir, Dir}, {dump_log_write_threshold, 50000},
                                 {dc_dump_limit, 40}]],
            case filelib:is_dir(Dir) of
                true -> ok = mnesia:start();
                false ->
                    ok = mnesia:create_schema([node()]),
                    ok = mnesia:start(),
                    {atomic, ok} = mnesia:create_table(?TABLE, [{disc_copies, [node()]}])
            end,
            ok = mnesia:wait_for_tables([?TABLE], infinity),
            {ok, Mode}
    end.

close(_) ->
    stopped = mnesia:stop(),
    ok.

settle(Mode, _) ->
    dumped = mnesia:dump_log(),
    Mode.

form(put, Pairs) -> [{?TABLE, Key, Value} || {Key, Value} <- Pairs];
form(batch, Pairs) -> bench_stores:chunks(form(put, Pairs), 100);
form(Verb, Pairs) -> bench_peer:form(Verb, Pairs).

run(put, Mode, Records) ->
    each(fun(Record) -> ok = mnesia:dirty_write(Record), logged(Mode) end, Records);
run(batch, Mode, Batches) ->
    each(fun(Batch) ->
                 Write = fun() -> each(fun(Record) -> ok = mnesia:write(Record) end, Batch) end,
                 {atomic, ok} = mnesia:transaction(Write),
                 logged(Mode)
         end, Batches);
run(get, _, Keys) -> each(fun(Key) -> [_] = mnesia:dirty_read(?TABLE, Key) end, Keys);
run(read_many, _, Batches) ->
    each(fun(Batch) -> [_ | _] = [{Key, mnesia:dirty_read(?TABLE, Key)} || Key <- Batch] end,
         Batches).

fold(_, Fun) -> mnesia:activity(async_dirty, fun() -> mnesia:foldl(Fun, 0, ?TABLE) end).

logged(mnesia) -> ok;
logged(mnesia_sync) -> ok = mnesia:sync_log().

each(Fun, List) -> lists:foreach(Fun, List).
