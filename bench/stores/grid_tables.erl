%% The measured cells as Markdown.
-module(grid_tables).
-export([markdown/1, title/1, find/3]).

markdown(Cells) ->
    ["# Beside other stores\n\n", machines(Cells), how(),
     [cell(Cell) || Cell <- Cells], core(Cells)].

title(#{keys := Keys, bytes := Bytes}) ->
    io_lib:format("~ts keys, values of ~ts", [bench_out:count(Keys), bytes(Bytes)]).

%% The figure of a verb in a mode, or none.
find(Verb, Mode, #{figures := Figures}) ->
    case [F || #{verb := V, mode := M} = F <- Figures, V =:= Verb, M =:= Mode] of
        [Figure] -> Figure;
        [] -> none
    end.

%% Cells that were measured on one day on one machine need one description.
machines(Cells) ->
    [[[["    ", Line, "\n"] || Line <- Facts], "\n"]
     || Facts <- lists:usort([lists:filtermap(fun steady/1, Facts) || #{facts := Facts} <- Cells])].

steady("load" ++ _) -> false;
steady("date" ++ _ = Line) -> {true, hd(string:split(Line, "T"))};
steady(_) -> true.

how() ->
    "Operations a second of one process. Each store runs in a VM of its own; keys are numbers in\n"
    "decimal, values random bytes, both made before the clock starts. *Load* is in the order of the\n"
    "numbers, in batches of 100, at the first promise of the store, until nothing is left to do in the\n"
    "background. Gets and overwrites are of random keys; medians of rounds in which the stores take\n"
    "turns (other promises: each store by itself); a round of writes that leave work for later is long\n"
    "enough to have its share of it, except in `sync`: its rounds are short, so its batches leave more to do\n"
    "than their figure says. *Disk* is the allocated blocks after loading. A store is left out of\n"
    "a cell that is too large for it (4 GB; 1 GB for what keeps values in memory, and dets) or that it did\n"
    "not load within 20 seconds. Raw LMDB runs in loops in C and\n"
    "makes no Erlang terms: a floor. mnesia's put is a `dirty_write`, its batch a transaction; bitcask and\n"
    "dets have no atomic batch, and a bitcask grows\n"
    "with each overwrite until it is merged.\n\n".

cell(#{stores := Stores} = Cell) ->
    Here = [Store || #{complete := true} = Store <- Stores],
    ["## ", title(Cell), "\n\n",
     table(["", "load, puts", "get", "`read_many` of 100, keys", "scan, entries", "disk"],
           [[Title, loaded(Store) | [rate(find(Verb, first(Store), Store))
                                     || Verb <- [get, read_many, fold]]] ++ [room(D)]
            || #{title := Title, disk := D} = Store <- Here]),
     table(["overwrites", "put", "batches of 100, puts", "what is kept"],
           [[[Title, ", ", name(Mode)], rate(find(put, Mode, Store)),
             rate(find(batch, Mode, Store)), Promise]
            || #{title := Title, modes := Modes} = Store <- Here, {Mode, Promise} <- Modes]),
     [["Left out: ", lists:join("; ", Out), ".\n\n"] || Out <- [left_out(Stores)], Out =/= []]].

left_out(Stores) ->
    [[Title, " (", why(Store), ")"] || #{title := Title} = Store <- Stores, why(Store) =/= none].

why(#{missing := Why}) -> Why;
why(#{complete := false, load := {Ns, Ops}}) ->
    ["not loaded in time, at ", bench_out:rate(Ops * 1.0e9 / Ns), " puts a second"];
why(_) -> none.

core(Cells) ->
    Rows = [[title(Cell) | [number(Name, Core) || Name <- names()]]
            || #{core := Core} = Cell <- Cells, Core =/= []],
    case Rows of
        [] -> [];
        _ -> ["## In C++, the core beside raw LMDB\n\nNanoseconds; `async`, all of it in LMDB.\n\n",
              table(["", "get, raw", "get", "ratio", "`read_many` of 100, a key, raw", "`read_many`",
                     "ratio"], Rows)]
    end.

names() -> [core_get_raw_ns, core_get_ns, core_get, core_read_many_raw_ns, core_read_many_ns,
            core_read_many].

number(Name, Core) ->
    case lists:keyfind(Name, 1, Core) of
        {_, Value} when Value >= 20 -> integer_to_list(round(Value));
        {_, Value} -> bench_out:ratio(Value);
        false -> ""
    end.

first(#{modes := [{Mode, _} | _]}) -> Mode.

%% The mode's name without the store's.
name(Mode) ->
    case string:lexemes(atom_to_list(Mode), "_") of
        ["raw", "map"] -> "flags of `map_async`";
        ["raw", "sync"] -> "flags of `sync`";
        [_, "sync"] -> "synced";
        _ when Mode =:= async; Mode =:= map_async; Mode =:= sync -> ["`", atom_to_list(Mode), "`"];
        _ -> "not synced"
    end.

loaded(#{load := {Ns, Ops}}) -> bench_out:rate(Ops * 1.0e9 / Ns).

rate(none) -> "";
rate(#{ns := Ns}) -> bench_out:rate(1.0e9 / Ns).

room(none) -> "";
room(Bytes) when Bytes >= 1.0e9 -> io_lib:format("~.1f GB", [Bytes / 1.0e9]);
room(Bytes) when Bytes >= 1.0e7 -> io_lib:format("~b MB", [round(Bytes / 1.0e6)]);
room(Bytes) -> io_lib:format("~.1f MB", [Bytes / 1.0e6]).

bytes(Bytes) when Bytes rem 1024 =:= 0 -> io_lib:format("~b KiB", [Bytes div 1024]);
bytes(Bytes) -> io_lib:format("~b bytes", [Bytes]).

table(Header, Rows) ->
    [line(Header), line(["---" | ["---:" || _ <- tl(Header)]]), [line(Row) || Row <- Rows], "\n"].

line(Cells) -> ["| ", lists:join(" | ", Cells), " |\n"].
