%% Measures one cell, so many keys with values of so many bytes: every store in a VM of its own,
%% loaded one after the other, then read and overwritten in interleaved rounds.
-module(grid_cell).
-export([run/2]).

-define(READS, [get, read_many, fold]).
-define(WRITES, [put, batch]).
%% A single sample of this many nanoseconds is not repeated.
-define(LONG, 3.0e9).
%% Data takes time to prepare, and what was put off time to do.
-define(LATER_SECONDS, 10).

%% -> #{keys, bytes, stores => [#{title, missing | load, complete, disk, figures}]}
run(Cell, #{dir := Dir} = Settings) ->
    Stores = [start(Module, Dir, Cell, Settings) || Module <- bench_peer:all()],
    Loaded = [Store || #{complete := true} = Store <- Stores],
    _ = os:cmd("sync"),
    Reads = [rounds(Verb, Loaded, Settings) || Verb <- ?READS],
    Writes = [rounds(Verb, Loaded, Settings) || Verb <- ?WRITES],
    Others = [other_modes(Store, Settings) || Store <- Loaded],
    [stop(Store) || Store <- Stores],
    Figures = lists:append(Reads ++ Writes ++ Others),
    Cell#{stores => [describe(Store, Figures) || Store <- Stores]}.

start(Module, Dir, #{keys := Keys, bytes := Bytes} = Cell, Settings) ->
    Store = #{module => Module},
    case Keys * Bytes =< Module:most_bytes() of
        false -> Store#{missing => "too large a cell"};
        true ->
            {ok, Peer, _} = peer:start(#{connection => standard_io, wait_boot => 60000,
                                         args => ["-pa", filename:dirname(code:which(?MODULE))]}),
            Place = filename:join(Dir, Module),
            case call(Peer, {open, Module, Place, Cell}) of
                ok -> load(Store#{peer => Peer}, Place, Settings);
                {missing, Why} ->
                    ok = peer:stop(Peer),
                    Store#{missing => Why}
            end
    end.

%% A store that is still busy with what it was given some time after the limit is stopped.
load(#{peer := Peer, module := Module} = Store, Place, #{load_seconds := Seconds}) ->
    try peer:call(Peer, grid_worker, do, [{load, Seconds}], (2 * Seconds + ?LATER_SECONDS) * 1000) of
        {Complete, Clock} -> Store#{complete => Complete, load => Clock, disk => disk(Place)}
    catch
        exit:{timeout, _} ->
            ok = peer:stop(Peer),
            #{module => Module, missing => io_lib:format("not loaded within ~b seconds", [Seconds])}
    end.

%% Allocated blocks: a file may be much longer than what it takes.
disk(Place) ->
    case filelib:is_dir(Place) of
        false -> 0;
        true ->
            {Kilobytes, _} = string:to_integer(os:cmd("du -sk '" ++ Place ++ "'")),
            Kilobytes * 1024
    end.

%% The first round warms up and does not count, unless it took long.
rounds(Verb, Stores, Settings) ->
    First = [{Store, sample(Verb, Store, Settings)} || Store <- Stores],
    Again = [Store || {Store, {Ns, _}} <- First, Ns < ?LONG],
    Rounds = repeat(fun(N) -> [{Store, sample(Verb, Store, Settings)} || Store <- rotate(N, Again)] end,
                    Settings),
    Long = [Sample || {_, {Ns, _}} = Sample <- First, Ns >= ?LONG],
    [figure(Store, Verb, [Taken || {S, Taken} <- Long ++ lists:append(Rounds), S =:= Store])
     || {Store, _} <- First].

%% Once, and again for as many rounds as there are and time for.
repeat(Round, #{rounds := Rounds, phase_seconds := Seconds}) ->
    repeat(Round, 1, Rounds, erlang:monotonic_time(millisecond) + Seconds * 1000).

repeat(Round, N, Rounds, Deadline) ->
    Result = Round(N),
    case N < Rounds andalso erlang:monotonic_time(millisecond) < Deadline of
        true -> [Result | repeat(Round, N + 1, Rounds, Deadline)];
        false -> [Result]
    end.

%% The writes of a store that keeps another promise: opened again, on its own.
other_modes(#{module := Module, peer := Peer} = Store, Settings) ->
    lists:append([begin
                      ok = call(Peer, {reopen, Mode}),
                      [begin
                           _ = sample(Verb, Store, Settings),
                           Samples = repeat(fun(_) -> sample(Verb, Store, Settings) end, Settings),
                           (figure(Store, Verb, Samples))#{mode := Mode}
                       end || Verb <- ?WRITES]
                  end || {Mode, _} <- tl(Module:modes())]).

sample(Verb, #{peer := Peer}, #{ms := Ms, put_off_ms := Longer}) ->
    Kind = case lists:member(Verb, ?WRITES) of true -> write; false -> read end,
    ok = call(Peer, {settle, Kind}),
    call(Peer, {sample, Verb, case Kind of write -> {Ms, Longer}; read -> {Ms, Ms} end}).

figure(#{module := Module}, Verb, Samples) ->
    PerOp = [Ns / Ops || {Ns, Ops} <- Samples],
    [{Mode, _} | _] = Module:modes(),
    #{module => Module, mode => Mode, verb => Verb, ns => bench_rounds:median(PerOp),
      least => lists:min(PerOp), most => lists:max(PerOp)}.

describe(#{module := Module} = Store, Figures) ->
    (maps:without([peer], Store))#{
        title => Module:title(), modes => Module:modes(),
        figures => [maps:remove(module, F) || #{module := M} = F <- Figures, M =:= Module]}.

stop(#{peer := Peer}) ->
    ok = call(Peer, close),
    peer:stop(Peer);
stop(_) -> ok.

rotate(_, []) -> [];
rotate(N, Stores) ->
    {Head, Tail} = lists:split(N rem length(Stores), Stores),
    Tail ++ Head.

call(Peer, Request) -> peer:call(Peer, grid_worker, do, [Request], infinity).
