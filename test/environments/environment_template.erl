%% @doc A store in each mode as a killed VM left it, to be copied to where one is wanted: as the one that
%% an environment begins with, and as the innocent one under a name that another store had.
-module(environment_template).

-export([make/1, copy/3, id/1, keys/1]).

-define(TAG, <<"template">>).

make(#{base := Base}) ->
    [make(Base, Mode) || Mode <- test_store:modes()],
    ok.

%% A journal is left where LMDB had not got everything when the VM died: so it is nearly always.
make(Base, Mode) ->
    Dir = dir(Base, Mode),
    environment_files:remove(Dir),
    environment_files:make(Dir),
    environment_cells:with_vm(plain, fun(Vm) ->
        environment_cells:in_vm(Vm, fun() ->
            ok = environment_store:start(id(Mode), #{name => list_to_binary(Dir), durability => Mode}),
            [ok = Answer || {_, Answer} <- environment_store:write(id(Mode), ?TAG)],
            ok
        end)
    end),
    Mode =:= map_async orelse test_store:journal(Dir) =/= [] orelse make(Base, Mode).

dir(Base, Mode) -> filename:join([Base, "template", Mode]).

copy(#{base := Base}, Mode, To) -> environment_files:copy(dir(Base, Mode), To).

id(Mode) -> {template, Mode}.
keys(Mode) -> environment_store:keys(id(Mode), ?TAG).
