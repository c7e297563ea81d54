%% The data of a cell: keys are the numbers from 0 on in decimal, values pieces of a pool of random
%% bytes, each a binary of its own.
-module(grid_data).
-export([prepare/0, load/3, random/2]).

-define(POOL_BYTES, (16 bsl 20)).

%% Once in a VM.
prepare() ->
    bench_stores:seed(),
    bench_stores:keep(pool, rand:bytes(?POOL_BYTES)).

%% The pairs of the keys From to To - 1; the same in every store.
load(From, To, Bytes) ->
    [{integer_to_binary(I), value(I * 7919, Bytes)} || I <- lists:seq(From, To - 1)].

%% Keys that are there, evenly drawn, with new values.
random(Count, #{keys := Keys, bytes := Bytes}) ->
    [{integer_to_binary(rand:uniform(Keys) - 1), value(rand:uniform(?POOL_BYTES), Bytes)}
     || _ <- lists:seq(1, Count)].

value(At, Bytes) ->
    binary:copy(binary:part(bench_stores:kept(pool), At rem (?POOL_BYTES - Bytes), Bytes)).
