%% Tables for people, JSON and "name<TAB>value" lines for programs.
-module(bench_out).
-export([table/2, json/1, figures/1, write/2, ns/1, rate/1, count/1, ratio/1]).

%% Rows of strings under a header; the first column to the left, the others to the right.
table(Header, Rows) ->
    All = [Header | Rows],
    Widths = [lists:max([string:length(lists:nth(I, Row)) || Row <- All])
              || I <- lists:seq(1, length(Header))],
    [io:put_chars([line(Row, Widths), $\n]) || Row <- All],
    io:nl().

line([First | Others], [Width | Widths]) ->
    [string:pad(First, Width, trailing)
     | [["  ", string:pad(Cell, W, leading)] || {Cell, W} <- lists:zip(Others, Widths)]].

ns(Ns) when Ns >= 1.0e6 -> io_lib:format("~.1f ms", [Ns / 1.0e6]);
ns(Ns) when Ns >= 1.0e4 -> io_lib:format("~.1f us", [Ns / 1.0e3]);
ns(Ns) -> [integer_to_list(round(Ns)), " ns"].

rate(PerSecond) when PerSecond >= 1.0e4 ->
    thousands(integer_to_list(round(PerSecond / 1000) * 1000));
rate(PerSecond) -> thousands(integer_to_list(round(PerSecond))).

count(Integer) -> thousands(integer_to_list(Integer)).

thousands(Digits) when length(Digits) =< 3 -> Digits;
thousands(Digits) ->
    {Head, Tail} = lists:split(length(Digits) - 3, Digits),
    thousands(Head) ++ "," ++ Tail.

ratio(Ratio) -> io_lib:format("~.2f", [float(Ratio)]).

json(Map) when is_map(Map) ->
    Members = [[json(atom_to_binary(Key)), ": ", json(Value)]
               || {Key, Value} <- lists:sort(maps:to_list(Map))],
    [${, lists:join(", ", Members), $}];
json(List) when is_list(List) -> [$[, lists:join(",\n", [json(Item) || Item <- List]), $]];
json(Integer) when is_integer(Integer) -> integer_to_list(Integer);
json(Float) when is_float(Float) -> io_lib:format("~.4f", [Float]);
json(Word) when Word =:= true; Word =:= false; Word =:= null -> atom_to_list(Word);
json(Atom) when is_atom(Atom) -> json(atom_to_binary(Atom));
json(Text) when is_binary(Text) -> [$", [escape(C) || C <- unicode:characters_to_list(Text)], $"].

escape($") -> "\\\"";
escape($\\) -> "\\\\";
escape(C) when C < 32 -> io_lib:format("\\u~4.16.0b", [C]);
escape(C) -> unicode:characters_to_binary([C]).

figures(Figures) -> [io_lib:format("~s\t~.4f~n", [Name, float(Value)]) || {Name, Value} <- Figures].

write(none, _) -> ok;
write(File, Data) ->
    case file:write_file(File, Data) of
        ok -> ok;
        {error, Reason} -> error({cannot_write, File, Reason})
    end.
