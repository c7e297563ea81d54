%% @doc The NIF's functions, one to one. No function here raises for what it is given: a wrong type
%% is `{badarg, Position}', a write that would have to wait is `queue', and a read that would have to
%% wait for the disk beside many others `busy'.
%% @private
-module(hyper_lmdb_nif).

-on_load(load/0).

-export([open/2, close/2, watch/2, info/1, stores/0, begin_backup/3,
         get/2, exists/2, read_link/2, prefetch/2, read/2, type/2, resolve/2,
         read_many/2, read_many_keys/2, list/3, list_prefix/3, range/2, snapshot_open/2,
         snapshot_leave/2, snapshot_close/1,
         put/3, put_path/3, write/2, enqueue/4, enqueue_control/3,
         batch_begin/1, batch_add/2, batch_take/1]).

-nifs([open/2, close/2, watch/2, info/1, stores/0, begin_backup/3,
       get/2, exists/2, read_link/2, prefetch/2, read/2, type/2, resolve/2,
       read_many/2, read_many_keys/2, list/3, list_prefix/3, range/2, snapshot_open/2,
       snapshot_leave/2, snapshot_close/1,
       put/3, put_path/3, write/2, enqueue/4, enqueue_control/3,
       batch_begin/1, batch_add/2, batch_take/1]).

-type badarg() :: {badarg, pos_integer()}.
-type error() :: {error, hyper_lmdb:reason()} | badarg().

%% The VM says why only in its log: hyper_lmdb_app looks here.
load() ->
    case erlang:load_nif(filename:join(priv_dir(), "hyper_lmdb_nif"),
                         erlang:system_info(dirty_io_schedulers)) of
        ok ->
            ok;
        {error, {_, Why}} = Error ->
            persistent_term:put({?MODULE, load_error}, Why),
            Error
    end.

%% An application that is not on the code path as such still has its priv beside its ebin.
priv_dir() ->
    case code:priv_dir(hyper_lmdb) of
        {error, bad_name} ->
            filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
        Dir ->
            Dir
    end.

%% With what a log should say of it: its directory where those above it had to be made too, and its
%% capacity where that is less than the default.
-spec open(binary(), [{atom(), term()}]) -> {ok, reference()} | {ok, reference(), [note()]} | error().
open(_Name, _Options) -> erlang:nif_error(not_loaded).

-type note() :: {made, binary()} | {capacity, binary(), pos_integer()}.

%% The reply comes as `{Ref, ok | {error, Reason}}'.
-spec close(hyper_lmdb:store(), reference()) -> queued | ok | error().
close(_Store, _Ref) -> erlang:nif_error(not_loaded).

%% Once the store has closed `{Ref, {error, closed}}' comes.
-spec watch(hyper_lmdb:store(), reference()) -> ok | error().
watch(_Store, _Ref) -> erlang:nif_error(not_loaded).

-spec info(hyper_lmdb:store()) -> {ok, map()} | busy | error().
info(_Store) -> erlang:nif_error(not_loaded).

-spec stores() -> [reference()].
stores() -> erlang:nif_error(not_loaded).

%% The reply comes as `{Ref, ok | {error, Reason}}'.
-spec begin_backup(hyper_lmdb:store(), binary(), reference()) ->
          queued | error().
begin_backup(_Store, _File, _Ref) -> erlang:nif_error(not_loaded).

-spec get(hyper_lmdb:store(), binary()) -> {ok, binary()} | not_found | busy | error().
get(_Store, _Key) -> erlang:nif_error(not_loaded).

-spec exists(hyper_lmdb:store(), binary()) -> boolean() | busy | error().
exists(_Store, _Key) -> erlang:nif_error(not_loaded).

-spec read_link(hyper_lmdb:store(), binary()) -> {ok, binary()} | not_found | busy | error().
read_link(_Store, _Key) -> erlang:nif_error(not_loaded).

%% Pages of the first keys; `{more, Rest}' where others are left.
-spec prefetch(hyper_lmdb:store(), [binary()]) -> ok | {more, [binary()]} | busy | error().
prefetch(_Store, _Keys) -> erlang:nif_error(not_loaded).

-spec read_many(hyper_lmdb:store(), [binary()]) ->
          {ok, [{binary(), {ok, binary()} | not_found | {error, hyper_lmdb:reason()}}]} | busy | error().
read_many(_Store, _Keys) -> erlang:nif_error(not_loaded).

-spec read_many_keys(hyper_lmdb:store(), [binary()]) ->
          {ok, [{binary(), {ok, binary()} | not_found | {error, hyper_lmdb:reason()}}]} | busy | error().
read_many_keys(_Store, _Keys) -> erlang:nif_error(not_loaded).

-spec read(hyper_lmdb:store(), binary()) -> {ok, binary()} | not_found | busy | error().
read(_Store, _Path) -> erlang:nif_error(not_loaded).

-spec type(hyper_lmdb:store(), binary()) -> simple | composite | not_found | busy | error().
type(_Store, _Path) -> erlang:nif_error(not_loaded).

-spec resolve(hyper_lmdb:store(), binary()) -> binary() | not_found | busy | error().
resolve(_Store, _Path) -> erlang:nif_error(not_loaded).

%% Of both listings the third element says whether there is more; one call answers 2,000 at most.
-type page() :: {non_neg_integer() | infinity, binary() | nil, Reverse :: boolean()}.

-spec list(hyper_lmdb:store(), binary(), page()) ->
          {ok, [binary()], boolean()} | not_found | busy | error().
list(_Store, _Path, _Page) -> erlang:nif_error(not_loaded).

-spec list_prefix(hyper_lmdb:store(), binary(), page()) -> {ok, [binary()], boolean()} | busy | error().
list_prefix(_Store, _Prefix, _Page) -> erlang:nif_error(not_loaded).

%% Keys where only they are asked for; the third element is the key to go on after.
-type range() :: {Prefix :: binary(), From :: binary() | nil, To :: binary() | nil,
                  After :: binary() | nil, Reverse :: boolean(), KeysOnly :: boolean(),
                  non_neg_integer() | infinity, Records :: boolean()}.

-spec range(hyper_lmdb:store(), range()) ->
          {ok, [{binary(), binary()}] | [{binary(), hyper_lmdb:record()}] | [binary()], binary() | done}
        | busy | error().
range(_Store, _Range) -> erlang:nif_error(not_loaded).

%% `snapshot' where the argument is one. Where it is `busy' it may be asked again, with the number it
%% answers, and then comes before those who asked later; `Ahead' have asked before.
-spec snapshot_open(hyper_lmdb:store(), Turn :: non_neg_integer()) ->
          {ok, reference()} | snapshot | {busy, Turn :: pos_integer(), Ahead :: non_neg_integer()} | error().
snapshot_open(_Store, _Turn) -> erlang:nif_error(not_loaded).

-spec snapshot_leave(hyper_lmdb:store(), Turn :: non_neg_integer()) -> ok | badarg().
snapshot_leave(_Store, _Turn) -> erlang:nif_error(not_loaded).

-spec snapshot_close(reference()) -> ok | badarg().
snapshot_close(_Snapshot) -> erlang:nif_error(not_loaded).

-spec put_path(hyper_lmdb:store(), binary(), binary()) -> ok | queue | error().
put_path(_Store, _Path, _Value) -> erlang:nif_error(not_loaded).

-spec put(hyper_lmdb:store(), binary(), binary()) -> ok | queue | error().
put(_Store, _Key, _Value) -> erlang:nif_error(not_loaded).

-type path_op() :: {write, binary(), binary()} | {make_group, binary()}
                 | {make_link, binary(), binary()}.
-type ops() :: [hyper_lmdb:op()] | {paths, [path_op()]}.

-spec write(hyper_lmdb:store(), ops()) -> ok | queue | error().
write(_Store, _Ops) -> erlang:nif_error(not_loaded).

%% The reply comes as `{Ref, ok | {error, Reason}}'; after `{wait, Ticket}' first `{Ref, go}', and
%% then the call is made again with the ticket.
-spec enqueue(hyper_lmdb:store(), ops(), reference(), none | reference()) ->
          queued | {wait, reference()} | error().
enqueue(_Store, _Ops, _Ref, _Ticket) -> erlang:nif_error(not_loaded).

-spec enqueue_control(hyper_lmdb:store(), reset | sync | {delete_prefix, binary(), From :: binary()}, reference()) -> queued | error().
enqueue_control(_Store, _What, _Ref) -> erlang:nif_error(not_loaded).

-spec batch_begin(hyper_lmdb:store()) -> {ok, reference()} | error().
batch_begin(_Store) -> erlang:nif_error(not_loaded).

-spec batch_add(reference(), path_op()) -> ok | error().
batch_add(_Batch, _Op) -> erlang:nif_error(not_loaded).

-spec batch_take(reference()) -> {ok, reference(), [path_op()]} | error().
batch_take(_Batch) -> erlang:nif_error(not_loaded).
