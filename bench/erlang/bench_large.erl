%% Gets of values of 256 KiB by one process: raw LMDB copies each into the same buffer, warm after the
%% first, the library into a new binary each time.
-module(bench_large).
-export([run/2]).

-define(BYTES, (256 bsl 10)).

%% -> measurements, one a side
run(Dir, #{large_keys := Keys, read_rounds := Rounds, pace := Pace}) ->
    Raw = bench_raw:open(place(Dir, "raw_large"), map_async),
    Async = start(Dir),
    [begin
         Pairs = [{integer_to_binary(I), rand:bytes(?BYTES)} || I <- Part],
         _ = bench_raw:batch_write(Raw, bench_raw:pairs(Pairs), length(Pairs)),
         ok = hyper_lmdb:batch_write(Async, bench_stores:puts(Pairs))
     end || Part <- bench_stores:chunks(lists:seq(0, Keys - 1), 100)],
    %% A stop leaves nothing in the write buffer.
    ok = hyper_lmdb:stop(Async),
    Store = start(Dir),
    Wanted = [integer_to_binary(rand:uniform(Keys) - 1) || _ <- lists:seq(1, Keys)],
    bench_stores:keep(large, #{keys => Wanted, raw => bench_raw:pairs([{K, <<>>} || K <- Wanted])}),
    Cases = [{raw, sample(Keys, Pace, raw, fun(P) -> bench_raw:get(Raw, P, 1) end)},
             {ours, sample(Keys, Pace, keys, fun(Ks) -> get(Store, Ks) end)}],
    Timings = bench_rounds:run(Rounds, Cases),
    ok = hyper_lmdb:stop(Store),
    ok = bench_raw:close(Raw),
    [(maps:get(Side, Timings))#{'case' => get_large, side => Side} || Side <- [raw, ours]].

start(Dir) ->
    {ok, Store} = hyper_lmdb:start(#{name => iolist_to_binary(filename:join(Dir, "hyper_large"))}),
    Store.

place(Dir, Name) ->
    Place = filename:join(Dir, Name),
    ok = file:make_dir(Place),
    iolist_to_binary(Place).

get(Store, Keys) -> bench_rounds:ns(fun() -> bench_loops:get(Store, Keys) end).

sample(Keys, Pace, Form, Fun) ->
    fun() ->
            #{Form := Data} = bench_stores:kept(large),
            bench_rounds:at_least(100 * Pace, fun() -> {Fun(Data), Keys} end)
    end.
