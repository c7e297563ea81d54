%% Reads of a file of which nothing is in the page cache, with and without no_readahead. Before each case
%% the store is closed, its data file alone taken out of the page cache (posix_fadvise, which needs no root),
%% and looked at (mincore): a file that stays in memory ends the section. Values of 1 KiB, loaded in the
%% order of their keys.
-module(bench_cold).
-include_lib("kernel/include/file.hrl").
-export([run/2, table/1]).

-define(VALUE_BYTES, 1024).
-define(IN_A_BATCH, 1000).
-define(PREFETCHED, 100).
-define(READERS, 8).
%% Of the file's pages, what opening it may need.
-define(WARM_SHARE, 0.01).

%% Of the median round: microseconds an entry and bytes read from the disk for it.
-type row() :: #{'case' := one | prefetched | many | fold, no_readahead := boolean(),
                 us := float(), disk_bytes := float(), entries := pos_integer()}.

-spec run(file:name(), map()) ->
    #{rows := [row()], file_bytes := pos_integer(), read_ahead_kb := binary()} | {skipped, iodata()}.
run(Dir, #{cold_keys := Keys, cold_rounds := Rounds} = Settings) ->
    Name = iolist_to_binary(filename:join(Dir, "cold")),
    case os:type() of
        {unix, linux} ->
            load(Name, Keys),
            try
                Cases = [{Case, NoReadahead} || Case <- [one, prefetched, many, fold],
                                                NoReadahead <- [false, true]],
                Samples = [{Case, sample(Case, Name, Settings)}
                           || _ <- lists:seq(1, Rounds), Case <- Cases],
                #{rows => [row(Case, [S || {C, S} <- Samples, C =:= Case]) || Case <- Cases],
                  file_bytes => filelib:file_size(data(Name)), read_ahead_kb => read_ahead(data(Name))}
            catch throw:{skipped, _} = Skipped -> Skipped
            after ok = file:del_dir_r(Name)
            end;
        _ -> {skipped, "the page cache is looked at on Linux only"}
    end.

load(Name, Keys) ->
    {ok, Store} = hyper_lmdb:start(#{name => Name}),
    [ok = hyper_lmdb:batch_write(Store, [{put, key(I), rand:bytes(?VALUE_BYTES)} || I <- Part])
     || Part <- bench_stores:chunks(lists:seq(0, Keys - 1), ?IN_A_BATCH)],
    ok = hyper_lmdb:stop(Store).

key(I) -> iolist_to_binary(io_lib:format("key~13..0b", [I])).

data(Name) -> filename:join(Name, "data.mdb").

%% How far the system reads ahead on the disk below the file.
read_ahead(File) ->
    {ok, #file_info{major_device = Device}} = file:read_file_info(File),
    Disk = io_lib:format("~b:~b", [(Device bsr 8) band 16#fff,
                                   (Device band 16#ff) bor ((Device bsr 12) band 16#fff00)]),
    case file:read_file(["/sys/class/bdi/", Disk, "/read_ahead_kb"]) of
        {ok, Kilobytes} -> string:trim(Kilobytes);
        {error, _} -> <<"unknown">>
    end.

sample({Case, NoReadahead}, Name, #{cold_keys := Keys, cold_reads := Count, cold_ms := Ms}) ->
    ok = bench_raw:drop(data(Name)),
    {Pages, Resident} = bench_raw:resident(data(Name)),
    Resident =< ?WARM_SHARE * Pages orelse
        throw({skipped, io_lib:format("~b of the file's ~b pages stay in the page cache",
                                      [Resident, Pages])}),
    {ok, Store} = hyper_lmdb:start(#{name => Name, no_readahead => NoReadahead}),
    Drawn = drawn(Count, Keys),
    Before = read_from_disk(),
    Start = erlang:monotonic_time(),
    Entries = reads(Case, Store, Drawn, Start + erlang:convert_time_unit(Ms, millisecond, native)),
    Took = erlang:convert_time_unit(erlang:monotonic_time() - Start, native, nanosecond),
    Bytes = read_from_disk() - Before,
    ok = hyper_lmdb:stop(Store),
    #{us => Took / 1000 / Entries, disk_bytes => Bytes / Entries, entries => Entries}.

%% No key twice, since it would be warm the second time: one at random of each stretch of keys.
drawn(Count, Keys) ->
    Stretch = Keys div Count,
    Drawn = [{rand:uniform(), I * Stretch + rand:uniform(Stretch) - 1} || I <- lists:seq(0, Count - 1)],
    [key(I) || {_, I} <- lists:sort(Drawn)].

%% Answers how many entries were read.
reads(one, Store, Drawn, _) ->
    ok = bench_loops:get(Store, Drawn),
    length(Drawn);
reads(prefetched, Store, Drawn, _) ->
    [begin
         ok = hyper_lmdb:prefetch(Store, Part),
         ok = bench_loops:get(Store, Part)
     end || Part <- bench_stores:chunks(Drawn, ?PREFETCHED)],
    length(Drawn);
reads(many, Store, Drawn, Deadline) ->
    Parts = bench_stores:chunks(Drawn, length(Drawn) div ?READERS),
    Pids = [spawn_monitor(fun() -> exit({read, reads(one, Store, Part, Deadline)}) end)
            || Part <- Parts],
    lists:sum([receive {'DOWN', Monitor, process, _, {read, Count}} -> Count end
               || {_, Monitor} <- Pids]);
%% As far as it gets.
reads(fold, Store, _, Deadline) ->
    Count = bench_peer:fold_count(Deadline),
    try hyper_lmdb:fold(Store, fun(Key, _, Some) -> Count(Key, Some) end, 0, #{}) of
        {ok, Entries} -> Entries
    catch throw:{enough, Entries} -> Entries
    end.

%% Of this process, what the system read ahead for it included.
read_from_disk() ->
    {ok, Io} = file:read_file("/proc/self/io"),
    [Bytes] = [binary_to_integer(Digits)
               || <<"read_bytes: ", Digits/binary>> <- binary:split(Io, <<"\n">>, [global])],
    Bytes.

row({Case, NoReadahead}, Samples) ->
    {_, Median} = lists:nth((length(Samples) + 1) div 2,
                            lists:sort([{Us, Sample} || #{us := Us} = Sample <- Samples])),
    Median#{'case' => Case, no_readahead => NoReadahead}.

%% @doc The rows in Markdown.
-spec table([row()]) -> iodata().
table(Rows) ->
    ["| cold reads | `no_readahead` | us an entry | entries a second | KiB read for one |\n"
     "|---|---|---:|---:|---:|\n" |
     [io_lib:format("| ~s | `~s` | ~.1f | ~s | ~.1f |~n",
                    [title(Case), No, Us, bench_out:rate(1.0e6 / Us), Bytes / 1024])
      || #{'case' := Case, no_readahead := No, us := Us, disk_bytes := Bytes} <- Rows]].

title(one) -> "random `get/2`, one process";
title(prefetched) -> io_lib:format("the same, `prefetch/2` of ~b keys before each ~b", [?PREFETCHED, ?PREFETCHED]);
title(many) -> io_lib:format("random `get/2`, ~b processes", [?READERS]);
title(fold) -> "`fold/4` in the order of the keys".
