%% @doc Other OS processes that run this library: peers one can call, and scripts that print lines.
-module(child_vm).

-export([start_peer/1, start_peer/2, call/2, call/3, stop_peer/1, kill_peer/1, in_killed_vm/2]).
-export([open/3, open/4, lines/2, run/4, kill/1, main/0, say/1, writer/1]).

-define(CALL, "HYPER_LMDB_CHILD_CALL").
-define(PATIENCE_MS, 120000).

%% -- peers ---------------------------------------------------------------------------------------

start_peer(Args) -> start_peer(os:find_executable("erl"), Args).

%% Exec is what `peer` calls so: a program, or a program and its first arguments.
start_peer(Exec, Args) ->
    {ok, Peer, _Node} = peer:start(#{connection => standard_io, exec => Exec,
                                     args => code_path_args() ++ Args, wait_boot => ?PATIENCE_MS}),
    {Peer, peer:call(Peer, os, getpid, [])}.

%% Runs Fun over there. Its module must be in the code path, which holds the tests.
call(Vm, Fun) -> call(Vm, Fun, ?PATIENCE_MS).

call({Peer, _}, Fun, Milliseconds) -> peer:call(Peer, erlang, apply, [Fun, []], Milliseconds).

stop_peer({Peer, _}) -> peer:stop(Peer).

%% SIGKILL, as long as it lives.
kill_peer({Peer, OsPid}) ->
    Monitor = monitor(process, Peer),
    is_process_alive(Peer) andalso test_store:shell("kill -9 " ++ OsPid),
    receive {'DOWN', Monitor, process, Peer, _} -> ok end.

%% Runs Fun on a store in a VM that is killed right after it; what Fun answered.
in_killed_vm(Options, Fun) ->
    Peer = start_peer([]),
    try call(Peer, fun() ->
            {ok, S} = hyper_lmdb:start(Options),
            Fun(S)
        end)
    after
        kill_peer(Peer)
    end.

code_path_args() ->
    Dirs = lists:usort([filename:dirname(code:which(M)) || M <- [hyper_lmdb, ?MODULE]]),
    lists:append([["-pa", filename:absname(Dir)] || Dir <- Dirs]).

%% -- scripts that print lines --------------------------------------------------------------------

%% Starts a VM that runs Module:Function(Argument) and prints lines with `say/1`. The VM leads a
%% process group of its own.
open(Module, Function, Argument) -> open(Module, Function, Argument, []).

%% With port options of its own; of `args' and `env' it gets these before what it needs anyhow.
open(Module, Function, Argument, Own) ->
    Call = base64:encode_to_string(term_to_binary({Module, Function, Argument})),
    Args = proplists:get_value(args, Own, []) ++ ["-noinput" | code_path_args()]
        ++ ["-s", atom_to_list(?MODULE), "main"],
    Env = proplists:get_value(env, Own, []) ++ [{?CALL, Call}],
    open_port({spawn_executable, os:find_executable("erl")},
              [{args, Args}, {env, Env}, {line, 65536}, exit_status, eof, stderr_to_stdout
               | [Option || Option <- Own, not is_tuple(Option)]]).

%% Reads lines until the VM has ended (then its exit status), or until one is Wanted.
lines(Port, Wanted) -> lines(Port, Wanted, [], none).

lines(Port, Wanted, Sofar, Status) ->
    receive
        {Port, {data, {_, Wanted}}} -> {lists:reverse([Wanted | Sofar]), seen};
        {Port, {data, {_, Line}}} -> lines(Port, Wanted, [Line | Sofar], Status);
        {Port, eof} when Status =/= none -> closed(Port, Sofar, Status);
        {Port, eof} -> lines(Port, Wanted, Sofar, eof);
        {Port, {exit_status, Number}} when Status =:= eof -> closed(Port, Sofar, Number);
        {Port, {exit_status, Number}} -> lines(Port, Wanted, Sofar, Number)
    after ?PATIENCE_MS ->
        kill(Port),
        error({child_hangs, lists:sublist(Sofar, 20)})
    end.

closed(Port, Sofar, Status) ->
    port_close(Port),
    {lists:reverse(Sofar), Status}.

%% As `open/3`, then reads to the end, killing the VM when the line Last shows up.
run(Module, Function, Argument, Last) ->
    Port = open(Module, Function, Argument),
    case lines(Port, Last) of
        {Before, seen} ->
            kill(Port),
            {After, Status} = lines(Port, none),
            {Before ++ After, Status};
        Ended -> Ended
    end.

%% By a shell that is there for it: starting one would take longer than much of what is to be met.
kill(Port) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, OsPid} -> port_command(killer(), [integer_to_list(OsPid), $\n]);
        undefined -> gone
    end.

killer() ->
    case get(?MODULE) of
        undefined ->
            Killer = open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", "while read p; do kill -9 -$p 2>/dev/null; done"]}]),
            put(?MODULE, Killer),
            Killer;
        Killer -> Killer
    end.

%% -- inside the child ----------------------------------------------------------------------------

%% Returns at once: the VM counts as started, and `init:stop/0` works, only after that.
main() ->
    {Module, Function, Argument} = binary_to_term(base64:decode(os:getenv(?CALL))),
    spawn(fun() ->
        try Module:Function(Argument)
        catch Class:Reason:Stack ->
            say(io_lib:format("CRASH ~0p", [{Class, Reason, Stack}])),
            halt(1)
        end
    end).

%% One line by one system call, so that it is out before the next step whatever happens then.
say(Line) -> (writer("/dev/stdout"))(Line).

%% A fun that writes lines; for the process that made it only.
writer(File) ->
    {ok, Fd} = file:open(File, [raw, append]),
    fun(Line) -> ok = file:write(Fd, [Line, $\n]) end.
