%% @doc Arguments that the NIF did not take: those of another accepted form are brought to the plain
%% one and the call is made again; for the rest a badarg is raised as OTP's own functions do, with
%% the arguments in the stack trace and an error_info that says which of them is wrong.
%% @private
-module(hyper_lmdb_args).

-export([retry/3, key/1, path/1, is_no_name/1, describe/3]).

%% No store takes longer ones.
-define(LONGEST_KEY, 65535).

-type kind() :: store | batch | key | keys | value | ops | options | listing | range | function
              | file.

-spec retry(atom(), [term()], pos_integer()) -> term().
retry(Function, Args, Position) ->
    case in_plain_form(kinds(Function), Args) of
        Args -> raise(public(Function), Args, Position);
        Normal -> apply(hyper_lmdb, public(Function), Normal)
    end.

%% A short form of a function takes the first arguments of the long one.
in_plain_form([Kind | Kinds], [Arg | Args]) -> [normalise(Kind, Arg) | in_plain_form(Kinds, Args)];
in_plain_form(_, []) -> [].

%% @doc A key in any accepted form as the bytes it stands for; what is no key stays what it is.
-spec key(term()) -> term().
key(Key) -> key(Key, whole).

%% @doc Whether a term is one of the words that stand for something else than a name: whoever passes
%% one as a name or key has forgotten to set it, and does not mean the letters.
-spec is_no_name(term()) -> boolean().
is_no_name(Term) ->
    lists:member(Term, [nil, undefined, null, true, false]).

%% Of a key that may be cut the rest is left out once it is too long to be one.
key(Key, _) when is_atom(Key) ->
    case is_no_name(Key) of
        true -> Key;
        false -> atom_to_binary(Key)
    end;
key([], _) ->
    <<>>;
key([Char | _] = Key, _) when is_integer(Char) ->
    string_or(Key, Key);
key(Key, Room) when is_list(Key) ->
    case is_proper(Key) andalso segments(Key, Room, []) of
        {ok, Segments} -> iolist_to_binary(lists:join($/, Segments));
        _ -> Key
    end;
key(Key, _) ->
    Key.

%% A key to look for or to write to: no answer repeats it.
cut_key(Key) -> key(Key, ?LONGEST_KEY + 1).

%% @doc The canonical form of a path; what is no path stays what it is.
-spec path(term()) -> term().
path(Path) when is_binary(Path) ->
    iolist_to_binary(lists:join($/, binary:split(Path, <<"/">>, [global, trim_all])));
path(Path) ->
    case key(Path) of
        Path -> Path;
        Binary -> path(Binary)
    end.

%% @doc What is wrong with an argument, for people.
-spec describe(atom(), pos_integer(), [term()]) -> unicode:chardata().
describe(Function, Position, Args) ->
    Kind = lists:nth(Position, kinds(Function)),
    case lists:nthtail(min(Position - 1, length(Args)), Args) of
        [Arg | _] -> hint(Kind, Arg);
        [] -> expected(Kind)
    end.

hint(store, #{name := Name}) -> hint_of_name(store, Name);
hint(store, #{<<"name">> := Name}) -> hint_of_name(store, Name);
hint(Kind, #{'__struct__' := _}) when Kind =:= options; Kind =:= listing; Kind =:= range ->
    "a struct: give a plain map, as Map.from_struct/1 makes of it";
hint(options, #{name := Name}) -> hint_of_name(options, Name);
hint(options, #{<<"name">> := Name}) -> hint_of_name(options, Name);
hint(options, [_ | _] = List) ->
    case lists:keyfind(name, 1, [Pair || {_, _} = Pair <- proper(List)]) of
        {name, Name} -> hint_of_name(options, Name);
        false -> expected(options)
    end;
hint(range, #{} = Range) ->
    Bounds = [<<"prefix">>, <<"from">>, <<"to">>],
    case [[text(Bound), " is ", text(Key), ", which stands for no key: leave it out"]
          || {Bound, Key} <- maps:to_list(Range), is_no_name(Key), lists:member(text(Bound), Bounds)] of
        [Hint | _] -> Hint;
        [] -> expected(range)
    end;
hint(key, Key) ->
    case [Word || Word <- if is_list(Key) -> proper(Key); true -> [Key] end, is_no_name(Word)] of
        [Word | _] -> [text(Word), " stands for no key: if it is meant, give it as a binary"];
        [] -> expected(key)
    end;
hint(ops, Ops) -> hint_of_element(ops, Ops, fun(Op) -> is_op(op(Op)) end);
hint(keys, Keys) -> hint_of_element(keys, Keys, fun(Key) -> is_binary(key(Key)) end);
hint(Kind, _Arg) -> expected(Kind).

hint_of_name(Kind, Name) ->
    case {is_no_name(Name), is_list(Name) andalso hyper_lmdb_options:has_binary(Name)} of
        {true, _} -> ["its name is ", text(Name), ", which stands for no name: give a binary or a string"];
        {_, true} -> "its name is a list with binaries in it: give one binary, as filename:join/1 makes it";
        _ -> expected(Kind)
    end.

hint_of_element(Kind, List, IsRight) ->
    case {proper(List), lists:dropwhile(IsRight, proper(List))} of
        {Elements, [Wrong | _] = Rest} ->
            Index = length(Elements) - length(Rest) + 1,
            [io_lib:format("element ~b of the list, ~0tP, is not ", [Index, Wrong, 12]), element_of(Kind)];
        _ ->
            expected(Kind)
    end.

element_of(keys) -> "a key";
element_of(ops) ->
    "one of {put, Key, Value}, {delete, Key}, {link, Target, New}, {group, Path}, {check, Key, Value} and "
        "{check, Key, absent}".

%% A list, or nothing where it ends in something else.
proper(List) ->
    case is_list(List) andalso is_proper(List) of
        true -> List;
        false -> []
    end.

text(Word) when is_atom(Word) -> atom_to_binary(Word);
text(Word) when is_binary(Word) -> Word;
text(_) -> <<>>.

expected(store) -> "not a store: give the handle start/1 returned, or a map with the name it was given";
expected(key) -> "not a key: give a binary, or a list of binaries to be joined with /";
expected(keys) -> "not a proper list of keys";
expected(value) -> "not a binary";
expected(ops) -> ["not a proper list: each element is ", element_of(ops)];
expected(options) -> "not a map";
expected(listing) -> "not a map of limit, cursor, return_cursor and reverse";
expected(range) -> "not a map of prefix, from, to, reverse, limit, keys_only, records and continue";
expected(file) -> "not the name of a file: give a binary or a string";
expected(function) -> "not a function of the number of arguments it is called with";
expected(batch) -> "not a batch: give what begin_batch/1 returned";
expected(any) -> "not what the function takes".

%% Two functions have one name: what a batch takes tells them apart.
public(batch_write_path) -> batch_write;
public(Function) -> Function.

-spec kinds(atom()) -> [kind() | any].
kinds(get) -> [store, key];
kinds(exists) -> [store, key];
kinds(read_link) -> [store, key];
kinds(delete) -> [store, key];
kinds(put) -> [store, key, value];
kinds(put_new) -> [store, key, value];
kinds(batch_write) -> [store, ops];
kinds(read_many) -> [store, keys];
kinds(prefetch) -> [store, keys];
kinds(read_many_fast) -> [store, keys];
kinds(read) -> [store, key];
kinds(write) -> [store, key, value];
kinds(type) -> [store, key];
kinds(resolve) -> [store, key];
kinds(make_group) -> [store, key];
kinds(make_link) -> [store, key, key];
kinds(list) -> [store, key, listing];
kinds(list_prefix) -> [store, key, listing];
kinds(range) -> [store, range];
kinds(fold) -> [store, function, any, range];
kinds(with_snapshot) -> [store, function];
kinds(delete_prefix) -> [store, key];
kinds(path) -> [any, key];
kinds(add_path) -> [any, key, key];
kinds(batch_write_path) -> [batch, key, value];
kinds(batch_make_group) -> [batch, key];
kinds(batch_make_link) -> [batch, key, key];
kinds(commit_batch) -> [batch];
kinds(backup) -> [store, file, options];
kinds(start) -> [options];
kinds(child_spec) -> [options];
kinds(_) -> [store].

normalise(store, Store) -> store(Store);
normalise(key, Key) -> cut_key(Key);
normalise(keys, Keys) -> map_proper(fun key/1, Keys);
normalise(file, File) ->
    case hyper_lmdb_options:name(File) of
        {ok, Binary} -> Binary;
        error -> File
    end;
normalise(ops, Ops) -> map_proper(fun op/1, Ops);
normalise(_, Arg) -> Arg.

%% Only the name counts, so the map that goes on has nothing else.
store(#{name := Name} = Store) -> named(Name, Store);
store(#{<<"name">> := Name} = Store) -> named(Name, Store);
store(Store) -> Store.

named(Name, Store) when is_binary(Name) -> Store;
named(Name, Store) ->
    case hyper_lmdb_options:name(Name) of
        {ok, Binary} -> #{name => Binary};
        error -> Store
    end.

op({delete, Key}) -> {delete, cut_key(Key)};
op({group, Path}) -> {group, cut_key(Path)};
op({link, Target, New}) -> {link, cut_key(Target), cut_key(New)};
op({put, Key, Value}) -> {put, cut_key(Key), Value};
op({check, Key, Value}) -> {check, cut_key(Key), Value};
op(Op) -> Op.

is_op({delete, Key}) -> is_binary(Key);
is_op({group, Path}) -> is_binary(Path);
is_op({link, Target, New}) -> is_binary(Target) andalso is_binary(New);
is_op({put, Key, Value}) -> is_binary(Key) andalso is_binary(Value);
is_op({check, Key, Value}) -> is_binary(Key) andalso (Value =:= absent orelse is_binary(Value));
is_op(_) -> false.

map_proper(Fun, List) when is_list(List) ->
    case is_proper(List) of
        true -> lists:map(Fun, List);
        false -> List
    end;
map_proper(_Fun, Term) ->
    Term.

is_proper(List) ->
    try length(List) >= 0 catch error:badarg -> false end.

%% Empty segments are dropped, those inside a binary too. Each takes a byte for its slash.
segments([], _Room, Acc) ->
    {ok, lists:append(lists:reverse(Acc))};
segments(Parts, Room, Acc) when is_integer(Room), Room < 0 ->
    case lists:all(fun(Part) -> is_binary(part(Part)) end, Parts) of
        true -> segments([], Room, Acc);
        false -> error
    end;
segments([Part | Rest], Room, Acc) ->
    case part(Part) of
        Binary when is_binary(Binary) ->
            Segments = split(Binary),
            segments(Rest, less(Room, Segments), [Segments | Acc]);
        _ ->
            error
    end.

%% Each call into binary takes a whole time slice, however short what it looks at.
split(Binary) when byte_size(Binary) =< 64 ->
    case is_segment(Binary) of
        true -> [Binary];
        false -> binary:split(Binary, <<"/">>, [global, trim_all])
    end;
split(Binary) ->
    binary:split(Binary, <<"/">>, [global, trim_all]).

is_segment(<<>>) -> false;
is_segment(Binary) -> not has_slash(Binary).

has_slash(<<$/, _/binary>>) -> true;
has_slash(<<_, Rest/binary>>) -> has_slash(Rest);
has_slash(<<>>) -> false.

less(whole, _) -> whole;
less(Room, Segments) -> lists:foldl(fun(Segment, Left) -> Left - byte_size(Segment) - 1 end, Room, Segments).

part(Part) when is_binary(Part) -> Part;
part(Part) when is_atom(Part) ->
    case is_no_name(Part) of
        true -> error;
        false -> atom_to_binary(Part)
    end;
part(Part) when is_list(Part) -> string_or(Part, error);
part(_) -> error.

string_or(String, Otherwise) ->
    try unicode:characters_to_binary(String) of
        Binary when is_binary(Binary) -> Binary;
        _ -> Otherwise
    catch
        error:badarg -> Otherwise
    end.

%% The trace starts at the function the user called, not here.
-spec raise(atom(), [term()], pos_integer()) -> no_return().
raise(Function, Args, Position) ->
    {current_stacktrace, Trace} = process_info(self(), current_stacktrace),
    Callers = lists:dropwhile(fun({Module, _, _, _}) ->
                                      lists:member(Module, [erlang, ?MODULE, hyper_lmdb])
                              end, Trace),
    Info = [{error_info, #{module => hyper_lmdb_error, cause => #{position => Position}}}],
    erlang:raise(error, badarg, [{hyper_lmdb, Function, Args, Info} | Callers]).
