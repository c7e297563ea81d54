%% @doc An embedded key-value store: keys and values are binaries, in LMDB's order, on disk.
%%
%% A store is a directory. {@link start/1} opens it and returns a handle; every function takes the
%% handle, or the map that was given to start. Handles may be used by any process.
%%
%% Results are `ok' or `{ok, X}'; absence is `not_found' and nothing else is; every failure is
%% `{error, Reason}', and {@link format_error/1} puts a reason into words. Arguments of a wrong type
%% raise `badarg'.
-module(hyper_lmdb).

-export([start/1, stop/1, reset/1, sync/1, info/1, backup/2, backup/3, init/0, scope/0, scope/1,
         child_spec/1, format_error/1]).
-export([get/2, put/3, delete/2, exists/2, read_link/2, prefetch/2, put_new/3, batch_write/2, delete_prefix/2]).
-export([read/2, write/3, read_many/2, make_group/2, make_link/3, type/2, list/2, list/3, resolve/2,
         path/2, add_path/3, list_prefix/2, list_prefix/3]).
-export([range/2, fold/4, with_snapshot/2]).
-export([begin_batch/1, batch_write/3, batch_make_group/2, batch_make_link/3, commit_batch/1]).
-export([read_fast/2, write_fast/3, read_many_fast/2]).

%% Longer than any key of any store, and of the last byte.
-define(BEHIND_EVERY_NAME, (binary:copy(<<255>>, 65536))).

-define(LONGEST_PAUSE_MS, 8). % of a read that is busy
-define(LONGEST_TURN_MS, 50). % between two looks whether a snapshot is to be had
-define(IN_SNAPSHOT, '$hyper_lmdb_in_snapshot'). % of the calling process
-define(PATIENCE_MS, 1000).   % of with_snapshot/2, whose caller may hold what it waits for

%% Of a fold: what one call on a normal scheduler may answer.
-define(SHORT_PART, 256).

-deprecated([{read_fast, 2, "use get/2"}, {write_fast, 3, "use put/3"}]).

-export_type([store/0, handle/0, snapshot/0, batch/0, options/0, listing/0, range/0, file/0,
              backup_options/0, key/0, path/0, value/0, record/0, op/0, reason/0]).

-opaque handle() :: reference().
%% What start/1 returned.

-opaque snapshot() :: reference().
%% What the function of with_snapshot/2 is given.

-type store() :: handle() | snapshot() | #{name | binary() => term()}.
%% A handle, a snapshot for functions that read, or any map with the name that a start was given: as `name' or `<<"name">>', spelled as
%% it was there.

-type key() :: binary() | [binary() | atom() | string()] | atom() | string().
%% 1 to 511 bytes, with LMDB 1.0 and newer to `max_key_bytes' of info/1; ordered byte by byte. A list is joined with `/', empty segments are dropped.
%% `<<0, "hyper_lmdb">>' is reserved.

-type file() :: binary() | string() | atom().
%% The name of a file, absolute or from the current directory of the VM.

-type value() :: binary().
%% Up to `max_value_bytes'.

-type record() :: {value, value()} | {link, Target :: binary()} | group.
%% What can be at a key: a value or a link, and beside either, or alone, the mark of a group.

-type path() :: key().
%% Segments joined with `/'; empty ones are dropped, so that `a/b', `/a//b/' and `[<<"a">>, <<"b">>]'
%% are the same. `<<>>' is the root.

-opaque batch() :: reference().
%% What begin_batch/1 returned.

-type listing() :: #{limit | cursor | return_cursor | reverse | binary() => term()}.
%% `limit': names at most. `cursor': go on after this name; `nil' begins. `return_cursor': answer
%% `{ok, Names, Cursor}', where the cursor is the last of the names, and `nil' with an empty part says
%% that there is no more. `reverse': from the last to the first, for list/3. The keys may be binaries
%% too.

-type range() :: #{prefix => key(), from => key(), to => key(), reverse => boolean(),
                   limit => pos_integer() | infinity, keys_only => boolean(), records => boolean(),
                   continue => binary(), binary() => term()}.
%% Which keys: those that begin with `prefix', from `from' on, before `to'; what is not given does not
%% count. `reverse': from the last to the first. `limit': keys at most. `keys_only': keys in place
%% of entries. `records': all that is at a key, see {@link range/2}. `continue': go on where another
%% part ended. The keys may be binaries too.

-type backup_options() :: #{compact | binary() => term()}.
%% `compact': leave free pages out, so that the file is as small as it can be. The key may be a binary
%% too.

-type op() :: {put, key(), value()} | {delete, key()}
            | {link, Target :: path(), New :: key()} | {group, key()}
            | {check, key(), value()} | {check, key(), absent}.
%% An element of a batch. A check fails the whole batch unless the key holds exactly the value, or
%% nothing; it sees the elements before it.

-type options() :: #{name := binary() | string() | atom(),
                     durability => sync | async | map_async,
                     capacity => pos_integer(),
                     write_buffer_bytes => pos_integer(),
                     sync_interval_ms => pos_integer(),
                     on_unclean => error | reset,
                     max_value_bytes => non_neg_integer(),
                     max_batch_bytes => pos_integer(),
                     max_readers => pos_integer(),
                     max_snapshot_age_ms => pos_integer(),
                     checksum => boolean(),
                     compression => none | lz4 | zstd,
                     compression_threshold => non_neg_integer(),
                     page_size => pos_integer(),
                     read_only => boolean(),
                     no_readahead => boolean(),
                     force => boolean(),
                     atom() | binary() => term()}.
%% The keys may be binaries too, and the atoms among the values. What `ok' promises of a write is the
%% `durability', `async' unless given: with each of them nothing acknowledged is lost with a killed VM.
%% After a power cut `sync' has lost nothing; `async' at most what was acknowledged since the last
%% finished flush (they begin every `sync_interval_ms'), and what remains is a prefix in whole batches;
%% `map_async' perhaps the store, and the next start says so.
%% `compression' is of values of at least `compression_threshold' bytes that are written from now on;
%% values are readable whatever it is later. `{bad_option, compression}' where the library was built
%% without LZ4 or Zstandard. `page_size', with liblmdb 1.0 or newer, is chosen when a store is created: 4,096 to
%% 65,536, a power of two. Another one than the file has is `{conflicting_option, page_size}', any with
%% liblmdb 0.9 `{bad_option, page_size}'.

-type cause() :: bad_key | key_too_large | value_too_large | batch_too_large | exists | map_full
               | disk_full | quota_exceeded | file_too_large | io_error | env_failed | corrupted
               | checksum_mismatch | not_a_database | version_mismatch | unknown_format
               | unclean_shutdown | journal_mismatch | readers_full | overloaded | no_memory
               | too_many_files | too_many_threads | permission_denied | read_only | no_such_directory
               | unsupported_fs | already_open | closed | snapshot_expired | not_started | committed | internal.
-type reason() :: cause()
                | {load_failed, string()}
                | {bad_option | conflicting_option, term()}
                | {check_failed, pos_integer()}
                | {pos_integer(), cause()}.
%% `{check_failed, Index}' and `{Index, Cause}' name an element of a batch, counted from 1. `load_failed',
%% of {@link start/1} and of the application, says which shared library is missing.

%%% Lifecycle

%% @doc Opens the store in the directory `name', and creates both if needed; where the directories above
%% it are missing too they are made, and a notice in the log says where. A directory is one
%% store in a node, however it is spelled: a second start returns the same handle, or
%% `{conflicting_option, Option}' if an option it gives differs from the running store's.
-spec start(options() | #{binary() => term()}) -> {ok, handle()} | {error, reason()}.
start(Options) when is_map(Options) ->
    case hyper_lmdb_options:normalise(Options) of
        {ok, Name, Given} -> open(Name, Given);
        badarg -> hyper_lmdb_args:retry(start, [Options], 1);
        {error, _} = Error -> Error
    end;
start(Options) ->
    hyper_lmdb_args:retry(start, [Options], 1).

open(Name, Given) ->
    case hyper_lmdb_app:load() of
        ok -> opened(hyper_lmdb_nif:open(Name, Given));
        {error, _} = Error -> Error
    end.

opened({ok, Store, Notes}) ->
    lists:foreach(fun note/1, Notes),
    {ok, Store};
opened(Result) ->
    Result.

%% Who has mistyped a name, or stands elsewhere than it is meant from, sees where the store is.
note({made, Directory}) ->
    logger:notice("hyper_lmdb: made the directory ~0tp and those above it, which were not there", [Directory]);
note({capacity, Directory, Bytes}) ->
    logger:notice("hyper_lmdb: the store in ~0tp may hold ~b bytes, less than the default of capacity: the "
                  "address space has no room for more beside the other stores (ulimit -v)", [Directory, Bytes]).

%% @doc Closes the store for all its users: calls in flight finish, queued writes are done, the rest
%% is `closed', and a look-up by name `not_started'. What is buffered goes into LMDB and the journal
%% away; on a full disk the journal stays, flushed, for the next start.
-spec stop(store()) -> ok | {error, reason()}.
stop(Store) ->
    Ref = make_ref(),
    case hyper_lmdb_nif:close(Store, Ref) of
        queued -> receive {Ref, Result} -> Result end;
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

%% @doc What the store is and does: its options, sizes in bytes, counters since the start. `entries'
%% are the records LMDB holds; `buffered_keys' those written and not there yet (a key may count in
%% both), `journal_bytes' and `buffer_bytes' what they take, `applied_buffers' how many buffers went
%% into LMDB; `apply_stalled' says that one cannot for now, as on a full disk. `cold' says that
%% reads wait for the disk and are made on dirty schedulers until they do not. `replayed_records' and
%% `replayed_bytes': batches the start found in the journal of a VM that was killed.
-spec info(store()) -> {ok, #{atom() => term()}} | {error, reason()}.
info(Store) ->
    case patiently(info, [Store]) of
        {badarg, N} -> hyper_lmdb_args:retry(info, [Store], N);
        Result -> Result
    end.

%% @doc As {@link backup/3}.
-spec backup(store(), file()) -> ok | {error, reason()}.
backup(Store, File) ->
    backup([Store, File], Store, File, #{}).

%% @doc Copies one moment into a new file: of a snapshot its own, of a store one after the call, with
%% everything acknowledged before it. Reads and writes go on meanwhile; a {@link stop/1} ends it: `closed'.
%% The file appears under its name, for its owner only, when it is whole and on disk; until then it is a
%% file `.hyper_lmdb-backup-*' beside it, which is removed where the backup fails and left where the VM is
%% killed. Nothing is overwritten: a name that is taken is `exists'. One backup of a store at a time;
%% another one is `overloaded'. The backup of a snapshot that ends meanwhile is `snapshot_expired'.
%%
%% The copy is always compact; the option is accepted and has no effect. To start from it, make it the
%% `data.mdb' of a directory that holds nothing else. The copy is a store of its own, with another
%% `store_id', and starts with any `durability'.
-spec backup(store(), file(), backup_options()) -> ok | {error, reason()}.
backup(Store, File, Options) ->
    backup([Store, File, Options], Store, File, Options).

backup(Args, Store, File, Options) when is_map(Options) ->
    case hyper_lmdb_options:backup(Options) of
        ok ->
            Ref = make_ref(),
            case hyper_lmdb_nif:begin_backup(Store, File, Ref) of
                queued -> receive {Ref, Result} -> Result end;
                {badarg, N} -> hyper_lmdb_args:retry(backup, Args, N);
                Result -> Result
            end;
        badarg ->
            hyper_lmdb_args:retry(backup, Args, 3);
        {error, _} = Error ->
            Error
    end;
backup(Args, _Store, _File, _Options) ->
    hyper_lmdb_args:retry(backup, Args, 3).

%% @doc Nothing to prepare; kept for callers of older versions.
-spec init() -> ok.
init() -> ok.

%% @doc Where the data is: on this machine.
-spec scope() -> local.
scope() -> local.

%% @doc As {@link scope/0}.
-spec scope(term()) -> local.
scope(_Store) -> local.

%% @doc A child of a supervisor that starts the store and stops it with the supervisor. The options may
%% be a keyword list too, so that `{:hyper_lmdb, name: "cache"}' is a child in Elixir.
-spec child_spec(options() | #{binary() => term()} | [{atom() | binary(), term()}, ...]) ->
          supervisor:child_spec().
child_spec(Given) ->
    Options = hyper_lmdb_options:as_map(Given),
    case is_map(Options) andalso hyper_lmdb_options:normalise(Options) of
        Wrong when Wrong =:= false; Wrong =:= badarg ->
            hyper_lmdb_args:retry(child_spec, [Given], 1);
        _ ->
            #{id => {?MODULE, maps:get(name, Options, maps:get(<<"name">>, Options, undefined))},
              start => {hyper_lmdb_owner, start_link, [Options]},
              shutdown => 60_000,
              type => worker}
    end.

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
        busy -> again(get, [Store, Key]);
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
        busy -> again(exists, [Store, Key]);
        Result -> Result
    end.

%% @doc The target of the link at a key, in its canonical form. No link is followed: it is what
%% {@link make_link/3} was given, there or not. `not_found' where no link is at the key.
-spec read_link(store(), key()) -> {ok, Target :: binary()} | not_found | {error, reason()}.
read_link(Store, Key) ->
    case hyper_lmdb_nif:read_link(Store, Key) of
        {badarg, N} -> hyper_lmdb_args:retry(read_link, [Store, Key], N);
        busy -> again(read_link, [Store, Key]);
        Result -> Result
    end.

%% @doc Brings the pages of keys and of what they hold into memory, off the schedulers, four keys at
%% a time, so that reads of them soon after do not wait for the disk. Returns when it is done. How
%% long the system keeps the pages is up to it. Keys that are not there, or too long to be keys, are
%% passed over.
-spec prefetch(store(), [key()]) -> ok | {error, reason()}.
prefetch(Store, Keys) ->
    %% Made here, so that what else is in the mailbox is not looked at.
    Ref = make_ref(),
    Calls = [begin_prefetch(Store, Part, Ref) || Part <- in_parts(Keys)],
    Results = end_prefetches(Ref, length(Calls), Calls),
    case [Result || Result <- Results, Result =/= ok] of
        [] -> ok;
        [{badarg, N} | _] -> hyper_lmdb_args:retry(prefetch, [Store, Keys], N);
        [Error | _] -> Error
    end.

%% The result is the reason a part ends with: one message each, which goes with its monitor.
begin_prefetch(Store, Keys, Ref) ->
    Caller = self(),
    spawn_opt(fun() -> prefetch_part(Caller, Store, Keys) end, [{monitor, [{tag, Ref}]}]).

end_prefetches(_Ref, 0, _Calls) -> [];
end_prefetches(Ref, Left, Calls) ->
    receive
        {Ref, _, process, _, {prefetched, Result}} ->
            [Result | end_prefetches(Ref, Left - 1, Calls)];
        {Ref, _, process, _, Reason} ->
            [end_early(Call) || Call <- Calls],
            error(Reason)
    end.

end_early({Pid, Monitor}) ->
    true = demonitor(Monitor, [flush]),
    exit(Pid, kill).

%% Nobody waits for what a caller that was killed has asked for.
-spec prefetch_part(pid(), store(), [key()]) -> no_return().
prefetch_part(Caller, Store, Keys) ->
    case is_process_alive(Caller) andalso patiently(prefetch, [Store, Keys]) of
        false -> exit({prefetched, caller_gone});
        {more, Rest} -> prefetch_part(Caller, Store, Rest);
        Result -> exit({prefetched, Result})
    end.

%% Keys that follow each other often share a page: each part gets a run of them.
in_parts(Keys) ->
    try length(Keys) of
        Count when Count < 8 -> [Keys];
        Count -> runs(Keys, Count div 4 + 1)
    catch
        error:badarg -> [Keys]
    end.

runs(Keys, Size) when length(Keys) =< Size -> [Keys];
runs(Keys, Size) ->
    {Run, Rest} = lists:split(Size, Keys),
    [Run | runs(Rest, Size)].

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

%% @doc Removes every record whose key begins with the prefix, bytes as they are, and counts them;
%% `<<>>' is everything. In parts: each is atomic, the whole is not.
-spec delete_prefix(store(), key()) -> {ok, non_neg_integer()} | {error, reason()}.
delete_prefix(Store, Prefix) ->
    delete_prefix(Store, Prefix, <<>>, 0).

delete_prefix(Store, Prefix, From, Removed) ->
    case control(Store, {delete_prefix, Prefix, From}) of
        {ok, N, done} -> {ok, Removed + N};
        {ok, N, Next} -> delete_prefix(Store, Prefix, Next, Removed + N);
        {badarg, N} -> hyper_lmdb_args:retry(delete_prefix, [Store, Prefix], N);
        {error, _} = Error -> Error
    end.

%%% Paths

%% @doc The value a path leads to: the one at the path itself, or else the one at the end of the
%% links among its parents and of those it is itself.
-spec read(store(), path()) -> {ok, value()} | not_found | {error, reason()}.
read(Store, Path) ->
    case hyper_lmdb_nif:read(Store, Path) of
        {badarg, N} -> hyper_lmdb_args:retry(read, [Store, Path], N);
        busy -> again(read, [Store, Path]);
        Result -> Result
    end.

%% @doc Writes a value where a read of the path would look, except that a link at the path itself is
%% replaced and not followed. A value that is no binary is stored as `term_to_binary' of it.
-spec write(store(), path(), value() | term()) -> ok | {error, reason()}.
write(Store, Path, Value) when is_binary(Value) ->
    case hyper_lmdb_nif:put_path(Store, Path, Value) of
        ok -> ok;
        queue -> single(enqueue(Store, {paths, [{write, Path, Value}]}));
        {badarg, N} -> hyper_lmdb_args:retry(write, [Store, Path, Value], N);
        Result -> Result
    end;
write(Store, Path, Value) ->
    write(Store, Path, term_to_binary(Value)).

%% @doc What many paths lead to, all as of one moment: for each, in the order given, its canonical
%% form and exactly what {@link read/2} would answer. Values of 65 to 512 bytes may share a binary of
%% at most 4 KiB, which lives as long as any of them: {@link binary:copy/1} one that is to outlive
%% the rest by far.
-spec read_many(store(), [path()]) ->
          {ok, [{binary(), {ok, value()} | not_found | {error, reason()}}]} | {error, reason()}.
read_many(Store, Paths) ->
    case hyper_lmdb_nif:read_many(Store, Paths) of
        {badarg, N} -> hyper_lmdb_args:retry(read_many, [Store, Paths], N);
        busy -> again(read_many, [Store, Paths]);
        Result -> Result
    end.

%% @doc Marks a path as a group, so that it is one without descendants too. Keeps a value; at a link
%% it does nothing.
-spec make_group(store(), path()) -> ok | {error, reason()}.
make_group(Store, Path) ->
    case write(Store, {paths, [{make_group, Path}]}) of
        {badarg, N} -> hyper_lmdb_args:retry(make_group, [Store, Path], N);
        Result -> single(Result)
    end.

%% @doc Makes the path New a link to the path Existing, which need not exist. What New held before,
%% a value or a link, is replaced.
-spec make_link(store(), Existing :: path(), New :: path()) -> ok | {error, reason()}.
make_link(Store, Existing, New) ->
    case write(Store, {paths, [{make_link, Existing, New}]}) of
        {badarg, 2} -> hyper_lmdb_args:retry(make_link, [Store, Existing, New], wrong(2, Existing));
        {badarg, N} -> hyper_lmdb_args:retry(make_link, [Store, Existing, New], N);
        Result -> single(Result)
    end.

%% @doc What is at a path: a value (`simple'), or a group (`composite'), which may hold a value too.
%% A link is what its target is.
-spec type(store(), path()) -> simple | composite | not_found | {error, reason()}.
type(Store, Path) ->
    case hyper_lmdb_nif:type(Store, Path) of
        {badarg, N} -> hyper_lmdb_args:retry(type, [Store, Path], N);
        busy -> again(type, [Store, Path]);
        Result -> Result
    end.

%% @doc The names of the immediate children of a group, in byte order. The root is always a group.
-spec list(store(), path()) -> {ok, [binary()]} | not_found | {error, reason()}.
list(Store, Path) ->
    page(list, [Store, Path], #{}).

%% @doc As {@link list/2}, a part at a time.
-spec list(store(), path(), listing()) ->
          {ok, [binary()]} | {ok, [binary()], binary() | nil} | not_found | {error, reason()}.
list(Store, Path, Listing) ->
    page(list, [Store, Path, Listing], Listing).

%% @doc The key a path leads to, or `not_found' where nothing is.
-spec resolve(store(), path()) -> binary() | not_found | {error, reason()}.
resolve(Store, Path) ->
    case hyper_lmdb_nif:resolve(Store, Path) of
        {badarg, N} -> hyper_lmdb_args:retry(resolve, [Store, Path], N);
        busy -> again(resolve, [Store, Path]);
        Result -> Result
    end.

%% @doc The canonical form of a path. Looks at no store.
-spec path(store() | term(), path()) -> binary().
path(Store, Path) ->
    case hyper_lmdb_args:path(Path) of
        Canonical when is_binary(Canonical) -> Canonical;
        _ -> hyper_lmdb_args:retry(path, [Store, Path], 2)
    end.

%% @doc The canonical form of one path below another. Looks at no store.
-spec add_path(store() | term(), path(), path()) -> binary().
add_path(Store, Path, Below) ->
    case {hyper_lmdb_args:path(Path), hyper_lmdb_args:path(Below)} of
        {A, B} when is_binary(A), is_binary(B) -> hyper_lmdb_args:path([A, B]);
        {A, _} -> hyper_lmdb_args:retry(add_path, [Store, Path, Below], wrong(2, A))
    end.

%% @doc The keys that begin with the prefix, bytes as they are, and hold a value or a link.
-spec list_prefix(store(), key()) -> {ok, [binary()]} | {error, reason()}.
list_prefix(Store, Prefix) ->
    page(list_prefix, [Store, Prefix], #{}).

%% @doc As {@link list_prefix/2}, a part at a time.
-spec list_prefix(store(), key(), listing()) ->
          {ok, [binary()]} | {ok, [binary()], binary() | nil} | {error, reason()}.
list_prefix(Store, Prefix, Listing) ->
    page(list_prefix, [Store, Prefix, Listing], Listing).

page(Function, [Store, At | _] = Args, Listing) when is_map(Listing) ->
    case hyper_lmdb_options:listing(Function, Listing) of
        {ok, {_, Cursor, Reverse} = Page, ReturnCursor} ->
            case names(Function, Store, At, Page) of
                {ok, Names, _More} when not ReturnCursor -> {ok, Names};
                {ok, [_ | _] = Names, _More} -> {ok, Names, lists:last(Names)};
                {ok, [], false} -> {ok, [], nil};
                %% A limit of 0: the next part begins where this one did.
                {ok, [], true} when is_binary(Cursor) -> {ok, [], Cursor};
                {ok, [], true} when Reverse -> {ok, [], ?BEHIND_EVERY_NAME};
                {ok, [], true} -> {ok, [], <<>>};
                {badarg, N} -> hyper_lmdb_args:retry(Function, Args, N);
                Result -> Result
            end;
        badarg ->
            hyper_lmdb_args:retry(Function, Args, 3);
        {error, _} = Error ->
            Error
    end;
page(Function, Args, _Listing) ->
    hyper_lmdb_args:retry(Function, Args, 3).

%% One call answers so many at most. More of them are of one moment, too.
names(Function, Store, At, {Limit, _, _} = Page) ->
    case patiently(Function, [Store, At, Page]) of
        {ok, Names, true} when length(Names) < Limit ->
            through(open_snapshot(Store, patient), Store,
                    fun(Snapshot) -> names(Function, Snapshot, At, Page, []) end);
        Result ->
            Result
    end.

names(Function, Snapshot, At, {Limit, _, Reverse} = Page, Before) ->
    case patiently(Function, [Snapshot, At, Page]) of
        {ok, Names, true} when length(Names) < Limit ->
            Rest = {less(Limit, length(Names)), lists:last(Names), Reverse},
            names(Function, Snapshot, At, Rest, [Names | Before]);
        {ok, Names, More} ->
            {ok, lists:append(lists:reverse(Before, [Names])), More};
        Result ->
            Result
    end.

less(infinity, _Count) -> infinity;
less(Limit, Count) -> Limit - Count.

%%% Ranges

%% @doc The keys of a range that hold a value, with their values, in byte order: a part of it, and
%% what `continue' has to be for the next, or `done'. A call does bounded work: it answers up to 2,000
%% entries and about a megabyte, and fewer, perhaps none, where many removed keys are in the way.
%% What `continue' takes is data: it may be kept, and used with another handle or snapshot.
%%
%% With `records' it is all keys that hold anything, and `{Key, {value, Value}}', `{Key, {link, Target}}'
%% or `{Key, group}' for what is there. A key with a mark and a value or link has an entry for each,
%% always in one part, the mark first, in reverse too: written by {@link batch_write/2} in this order,
%% as `{group, Key}' and `{put, Key, Value}' or `{link, Target, Key}', another store holds the same.
-spec range(store(), range()) ->
          {ok, [{binary(), value()}] | [{binary(), record()}] | [binary()], binary() | done}
        | {error, reason()}.
range(Store, Range) when is_map(Range) ->
    case hyper_lmdb_options:range(Range) of
        {ok, Wanted} ->
            case patiently(range, [Store, Wanted]) of
                {badarg, N} -> hyper_lmdb_args:retry(range, [Store, Range], N);
                Result -> Result
            end;
        badarg ->
            hyper_lmdb_args:retry(range, [Store, Range], 2);
        {error, _} = Error ->
            Error
    end;
range(Store, Range) ->
    hyper_lmdb_args:retry(range, [Store, Range], 2).

%% @doc Calls `Fun(Key, Value, Acc)' for each value of a range in order, or `Fun(Key, Acc)' with
%% `keys_only', or `Fun(Key, Record, Acc)' for each record of {@link range/2} with `records'. All of it
%% is one moment: what is written meanwhile is not seen. A long fold takes a snapshot, as {@link
%% with_snapshot/2}, and waits in line for one for as long as it takes; what ends one ends the fold too,
%% as `{error, snapshot_expired}' for one. Values of up to 512 bytes may share a binary of up to 4 KiB:
%% copy (`binary:copy/1') the few you keep for long.
-spec fold(store(), fun((binary(), value() | record(), Acc) -> Acc) | fun((binary(), Acc) -> Acc), Acc,
           range()) ->
          {ok, Acc} | {error, reason()}.
fold(Store, Fun, Acc, Range) when is_map(Range) ->
    case hyper_lmdb_options:range(Range) of
        {ok, Wanted} when is_function(Fun, 2), element(6, Wanted) -> fold_range(Store, Fun, Acc, Range, Wanted);
        {ok, Wanted} when is_function(Fun, 3), not element(6, Wanted) -> fold_range(Store, Fun, Acc, Range, Wanted);
        {ok, _} -> hyper_lmdb_args:retry(fold, [Store, Fun, Acc, Range], 2);
        badarg -> hyper_lmdb_args:retry(fold, [Store, Fun, Acc, Range], 4);
        {error, _} = Error -> Error
    end;
fold(Store, Fun, Acc, Range) ->
    hyper_lmdb_args:retry(fold, [Store, Fun, Acc, Range], 4).

%% A range of one part is one moment without a snapshot.
fold_range(Store, Fun, Acc, Range, Wanted) ->
    Limit = element(7, Wanted),
    case patiently(range, [Store, setelement(7, Wanted, min(Limit, ?SHORT_PART))]) of
        {ok, Entries, done} ->
            {ok, fold_part(Entries, Fun, Acc)};
        {ok, Entries, _} ->
            case keys(Entries, Wanted) of
                Limit -> {ok, fold_part(Entries, Fun, Acc)};
                _ -> through(open_snapshot(Store, patient), Store,
                             fun(Snapshot) -> fold_parts(Snapshot, Fun, Acc, Wanted) end)
            end;
        {badarg, N} ->
            hyper_lmdb_args:retry(fold, [Store, Fun, Acc, Range], N);
        Error ->
            Error
    end.

fold_parts(Snapshot, Fun, Acc, Wanted) ->
    case patiently(range, [Snapshot, Wanted]) of
        {ok, Entries, done} ->
            {ok, fold_part(Entries, Fun, Acc)};
        {ok, Entries, Continue} ->
            Folded = fold_part(Entries, Fun, Acc),
            case element(7, Wanted) of
                infinity ->
                    fold_parts(Snapshot, Fun, Folded, setelement(4, Wanted, Continue));
                Limit ->
                    case Limit - keys(Entries, Wanted) of
                        0 -> {ok, Folded};
                        Left -> fold_parts(Snapshot, Fun, Folded, setelement(7, setelement(4, Wanted, Continue), Left))
                    end
            end;
        Error ->
            Error
    end.

%% How many keys the entries of a part are of: with `records' two may be of one.
keys(Entries, {_, _, _, _, _, false = _KeysOnly, _, true = _Records}) -> length(Entries) - double(Entries, 0);
keys(Entries, _) -> length(Entries).

double([{Key, group}, {Key, _} | Rest], N) -> double(Rest, N + 1);
double([_ | Rest], N) -> double(Rest, N);
double([], N) -> N.

fold_part([{Key, Value} | Rest], Fun, Acc) -> fold_part(Rest, Fun, Fun(Key, Value, Acc));
fold_part([Key | Rest], Fun, Acc) -> fold_part(Rest, Fun, Fun(Key, Acc));
fold_part([], _Fun, Acc) -> Acc.

%% @doc What the function answers, given a snapshot of the store: one moment, for every function that
%% reads and for any process; reads of several processes take turns, and a write through it is
%% `{error, read_only}'. It ends when the function returns or raises and when the calling process
%% dies; after `max_snapshot_age_ms'; as the oldest one when snapshots keep more memory than twice
%% `write_buffer_bytes' (reads are `{error, snapshot_expired}' then); and with the store. Half of
%% the reader slots (`max_readers') may have one, 59 unless told otherwise. Who finds all places taken
%% waits in line, for a second: then this answers `{error, readers_full}'.
-spec with_snapshot(store(), fun((snapshot() | store()) -> Result)) -> Result | {error, reason()}.
with_snapshot(Store, Fun) when is_function(Fun, 1) ->
    case open_snapshot(Store, for_a_second) of
        {badarg, N} -> hyper_lmdb_args:retry(with_snapshot, [Store, Fun], N);
        Opened -> through(Opened, Store, Fun)
    end;
with_snapshot(Store, Fun) ->
    hyper_lmdb_args:retry(with_snapshot, [Store, Fun], 2).

through({ok, Snapshot}, _Store, Fun) ->
    Outer = put(?IN_SNAPSHOT, true),
    try Fun(Snapshot)
    after
        _ = case Outer of
                undefined -> erase(?IN_SNAPSHOT);
                true -> ok
            end,
        hyper_lmdb_nif:snapshot_close(Snapshot)
    end;
through(snapshot, Store, Fun) -> Fun(Store);
through(Error, _Store, _Fun) -> Error.

%% Where all places are taken they come first come first served.
open_snapshot(Store, Patience) ->
    case hyper_lmdb_nif:snapshot_open(Store, 0) of
        {busy, _, _} = Busy ->
            %% Who holds a snapshot and waits for another without an end may wait for itself.
            Until = case Patience =:= patient andalso get(?IN_SNAPSHOT) =/= true of
                        true -> infinity;
                        false -> erlang:monotonic_time(millisecond) + ?PATIENCE_MS
                    end,
            next_snapshot(Store, Busy, Until);
        Result -> Result
    end.

next_snapshot(Store, {busy, Turn, Ahead}, Until) ->
    receive after min(1 + Ahead div 8, ?LONGEST_TURN_MS) -> ok end,
    case hyper_lmdb_nif:snapshot_open(Store, Turn) of
        {busy, _, _} = Busy ->
            case Until =:= infinity orelse erlang:monotonic_time(millisecond) < Until of
                true -> next_snapshot(Store, Busy, Until);
                false ->
                    ok = hyper_lmdb_nif:snapshot_leave(Store, element(2, Busy)),
                    {error, readers_full}
            end;
        Result -> Result
    end.

%%% Batches that grow call by call

%% @doc Begins a batch. Nothing is written before {@link commit_batch/1}; a batch that is not
%% committed is forgotten with its last reference.
-spec begin_batch(store()) -> {ok, batch()} | {error, reason()}.
begin_batch(Store) ->
    case hyper_lmdb_nif:batch_begin(Store) of
        {badarg, N} -> hyper_lmdb_args:retry(begin_batch, [Store], N);
        Result -> Result
    end.

%% @doc Adds a {@link write/3} to a batch.
-spec batch_write(batch(), path(), value() | term()) -> ok | {error, reason()}.
batch_write(Batch, Path, Value) when is_binary(Value) ->
    case hyper_lmdb_nif:batch_add(Batch, {write, Path, Value}) of
        {badarg, N} -> hyper_lmdb_args:retry(batch_write_path, [Batch, Path, Value], N);
        Result -> Result
    end;
batch_write(Batch, Path, Value) ->
    batch_write(Batch, Path, term_to_binary(Value)).

%% @doc Adds a {@link make_group/2} to a batch.
-spec batch_make_group(batch(), path()) -> ok | {error, reason()}.
batch_make_group(Batch, Path) ->
    case hyper_lmdb_nif:batch_add(Batch, {make_group, Path}) of
        {badarg, N} -> hyper_lmdb_args:retry(batch_make_group, [Batch, Path], N);
        Result -> Result
    end.

%% @doc Adds a {@link make_link/3} to a batch.
-spec batch_make_link(batch(), Existing :: path(), New :: path()) -> ok | {error, reason()}.
batch_make_link(Batch, Existing, New) ->
    case hyper_lmdb_nif:batch_add(Batch, {make_link, Existing, New}) of
        {badarg, 2} ->
            hyper_lmdb_args:retry(batch_make_link, [Batch, Existing, New], wrong(2, Existing));
        {badarg, N} ->
            hyper_lmdb_args:retry(batch_make_link, [Batch, Existing, New], N);
        Result ->
            Result
    end.

%% @doc Writes all that was added, or nothing. Paths are resolved now, in order, each as the elements
%% before it left the links.
-spec commit_batch(batch()) -> ok | {error, reason()}.
commit_batch(Batch) ->
    case hyper_lmdb_nif:batch_take(Batch) of
        {ok, Store, Elements} -> write(Store, {paths, Elements});
        {badarg, N} -> hyper_lmdb_args:retry(commit_batch, [Batch], N);
        Result -> Result
    end.

%%% Names of older versions

%% @doc As {@link get/2}.
%% @deprecated
-spec read_fast(store(), key()) -> {ok, value()} | not_found | {error, reason()}.
read_fast(Store, Key) -> get(Store, Key).

%% @doc As {@link put/3}.
%% @deprecated
-spec write_fast(store(), key(), value()) -> ok | {error, reason()}.
write_fast(Store, Key, Value) -> put(Store, Key, Value).

%% @doc The values at many keys, no links followed, all as of one moment; one result for each key, in
%% the order given.
-spec read_many_fast(store(), [key()]) ->
          {ok, [{binary(), {ok, value()} | not_found | {error, reason()}}]} | {error, reason()}.
read_many_fast(Store, Keys) ->
    case hyper_lmdb_nif:read_many_keys(Store, Keys) of
        {badarg, N} -> hyper_lmdb_args:retry(read_many_fast, [Store, Keys], N);
        busy -> again(read_many_keys, [Store, Keys]);
        Result -> Result
    end.

%%% Reading

%% A read that may wait for the disk does so on a dirty IO scheduler, beside the VM's own file
%% operations. The reads of cold stores may have half of those; the others are `busy' and come again.
patiently(Function, Args) ->
    case apply(hyper_lmdb_nif, Function, Args) of
        busy -> again(Function, Args);
        Result -> Result
    end.

again(Function, Args) -> again(Function, Args, 1).

again(Function, Args, Ms) ->
    receive after Ms -> ok end,
    case apply(hyper_lmdb_nif, Function, Args) of
        busy -> again(Function, Args, min(2 * Ms, ?LONGEST_PAUSE_MS));
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

%% Which of two arguments is the wrong one.
wrong(Position, Arg) when is_binary(Arg) -> Position + 1;
wrong(Position, _Arg) -> Position.
