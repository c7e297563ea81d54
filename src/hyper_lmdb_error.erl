%% @doc Reasons and wrong arguments, in words.
%% @private
-module(hyper_lmdb_error).

-export([format_error/2, sentence/1]).

%% @doc Called by the shell and by loggers for an exception with error_info.
-spec format_error(term(), [tuple()]) -> #{pos_integer() => unicode:chardata()}.
format_error(_Reason, [{hyper_lmdb, batch_write, [_, _, _] = Args, Info} | Rest]) ->
    format_error(badarg, [{hyper_lmdb, batch_write_path, Args, Info} | Rest]);
format_error(_Reason, [{hyper_lmdb, Function, Args, Info} | _]) when is_list(Args) ->
    case proplists:get_value(error_info, Info) of
        #{cause := #{position := Position}} ->
            #{Position => hyper_lmdb_args:describe(Function, Position, Args)};
        _ ->
            #{}
    end;
format_error(_Reason, _Stack) ->
    #{}.

%% @doc A sentence that says what went wrong and what can be done.
-spec sentence(term()) -> unicode:chardata().
sentence({load_failed, Why}) ->
    ["the native part of this library could not be loaded: ", Why];
sentence({error, Reason}) ->
    sentence(Reason);
sentence(bad_key) ->
    "the key is empty or reserved, or no path leads there; a key is 1 to max_key_bytes of info/1";
sentence(key_too_large) ->
    "the key is longer than max_key_bytes of info/1: 511, or with LMDB 1.0 a little under half of a page";
sentence(value_too_large) ->
    "the value is larger than the option max_value_bytes allows";
sentence(batch_too_large) ->
    "the batch is larger than the option max_batch_bytes allows; write it in parts";
sentence(exists) ->
    "the key holds something already, or the file to write is there already";
sentence({check_failed, Index}) ->
    ["element ", integer_to_list(Index),
     " of the batch is a check that does not hold; nothing was written"];
sentence({Index, Reason}) when is_integer(Index) ->
    ["element ", integer_to_list(Index), " of the batch: ", sentence(Reason),
     "; nothing was written"];
sentence(committed) ->
    "the batch was committed already";
sentence(map_full) ->
    "the store has reached its capacity; delete something, or start it with a larger capacity";
sentence(disk_full) ->
    "the disk is full; what was acknowledged is safe, and writes go on when there is room again";
sentence(quota_exceeded) ->
    "the disk quota is used up";
sentence(file_too_large) ->
    "the file would grow past the limit of the process (ulimit -f) or of the file system";
sentence(io_error) ->
    "the disk failed; the write may or may not be there after the next start";
sentence(env_failed) ->
    "an earlier flush failed, so nothing more is written; stop the store and start it again";
sentence(corrupted) ->
    "the data file is damaged; restore a backup (and never open a data.mdb of people you do not trust: "
        "what was made to do harm is not always found out)";
sentence(checksum_mismatch) ->
    "the stored value is not what was written; restore it from a backup";
sentence(not_a_database) ->
    "the directory's data.mdb is no LMDB database, or there is none and the store is read-only; never "
        "open one of people you do not trust";
sentence(version_mismatch) ->
    "the database was written by another version of LMDB or of this library";
sentence(unknown_format) ->
    "the database was not made by this library, or by a newer version of it, or the value is "
        "compressed by LZ4 or Zstandard and this library was built without it";
sentence(unclean_shutdown) ->
    "the machine went down while the store was open with durability map_async, so its file cannot "
        "be trusted; restore a backup, or start with on_unclean => reset to begin with nothing";
sentence(journal_mismatch) ->
    "the directory's journal files are not those of its data.mdb, or one of them is missing that was "
        "there when the store was left; put back the files that belong together, or restore a backup";
sentence(readers_full) ->
    "all reader slots are taken; start the store with more max_readers";
sentence(overloaded) ->
    "too many writers wait, or a backup of the store is being made already; try again later";
sentence(no_memory) ->
    "memory or address space is out";
sentence(too_many_files) ->
    "the process or the system has too many files open (ulimit -n)";
sentence(too_many_threads) ->
    "the operating system lets this process have no more threads, or no memory for their stacks "
        "(ulimit -u and -v; the pids and memory limits of a container)";
sentence(permission_denied) ->
    "the operating system does not let this process use the directory or its files";
sentence(read_only) ->
    "the store was started read-only, or what is written to is a snapshot";
sentence(no_such_directory) ->
    "the directory, or one above it, is not there or is no directory";
sentence(unsupported_fs) ->
    "the directory is on a network file system, where locks and memory maps do not hold; "
        "force => true opens it at your own risk";
sentence(already_open) ->
    "another OS process has the store open";
sentence(closed) ->
    "the store was stopped; a new start gives a new handle";
sentence(snapshot_expired) ->
    "the snapshot has ended: its function has returned or its process is gone, it was older than "
        "max_snapshot_age_ms, or snapshots kept too much of the write buffers in memory";
sentence(not_started) ->
    "no store was started under this name, or it was stopped";
sentence(internal) ->
    "LMDB answered something its manual does not list; please report it";
sentence({bad_option, compression}) ->
    "compression is none, lz4 or zstd; the last two only where LZ4 and Zstandard were installed when "
        "the library was built";
sentence({bad_option, Option}) ->
    io_lib:format("the option ~0tP is unknown, missing, or has a value it cannot have",
                  [Option, 30]);
sentence({conflicting_option, page_size}) ->
    "the store's file has pages of another size: that is chosen when it is created";
sentence({conflicting_option, Option}) ->
    io_lib:format("the store is open already with another value of the option ~0tP",
                  [Option, 30]);
sentence(Other) ->
    io_lib:format("~0tP", [Other, 30]).
