%% The measured cells as SVG, drawn by gnuplot.
-module(grid_charts).
-export([write/2]).

write(Results, Cells) ->
    Charts = [{"gets", fun gets/1}, {"writes", fun writes/1}, {"values", fun values/1},
              {"loads", fun loads/1}],
    case os:find_executable("gnuplot") of
        false -> io:format("gnuplot is not installed: no charts~n");
        Gnuplot -> [draw(Gnuplot, Results, Name, Chart(Cells)) || {Name, Chart} <- Charts]
    end.

draw(_, _, _, none) -> ok;
draw(Gnuplot, Results, Name, Script) ->
    Input = filename:join(Results, Name ++ ".gnuplot"),
    bench_out:write(Input, unicode:characters_to_binary(
                             [head(filename:join(Results, Name ++ ".svg")), Script])),
    Port = open_port({spawn_executable, Gnuplot}, [{args, [Input]}, exit_status, stderr_to_stdout]),
    wait(Port, Name).

wait(Port, Name) ->
    receive
        {Port, {data, Text}} ->
            io:put_chars(Text),
            wait(Port, Name);
        {Port, {exit_status, 0}} -> ok;
        {Port, {exit_status, Status}} -> error({gnuplot, Name, Status})
    end.

head(File) ->
    ["set terminal svg size 900,460 noenhanced font 'Helvetica,13' background 'white'\n",
     "set output '", File, "'\nset grid ytics lc rgb '#dddddd'\nset tics nomirror\nset border 3\n",
     "set logscale y\nset format y '%.0s%c'\nset key outside right top Left reverse spacing 2.4\n"].

%% One line a store over the number of keys, values of 100 bytes.
gets(Cells) ->
    over_keys("Random gets of one process, values of 100 bytes", "gets a second", Cells,
              fun(Store) -> grid_tables:find(get, first(Store), Store) end).

loads(Cells) ->
    over_keys("Loading in batches of 100, values of 100 bytes", "puts a second", Cells,
              fun(#{load := {Ns, Ops}}) -> #{ns => Ns / Ops}; (_) -> none end).

over_keys(Title, Unit, Cells, Figure) ->
    lines(Title, "keys in the store", Unit, "set logscale x\nset format x '%.0s%c'\n",
          [{Keys, Stores} || #{keys := Keys, bytes := 100, stores := Stores} <- Cells],
          fun(Store) -> rate(Figure(Store)) end).

%% One line a store over the size of the values, with the fewest keys there are.
values(Cells) ->
    Fewest = lists:min([Keys || #{keys := Keys} <- Cells]),
    lines(["Random gets of one process, ", bench_out:count(Fewest), " keys"],
          "size of a value, bytes", "gets a second",
          "set logscale x 4\nset xtics (100, 1024, 16384, 262144)\n",
          [{Bytes, Stores} || #{keys := Keys, bytes := Bytes, stores := Stores} <- Cells,
                              Keys =:= Fewest],
          fun(Store) -> rate(grid_tables:find(get, first(Store), Store)) end).

lines(Title, X, Y, Axes, Cells, Value) ->
    Lines = [{Module, [{At, Value(Store)} || {At, Stores} <- Cells,
                                             #{module := M, complete := true} = Store <- Stores,
                                             M =:= Module, Value(Store) =/= none]}
             || Module <- bench_peer:all()],
    case [Line || {_, [_, _ | _]} = Line <- Lines] of
        [] -> none;
        Drawn ->
            [title(Title),
             "set xlabel '", X, "'\nset ylabel '", Y, "'\n", Axes,
             [[block(Module), [io_lib:format("~b ~.3f~n", [At, V]) || {At, V} <- Points], "EOD\n"]
              || {Module, Points} <- Drawn],
             "plot ", lists:join(", ", [plot(Module) || {Module, _} <- Drawn]), "\n"]
    end.

plot(Module) ->
    ["$", atom_to_list(Module), " with linespoints ", style(Module), " title \"", legend(Module), "\""].

block(Name) -> ["$", atom_to_list(Name), " << EOD\n"].

%% Single and batched overwrites of each store and promise, those that promise most on the left.
writes(Cells) ->
    case middle(Cells) of
        none -> none;
        #{stores := Stores} = Cell ->
            Bars = [{Label, rate(grid_tables:find(put, Mode, Store)),
                     rate(grid_tables:find(batch, Mode, Store))}
                    || {Mode, Label} <- labels(), #{complete := true} = Store <- Stores,
                       grid_tables:find(put, Mode, Store) =/= none],
            bars(["Random overwrites of one process, ", grid_tables:title(Cell)], "puts a second",
                 ["one by one", "batches of 100"], Bars)
    end.

%% By what a power cut leaves of acknowledged writes, which stands in brackets.
labels() ->
    [{sync, "hyper_lmdb\\nsync\\n(all)"}, {raw_sync, "raw LMDB\\nsync\\n(all)"},
     {dets_sync, "dets\\nsynced\\n(all)"}, {mnesia_sync, "mnesia\\nsynced\\n(all)"},
     {bitcask_sync, "bitcask\\nsynced\\n(all)"},
     {async, "hyper_lmdb\\nasync\\n(all but\\n0.1 s)"}, {bitcask, "bitcask\\n\\n(all but\\n30 s)"},
     {mnesia, "mnesia\\n\\n(all but\\nthe log)"}, {dets, "dets\\n\\n(what was\\nsynced)"},
     {map_async, "hyper_lmdb\\nmap_async\\n(maybe\\nnothing)"},
     {raw_map, "raw LMDB\\nno sync\\n(maybe\\nnothing)"}, {ets, "ets\\n\\n(nothing)"}].

%% The cell of 100,000 small values, or the largest one below.
middle(Cells) ->
    lists:foldl(fun(Cell, _) -> Cell end, none,
                [Cell || #{keys := Keys, bytes := 100} = Cell <- Cells, Keys =< 100000]).

bars(_, _, _, []) -> none;
bars(Title, Y, [First, Second], Bars) ->
    Values = [Value || {_, A, B} <- Bars, Value <- [A, B], Value =/= none],
    %% Bars of a logarithmic axis have no natural foot: a decade below the least.
    Foot = math:pow(10, floor(math:log10(lists:min(Values))) - 1),
    [title(Title), "set ylabel '", Y, "'\nset style data histogram\n",
     "set style histogram clustered gap 1\nset style fill solid\nset boxwidth 0.9\n",
     "set xtics font ',10' scale 0\nset key above horizontal\nset bmargin 6\n",
     "set yrange [", number(Foot), ":*]\n",
     "$bars << EOD\n", [io_lib:format("\"~ts\" ~ts ~ts~n", [Label, number(A), number(B)])
                        || {Label, A, B} <- Bars],
     "EOD\nplot $bars using 2:xtic(1) lc rgb '#9ecae1' title '", First,
     "', '' using 3 lc rgb '#08519c' title '", Second, "'\n"].

%% The brackets are in legend/1 and labels/0.
title(Title) ->
    ["set title \"", Title, "\\nin brackets: what a power cut leaves of acknowledged writes\"\n"].

number(none) -> "nan";
number(Value) -> io_lib:format("~.3f", [float(Value)]).

rate(none) -> none;
rate(#{ns := Ns}) -> 1.0e9 / Ns.

first(#{modes := [{Mode, _} | _]}) -> Mode.

%% A store and, below it, what is left of acknowledged writes after a power cut.
legend(Module) -> [name(Module), "\\n", kept(Module)].

name(peer_hyper) -> "hyper_lmdb, async";
name(Module) -> Module:title().

kept(peer_hyper) -> "(all but 0.1 s)";
kept(peer_raw) -> "(maybe nothing)";
kept(peer_ets) -> "(nothing)";
kept(peer_mnesia) -> "(all but its log)";
kept(peer_dets) -> "(what was synced)";
kept(peer_bitcask) -> "(all but 30 s)".

style(peer_hyper) -> "lw 3 pt 7 lc rgb '#d62728'";
style(peer_raw) -> "lw 2 pt 5 dt 2 lc rgb '#7f7f7f'";
style(peer_ets) -> "lw 2 pt 9 lc rgb '#2ca02c'";
style(peer_mnesia) -> "lw 2 pt 11 lc rgb '#9467bd'";
style(peer_dets) -> "lw 2 pt 13 lc rgb '#8c564b'";
style(peer_bitcask) -> "lw 2 pt 4 lc rgb '#1f77b4'".
