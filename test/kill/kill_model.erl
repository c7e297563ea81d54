%% @doc What the writers of the kill test do. Everything follows from seed, writer and sequence
%% number, so the checker knows what a write was from its number alone.
%%
%% A writer owns a fixed set of slots (keys) and makes one write after the other. Its state after
%% write N maps each slot that holds something to its content (the number of the write that last put a
%% value there, or where its link leads) and whether it is marked as a group.
-module(kill_model).

-export([slots/0, key/2, value/3, targets/0, target/1, write/3, advance/2, content/2, visible/1, size/1]).
-export([describe/3, observe/4]).

-define(SLOTS, 48).
-define(TARGETS, 16).
-define(MAGIC, "HLK1").

-type writer() :: pos_integer().
-type seq() :: pos_integer().
-type slot() :: non_neg_integer().
-type op() :: {put, slot(), seq()} | {delete, slot()} | {link, slot(), integer()} | {group, slot()}.
-type content() :: none | seq() | {link, integer()}.
-type state() :: #{slot() => {content(), Marked :: boolean()}}.
-export_type([writer/0, seq/0, state/0, op/0]).

slots() -> lists:seq(0, ?SLOTS - 1).

%% Keys with a value or a link.
size(States) -> length([Slot || State <- maps:values(States), {Slot, {Content, _}} <- maps:to_list(State), Content =/= none]).

%% Where the links lead: values that every child makes sure of before it writes.
targets() -> [target(I) || I <- lists:seq(1, ?TARGETS)].
target(I) -> <<"target ", I>>.

%% Keys of all lengths up to the longest.
-spec key(writer(), slot()) -> binary().
key(Writer, Slot) ->
    Padding = erlang:phash2({Writer, Slot}, 480),
    <<Writer:16, Slot:16, 0:(8 * Padding), "k">>.

%% Says whose it is and when it was written, and carries a checksum.
-spec value(writer(), slot(), seq()) -> binary().
value(Writer, Slot, Seq) ->
    Size = value_size(erlang:phash2({size, Writer, Slot, Seq}, 1000)),
    Filler = binary:copy(<<(erlang:phash2({Writer, Slot, Seq})):32>>, Size div 4),
    Head = <<?MAGIC, Writer:16, Slot:16, Seq:64, Filler/binary>>,
    <<Head/binary, (erlang:crc32(Head)):32>>.

value_size(0) -> 150000;
value_size(N) when N < 30 -> 3000 + N * 300;
value_size(N) -> N.

%% The elements of a write: one, or a batch.
-spec write(term(), writer(), seq()) -> [op()].
write(Seed, Writer, Seq) ->
    Random = fun(What, Below) -> erlang:phash2({Seed, Writer, Seq, What}, Below) end,
    Count = case Random(kind, 20) of
        N when N < 11 -> 1;
        N when N < 17 -> 2 + Random(count, 10);
        N when N < 19 -> 10 + Random(count, 40);
        _ -> 150 + Random(count, 200)
    end,
    [op(Random({op, I}, 10), Random({slot, I}, ?SLOTS), Seq, 1 + Random({target, I}, ?TARGETS)) || I <- lists:seq(1, Count)].

op(N, Slot, _, _) when N < 2 -> {delete, Slot};
op(2, Slot, _, Target) -> {link, Slot, Target};
op(3, Slot, _, _) -> {group, Slot};
op(_, Slot, Seq, _) -> {put, Slot, Seq}.

-spec advance([op()], state()) -> state().
advance(Ops, State) -> lists:foldl(fun step/2, State, Ops).

step({delete, Slot}, State) -> maps:remove(Slot, State);
step({put, Slot, Seq}, State) -> State#{Slot => {Seq, marked(Slot, State)}};
step({link, Slot, Target}, State) -> State#{Slot => {{link, Target}, marked(Slot, State)}};
step({group, Slot}, State) ->
    case content(Slot, State) of
        {link, _} -> State;
        Content -> State#{Slot => {Content, true}}
    end.

-spec content(slot(), state()) -> content().
content(Slot, State) -> element(1, maps:get(Slot, State, {none, false})).
marked(Slot, State) -> element(2, maps:get(Slot, State, {none, false})).

%% The mark of a link does not show.
visible(State) -> maps:map(fun(_, {{link, _} = Link, _}) -> {Link, false}; (_, Other) -> Other end, State).

%% What is seen in a slot, in the form of a visible state, or `absent' or damage.
observe(Writer, Slot, Result, {Type, Resolved}) ->
    Key = key(Writer, Slot),
    case {describe(Writer, Slot, Result), Type, Resolved} of
        {absent, not_found, not_found} -> absent;
        {absent, composite, Key} -> {none, true};
        {absent, simple, <<"target ", I>>} -> {{link, I}, false};
        {Seq, simple, Key} when is_integer(Seq) -> {Seq, false};
        {Seq, composite, Key} when is_integer(Seq) -> {Seq, true};
        Other -> {damaged, Other}
    end.

%% Of the value found in a slot: the number of the write it came from, absent, or damage.
-spec describe(writer(), slot(), {ok, binary()} | not_found | {error, term()}) ->
    absent | seq() | {damaged, term()}.
describe(_, _, not_found) -> absent;
describe(Writer, Slot, {ok, <<?MAGIC, Writer:16, Slot:16, Seq:64, _/binary>> = Bytes}) ->
    case value(Writer, Slot, Seq) of
        Bytes -> Seq;
        Expected -> {damaged, {Seq, byte_size(Bytes), byte_size(Expected)}}
    end;
describe(_, _, {ok, Bytes}) -> {damaged, binary:part(Bytes, 0, min(40, byte_size(Bytes)))};
describe(_, _, {error, Reason}) -> {damaged, Reason}.
