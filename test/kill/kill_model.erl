%% @doc What the writers of the kill test do. Everything follows from seed, writer and sequence
%% number, so the checker knows what a write was from its number alone.
%%
%% A writer owns a fixed set of slots (keys) and makes one write after the other. Its state after
%% write N is a map from slot to the number of the write that last put a value there.
-module(kill_model).

-export([slots/0, key/2, value/3, write/3, advance/2, describe/3, size/1]).

-define(SLOTS, 48).
-define(MAGIC, "HLK1").

-type writer() :: pos_integer().
-type seq() :: pos_integer().
-type slot() :: non_neg_integer().
-type op() :: {put, slot(), seq()} | {delete, slot()}.
-type state() :: #{slot() => seq()}.
-export_type([writer/0, seq/0, state/0, op/0]).

slots() -> lists:seq(0, ?SLOTS - 1).

size(States) -> lists:sum([maps:size(State) || State <- maps:values(States)]).

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
    [op(Random({op, I}, 5), Random({slot, I}, ?SLOTS), Seq) || I <- lists:seq(1, Count)].

op(0, Slot, _) -> {delete, Slot};
op(_, Slot, Seq) -> {put, Slot, Seq}.

-spec advance([op()], state()) -> state().
advance(Ops, State) ->
    lists:foldl(fun({put, Slot, Seq}, Now) -> Now#{Slot => Seq};
                   ({delete, Slot}, Now) -> maps:remove(Slot, Now)
                end, State, Ops).

%% What was found in a slot: the number of the write it came from, absent, or damage.
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
