%% Raw LMDB in loops (raw_nif.cpp). The times are nanoseconds for the whole loop.
-module(bench_raw).
-export([load/1, open/2, close/1, pairs/1, holds/2, empty/1, get/3, read_many/3, put/2,
         batch_write/3, fold/1, busy/1, stop_busy/1, drop/1, resident/1]).

-type store() :: reference().
-type pairs() :: reference().

%% Loaded on demand: the old system's workload runs without it, and so without a C++ build.
-spec load(file:filename()) -> ok.
load(File) ->
    case erlang:load_nif(filename:rootname(File), 0) of
        ok -> ok;
        {error, {reload, _}} -> ok;
        {error, Reason} -> error({cannot_load, File, Reason})
    end.

-spec open(binary(), map_async | sync) -> store().
open(_Directory, _Mode) -> erlang:nif_error(not_loaded).

-spec close(store()) -> ok.
close(_Store) -> erlang:nif_error(not_loaded).

-spec pairs([{binary(), binary()}]) -> pairs().
pairs(_List) -> erlang:nif_error(not_loaded).

-spec holds(store(), pairs()) -> boolean().
holds(_Store, _Pairs) -> erlang:nif_error(not_loaded).

-spec empty(Term) -> Term.
empty(_Term) -> erlang:nif_error(not_loaded).

-spec get(store(), pairs(), Threads :: pos_integer()) -> pos_integer().
get(_Store, _Pairs, _Threads) -> erlang:nif_error(not_loaded).

-spec read_many(store(), pairs(), Size :: pos_integer()) -> pos_integer().
read_many(_Store, _Pairs, _Size) -> erlang:nif_error(not_loaded).

-spec put(store(), pairs()) -> pos_integer().
put(_Store, _Pairs) -> erlang:nif_error(not_loaded).

-spec batch_write(store(), pairs(), Size :: pos_integer()) -> pos_integer().
batch_write(_Store, _Pairs, _Size) -> erlang:nif_error(not_loaded).

%% Walks over all entries, copying each.
-spec fold(store()) -> {Nanoseconds :: pos_integer(), Entries :: non_neg_integer()}.
fold(_Store) -> erlang:nif_error(not_loaded).

%% A thread that is busy for so much of the time, until it is stopped.
-spec busy(Percent :: 1..100) -> reference().
busy(_Percent) -> erlang:nif_error(not_loaded).

-spec stop_busy(reference()) -> ok.
stop_busy(_Thread) -> erlang:nif_error(not_loaded).

%% Takes the file out of the page cache, as far as nobody has it mapped.
-spec drop(binary()) -> ok.
drop(_File) -> erlang:nif_error(not_loaded).

-spec resident(binary()) -> {Pages :: non_neg_integer(), Resident :: non_neg_integer()}.
resident(_File) -> erlang:nif_error(not_loaded).
