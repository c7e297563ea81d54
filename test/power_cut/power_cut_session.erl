%% @doc Runs one session of the power-cut test's workload in a VM, through the library as its users
%% call it. Its writers are processes; what `power_cut_driver steps` has printed says what they do.
-module(power_cut_session).

-export([main/1]).

%% Of events.h: said by name here, by number in the steps.
-define(OPENING, 0).
-define(OPENED, 1).
-define(CLOSED, 8).
-define(END, 10).

main([Directory, StepsFile, MarksFile]) ->
    try session(unicode:characters_to_binary(Directory), StepsFile, MarksFile)
    catch Class:Reason:Stack ->
        io:format(standard_error, "session: ~0tp~n", [{Class, Reason, Stack}]),
        halt(1)
    end.

session(Directory, StepsFile, MarksFile) ->
    {ok, <<Mode:32/little, Capacity:32/little, Interval:32/little, BufferBytes:32/little, Writers:32/little,
           Dies:32/little, Rest/binary>>} = file:read_file(StepsFile),
    Steps = steps(Rest),
    Say = marker(MarksFile),
    Say(?OPENING, 0, Mode),
    {ok, Store} = hyper_lmdb:start(options(Mode, BufferBytes, #{name => Directory, capacity => Capacity,
                                                                sync_interval_ms => Interval})),
    Say(?OPENED, 0, Mode),
    Running = [spawn_monitor(fun() -> writer(Store, [S || {W, _, _, _} = S <- Steps, W =:= Writer], marker(MarksFile)) end)
               || Writer <- lists:seq(0, Writers - 1)],
    [receive {'DOWN', Monitor, process, Pid, Reason} -> normal = Reason end || {Pid, Monitor} <- Running],
    case Dies of
        1 -> dies;
        0 -> ok = hyper_lmdb:stop(Store), Say(?CLOSED, 0, 0)
    end,
    Say(?END, 0, 0).

options(2, _, Options) -> Options#{durability => map_async};
options(Mode, BufferBytes, Options) ->
    Options#{durability => element(1 + Mode, {sync, async}), write_buffer_bytes => BufferBytes}.

%% Tells the recorder, in whose order it then stands; for the process that made it only.
marker(File) ->
    {ok, Fd} = file:open(File, [raw, append]),
    fun(Mark, Writer, Number) -> ok = file:write(Fd, <<Mark:32/little, Writer:32/little, Number:32/little>>) end.

writer(Store, Steps, Say) ->
    [begin
         Say(Before, Writer, Number),
         ok = do(Step, Store),
         Say(After, Writer, Number)
     end || {Writer, {Before, After}, Number, Step} <- Steps],
    ok.

do(sync, Store) -> hyper_lmdb:sync(Store);
do(reset, Store) -> hyper_lmdb:reset(Store);
do({remove_prefix, Prefix}, Store) ->
    {ok, _} = hyper_lmdb:delete_prefix(Store, Prefix),
    ok;
do({keys, [{put, Key, Value}]}, Store) -> hyper_lmdb:put(Store, Key, Value);
do({keys, [{delete, Key}]}, Store) -> hyper_lmdb:delete(Store, Key);
do({keys, Ops}, Store) -> hyper_lmdb:batch_write(Store, Ops);
do({paths, [{put, Path, Value}]}, Store) -> hyper_lmdb:write(Store, Path, Value);
do({paths, [{link, Target, Path}]}, Store) -> hyper_lmdb:make_link(Store, Target, Path);
do({paths, [{group, Path}]}, Store) -> hyper_lmdb:make_group(Store, Path);
do({paths, Ops}, Store) ->
    {ok, Batch} = hyper_lmdb:begin_batch(Store),
    [ok = case Op of
         {put, Path, Value} -> hyper_lmdb:batch_write(Batch, Path, Value);
         {link, Target, Path} -> hyper_lmdb:batch_make_link(Batch, Target, Path);
         {group, Path} -> hyper_lmdb:batch_make_group(Batch, Path)
     end || Op <- Ops],
    hyper_lmdb:commit_batch(Batch).

%% -- what print_steps.cpp prints -----------------------------------------------------------------

steps(<<>>) -> [];
steps(<<Writer:32/little, Before:32/little, After:32/little, Number:32/little, Kind:32/little, ByPath:32/little,
        Size:32/little, Prefix:Size/binary, Count:32/little, Rest/binary>>) ->
    {Ops, Others} = elements(Count, Rest, []),
    Step = case Kind of
        0 when ByPath =:= 1 -> {paths, Ops};
        0 -> {keys, Ops};
        1 -> {remove_prefix, Prefix};
        2 -> reset;
        3 -> sync
    end,
    [{Writer, {Before, After}, Number, Step} | steps(Others)].

elements(0, Rest, Ops) -> {lists:reverse(Ops), Rest};
elements(Count, <<Kind:32/little, KeySize:32/little, Key:KeySize/binary, Size:32/little, Value:Size/binary,
                  Rest/binary>>, Ops) ->
    Op = case Kind of
        0 -> {put, Key, Value};
        1 -> {delete, Key};
        2 -> {link, Value, Key};
        3 -> {group, Key}
    end,
    elements(Count - 1, Rest, [Op | Ops]).
