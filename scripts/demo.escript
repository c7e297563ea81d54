#!/usr/bin/env escript
%%! +fnl
%% A directory tree into a store and back: demo.escript DIRECTORY STORE live|lines.
%% +fnl makes file names the bytes they are on disk, whatever the locale says.
-mode(compile).

-define(BATCH_OPS, 500).
-define(BATCH_BYTES, 8 bsl 20).
-define(SHOWN, 10).

%% One pass over the tree: what was done, and where the time went (native units).
-record(pass, {name, paths = 0, bytes = 0, calls = 0, disk = 0, store = 0, begun, shown,
               bad = [], unreadable = []}).

main([Root, Directory, Progress]) ->
    ok = io:setopts(standard_io, [{encoding, unicode}]),
    put(progress, Progress),
    load("demo_tree"),
    say("Storing ~ts", [text(Root)]),
    {Entries, Left} = demo_tree:read(Root),
    say("found     ~s files, ~s groups, ~s links, ~s; left out: ~ts",
        [count(length([E || E <- Entries, element(1, E) =:= Kind])) || Kind <- [file, group, link]]
        ++ [megabytes(bytes(Entries)), left_out(Left)]),
    Entries =/= [] orelse fail("There is nothing to store.", []),
    Options = options(Directory, Entries),
    Store = start(Options),
    Unreadable = store(Store, Root, Entries),
    Stored = [E || E <- Entries, not is_map_key(demo_tree:entry_key(E), Unreadable)],
    Stored =/= [] orelse fail("None of the files can be read.", []),
    NotStored = maps:merge(Left, Unreadable),
    {Time, {Paths, Not}} = timed(fun() -> demo_tree:paths(Root, Stored, NotStored) end),
    say("paths     ~s direct, ~s links, ~s with a link in the middle, in ~.3f s; not compared: ~ts",
        [count(length([P || {Passage, _, _} = P <- Paths, Passage =:= Wanted]))
         || Wanted <- [direct, link, middle]] ++ [seconds(Time), not_compared(Not)]),
    First = compare(Store, Root, Paths, NotStored, "compared"),
    stop(Store),
    Again = start(Options),
    Second = compare(Again, Root, Paths, NotStored, "reopened"),
    {ok, Info} = hyper_lmdb:info(Again),
    #{entries := Held, file_bytes := OnDisk, durability := Durability} = Info,
    say("store     ~s entries, ~s on disk for ~s of files, durability ~s",
        [count(Held), megabytes(OnDisk), megabytes(bytes(Stored)), Durability]),
    stop(Again),
    map_size(Unreadable) =:= 0 orelse
        say("~s files could not be read and were left out", [count(map_size(Unreadable))]),
    Held =:= length(Stored) orelse
        fail("DIFFERENT: ~s entries were stored, the store holds ~s.",
             [count(length(Stored)), count(Held)]),
    case First + Second of
        0 -> say("Every path reads as on disk, byte for byte, before and after the reopening.", []);
        N -> fail("DIFFERENT: ~s comparisons failed.", [count(N)])
    end.

load(Module) ->
    Source = filename:join(filename:dirname(escript:script_name()), Module),
    {ok, Name, Code} = compile:file(Source, [binary, report]),
    {module, Name} = code:load_binary(Name, Source, Code).

bytes(Entries) -> lists:sum([size_of(E) || E <- Entries]).

size_of({file, _, Size}) -> Size;
size_of({_, _, {file, Size}}) -> Size;
size_of(_) -> 0.

left_out(Left) ->
    Counts = maps:fold(fun(_, Why, C) -> C#{Why => maps:get(Why, C, 0) + 1} end, #{}, Left),
    told(Counts, [{outside_absolute, "links that leave the tree by an absolute target"},
                  {outside_relative, "links that leave it by .."},
                  {key, "keys or targets over 511 bytes"}, {large, "files of 1 GiB or more"},
                  {special, "devices, sockets and pipes"},
                  {directory, "directories that cannot be read"},
                  {gone, "entries that went away"}]).

not_compared(Not) ->
    told(Not, [{left_out, "that lead through or to what was left out"},
               {long, "over 511 bytes"}, {deep, "with more links than the kernel follows"}]) ++
        case Not of
            #{bound := _} -> " (and those beyond 3 links or 20,000 paths)";
            _ -> ""
        end.

told(Counts, Kinds) ->
    Told = [[count(map_get(Kind, Counts)), " ", Words] || {Kind, Words} <- Kinds,
                                                          is_map_key(Kind, Counts)],
    case Told of
        [] -> "nothing";
        _ -> lists:join(", ", Told)
    end.

%% The store. Two pages for every entry and a quarter on top is more than the tree takes.

options(Directory, Entries) ->
    Pages = lists:sum([size_of(E) + 8192 || E <- Entries]),
    Largest = lists:max([size_of(E) || E <- Entries]),
    #{name => list_to_binary(Directory),
      capacity => max(1 bsl 30, Pages + Pages div 4),
      max_batch_bytes => max(256 bsl 20, Largest + (1 bsl 20))}.

start(Options) ->
    case hyper_lmdb:start(Options) of
        {ok, Store} -> Store;
        {error, Reason} -> fail("The store does not open: ~ts", [reason(Reason)])
    end.

stop(Store) ->
    case hyper_lmdb:stop(Store) of
        ok -> ok;
        {error, Reason} -> fail("The store does not close: ~ts", [reason(Reason)])
    end.

store(Store, Root, Entries) ->
    Pass = lists:foldl(fun(Batch, Pass0) -> shown(store_batch(Store, Root, Batch, Pass0)) end,
                       pass("stored"), batches(Entries)),
    report(Pass),
    maps:from_list([{Key, unreadable} || Key <- Pass#pass.unreadable]).

store_batch(Store, Root, Batch, Pass) ->
    {Disk, Read} = timed(fun() -> [op(Root, E) || E <- Batch] end),
    Ops = [Op || Op <- Read, element(1, Op) =/= unreadable],
    {Time, Result} = timed(fun() -> hyper_lmdb:batch_write(Store, Ops) end),
    Result =:= ok orelse fail("batch_write failed: ~ts", [reason(element(2, Result))]),
    add(Pass#pass{disk = Pass#pass.disk + Disk, store = Pass#pass.store + Time,
                  unreadable = [Key || {unreadable, Key} <- Read] ++ Pass#pass.unreadable},
        length(Ops), [Value || {put, _, Value} <- Ops]).

op(Root, {file, Key, _}) ->
    case file:read_file(demo_tree:path(Root, Key)) of
        {ok, Value} -> {put, Key, Value};
        {error, _} -> {unreadable, Key}
    end;
op(_Root, Other) -> Other.

compare(Store, Root, Paths, NotStored, Name) ->
    Names = names_left_out(NotStored),
    {ok, #{path_cache_hits := Hits0, path_cache_misses := Misses0}} = hyper_lmdb:info(Store),
    Pass = lists:foldl(fun(Batch, Pass0) ->
                               shown(compare_batch(Store, Root, Batch, Names, Pass0))
                       end, pass(Name), batches(Paths)),
    report(Pass),
    {ok, #{path_cache_hits := Hits1, path_cache_misses := Misses1}} = hyper_lmdb:info(Store),
    {Hits, Misses} = {Hits1 - Hits0, Misses1 - Misses0},
    say("          path cache: ~s hits, ~s misses, hit rate ~.3f",
        [count(Hits), count(Misses), Hits / max(Hits + Misses, 1)]),
    Bad = lists:reverse(Pass#pass.bad),
    [say("  ~ts: ~ts", [text(Path), Why]) || {Path, Why} <- lists:sublist(Bad, ?SHOWN)],
    length(Bad) =< ?SHOWN orelse say("  and ~s more", [count(length(Bad) - ?SHOWN)]),
    length(Bad).

names_left_out(NotStored) ->
    maps:fold(fun(Key, _, Names) ->
                      {Group, Name} = demo_tree:split_last(Key),
                      Names#{Group => [Name | maps:get(Group, Names, [])]}
              end, #{}, NotStored).

%% Of the store the time is that of read_many, type and list together.
compare_batch(Store, Root, Batch, Names, Pass) ->
    Paths = [Path || {_, Path, _} <- Batch],
    {Time, {Found, Told}} = timed(fun() ->
        {hyper_lmdb:read_many(Store, Paths), [told_by_store(Store, P) || P <- Batch]}
    end),
    Read = case Found of
               {ok, Pairs} -> Pairs;
               {error, Reason} -> fail("read_many failed: ~ts", [reason(Reason)])
           end,
    [Path || {Path, _} <- Read] =:= Paths orelse fail("read_many answered for other paths", []),
    {Disk, OnDisk} = timed(fun() -> [told_by_disk(Root, P, Names) || P <- Batch] end),
    Answers = [{Value, Type, List} || {{_, Value}, {Type, List}} <- lists:zip(Read, Told)],
    Bad = [{Path, Why} || {Path, Expected, Answer} <- lists:zip3(Paths, OnDisk, Answers),
                          Why <- different(Expected, Answer)],
    add(Pass#pass{disk = Pass#pass.disk + Disk, store = Pass#pass.store + Time,
                  bad = lists:reverse(Bad) ++ Pass#pass.bad},
        length(Batch), [Value || {_, {ok, Value}} <- Read]).

told_by_store(Store, {_, Path, {group, _}}) ->
    {hyper_lmdb:type(Store, Path), hyper_lmdb:list(Store, Path)};
told_by_store(Store, {_, Path, _}) ->
    {hyper_lmdb:type(Store, Path), none}.

told_by_disk(Root, {_, Path, What}, Names) ->
    OnDisk = demo_tree:path(Root, Path),
    case {file:read_file(OnDisk), What} of
        {{ok, _} = Value, _} -> {Value, simple, none};
        {{error, eisdir}, {group, Group}} ->
            case file:list_dir_all(OnDisk) of
                {ok, All} ->
                    Listed = lists:sort([list_to_binary(Name) || Name <- All]),
                    {not_found, composite, {ok, Listed -- maps:get(Group, Names, [])}};
                {error, Posix} ->
                    {{disk, Posix}, none, none}
            end;
        {{error, Posix}, _} when Posix =:= enoent; Posix =:= eloop; Posix =:= enotdir ->
            {not_found, not_found, none};
        {{error, Posix}, _} -> {{disk, Posix}, none, none}
    end.

different({{disk, Posix}, _, _}, _) -> [["the disk says: ", file:format_error(Posix)]];
different({Value, Type, List}, {Value, Type, List}) -> [];
different({{ok, _}, _, _}, {{ok, _}, simple, _}) -> ["other bytes in the store than on disk"];
different({{ok, _}, _, _}, {not_found, _, _}) -> ["not in the store"];
different({_, _, _}, {{error, Reason}, _, _}) -> [["the store says: ", reason(Reason)]];
different({not_found, _, _}, {{ok, _}, _, _}) -> ["a value in the store, none on disk"];
different({Value, Type, _}, {Value, Type, List}) ->
    [io_lib:format("another list in the store than on disk: ~0tP", [List, 30])];
different({_, Type, _}, {_, Other, _}) ->
    [io_lib:format("~0tp in the store, ~0tp on disk", [Other, Type])].

batches([]) -> [];
batches(Entries) ->
    {Batch, Rest} = batch(Entries, 0, 0, []),
    [Batch | batches(Rest)].

batch([E | Rest], Ops, Bytes, Acc) ->
    Size = size_of(E),
    case Ops =:= 0 orelse (Ops < ?BATCH_OPS andalso Bytes + Size =< ?BATCH_BYTES) of
        true -> batch(Rest, Ops + 1, Bytes + Size, [E | Acc]);
        false -> {lists:reverse(Acc), [E | Rest]}
    end;
batch([], _, _, Acc) ->
    {lists:reverse(Acc), []}.

%% What is said.

pass(Name) ->
    Now = erlang:monotonic_time(),
    #pass{name = Name, begun = Now, shown = Now}.

add(Pass, Paths, Values) ->
    Pass#pass{paths = Pass#pass.paths + Paths, calls = Pass#pass.calls + 1,
              bytes = Pass#pass.bytes + lists:sum([byte_size(V) || V <- Values])}.

shown(#pass{shown = Last} = Pass) ->
    {Every, End} = case get(progress) of
                       "live" -> {0.2, "    \r"};
                       _ -> {5.0, "\n"}
                   end,
    Now = erlang:monotonic_time(),
    case seconds(Now - Last) >= Every of
        true ->
            io:format("~-9s ~s paths, ~s, ~s/s~s",
                      [Pass#pass.name, count(Pass#pass.paths), megabytes(Pass#pass.bytes),
                       rate(Pass, fun megabytes/1, Now - Pass#pass.begun), End]),
            Pass#pass{shown = Now};
        false ->
            Pass
    end.

report(Pass) ->
    #pass{name = Name, paths = Paths, bytes = Bytes, calls = Calls,
          disk = Disk, store = Store} = Pass,
    say("~-9s ~s paths, ~s in ~s batches: the store ~.3f s (~s paths/s, ~s/s), the disk ~.3f s~s",
        [Name, count(Paths), megabytes(Bytes), count(Calls), seconds(Store),
         count(per_second(Paths, Store)), megabytes(per_second(Bytes, Store)), seconds(Disk),
         case Pass#pass.bad of [] -> ""; Bad -> [", DIFFERENT: ", count(length(Bad))] end]).

rate(#pass{bytes = Bytes}, Format, Time) -> Format(per_second(Bytes, Time)).

per_second(N, Time) -> round(N / max(seconds(Time), 1.0e-6)).
seconds(Native) -> Native / erlang:convert_time_unit(1, second, native).

timed(Fun) ->
    Begun = erlang:monotonic_time(),
    Result = Fun(),
    {erlang:monotonic_time() - Begun, Result}.

count(N) when N < 1000 -> integer_to_list(N);
count(N) -> [count(N div 1000), io_lib:format(",~3..0w", [N rem 1000])].

megabytes(Bytes) -> io_lib:format("~.1f MB", [Bytes / 1.0e6]).

text(Name) ->
    Bytes = iolist_to_binary(Name),
    case unicode:characters_to_list(Bytes) of
        Text when is_list(Text) -> Text;
        _ -> unicode:characters_to_list(Bytes, latin1)
    end.

reason(Reason) -> io_lib:format("~tp: ~ts", [Reason, hyper_lmdb:format_error(Reason)]).

say(Format, Arguments) -> io:format(Format ++ "~n", Arguments).

-spec fail(string(), list()) -> no_return().
fail(Format, Arguments) ->
    say(Format, Arguments),
    halt(1).
