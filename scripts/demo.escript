#!/usr/bin/env escript
%%! +fnl
%% A directory tree into a store and back: demo.escript DIRECTORY STORE live|lines.
%% +fnl makes file names the bytes they are on disk, whatever the locale says.
-mode(compile).
-include_lib("kernel/include/file.hrl").

-define(BATCH_OPS, 500).
-define(BATCH_BYTES, 8 bsl 20).
-define(MAX_KEY, 511).
-define(MAX_VALUE, 1 bsl 30 - 1).
-define(SHOWN, 10).

-record(file, {key :: binary(), size :: non_neg_integer()}).
%% One pass over the files: what was done, and where the time went (native units).
-record(pass, {name, files = 0, bytes = 0, calls = 0, disk = 0, store = 0, begun, shown,
               bad = [], unreadable = 0}).

main([Root, Directory, Progress]) ->
    ok = io:setopts(standard_io, [{encoding, unicode}]),
    put(progress, Progress),
    say("Storing ~ts", [text(Root)]),
    {Files, Left} = walk(Root),
    Bytes = lists:sum([F#file.size || F <- Files]),
    say("found     ~s files, ~s; left out: ~ts",
        [count(length(Files)), megabytes(Bytes), left_out(Left)]),
    Files =/= [] orelse fail("There is no regular file to store.", []),
    Options = options(Directory, Files),
    Store = start(Options),
    {Stored, Unreadable} = store(Store, Root, Files),
    Stored =/= [] orelse fail("None of the files can be read.", []),
    First = compare(Store, Root, Stored, "compared"),
    stop(Store),
    Again = start(Options),
    Second = compare(Again, Root, Stored, "reopened"),
    {ok, Info} = hyper_lmdb:info(Again),
    #{entries := Entries, file_bytes := OnDisk, durability := Durability} = Info,
    say("store     ~s entries, ~s on disk for ~s of files, durability ~s",
        [count(Entries), megabytes(OnDisk), megabytes(lists:sum([F#file.size || F <- Stored])),
         Durability]),
    stop(Again),
    Unreadable =:= 0 orelse say("~s files could not be read and were left out", [count(Unreadable)]),
    Entries =:= length(Stored) orelse
        fail("DIFFERENT: ~s files were stored, the store holds ~s entries.",
             [count(length(Stored)), count(Entries)]),
    case First + Second of
        0 -> say("Every byte is the same as on disk, before and after the store was reopened.", []);
        N -> fail("DIFFERENT: ~s comparisons failed.", [count(N)])
    end.

%% The tree.

walk(Root) ->
    {Files, Left} = walk_directory(Root, <<>>, {[], #{}}),
    {lists:reverse(Files), Left}.

walk_directory(Root, Inside, Acc) ->
    case file:list_dir_all(path(Root, Inside)) of
        {ok, Names} -> lists:foldl(fun(Name, A) -> walk_entry(Root, Inside, Name, A) end, Acc,
                                   lists:sort(Names));
        {error, _} -> leave_out(directory, Acc)
    end.

walk_entry(Root, Inside, Name, {Files, Left} = Acc) ->
    Key = case Inside of
              <<>> -> list_to_binary(Name);
              _ -> <<Inside/binary, $/, (list_to_binary(Name))/binary>>
          end,
    case file:read_link_info(path(Root, Key), [raw]) of
        {ok, #file_info{type = directory}} -> walk_directory(Root, Key, Acc);
        {ok, #file_info{type = regular}} when byte_size(Key) > ?MAX_KEY -> leave_out(key, Acc);
        {ok, #file_info{type = regular, size = Size}} when Size > ?MAX_VALUE ->
            leave_out(large, Acc);
        {ok, #file_info{type = regular, size = Size}} ->
            {[#file{key = Key, size = Size} | Files], Left};
        {ok, #file_info{type = symlink}} -> leave_out(link, Acc);
        {ok, #file_info{}} -> leave_out(special, Acc);
        {error, _} -> leave_out(gone, Acc)
    end.

leave_out(Kind, {Files, Left}) ->
    {Files, maps:update_with(Kind, fun(N) -> N + 1 end, 1, Left)}.

left_out(Left) ->
    Kinds = [{link, "symbolic links"}, {key, "keys over 511 bytes"}, {large, "files of 1 GiB or more"},
             {special, "devices, sockets and pipes"}, {directory, "directories that cannot be read"},
             {gone, "entries that went away"}],
    Told = [[count(maps:get(Kind, Left)), " ", Words] || {Kind, Words} <- Kinds,
                                                         is_map_key(Kind, Left)],
    case Told of
        [] -> "nothing";
        _ -> lists:join(", ", Told)
    end.

%% The store. A page for every file and a quarter on top is more than the tree takes.

options(Directory, Files) ->
    Pages = lists:sum([F#file.size + 8192 || F <- Files]),
    Largest = lists:max([F#file.size || F <- Files]),
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

store(Store, Root, Files) ->
    {Pass, Stored} =
        lists:foldl(fun(Batch, {Pass0, Done}) ->
                            {Read, Pass1} = read_files(Root, Batch, Pass0),
                            Pairs = [{F, Value} || {F, {ok, Value}} <- Read],
                            Pass2 = write(Store, Pairs, Pass1),
                            {shown(Pass2), lists:reverse([F || {F, _} <- Pairs], Done)}
                    end, {pass("stored"), []}, batches(Files)),
    report(Pass),
    {lists:reverse(Stored), Pass#pass.unreadable}.

write(_Store, [], Pass) ->
    Pass;
write(Store, Pairs, Pass) ->
    Ops = [{put, F#file.key, Value} || {F, Value} <- Pairs],
    {Time, Result} = timed(fun() -> hyper_lmdb:batch_write(Store, Ops) end),
    Result =:= ok orelse fail("batch_write failed: ~ts", [reason(element(2, Result))]),
    add(Pass#pass{store = Pass#pass.store + Time, calls = Pass#pass.calls + 1},
        [Value || {_, Value} <- Pairs]).

compare(Store, Root, Files, Name) ->
    Pass = lists:foldl(fun(Batch, Pass0) ->
                               shown(compare_batch(Store, Root, Batch, Pass0))
                       end, pass(Name), batches(Files)),
    report(Pass),
    Bad = lists:reverse(Pass#pass.bad),
    [say("  ~ts: ~ts", [text(Key), Why]) || {Key, Why} <- lists:sublist(Bad, ?SHOWN)],
    length(Bad) =< ?SHOWN orelse say("  and ~s more", [count(length(Bad) - ?SHOWN)]),
    length(Bad).

compare_batch(Store, Root, Batch, Pass0) ->
    Keys = [F#file.key || F <- Batch],
    {Time, Result} = timed(fun() -> hyper_lmdb:read_many(Store, Keys) end),
    Found = case Result of
                {ok, Pairs} -> Pairs;
                {error, Reason} -> fail("read_many failed: ~ts", [reason(Reason)])
            end,
    length(Found) =:= length(Batch) orelse fail("read_many answered another number of keys", []),
    {Read, Pass1} = read_files(Root, Batch, Pass0),
    Bad = [{F#file.key, Why} || {{F, OnDisk}, Pair} <- lists:zip(Read, Found),
                                (Why = difference(F#file.key, OnDisk, Pair)) =/= same],
    add(Pass1#pass{store = Pass1#pass.store + Time, calls = Pass1#pass.calls + 1,
                   bad = lists:reverse(Bad) ++ Pass1#pass.bad},
        [Value || {_, {ok, Value}} <- Found]).

difference(Key, {ok, Value}, {Key, {ok, Value}}) -> same;
difference(Key, {ok, _}, {Key, {ok, _}}) -> "other bytes in the store than on disk";
difference(Key, {ok, _}, {Key, not_found}) -> "not in the store";
difference(Key, {ok, _}, {Key, {error, Reason}}) -> ["the store says: ", reason(Reason)];
difference(Key, {error, Posix}, {Key, _}) -> ["the disk says: ", file:format_error(Posix)];
difference(_, _, {Other, _}) -> ["the store answered for ", text(Other)].

batches([]) -> [];
batches(Files) ->
    {Batch, Rest} = batch(Files, 0, 0, []),
    [Batch | batches(Rest)].

batch([F | Rest], Ops, Bytes, Acc)
  when Ops =:= 0; Ops < ?BATCH_OPS, Bytes + F#file.size =< ?BATCH_BYTES ->
    batch(Rest, Ops + 1, Bytes + F#file.size, [F | Acc]);
batch(Rest, _, _, Acc) ->
    {lists:reverse(Acc), Rest}.

read_files(Root, Files, Pass) ->
    {Time, Read} = timed(fun() ->
                                 [{F, file:read_file(path(Root, F#file.key))} || F <- Files]
                         end),
    Unreadable = length([F || {F, {error, _}} <- Read]),
    {Read, Pass#pass{disk = Pass#pass.disk + Time,
                     unreadable = Pass#pass.unreadable + Unreadable}}.

%% What is said.

pass(Name) ->
    Now = erlang:monotonic_time(),
    #pass{name = Name, begun = Now, shown = Now}.

add(Pass, Values) ->
    Pass#pass{files = Pass#pass.files + length(Values),
              bytes = Pass#pass.bytes + lists:sum([byte_size(V) || V <- Values])}.

shown(#pass{shown = Last} = Pass) ->
    {Every, End} = case get(progress) of
                       "live" -> {0.2, "    \r"};
                       _ -> {5.0, "\n"}
                   end,
    Now = erlang:monotonic_time(),
    case seconds(Now - Last) >= Every of
        true ->
            io:format("~-9s ~s files, ~s, ~s/s~s",
                      [Pass#pass.name, count(Pass#pass.files), megabytes(Pass#pass.bytes),
                       rate(Pass, fun megabytes/1, Now - Pass#pass.begun), End]),
            Pass#pass{shown = Now};
        false ->
            Pass
    end.

report(Pass) ->
    #pass{name = Name, files = Files, bytes = Bytes, calls = Calls, disk = Disk, store = Store} = Pass,
    say("~-9s ~s files, ~s in ~s calls: the store ~.3f s (~s files/s, ~s/s), the disk ~.3f s~s",
        [Name, count(Files), megabytes(Bytes), count(Calls), seconds(Store),
         count(per_second(Files, Store)), megabytes(per_second(Bytes, Store)), seconds(Disk),
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

path(Root, <<>>) -> Root;
path(Root, Key) -> Root ++ "/" ++ binary_to_list(Key).

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
