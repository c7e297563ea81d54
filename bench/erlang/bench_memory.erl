%% What the VM keeps after many calls: memory outside the store's own map, before and after gets and
%% puts. In a VM of its own, so that no other case's garbage is counted.
-module(bench_memory).
-export([run/2]).

%% -> measurements in bytes, or a reason why there are none
run(Dir, Settings) ->
    case file:read_file_info("/proc/self/smaps") of
        {ok, _} -> {ok, measure(Dir, Settings)};
        {error, Reason} -> {skipped, {"/proc/self/smaps", Reason}}
    end.

measure(Dir, #{keys := Keys, memory_ops := Ops}) ->
    bench_stores:seed(),
    Store = bench_stores:start(Dir, map_async),
    in_process(fun() -> load(Store, 0, Keys) end),
    %% Code, pools and allocator carriers that any use takes once are no growth.
    in_process(fun() -> gets(Store, Keys, Ops div 100), puts(Store, Keys, Ops div 100) end),
    Before = settled(resident()),
    in_process(fun() -> gets(Store, Keys, Ops) end),
    Gets = resident(),
    in_process(fun() -> puts(Store, Keys, Ops) end),
    Puts = resident(),
    ok = bench_stores:stop(Store),
    #{operations => Ops, before => Before, after_gets => Gets, after_puts => Puts,
      growth => max(outside(Gets), outside(Puts)) - outside(Before)}.

outside(#{outside_map := Bytes}) -> Bytes.

%% In small batches made as they are needed: a baseline with the garbage of a big list in it would
%% leave room for growth that nobody sees.
load(_, Keys, Keys) -> ok;
load(Store, From, Keys) ->
    To = min(Keys, From + 100),
    ok = hyper_lmdb:batch_write(Store, [{put, integer_to_binary(I), rand:bytes(100)}
                                        || I <- lists:seq(From, To - 1)]),
    load(Store, To, Keys).

%% The VM gives freed memory back to the system with a delay: looks again until it falls no more.
settled(#{outside_map := Bytes} = Earlier) ->
    receive after 1000 -> ok end,
    case resident() of
        #{outside_map := Less} = Now when Less < Bytes -> settled(Now);
        _ -> Earlier
    end.

gets(_, _, 0) -> ok;
gets(Store, Keys, N) ->
    {ok, _} = hyper_lmdb:get(Store, integer_to_binary(rand:uniform(Keys) - 1)),
    gets(Store, Keys, N - 1).

puts(_, _, 0) -> ok;
puts(Store, Keys, N) ->
    ok = hyper_lmdb:put(Store, integer_to_binary(rand:uniform(Keys) - 1), rand:bytes(100)),
    puts(Store, Keys, N - 1).

in_process(Fun) ->
    {Pid, Monitor} = spawn_monitor(fun() -> bench_stores:seed(), Fun(), exit(done) end),
    receive
        {'DOWN', Monitor, process, Pid, done} -> ok;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    end.

%% Resident bytes of this VM, the pages of the store's files apart from all others.
resident() ->
    [erlang:garbage_collect(Pid) || Pid <- processes()],
    {ok, Smaps} = file:read_file("/proc/self/smaps"),
    Lines = binary:split(Smaps, <<"\n">>, [global]),
    {_, Inside, Outside} = lists:foldl(fun count/2, {false, 0, 0}, Lines),
    true = Inside > 0 andalso Outside > 0,
    #{in_map => Inside * 1024, outside_map => Outside * 1024}.

count(<<"Rss:", Rest/binary>>, {Ours, Inside, Outside}) ->
    {Kilobytes, _} = string:to_integer(string:trim(Rest, leading)),
    case Ours of
        true -> {Ours, Inside + Kilobytes, Outside};
        false -> {Ours, Inside, Outside + Kilobytes}
    end;
count(Line, {Ours, Inside, Outside}) ->
    %% A mapping starts with its address range, in small hexadecimal digits; fields in capitals.
    case Line of
        <<C, _/binary>> when C >= $0, C =< $9; C >= $a, C =< $f ->
            {string:find(Line, ".mdb") =/= nomatch, Inside, Outside};
        _ -> {Ours, Inside, Outside}
    end.
