%% One store in a VM of its own, so that none leaves garbage to another. The process that opens the
%% store makes every call of it: some stores want that.
-module(grid_worker).
-export([do/1]).

-define(BATCH, 100).
-define(CHUNK_BYTES, (256 bsl 20)).
-define(CHUNK_KEYS, 1000000).
-define(MOST_OPS, 100000).
-define(MOST_WRITTEN, (64 bsl 20)).
-define(MOST_SECONDS, 20).
%% How long a load is watched before it may be given up.
-define(LEAST_SECONDS, 10).

%% Called from outside, for one request after the other.
do({open, Module, Dir, Cell}) ->
    Starter = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> open(Starter, Module, Dir, Cell) end),
    register(?MODULE, Pid),
    wait(Pid, Monitor);
do(Request) ->
    Monitor = monitor(process, ?MODULE),
    Pid = whereis(?MODULE),
    Pid ! {do, self(), Request},
    wait(Pid, Monitor).

wait(Pid, Monitor) ->
    receive
        {Pid, Answer} ->
            demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, Reason} -> error({store_failed, Reason})
    end.

open(Caller, Module, Dir, Cell) ->
    ok = logger:set_primary_config(level, error),
    grid_data:prepare(),
    [{Mode, _} | _] = Module:modes(),
    case Module:open(Dir, Mode) of
        {ok, Store} ->
            Caller ! {self(), ok},
            loop(#{module => Module, dir => Dir, cell => Cell, store => Store, mode => Mode,
                   pace => #{}});
        {missing, Why} -> Caller ! {self(), {missing, Why}}
    end.

loop(State) ->
    receive
        {do, From, Request} ->
            {Answer, Next} = handle(Request, State),
            erlang:garbage_collect(),
            From ! {self(), Answer},
            loop(Next)
    end.

handle({load, Seconds}, #{cell := #{keys := Keys, bytes := Bytes}} = State) ->
    Size = min(?CHUNK_KEYS, max(?BATCH, ?CHUNK_BYTES div Bytes div ?BATCH * ?BATCH)),
    Hopeless = hopeless(erlang:monotonic_time(second), Keys, Seconds),
    load(0, Keys, Size, Hopeless, {0, 0}, State);
handle({settle, Kind}, #{module := Module, store := Store} = State) ->
    {ok, State#{store := Module:settle(Store, Kind)}};
handle({reopen, Mode}, #{module := Module, store := Store, dir := Dir} = State) ->
    ok = Module:close(Store),
    {ok, Reopened} = Module:open(Dir, Mode),
    {ok, State#{store := Reopened, mode := Mode, pace := #{}}};
handle({sample, fold, {Ms, _}}, State) -> {fold(Ms * 1.0e6, {0, 0}, State), State};
handle({sample, Verb, {Ms, Longer}}, #{module := Module, mode := Mode} = State) ->
    sample(Verb, case Module:puts_off(Mode) of true -> Longer; false -> Ms end, State);
handle(close, #{module := Module, store := Store} = State) -> {Module:close(Store), State}.

%% In batches of 100; the clock runs for the first 20 seconds, and then until nothing is left to do. As
%% much as possible is prepared at a time: while the next part is, a store may go on with what it put
%% off, untimed. The answer says whether all of it was loaded within the limit.
load(Keys, Keys, _, _, {Ns, Ops}, #{module := Module, store := Store} = State) ->
    {Us, Settled} = timer:tc(fun() -> Module:settle(Store, read) end),
    Loaded = State#{store := Settled},
    ok = holds(Loaded),
    {{true, {Ns + Us * 1000, Ops}}, Loaded};
load(From, Keys, Size, Hopeless, {Ns, Ops}, #{cell := #{bytes := Bytes}} = State) ->
    case Hopeless(From) of
        true -> {{false, {Ns, Ops}}, State};
        false ->
            To = min(Keys, From + Size),
            Took = timed(batch, grid_data:load(From, To, Bytes), State),
            erlang:garbage_collect(),
            Clock = case Ns < ?MOST_SECONDS * 1.0e9 of
                        true -> {Ns + Took, Ops + To - From};
                        false -> {Ns, Ops}
                    end,
            load(To, Keys, Size, Hopeless, Clock, State)
    end.

%% Whether a load that has so many keys so far will not be done in time.
hopeless(Start, Keys, Seconds) ->
    fun(Done) ->
            Gone = erlang:monotonic_time(second) - Start,
            Gone >= ?LEAST_SECONDS andalso Gone * Keys > Seconds * Done
    end.

%% Some keys are looked up, so that a store that lost what it was given does not look fast.
holds(#{cell := #{keys := Keys}} = State) ->
    _ = timed(get, grid_data:load(0, min(Keys, 100), 1), State),
    _ = timed(get, grid_data:load(max(0, Keys - 100), Keys, 1), State),
    ok.

%% As many operations as took that long the last time, on data prepared before the clock starts; the
%% same again until the time is over.
sample(Verb, Ms, #{pace := Pace} = State) ->
    case Pace of
        #{Verb := PerOp} ->
            Count = ops(Verb, Ms * 1.0e6 / PerOp, State),
            Data = prepared(Verb, Count, State),
            {Ns, Ops} = Sample =
                bench_rounds:at_least(Ms, fun() -> {timed_run(Verb, Data, State), Count} end),
            {Sample, State#{pace := Pace#{Verb := Ns / Ops}}};
        _ ->
            Count = ops(Verb, 1, State),
            Took = timed_run(Verb, prepared(Verb, Count, State), State),
            sample(Verb, Ms, State#{pace := Pace#{Verb => Took / Count}})
    end.

ops(Verb, Wanted, #{cell := #{bytes := Bytes}}) ->
    Writes = max(?BATCH, ?MOST_WRITTEN div Bytes),
    Most = case Verb of
               _ when Verb =:= put; Verb =:= batch -> min(?MOST_OPS, Writes);
               _ -> ?MOST_OPS
           end,
    Ops = min(Most, max(1, round(Wanted))),
    case Verb of
        put -> Ops;
        get -> max(?BATCH, Ops);
        _ -> max(1, Ops div ?BATCH) * ?BATCH
    end.

prepared(Verb, Count, #{cell := Cell, module := Module}) ->
    Pairs = case Verb of
                _ when Verb =:= put; Verb =:= batch -> grid_data:random(Count, Cell);
                _ -> grid_data:random(Count, Cell#{bytes := 1})
            end,
    Module:form(Verb, Pairs).

timed(Verb, Pairs, #{module := Module} = State) ->
    Data = Module:form(Verb, Pairs),
    erlang:garbage_collect(),
    timed_run(Verb, Data, State).

timed_run(Verb, Data, #{module := Module, store := Store}) ->
    Start = erlang:monotonic_time(),
    Answer = Module:run(Verb, Store, Data),
    Took = erlang:monotonic_time() - Start,
    case Answer of
        ok -> erlang:convert_time_unit(Took, native, nanosecond);
        Ns when is_integer(Ns) -> Ns
    end.

%% All entries, again until it took that long; one walk stops after 20 seconds wherever it is.
fold(Wanted, {Ns, Entries}, #{cell := #{keys := Keys}} = State) ->
    case walk(State) of
        {stopped, Sample} -> Sample;
        {whole, {MoreNs, Keys}} ->
            case {Ns + MoreNs, Entries + Keys} of
                {Long, _} = Sample when Long >= Wanted -> Sample;
                Sample -> fold(Wanted, Sample, State)
            end
    end.

walk(#{module := Module, store := Store}) ->
    Start = erlang:monotonic_time(),
    Deadline = Start + erlang:convert_time_unit(?MOST_SECONDS, second, native),
    Answer = try Module:fold(Store, bench_peer:fold_count(Deadline)) catch throw:Thrown -> Thrown end,
    Took = erlang:convert_time_unit(erlang:monotonic_time() - Start, native, nanosecond),
    case Answer of
        {enough, Count} -> {stopped, {Took, Count}};
        {_, _} -> {whole, Answer};
        Count -> {whole, {Took, Count}}
    end.
