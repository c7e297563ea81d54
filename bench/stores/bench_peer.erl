%% What bench/report compares: a store behind six callbacks. The state stays in the process that
%% opened it; all callbacks are called there.
-module(bench_peer).
-export([all/0, form/2, fold_count/1, missing/1]).
-export_type([mode/0, verb/0, state/0]).

%% What is kept of a write; the first of modes/0 is the one a store is loaded and read in.
-type mode() :: atom().
%% Puts one by one, puts in batches of 100, gets one by one, gets of 100 at once.
-type verb() :: put | batch | get | read_many.
-type state() :: term().

-callback title() -> string().
-callback modes() -> [{mode(), Promise :: string()}].
%% Whether a write leaves work for later: then a sample has to be long enough to have its share of it.
-callback puts_off(mode()) -> boolean().
%% Most bytes of values a cell may have.
-callback most_bytes() -> pos_integer().
%% Opens what is in the directory, or makes it; missing where it is not installed.
-callback open(file:filename(), mode()) -> {ok, state()} | {missing, string()}.
-callback close(state()) -> ok.
%% Nothing that was put off runs in the background any more, and the store is ready for what is next.
-callback settle(state(), read | write) -> state().
%% The data in the form that run/3 wants, made before the clock starts.
-callback form(verb(), [{binary(), binary()}]) -> term().
%% ok, or the nanoseconds where the store's side has a clock of its own.
-callback run(verb(), state(), term()) -> ok | pos_integer().
%% All entries in the store's own order, with bench_peer:fold_count/1 or nanoseconds as above. Stops
%% by a throw of {enough, Count}.
-callback fold(state(), fun((Entry :: term(), non_neg_integer()) -> non_neg_integer())) ->
    non_neg_integer() | {Nanoseconds :: pos_integer(), non_neg_integer()}.

-define(BATCH, 100).

all() -> [peer_hyper, peer_raw, peer_ets, peer_mnesia, peer_dets, peer_bitcask].

form(put, Pairs) -> Pairs;
form(batch, Pairs) -> bench_stores:chunks(Pairs, ?BATCH);
form(get, Pairs) -> [Key || {Key, _} <- Pairs];
form(read_many, Pairs) -> bench_stores:chunks(form(get, Pairs), ?BATCH).

%% A fun that counts entries and looks at the clock now and then.
fold_count(Deadline) ->
    fun(_, Count) when Count band 1023 =:= 1023 ->
            case erlang:monotonic_time() of
                Now when Now >= Deadline -> throw({enough, Count + 1});
                _ -> Count + 1
            end;
       (_, Count) -> Count + 1
    end.

missing(Package) -> {missing, Package ++ " is not installed"}.
