%% bench/report's two steps; it starts them:
%%   erl ... -s grid_main -extra measure --cell KEYS:BYTES --pace PACE --dir DIR --facts FILE
%%                               [--core FIGURES] --out FILE
%%   erl ... -s grid_main -extra render RESULTS
-module(grid_main).
-export([start/0]).

start() ->
    try
        run(init:get_plain_arguments()),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "grid_main: ~p:~p~n~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

run(["measure" | Words]) ->
    #{cell := Text, pace := Pace, dir := Dir, facts := Facts, out := Out} = Options =
        options(Words, #{}),
    [Keys, Bytes] = [list_to_integer(Number) || Number <- string:lexemes(Text, ":")],
    {Ns, Cell} = timer:tc(fun() -> grid_cell:run(#{keys => Keys, bytes => Bytes},
                                                 (settings(Pace))#{dir => Dir}) end),
    Whole = Cell#{pace => Pace, facts => lines(Facts), core => core(Options)},
    bench_out:write(Out, io_lib:format("%% coding: utf-8~n~tp.~n", [Whole])),
    io:format("~ts: ~b s~n", [grid_tables:title(Cell), Ns div 1000000]);
run(["render", Results]) ->
    Cells = lists:sort(fun(A, B) -> order(A) =< order(B) end,
                       [begin {ok, [Cell]} = file:consult(File), Cell end
                        || File <- filelib:wildcard(filename:join([Results, "cells", "*.term"]))]),
    bench_out:write(filename:join(Results, "report.md"), grid_tables:markdown(Cells)),
    grid_charts:write(Results, Cells).

options(["--" ++ Name, Value | Words], Options) ->
    options(Words, Options#{list_to_existing_atom(Name) => Value});
options([], Options) -> Options.

%% `ms` is how long a case runs in one round, `put_off_ms` a case of writes that leave work for later,
%% `load_seconds` how long a store may take to hold a cell at all: one that takes longer is left out of it.
settings("smoke") -> #{rounds => 1, ms => 3, put_off_ms => 3, load_seconds => 60};
settings("quick") ->
    #{rounds => 3, ms => 150, put_off_ms => 1000, load_seconds => 60};
settings("full") ->
    #{rounds => 7, ms => 400, put_off_ms => 2500, load_seconds => 900}.

order(#{keys := Keys, bytes := Bytes}) -> {Bytes, Keys}.

lines(File) ->
    {ok, Data} = file:read_file(File),
    string:lexemes(unicode:characters_to_list(Data), "\n").

core(#{core := File}) -> bench_reach:read(File);
core(_) -> [].
