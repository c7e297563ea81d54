%% bench/report's two steps; it starts them:
%%   erl ... -s grid_main -extra measure --cell KEYS:BYTES --pace PACE --load-seconds N --dir DIR
%%                               --facts FILE --out FILE
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
    #{cell := Text, pace := Pace, dir := Dir, facts := Facts, out := Out, 'load-seconds' := Seconds} =
        options(Words, #{}),
    [Keys, Bytes] = [list_to_integer(Number) || Number <- string:lexemes(Text, ":")],
    Settings = (settings(Pace))#{dir => Dir, load_seconds => list_to_integer(Seconds)},
    {Ns, Cell} = timer:tc(fun() -> grid_cell:run(#{keys => Keys, bytes => Bytes}, Settings) end),
    Whole = Cell#{pace => Pace, facts => lines(Facts)},
    bench_out:write(Out, io_lib:format("%% coding: utf-8~n~tp.~n", [Whole])),
    io:format("~ts: ~b s~n", [grid_tables:title(Cell), Ns div 1000000]);
run(["render", Results]) ->
    Cells = lists:sort(fun(A, B) -> order(A) =< order(B) end,
                       [begin
                            {ok, [Cell]} = file:consult(File),
                            Cell#{core => core(filename:rootname(File) ++ ".core")}
                        end
                        || File <- filelib:wildcard(filename:join([Results, "cells", "*.term"]))]),
    bench_out:write(filename:join(Results, "report.md"), grid_tables:markdown(Cells)),
    grid_charts:write(Results, Cells).

options(["--" ++ Name, Value | Words], Options) ->
    options(Words, Options#{list_to_existing_atom(Name) => Value});
options([], Options) -> Options.

%% `ms` is how long a case runs in one round, `put_off_ms` a case of writes that leave work for later; no
%% further round of a case begins after `phase_seconds`.
settings("smoke") -> #{rounds => 1, ms => 3, put_off_ms => 3, phase_seconds => 1};
settings("full") -> #{rounds => 3, ms => 200, put_off_ms => 1200, phase_seconds => 6}.

order(#{keys := Keys, bytes := Bytes}) -> {Bytes, Keys}.

lines(File) ->
    {ok, Data} = file:read_file(File),
    string:lexemes(unicode:characters_to_list(Data), "\n").

core(File) ->
    case filelib:is_file(File) of
        true -> bench_reach:read(File);
        false -> []
    end.
