%% @doc What a store of paths has to answer, in the plainest words: a map of keys to records, each
%% `{{value, V} | {link, Target} | none, Marked}'. Written from the rules, not from the library;
%% nothing here is meant to be quick.
-module(prop_model).

-export([new/0, run/2, observe/2, path/1, read/2, type/2, resolve/2, list/2]).

-define(MOST, 511).

new() -> #{}.

%% -- commands: the answer, and the store after it ------------------------------------------------

run({restart, _}, M) -> {ok, M};
run(sync, M) -> {ok, M};
run({filler, _}, M) -> {ok, M};
run({fillers, _}, M) -> {ok, M};
run(reset, _) -> {ok, new()};
run({put, K, V}, M) -> exact(key(K), fun(Key) -> {ok, set(Key, {value, V}, M)} end, M);
run({write_fast, K, V}, M) -> run({put, K, V}, M);
run({delete, K}, M) -> exact(key(K), fun(Key) -> {ok, maps:remove(Key, M)} end, M);
run({put_new, K, V}, M) ->
    exact(key(K), fun(Key) ->
        case content(Key, M) of
            none -> {ok, set(Key, {value, V}, M)};
            _ -> {{error, exists}, M}
        end
    end, M);
run({delete_prefix, Prefix}, M) ->
    Kept = maps:filter(fun(Key, _) -> not begins(Prefix, Key) end, M),
    {{ok, map_size(M) - map_size(Kept)}, Kept};
run({batch_write, Ops}, M) -> batch(Ops, 1, M, M);
run({old_batch, Elements}, M) ->
    Good = [Element || Element <- Elements, at(Element) =/= <<>>],
    Adds = [case at(Element) of <<>> -> {error, bad_key}; _ -> ok end || Element <- Elements],
    {Result, After} = batch(Good, 1, M, M),
    {{Adds, Result}, After};
run(Element, M) ->
    case element_of(Element, M) of
        {ok, _} = Done -> Done;
        bad_key -> {{error, bad_key}, M}
    end.

exact(<<>>, _, M) -> {{error, bad_key}, M};
exact(Key, Fun, _) -> Fun(Key).

%% A key is as it was given; a list is joined, its empty segments dropped.
key(Key) when is_binary(Key) -> Key;
key([Char | _] = Key) when is_integer(Char) -> unicode:characters_to_binary(Key);
key(Key) -> path(Key).

batch([], _, M, _) -> {ok, M};
batch([Op | Rest], Index, M, Before) ->
    case element_of(Op, M) of
        {ok, After} -> batch(Rest, Index + 1, After, Before);
        check_failed -> {{error, {check_failed, Index}}, Before};
        bad_key -> {{error, {Index, bad_key}}, Before}
    end.

%% Exact keys.
element_of({put, K, V}, M) -> {ok, set(K, {value, V}, M)};
element_of({delete, K}, M) -> {ok, maps:remove(K, M)};
element_of({link, Target, New}, M) -> {ok, set(New, {link, path(Target)}, M)};
element_of({group, K}, M) -> {ok, mark(K, M)};
element_of({check, K, absent}, M) -> holds(content(K, M) =:= none, M);
element_of({check, K, V}, M) -> holds(content(K, M) =:= {value, V}, M);
%% Paths.
element_of({write, P, V}, M) -> at_place(P, M, fun(Key) -> set(Key, {value, V}, M) end);
element_of({make_group, P}, M) -> at_place(P, M, fun(Key) -> mark(Key, M) end);
element_of({make_link, Existing, New}, M) ->
    at_place(New, M, fun(Key) -> set(Key, {link, path(Existing)}, M) end).

holds(true, M) -> {ok, M};
holds(false, _) -> check_failed.

at({write, P, _}) -> path(P);
at({make_group, P}) -> path(P);
at({make_link, _, New}) -> path(New).

at_place(P, M, Fun) ->
    case place(path(P), M) of
        dead -> bad_key;
        Key -> {ok, Fun(Key)}
    end.

%% Where a write goes: onto what is at the path itself, else through the links among its parents.
place(<<>>, _) -> dead;
place(Path, M) ->
    case content(Path, M) of
        none ->
            Segments = segments(Path),
            case chase(join(lists:droplast(Segments)), M) of
                dead -> dead;
                Parent -> short_enough(join(segments(Parent) ++ [lists:last(Segments)]))
            end;
        _ -> Path
    end.

short_enough(Path) when byte_size(Path) > ?MOST -> dead;
short_enough(Path) -> Path.

%% -- records -------------------------------------------------------------------------------------

content(Key, M) -> element(1, maps:get(Key, M, {none, false})).
marked(Key, M) -> element(2, maps:get(Key, M, {none, false})).
set(Key, Content, M) -> M#{Key => {Content, marked(Key, M)}}.

mark(Key, M) ->
    case content(Key, M) of
        {link, _} -> M;
        Content -> M#{Key => {Content, true}}
    end.

%% -- what is seen --------------------------------------------------------------------------------

%% By exact key.
observe({get, K}, M) ->
    case content(K, M) of {value, V} -> {ok, V}; _ -> not_found end;
observe({exists, K}, M) -> observe({get, K}, M) =/= not_found;
observe({read_link, K}, M) ->
    case content(K, M) of {link, Target} -> {ok, Target}; _ -> not_found end;
observe({list_prefix, Prefix}, M) ->
    {ok, lists:sort([Key || {Key, {Content, _}} <- maps:to_list(M), Content =/= none, begins(Prefix, Key)])};
observe({range, Range}, M) ->
    Reverse = maps:get(reverse, Range, false),
    Seen = lists:sort([{Key, Entries} || {Key, Record} <- maps:to_list(M), in_range(Range, Reverse, Key),
                                         Entries <- [entries(Range, Key, Record)], Entries =/= []]),
    InOrder = case Reverse of true -> lists:reverse(Seen); false -> Seen end,
    {ok, lists:append([Entries || {_, Entries} <- InOrder]), done};
observe({read_many_fast, Ks}, M) -> {ok, [{K, observe({get, K}, M)} || K <- Ks]};
observe({read, P}, M) -> read(path(P), M);
observe({type, P}, M) -> type(path(P), M);
observe({resolve, P}, M) -> resolve(path(P), M);
observe({list, P}, M) -> list(path(P), M);
observe({read_many, Ps}, M) -> {ok, [{path(P), read(path(P), M)} || P <- Ps]}.

%% What a range shows of a key: its value, or with `records' all there is, a mark before the rest.
entries(#{keys_only := true} = Range, Key, Record) ->
    case entries(Range#{keys_only := false}, Key, Record) of [] -> []; _ -> [Key] end;
entries(#{records := true}, Key, {Content, Marked}) ->
    [{Key, group} || Marked] ++ [{Key, Content} || Content =/= none];
entries(_, Key, {{value, V}, _}) -> [{Key, V}];
entries(_, _, _) -> [].

in_range(Range, Reverse, Key) ->
    begins(maps:get(prefix, Range, <<>>), Key)
        andalso lists:all(fun({from, From}) -> Key >= From;
                             ({to, To}) -> Key < To;
                             ({continue, Last}) when Reverse -> Key < Last;
                             ({continue, Last}) -> Key > Last;
                             (_) -> true
                          end, maps:to_list(Range)).

read(Path, M) ->
    case leads_to(Path, M) of
        dead -> not_found;
        End ->
            case content(End, M) of {value, V} -> {ok, V}; _ -> not_found end
    end.

type(Path, M) ->
    case leads_to(Path, M) of
        dead -> not_found;
        End ->
            case {is_group(End, M), content(End, M)} of
                {true, _} -> composite;
                {false, {value, _}} -> simple;
                {false, none} -> not_found
            end
    end.

resolve(Path, M) ->
    case type(Path, M) of
        not_found -> not_found;
        _ -> leads_to(Path, M)
    end.

list(Path, M) ->
    case leads_to(Path, M) of
        dead -> not_found;
        End ->
            case is_group(End, M) of
                true -> {ok, children(End, M)};
                false -> not_found
            end
    end.

is_group(<<>>, _) -> true;
is_group(Path, M) -> marked(Path, M) orelse children(Path, M) =/= [].

children(Group, M) ->
    Above = segments(Group),
    lists:usort([lists:nth(length(Above) + 1, Segments)
                 || Key <- maps:keys(M), path(Key) =:= Key, Segments <- [segments(Key)],
                    length(Segments) > length(Above), lists:prefix(Above, Segments)]).

%% A value at the path itself is the end; a link there goes first; then the shortest prefix.
leads_to(Path, M) ->
    case content(Path, M) of
        {value, _} -> Path;
        {link, Target} -> chase(Target, M);
        none -> chase(Path, M)
    end.

chase(Path, M) ->
    case chase(segments(Path), byte_size(Path), M, {never, 1, 1}) of
        dead -> dead;
        Segments -> join(Segments)
    end.

%% The same path once more means for ever: compared with one that is renewed after 1, 2, 4.. steps.
chase(_, Size, _, _) when Size > ?MOST -> dead;
chase(Segments, _, _, {Segments, _, _}) -> dead;
chase(Segments, Size, M, Watch) ->
    case shortest_link(<<>>, Segments, M) of
        none -> Segments;
        {Prefix, Target, Rest} ->
            chase(segments(Target) ++ Rest, replaced(Size, Prefix, Target, Rest), M, watch(Segments, Watch))
    end.

watch(Segments, {_, 1, Span}) -> {Segments, 2 * Span, 2 * Span};
watch(_, {Earlier, Left, Span}) -> {Earlier, Left - 1, Span}.

%% The root brings no slash.
replaced(Size, Prefix, <<>>, Rest) when Rest =/= [] -> Size - byte_size(Prefix) - 1;
replaced(Size, Prefix, Target, _) -> Size - byte_size(Prefix) + byte_size(Target).

shortest_link(_, [], _) -> none;
shortest_link(Above, [Name | Rest], M) ->
    Prefix = case Above of <<>> -> Name; _ -> <<Above/binary, "/", Name/binary>> end,
    case content(Prefix, M) of
        {link, Target} -> {Prefix, Target, Rest};
        _ -> shortest_link(Prefix, Rest, M)
    end.

%% -- paths ---------------------------------------------------------------------------------------

path(Path) when is_binary(Path) -> join(segments(Path));
path(Path) when is_atom(Path) -> path(atom_to_binary(Path));
path([Char | _] = Path) when is_integer(Char) -> path(unicode:characters_to_binary(Path));
path(Parts) when is_list(Parts) -> join(lists:append([segments(path(Part)) || Part <- Parts])).

segments(Path) -> [Segment || Segment <- binary:split(Path, <<"/">>, [global]), Segment =/= <<>>].
join(Segments) -> iolist_to_binary(lists:join($/, Segments)).
begins(Prefix, Key) -> binary:longest_common_prefix([Prefix, Key]) =:= byte_size(Prefix).
