%% @doc Another program at the files of a store: runs from `start', which returns when it prints a line,
%% to `stop'.
-module(environment_holder).

-export([start/1, stop/1]).

start(Command) ->
    Port = open_port({spawn_executable, "/bin/sh"},
                     [{args, ["-c", unicode:characters_to_binary(Command)]}, {line, 1000}, exit_status, stderr_to_stdout]),
    receive
        {Port, {data, _}} -> Port;
        {Port, Other} -> error({holder, Other})
    after environment_cells:guard_ms() -> error({holder, hangs})
    end.

stop(Port) ->
    {os_pid, Pid} = erlang:port_info(Port, os_pid),
    _ = test_store:shell(["kill -9 -", integer_to_list(Pid), " || kill -9 ", integer_to_list(Pid)]),
    ended(Port).

ended(Port) ->
    receive
        {Port, {exit_status, _}} -> ok;
        {Port, {data, _}} -> ended(Port)
    after environment_cells:guard_ms() -> error({holder, does_not_end})
    end.
