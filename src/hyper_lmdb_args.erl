%% @doc Arguments that the NIF did not take: those of another accepted form are brought to the plain
%% one and the call is made again; for the rest a badarg is raised as OTP's own functions do, with
%% the arguments in the stack trace and an error_info that says which of them is wrong.
%% @private
-module(hyper_lmdb_args).

-export([retry/3, key/1, path/1, describe/2]).

%% No store takes longer ones.
-define(LONGEST_KEY, 65535).

-type kind() :: store | batch | key | keys | value | ops | options | listing | range | function
              | file.

-spec retry(atom(), [term()], pos_integer()) -> term().
retry(Function, Args, Position) ->
    Kinds = kinds(Function),
    case [normalise(Kind, Arg) || {Kind, Arg} <- lists:zip(Kinds, Args)] of
        Args -> raise(public(Function), Args, Position);
        Normal -> apply(hyper_lmdb, public(Function), Normal)
    end.

%% @doc A key in any accepted form as the bytes it stands for; what is no key stays what it is.
-spec key(term()) -> term().
key(Key) -> key(Key, whole).

%% Of a key that may be cut the rest is left out once it is too long to be one.
key(Key, _) when is_atom(Key) ->
    atom_to_binary(Key);
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

%% @doc What an argument of a kind has to be, for people.
-spec describe(atom(), pos_integer()) -> unicode:chardata().
describe(Function, Position) ->
    case lists:nth(Position, kinds(Function)) of
        store -> "not a store: give the handle start/1 returned, or a map with the name it was given";
        key -> "not a key: give a binary, or a list of binaries to be joined with /";
        keys -> "not a proper list of keys";
        value -> "not a binary";
        ops -> "not a proper list of {put, Key, Value}, {delete, Key}, {link, Target, New}, "
                   "{group, Path}, {check, Key, Value} and {check, Key, absent}";
        options -> "not a map";
        listing -> "not a map of limit, cursor, return_cursor and reverse";
        range -> "not a map of prefix, from, to, reverse, limit, keys_only, records and continue";
        file -> "not the name of a file: give a binary or a string";
        function -> "not a function of the number of arguments it is called with";
        batch -> "not a batch: give what begin_batch/1 returned"
    end.

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
part(Part) when is_atom(Part) -> atom_to_binary(Part);
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
