%% @doc Temporary stores for the tests: what was started here is always stopped and removed.
-module(test_store).

-export([with_dir/1, with_store/1, with_store/2, start/1, start_ok/1, restart/2, track/1, stop_clean/2]).
-export([each_mode/3, in_each_mode/2, in_each_mode/3, in_dir/2, modes/0, titled/2, titled/3, skip/2, is_root/0]).
-export([longest_key/1, too_long/1, has_page_size/1]).
-export([mark/1, journal/1, info/2, count/1, settle/1, wait_until/1, wait_until/2, in_parallel/2, gather/1, spawn_call/1, await/1]).
-export([seed/0, median/1, fixture/1, shell/1, flush_mailbox/0]).

-define(STARTED, test_store_started).
-define(PATIENCE_MS, 60000).
-define(SECONDS, 240).

%% -- directories and stores ----------------------------------------------------------------------

%% Runs Fun with the name of a directory that does not exist yet.
with_dir(Fun) ->
    Base = os:getenv("TMPDIR", "/tmp"),
    Unique = io_lib:format("hyper_lmdb-test-~s-~b", [os:getpid(), erlang:unique_integer([positive])]),
    Dir = unicode:characters_to_binary(filename:join(Base, lists:flatten(Unique))),
    Outer = put(?STARTED, []),
    try
        Fun(Dir)
    after
        [hyper_lmdb:stop(Store) || Store <- get(?STARTED)],
        put(?STARTED, Outer),
        ok = remove(Dir)
    end.

with_store(Fun) -> with_store(#{}, Fun).

%% Runs Fun with a fresh store, and with its directory if it takes two arguments.
with_store(Options, Fun) ->
    with_dir(fun(Dir) ->
        Store = start_ok(Options#{name => Dir}),
        case erlang:fun_info(Fun, arity) of
            {arity, 1} -> Fun(Store);
            {arity, 2} -> Fun(Store, Dir)
        end
    end).

%% Starts a store that the `with_dir` around it will stop.
start(Options) ->
    case hyper_lmdb:start(Options) of
        {ok, Store} -> {ok, track(Store)};
        Error -> Error
    end.

track(Store) ->
    put(?STARTED, [Store | get(?STARTED)]),
    Store.

start_ok(Options) ->
    case start(Options) of
        {ok, Store} -> Store;
        Error -> error({start_failed, Error})
    end.

restart(Store, Options) ->
    ok = hyper_lmdb:stop(Store),
    start_ok(Options).

%% A stop that leaves no journal.
stop_clean(Store, Dir) ->
    ok = hyper_lmdb:stop(Store),
    [] = journal(Dir).

%% What the mark in a store's directory says: clean, or the boot in which it was left open.
mark(Dir) ->
    case file:read_file(filename:join(Dir, "dirty.mark")) of
        {error, enoent} -> clean;
        {ok, Bytes} ->
            %% Behind it the journal has a mark of its own.
            case string:trim(binary:part(Bytes, 0, min(64, byte_size(Bytes)))) of
                <<"clean">> -> clean;
                Boot -> Boot
            end
    end.

%% The journal's files in a store's directory.
journal(Dir) ->
    {ok, Names} = file:list_dir(Dir),
    lists:sort([Name || "journal-" ++ _ = Name <- Names]).

remove(Dir) ->
    case file:del_dir_r(Dir) of
        {error, enoent} -> ok;
        Other -> Other
    end.

%% -- shapes of tests -----------------------------------------------------------------------------

modes() -> [sync, async, map_async].

%% One test a durability mode; Fun takes the mode.
each_mode(Title, Seconds, Fun) ->
    [titled(lists:concat([Title, " (", Mode, ")"]), Seconds, fun() -> Fun(Mode) end)
     || Mode <- modes()].

%% And each with a fresh store; Fun as that of `with_store`.
in_each_mode(Title, Fun) -> in_each_mode(Title, #{}, Fun).

in_each_mode(Title, Options, Fun) ->
    each_mode(Title, ?SECONDS, fun(Mode) -> with_store(Options#{durability => Mode}, Fun) end).

%% A test that starts its stores itself.
in_dir(Title, Fun) -> titled(Title, ?SECONDS, fun() -> with_dir(Fun) end).

%% EUnit itself gives a test five seconds, which a busy machine may take for anything.
titled(Title, Fun) -> titled(Title, ?SECONDS, Fun).
titled(Title, Seconds, Fun) -> {Title, {timeout, Seconds, Fun}}.

%% A test that cannot run here says so in the output, where nobody overlooks it.
skip(Title, Why) ->
    {Title, fun() -> io:format(user, "~n*** SKIPPED: ~ts: ~ts~n", [Title, Why]) end}.

is_root() -> {0, "0"} =:= shell("id -u").

%% -- waiting, running together -------------------------------------------------------------------

%% In bytes.
longest_key(Store) -> info(Store, max_key_bytes).

%% What would be a key, were it not for its length.
too_long(Store) -> binary:copy(<<"k">>, longest_key(Store) + 1).

%% Whether the liblmdb in use has pages of a size to choose; 0.9.90 is what 1.0 called itself before.
has_page_size(Store) ->
    {match, Numbers} = re:run(info(Store, lmdb_version), "([0-9]+)\\.([0-9]+)\\.([0-9]+)", [{capture, all_but_first, list}]),
    [list_to_integer(Number) || Number <- Numbers] >= [0, 9, 90].

info(Store, Key) ->
    {ok, Info} = hyper_lmdb:info(Store),
    maps:get(Key, Info).

%% How many values and links the store holds, wherever they are: `entries` of info/1 counts what LMDB
%% has by now.
count(Store) ->
    {ok, Keys} = hyper_lmdb:list_prefix(Store, <<>>),
    length(Keys).

%% Waits until LMDB has everything; the store itself sees to that within a few seconds.
settle(Store) ->
    wait_until(fun() ->
        {ok, Info} = hyper_lmdb:info(Store),
        {0, 0} =:= {maps:get(buffered_keys, Info), maps:get(journal_bytes, Info)}
    end).

%% Polls for a state that must come; the limit only ends a run that hangs.
wait_until(Fun) -> wait_until(Fun, ?PATIENCE_MS).

wait_until(Fun, Milliseconds) ->
    wait_until_(Fun, erlang:monotonic_time(millisecond) + Milliseconds).

wait_until_(Fun, Deadline) ->
    case {Fun(), erlang:monotonic_time(millisecond) > Deadline} of
        {true, _} -> ok;
        {_, true} -> error(waited_in_vain);
        {_, false} -> receive after 5 -> wait_until_(Fun, Deadline) end
    end.

%% Runs Fun(1) to Fun(Count), each in a process of its own; the results in that order.
in_parallel(Count, Fun) ->
    gather([spawn_call(fun() -> Fun(I) end) || I <- lists:seq(1, Count)]).

gather(Calls) -> [await(Call) || Call <- Calls].

spawn_call(Fun) -> spawn_monitor(fun() -> exit({returned, Fun()}) end).

await({Pid, Monitor}) ->
    receive
        {'DOWN', Monitor, process, Pid, {returned, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> error({call_failed, Reason})
    after ?PATIENCE_MS * 2 ->
        Where = process_info(Pid, current_stacktrace),
        exit(Pid, kill),
        error({call_hangs, Where})
    end.

flush_mailbox() ->
    receive Message -> [Message | flush_mailbox()] after 0 -> [] end.

%% -- odds and ends -------------------------------------------------------------------------------

%% Seeds this process's generator and says with what; TEST_SEED repeats a run.
seed() ->
    Seed = case os:getenv("TEST_SEED") of
        false -> erlang:phash2({os:getpid(), erlang:system_time()});
        Given -> list_to_integer(Given)
    end,
    rand:seed(exsss, Seed),
    io:format(user, "~n  TEST_SEED=~b~n", [Seed]),
    Seed.

median(Numbers) -> lists:nth(length(Numbers) div 2 + 1, lists:sort(Numbers)).

%% A file of test/fixtures, wherever the build put the tests.
fixture(Name) ->
    Beside = filename:dirname(code:which(?MODULE)),
    Candidates = [filename:join(["test", "fixtures", Name]), filename:join([Beside, "fixtures", Name])],
    case lists:filter(fun filelib:is_regular/1, Candidates) of
        [Found | _] -> {ok, Bytes} = file:read_file(Found), Bytes;
        [] -> error({no_fixture, Candidates})
    end.

%% Runs a shell command; its exit status and what it printed, without the last newline.
shell(Command) ->
    Port = open_port({spawn_executable, "/bin/sh"},
                     [{args, ["-c", unicode:characters_to_binary(Command)]}, exit_status, stderr_to_stdout, binary, use_stdio]),
    shell_output(Port, []).

shell_output(Port, Sofar) ->
    receive
        {Port, {data, Bytes}} -> shell_output(Port, [Sofar, Bytes]);
        {Port, {exit_status, Status}} ->
            {Status, string:trim(unicode:characters_to_list(iolist_to_binary(Sofar)), trailing, "\n")}
    end.
