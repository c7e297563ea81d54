%% @doc An embedded key-value store: keys and values are binaries, in LMDB's order, on disk.
%%
%% A store is a directory. {@link start/1} opens it and returns a handle; every function takes the
%% handle, or the map that was given to start. Handles may be used by any process.
%%
%% Results are `ok' or `{ok, X}'; absence is `not_found' and nothing else is; every failure is
%% `{error, Reason}', and {@link format_error/1} puts a reason into words. Arguments of a wrong type
%% raise `badarg'.
-module(hyper_lmdb).

-export([start/1, stop/1, reset/1, sync/1, info/1, init/0, scope/0, scope/1, child_spec/1,
         format_error/1]).
-export([get/2, put/3, delete/2, exists/2, put_new/3, batch_write/2, read_many/2]).

-export_type([store/0, handle/0, options/0, key/0, value/0, op/0, reason/0]).

-opaque handle() :: reference().
%% What start/1 returned.

-type store() :: handle() | #{name | binary() => term()}.
%% A handle, or any map with the name that a start was given: as `name' or `<<"name">>', spelled as
%% it was there.

-type key() :: binary() | [binary() | atom() | string()] | atom() | string().
%% 1 to 511 bytes, ordered byte by byte. A list is joined with `/', empty segments are dropped.
%% `<<0, "hyper_lmdb">>' is reserved.

-type value() :: binary().
%% Up to `max_value_bytes'.

-type op() :: {put, key(), value()} | {delete, key()}
            | {check, key(), value()} | {check, key(), absent}.
%% An element of a batch. A check fails the whole batch unless the key holds exactly the value, or
%% nothing; it sees the elements before it.

-type options() :: #{name := binary() | string() | atom(),
                     durability => sync | map_async,
                     capacity => pos_integer(),
                     write_buffer_bytes => pos_integer(),
                     sync_interval_ms => pos_integer(),
                     on_unclean => error | reset,
                     max_value_bytes => non_neg_integer(),
                     max_batch_bytes => pos_integer(),
                     max_readers => pos_integer(),
                     checksum => boolean(),
                     read_only => boolean(),
                     shared => boolean(),
                     no_readahead => boolean(),
                     force => boolean(),
                     atom() | binary() => term()}.
%% The keys may be binaries too, and the atoms among the values.

-type cause() :: bad_key | key_too_large | value_too_large | batch_too_large | exists | map_full
               | disk_full | quota_exceeded | file_too_large | io_error | env_failed | corrupted
               | checksum_mismatch | not_a_database | version_mismatch | unknown_format
               | unclean_shutdown | readers_full | overloaded | no_memory | too_many_files
               | permission_denied | read_only | no_such_directory | unsupported_fs
               | already_open | closed | not_started | internal.
-type reason() :: cause()
                | {bad_option | conflicting_option, term()}
                | {check_failed, pos_integer()}
                | {pos_integer(), cause()}.
%% `{check_failed, Index}' and `{Index, Cause}' name an element of a batch, counted from 1.

%%% Lifecycle

%% @doc Opens the store in the directory `name', and creates both if needed. A directory is one
%% store in a node, however it is spelled: a second start returns the same handle, or
%% `{conflicting_option, Option}' if an option it gives differs from the running store's.
-spec start(options() | #{binary() => term()}) -> {ok, handle()} | {error, reason()}.
start(Options) when is_map(Options) ->
    case hyper_lmdb_options:normalise(Options) of
        {ok, Name, Given} -> hyper_lmdb_nif:open(Name, Given);
        {error, _} = Error -> Error
    end;
start(Options) ->
    hyper_lmdb_args:retry(start, [Options], 1).

%% @doc Closes the store for all its users: calls in flight finish, queued writes are done, the rest
%% is `closed', and a look-up by name `not_started'.
-spec stop(store()) -> ok | {error, reason()}.
stop(Store) ->
    case hyper_lmdb_nif:close(Store) of
        {badarg, N} -> hyper_lmdb_args:retry(stop, [Store], N);
        Result -> Result
    end.

%% @doc Empties the store at one moment.
-spec reset(store()) -> ok | {error, reason()}.
reset(Store) ->
    case control(Store, reset) of
        {badarg, N} -> hyper_lmdb_args:retry(reset, [Store], N);
        Result -> Result
    end.

%% @doc Returns when everything acknowledged before the call is on disk. Callers share a flush.
-spec sync(store()) -> ok | {error, reason()}.
sync(Store) ->
    case control(Store, sync) of
        {badarg, N} -> hyper_lmdb_args:retry(sync, [Store], N);
        Result -> Result
    end.

%% @doc What the store is and does: its options, sizes in bytes, counters since the start.
-spec info(store()) -> {ok, #{atom() => term()}} | {error, reason()}.
info(Store) ->
    case hyper_lmdb_nif:info(Store) of
        {badarg, N} -> hyper_lmdb_args:retry(info, [Store], N);
        Result -> Result
    end.

%% @doc Nothing to prepare; kept for callers of older versions.
-spec init() -> ok.
init() -> ok.

%% @doc Where the data is: on this machine.
-spec scope() -> local.
scope() -> local.

%% @doc As {@link scope/0}.
-spec scope(term()) -> local.
scope(_Store) -> local.

%% @doc A child of a supervisor that starts the store and stops it with the supervisor.
-spec child_spec(options() | #{binary() => term()}) -> supervisor:child_spec().
child_spec(Options) when is_map(Options) ->
    #{id => {?MODULE, maps:get(name, Options, maps:get(<<"name">>, Options, undefined))},
      start => {hyper_lmdb_owner, start_link, [Options]},
      shutdown => 60_000,
      type => worker};
child_spec(Options) ->
    hyper_lmdb_args:retry(child_spec, [Options], 1).

%% @doc A reason as a sentence with a hint.
-spec format_error(reason() | term()) -> unicode:chardata().
format_error(Reason) ->
    hyper_lmdb_error:sentence(Reason).

%%% Exact keys

%% @doc The value at a key.
-spec get(store(), key()) -> {ok, value()} | not_found | {error, reason()}.
get(Store, Key) ->
    case hyper_lmdb_nif:get(Store, Key) of
        {badarg, N} -> hyper_lmdb_args:retry(get, [Store, Key], N);
        Result -> Result
    end.

%% @doc Writes a value. What `ok' promises is the store's durability.
-spec put(store(), key(), value()) -> ok | {error, reason()}.
put(Store, Key, Value) ->
    case hyper_lmdb_nif:put(Store, Key, Value) of
        ok -> ok;
        queue -> single(enqueue(Store, [{put, Key, Value}]));
        {badarg, N} -> hyper_lmdb_args:retry(put, [Store, Key, Value], N);
        Result -> Result
    end.

%% @doc Removes what there is at a key; an absent key is `ok'.
-spec delete(store(), key()) -> ok | {error, reason()}.
delete(Store, Key) ->
    case write(Store, [{delete, Key}]) of
        {badarg, N} -> hyper_lmdb_args:retry(delete, [Store, Key], N);
        Result -> single(Result)
    end.

%% @doc Whether a value is at a key.
-spec exists(store(), key()) -> boolean() | {error, reason()}.
exists(Store, Key) ->
    case hyper_lmdb_nif:exists(Store, Key) of
        {badarg, N} -> hyper_lmdb_args:retry(exists, [Store, Key], N);
        Result -> Result
    end.

%% @doc Writes a value where there is none, as one step.
-spec put_new(store(), key(), value()) -> ok | {error, exists | reason()}.
put_new(Store, Key, Value) when is_binary(Value) ->
    case write(Store, [{check, Key, absent}, {put, Key, Value}]) of
        {badarg, N} -> hyper_lmdb_args:retry(put_new, [Store, Key, Value], N);
        {error, {check_failed, 1}} -> {error, exists};
        Result -> single(Result)
    end;
put_new(Store, Key, Value) ->
    hyper_lmdb_args:retry(put_new, [Store, Key, Value], 3).

%% @doc Writes all elements, in order, or none. A check that fails or an element that cannot be
%% written leaves the store as it was, and the reason names it.
-spec batch_write(store(), [op()]) -> ok | {error, reason()}.
batch_write(Store, Ops) ->
    case write(Store, Ops) of
        {badarg, N} -> hyper_lmdb_args:retry(batch_write, [Store, Ops], N);
        Result -> Result
    end.

%% @doc The values at many keys, all as of one moment; one result for each key, in the order given.
-spec read_many(store(), [key()]) ->
          {ok, [{binary(), {ok, value()} | not_found | {error, reason()}}]} | {error, reason()}.
read_many(Store, Keys) ->
    case hyper_lmdb_nif:read_many(Store, Keys) of
        {badarg, N} -> hyper_lmdb_args:retry(read_many, [Store, Keys], N);
        Result -> Result
    end.

%%% Writing

%% A write that nothing keeps waiting is done by the first call, on this scheduler. Else the store's
%% own thread does it, and the answer is a message.
write(Store, Ops) ->
    case hyper_lmdb_nif:write(Store, Ops) of
        queue -> enqueue(Store, Ops);
        Result -> Result
    end.

enqueue(Store, Ops) ->
    Ref = make_ref(),
    case hyper_lmdb_nif:enqueue(Store, Ops, Ref, none) of
        queued ->
            receive {Ref, Result} -> Result end;
        {wait, Ticket} ->
            receive {Ref, go} -> ok end,
            case hyper_lmdb_nif:enqueue(Store, Ops, Ref, Ticket) of
                queued -> receive {Ref, Result} -> Result end;
                Result -> Result
            end;
        Result ->
            Result
    end.

control(Store, What) ->
    Ref = make_ref(),
    case hyper_lmdb_nif:enqueue_control(Store, What, Ref) of
        queued -> receive {Ref, Result} -> Result end;
        Result -> Result
    end.

%% Of a write of one key the index says nothing.
single({error, {Index, Reason}}) when is_integer(Index) -> {error, Reason};
single(Result) -> Result.
