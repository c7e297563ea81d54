%% A directory tree as a store holds it (files, groups, links), and the paths there are through it.
%% Compiled and loaded by demo.escript.
-module(demo_tree).
-export([read/1, entry_key/1, split_last/1, paths/3, path/2]).
-include_lib("kernel/include/file.hrl").

-define(MAX_KEY, 511).
-define(MAX_VALUE, 1 bsl 30 - 1).
%% As many links as a store follows; the kernel gives up after 40.
-define(MAX_LINKS, 4096).
-define(KERNEL_LINKS, 40).
%% Cycles of links make endless paths.
-define(MAX_LINKS_IN_PATH, 3).
-define(MAX_PATHS, 20000).

-type key() :: binary().
-type entry() :: {file, key(), Size :: non_neg_integer()} | {group, key()}
               | {link, Target :: key(), key()}.
-type why() :: outside_absolute | outside_relative | key | large | special | directory | gone
             | unreadable.
%% What the disk holds at a path: a group by its key without links.
-type what() :: {file, Size :: non_neg_integer()} | {group, key()} | nothing.
-type passage() :: direct | link | middle.

-spec read(file:name()) -> {[entry()], #{key() => why()}}.
read(Root) ->
    {Entries, Left} = directory(Root, <<>>, {[], #{}}),
    {lists:reverse(Entries), Left}.

-spec entry_key(entry()) -> key().
entry_key({file, Key, _}) -> Key;
entry_key({group, Key}) -> Key;
entry_key({link, _, Key}) -> Key.

%% The group a key is in, and its name there.
-spec split_last(key()) -> {key(), binary()}.
split_last(Key) ->
    Names = binary:split(Key, <<"/">>, [global]),
    {join(lists:droplast(Names)), lists:last(Names)}.

-spec path(file:name(), key()) -> file:name().
path(Root, <<>>) -> Root;
path(Root, Key) -> Root ++ "/" ++ binary_to_list(Key).

directory(Root, Inside, Acc) ->
    case file:list_dir_all(path(Root, Inside)) of
        {ok, Names} ->
            Made = case Inside of
                       <<>> -> Acc;
                       _ -> add({group, Inside}, Acc)
                   end,
            lists:foldl(fun(Name, A) -> entry(Root, below(Inside, list_to_binary(Name)), A) end,
                        Made, lists:sort(Names));
        {error, _} ->
            leave_out(Inside, directory, Acc)
    end.

entry(_Root, Key, Acc) when byte_size(Key) > ?MAX_KEY ->
    leave_out(Key, key, Acc);
entry(Root, Key, Acc) ->
    case file:read_link_info(path(Root, Key), [raw]) of
        {ok, #file_info{type = directory}} -> directory(Root, Key, Acc);
        {ok, #file_info{type = regular, size = Size}} when Size > ?MAX_VALUE ->
            leave_out(Key, large, Acc);
        {ok, #file_info{type = regular, size = Size}} -> add({file, Key, Size}, Acc);
        {ok, #file_info{type = symlink}} -> link(Root, Key, Acc);
        {ok, #file_info{}} -> leave_out(Key, special, Acc);
        {error, _} -> leave_out(Key, gone, Acc)
    end.

link(Root, Key, Acc) ->
    case file:read_link_all(path(Root, Key)) of
        {ok, Text} ->
            case target(Root, Key, split(Text)) of
                {inside, Target} when byte_size(Target) =< ?MAX_KEY ->
                    add({link, Target, Key}, Acc);
                {inside, _} -> leave_out(Key, key, Acc);
                outside when hd(Text) =:= $/ -> leave_out(Key, outside_absolute, Acc);
                outside -> leave_out(Key, outside_relative, Acc)
            end;
        {error, _} ->
            leave_out(Key, gone, Acc)
    end.

add(Entry, {Entries, Left}) -> {[Entry | Entries], Left}.
leave_out(Key, Why, {Entries, Left}) -> {Entries, Left#{Key => Why}}.

%% The path a link leads to: its own last name as it is, for that may be a link or not be there; all
%% before it without links, for `..' after a link is the parent of what the link leads to.
target(Root, Key, Text) ->
    Base = base(Text, tl(position(Root, Key))),
    case walk(Text, Base, keep, []) of
        {at, At, _} -> inside(Root, At);
        %% The kernel finds nothing here, and a store does not either: it has no name `..' or `.'.
        {stop, At, Rest, _} -> inside(Root, lists:reverse(nameless(Rest), At));
        {loop, _} -> inside(Root, lists:reverse(nameless(Text), Base))
    end.

nameless(Names) ->
    case [Name || Name <- Names, Name =/= <<>>] of
        [] -> [<<".">>];
        Kept -> Kept
    end.

%% Positions are names from the root of the file system on, the last first. The walk goes as the
%% kernel's does and tells the links it passed.
walk(Names, At, Last, Passed) -> walk(Names, At, Last, Passed, 0).

walk([], At, _, Passed, _) -> {at, At, Passed};
walk([Name | Rest], At, Last, Passed, N) when Name =:= <<>>; Name =:= <<".">> ->
    walk(Rest, At, Last, Passed, N);
walk([<<"..">> | Rest], [], Last, Passed, N) -> walk(Rest, [], Last, Passed, N);
walk([<<"..">> | Rest], [_ | Parent], Last, Passed, N) -> walk(Rest, Parent, Last, Passed, N);
walk([Name], At, keep, Passed, _) -> {at, [Name | At], Passed};
walk([Name | Rest], At, Last, Passed, N) ->
    Here = [Name | At],
    case file:read_link_info(disk(Here), [raw]) of
        {ok, #file_info{type = symlink}} when N =:= ?MAX_LINKS ->
            {loop, Passed};
        {ok, #file_info{type = symlink}} ->
            case file:read_link_all(disk(Here)) of
                {ok, Link} ->
                    Text = split(Link),
                    walk(Text ++ Rest, base(Text, At), Last, [Here | Passed], N + 1);
                {error, _} ->
                    {stop, Here, Rest, Passed}
            end;
        {ok, #file_info{type = directory}} -> walk(Rest, Here, Last, Passed, N);
        _ when Rest =:= [] -> {at, Here, Passed};
        _ -> {stop, Here, Rest, Passed}
    end.

split(Text) -> binary:split(list_to_binary(Text), <<"/">>, [global]).
join(Names) -> iolist_to_binary(lists:join($/, Names)).

base([<<>> | _], _) -> [];
base(_, At) -> At.

position(Root, Key) -> lists:reverse([Name || Name <- split(path(Root, Key)), Name =/= <<>>]).
disk(At) -> "/" ++ binary_to_list(join(lists:reverse(At))).

inside(Root, At) ->
    Above = lists:reverse(position(Root, <<>>)),
    Names = lists:reverse(At),
    case lists:prefix(Above, Names) of
        true -> {inside, join(lists:nthtail(length(Above), Names))};
        false -> outside
    end.

below(<<>>, Name) -> Name;
below(Inside, Name) -> <<Inside/binary, $/, Name/binary>>.

%% Every path: of the entries, and on through links that lead to groups. Not among them, and
%% counted: those a link or file that was left out lies on the way of, those that are too long for a
%% key, and those with more links than the kernel follows. `bound' says that there are more.

-spec paths(file:name(), [entry()], #{key() => why()}) ->
          {[{passage(), key(), what()}], #{left_out | long | deep | bound => pos_integer()}}.
paths(Root, Entries, Left) ->
    Index = maps:from_list([{<<>>, {group, <<>>}} | [{entry_key(E), on_disk(E)} || E <- Entries]]),
    Links = maps:from_list([{Key, follow(Root, Key, Index, Left)} || {link, _, Key} <- Entries]),
    Children = groups_from_list(fun(E) -> element(1, split_last(entry_key(E))) end, Entries),
    Acc0 = {[{direct, <<>>, {group, <<>>}}], #{}, 0},
    {Acc1, Next} =
        lists:foldl(fun(E, A) -> path_to(entry_key(E), E, 0, {direct, link}, Links, A) end,
                    {Acc0, []}, Entries),
    {Paths, Not, _} = levels(1, lists:reverse(Next), Links, Children, Acc1),
    {lists:reverse(Paths), Not}.

on_disk({file, _, Size}) -> {file, Size};
on_disk({group, Key}) -> {group, Key};
on_disk({link, _, _}) -> link.

%% What is at the end of a link, and after how many links.
follow(Root, Key, Index, Left) ->
    [Name | At] = position(Root, Key),
    {What, Passed} =
        case walk([Name], At, follow, []) of
            {at, End, P} -> {at_end(inside(Root, End), End, Index), P};
            {stop, _, _, P} -> {nothing, P};
            {loop, P} -> {loop, P}
        end,
    Out = [Link || Link <- Passed, {inside, K} <- [inside(Root, Link)], is_map_key(K, Left)],
    case {What, Out} of
        {loop, []} -> {nothing, 0};
        {_, [_ | _]} -> left_out;
        {left_out, _} -> left_out;
        _ -> {What, length(Passed)}
    end.

at_end({inside, Key}, _, Index) when is_map_key(Key, Index) -> map_get(Key, Index);
at_end(_, End, _) ->
    case file:read_link_info(disk(End), [raw]) of
        {error, enoent} -> nothing;
        _ -> left_out
    end.

path_to(Path, _, _, _, _, {Acc, Next}) when byte_size(Path) > ?MAX_KEY ->
    {not_compared(long, Acc), Next};
path_to(Path, {link, _, Key}, Before, {_, Passage}, Links, {Acc, Next}) ->
    case map_get(Key, Links) of
        left_out -> {not_compared(left_out, Acc), Next};
        {_, N} when Before + N > ?KERNEL_LINKS -> {not_compared(deep, Acc), Next};
        {{group, Group} = What, N} ->
            {found(Passage, Path, What, Acc), [{Path, Group, Before + N} | Next]};
        {What, _} -> {found(Passage, Path, What, Acc), Next}
    end;
path_to(Path, Entry, _, {Passage, _}, _, {Acc, Next}) ->
    {found(Passage, Path, on_disk(Entry), Acc), Next}.

found(middle, Path, What, {Paths, Not, N}) -> {[{middle, Path, What} | Paths], Not, N + 1};
found(Passage, Path, What, {Paths, Not, N}) -> {[{Passage, Path, What} | Paths], Not, N}.

not_compared(Why, {Paths, Not, N}) ->
    {Paths, maps:update_with(Why, fun(M) -> M + 1 end, 1, Not), N}.

%% All with one link before those with two, so that a cycle does not take the room of the others.
levels(Depth, Groups, Links, Children, Acc) when Depth =< ?MAX_LINKS_IN_PATH, Groups =/= [] ->
    {Acc1, Next} = lists:foldl(fun(Group, A) -> descend(Group, Links, Children, A) end,
                               {Acc, []}, Groups),
    levels(Depth + 1, lists:reverse(Next), Links, Children, Acc1);
levels(_, [], _, _, Acc) -> Acc;
levels(_, _, _, _, Acc) -> not_compared(bound, Acc).

descend(_, _, _, {{Paths, Not, N}, Next}) when N >= ?MAX_PATHS ->
    {{Paths, Not#{bound => 1}, N}, Next};
descend({Path, Group, Before}, Links, Children, Acc) ->
    lists:foldl(fun(Entry, A0) ->
                        Key = entry_key(Entry),
                        {_, Name} = split_last(Key),
                        Child = below(Path, Name),
                        A = path_to(Child, Entry, Before, {middle, middle}, Links, A0),
                        case Entry of
                            {group, _} -> descend({Child, Key, Before}, Links, Children, A);
                            _ -> A
                        end
                end, Acc, maps:get(Group, Children, [])).

%% maps:groups_from_list/2 came with OTP 26.
groups_from_list(Fun, List) ->
    lists:foldr(fun(Item, Groups) ->
                        Key = Fun(Item),
                        Groups#{Key => [Item | maps:get(Key, Groups, [])]}
                end, #{}, List).
