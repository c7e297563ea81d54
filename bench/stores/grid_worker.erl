%% One store in a VM of its own, so that none leaves garbage to another. The process that opens the
%% store makes every call of it: some stores want that.
-module(grid_worker).
-export([do/1]).

-define(BATCH, 100).
-define(CHUNK_BYTES, (256 bsl 20)).
-define(CHUNK_KEYS, 1000000).
-define(MOST_OPS, 100000).
-define(MOST_WRITTEN, (64 bsl 20)).
%% What a load does between two looks at the clock.
-define(SLICE_BYTES, (16 bsl 20)).
-define(SLICE_KEYS, 10000).
%% How long a load is watched before it may be given up for being too slow.
-define(LEAST_SECONDS, 5).
-define(FOLD_SECONDS, 5).

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
    Part = in_batches(?CHUNK_KEYS, ?CHUNK_BYTES, Bytes),
    Hopeless = hopeless(erlang:monotonic_time(millisecond), Keys, Seconds * 1000),
    load(0, Keys, Part, Hopeless, {0, 0}, State);
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

%% In batches of 100; the clock runs while they are written, and then until nothing is left to do. As
%% much as possible is prepared at a time: while the next part is, a store may go on with what it put
%% off, untimed. The answer says whether all of it was loaded within the limit.
load(Keys, Keys, _, _, {Ns, Ops}, #{module := Module, store := Store} = State) ->
    {Us, Settled} = timer:tc(fun() -> Module:settle(Store, read) end),
    Loaded = State#{store := Settled},
    ok = holds(Loaded),
    {{true, {Ns + Us * 1000, Ops}}, Loaded};
load(From, Keys, Part, Hopeless, Clock, #{module := Module, cell := #{bytes := Bytes}} = State) ->
    To = min(Keys, From + Part),
    Slices = [{length(Slice), Module:form(batch, Slice)}
              || Slice <- bench_stores:chunks(grid_data:load(From, To, Bytes),
                                              in_batches(?SLICE_KEYS, ?SLICE_BYTES, Bytes))],
    erlang:garbage_collect(),
    case slices(Slices, From, Hopeless, Clock, State) of
        {stopped, Sooner} -> {{false, Sooner}, State};
        {done, Later} ->
            erlang:garbage_collect(),
            load(To, Keys, Part, Hopeless, Later, State)
    end.

slices([], _, _, Clock, _) -> {done, Clock};
slices([{Count, Data} | Slices], Done, Hopeless, {Ns, Ops}, State) ->
    Clock = {Ns + timed_run(batch, Data, State), Ops + Count},
    case Hopeless(Done + Count) of
        true -> {stopped, Clock};
        false -> slices(Slices, Done + Count, Hopeless, Clock, State)
    end.

%% As many keys as that allows, in whole batches.
in_batches(Keys, Bytes, ValueBytes) -> min(Keys, max(?BATCH, Bytes div ValueBytes div ?BATCH * ?BATCH)).

%% Whether a load that has so many keys so far will not be done in time.
hopeless(Start, Keys, Most) ->
    fun(Done) ->
            Gone = erlang:monotonic_time(millisecond) - Start,
            Gone >= ?LEAST_SECONDS * 1000 andalso Gone * Keys > Most * Done
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

%% All entries, again until it took that long; one walk stops after five seconds wherever it is.
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
    Deadline = Start + erlang:convert_time_unit(?FOLD_SECONDS, second, native),
    Answer = try Module:fold(Store, bench_peer:fold_count(Deadline)) catch throw:Thrown -> Thrown end,
    Took = erlang:convert_time_unit(erlang:monotonic_time() - Start, native, nanosecond),
    case Answer of
        {enough, Count} -> {stopped, {Took, Count}};
        {_, _} -> {whole, Answer};
        Count -> {whole, {Took, Count}}
    end.
