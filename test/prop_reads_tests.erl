%% @doc Random sequences in which snapshots are open over later writes, values are compressed or not
%% and the store is opened with other options, against the plain model: the store has to answer what
%% the model does, and each snapshot what the model did when it was taken.
-module(prop_reads_tests).
-include_lib("proper/include/proper.hrl").

-export([all_test_/0, many/2]).

-define(TESTS, 15).
-define(LONGEST, 40).
%% What a run must have come to at least, so that it shows anything.
-define(LEAST, #{commands => 200, looks => 1000, looks_back => 300, closed => 5, applied => 2}).

-define(BUFFER_BYTES, (64 bsl 10)).
-define(THRESHOLD, 64).

all_test_() ->
    test_store:each_mode("model: reads", 300, fun(Mode) -> check(Mode, ?TESTS, ?LEAST) end).

%% By hand, for longer.
many(Mode, Tests) -> check(Mode, Tests, #{}).

check(Mode, Tests, Least) ->
    Seed = test_store:seed(),
    Counts = counters:new(length(counted()), []),
    test_store:with_dir(fun(Dir) ->
        Runner = #{options => #{name => Dir, durability => Mode, compression_threshold => ?THRESHOLD},
                   buffer => #{write_buffer_bytes => ?BUFFER_BYTES}, counts => Counts},
        start(own, none, Runner),
        {ok, Rare} = proper_gen:pick(rare(), 10),
        same = outcome(Rare, Runner),
        Passed = proper:quickcheck(?SETUP(fun() -> rand:seed(exsss, Seed), fun() -> ok end end, property(Runner)),
                                   [{numtests, Tests}, {max_shrinks, 100}, {on_output, fun(_, _) -> ok end}]),
        count_applied(Runner),
        verdict(Passed, found(Counts), Mode, Least, Seed, Runner)
    end).

verdict(true, Found, Mode, Least, _, _) ->
    io:format(user, "  ~0p~n", [Found]),
    %% Without a journal there are no buffers.
    case [Count || {Count, Enough} <- maps:to_list(Least), maps:get(Count, Found) < Enough,
                   {Count, Mode} =/= {applied, map_async}] of
        [] -> ok;
        TooFew -> error({too_few, TooFew})
    end;
verdict(_, _, _, _, Seed, Runner) ->
    [Steps] = proper:counterexample(),
    io:format(user, "  TEST_SEED=~b finds~n~p~n", [Seed, Steps]),
    error({differs_from_model, outcome(Steps, Runner)}).

counted() -> [commands, looks, looks_back, expired, closed, snapshots, applied].

add(What, Number, #{counts := Counts}) ->
    counters:add(Counts, length(lists:takewhile(fun(Other) -> Other =/= What end, counted())) + 1, Number).

found(Counts) ->
    maps:from_list([{What, counters:get(Counts, I)} || {I, What} <- lists:enumerate(counted())]).

property(Runner) -> ?FORALL(Steps, resize(?LONGEST, list(step(2))), outcome(Steps, Runner) =:= same).

outcome(Steps, Runner) ->
    ok = hyper_lmdb:reset(get(?MODULE)),
    case run(Steps, [], prop_model:new(), Runner) of
        {same, _, _} -> same;
        Different -> Different
    end.

start(own, Compression, #{options := #{durability := Mode}} = Runner) -> start(Mode, Compression, Runner);
start(Mode, Compression, #{options := Options, buffer := Buffer}) ->
    %% map_async has no buffer.
    Buffered = case Mode of map_async -> #{}; _ -> Buffer end,
    put(?MODULE, test_store:start_ok(maps:merge(Options#{durability => Mode, compression => Compression}, Buffered))).

count_applied(Runner) -> add(applied, test_store:info(get(?MODULE), applied_buffers), Runner).

%% -- running: what the store holds now, and what each open snapshot saw, the newest first ---------

run([], Snapshots, M, _) -> {same, Snapshots, M};
run([{snapshot, Inner} | Rest], Snapshots, M, Runner) ->
    add(snapshots, 1, Runner),
    Ran = hyper_lmdb:with_snapshot(get(?MODULE), fun(Snapshot) ->
        run(Inner, [{Snapshot, M, open} | Snapshots], M, Runner)
    end),
    case Ran of
        {same, [_ | Outer], After} -> run(Rest, Outer, After, Runner);
        Different -> Different
    end;
run([{{restart, Mode, Compression}, Looks} | Rest], Snapshots, M, Runner) ->
    count_applied(Runner),
    ok = hyper_lmdb:stop(get(?MODULE)),
    start(Mode, Compression, Runner),
    look_and_go_on({restart, Mode, Compression}, Looks, Rest, [{S, Then, closed} || {S, Then, _} <- Snapshots], M, Runner);
run([{Command, Looks} | Rest], Snapshots, M, Runner) ->
    {Expected, After} = prop_model:run(Command, M),
    case prop_commands:call(Command, get(?MODULE)) of
        Expected -> look_and_go_on(Command, Looks, Rest, Snapshots, After, Runner);
        Other -> {Command, {expected, Expected}, {seen, Other}, {store, M}}
    end.

look_and_go_on(Command, Looks, Rest, Snapshots, M, Runner) ->
    add(commands, 1, Runner),
    try {[true = compare(Look, get(?MODULE), M, looks, Runner) || Look <- Looks], look_back(Looks, open, Snapshots, Runner)} of
        {_, Back} -> run(Rest, Back, M, Runner)
    catch
        throw:{differs, Difference} -> {Command, Difference, {store, M}}
    end.

%% Memory ends the oldest snapshots first, and for good.
look_back(_, _, [], _) -> [];
look_back(Looks, Newer, [{Snapshot, M, State} | Older], Runner) ->
    Now = lists:foldl(fun(Look, Before) -> look_at(Look, Snapshot, M, Before, Runner) end, worse(Newer, State), Looks),
    [{Snapshot, M, Now} | look_back(Looks, Now, Older, Runner)].

worse(_, closed) -> closed;
worse(expired, _) -> expired;
worse(_, State) -> State.

look_at(Look, Snapshot, M, open, Runner) ->
    case compare(Look, Snapshot, M, looks_back, Runner) of
        true -> open;
        expired -> expired
    end;
look_at(Look, Snapshot, _, State, Runner) ->
    case {State, seen(Look, Snapshot)} of
        {expired, {error, snapshot_expired}} -> ok;
        {closed, {error, closed}} -> ok;
        %% Memory ended it before the stop, and nobody had looked.
        {closed, {error, snapshot_expired}} -> ok;
        {_, Seen} -> throw({differs, {Look, State, {seen, Seen}}})
    end,
    add(State, 1, Runner),
    State.

compare(Look, S, M, Kind, Runner) ->
    case {expected(Look, M), seen(Look, S)} of
        {Same, Same} -> add(Kind, 1, Runner), true;
        {_, {error, snapshot_expired}} when Kind =:= looks_back -> expired;
        {_, {ok, _, {error, snapshot_expired}}} when Kind =:= looks_back -> expired;
        {Expected, Seen} -> throw({differs, {Kind, Look, {expected, Expected}, {seen, Seen}}})
    end.

expected({range, Range}, M) ->
    {ok, All, done} = prop_model:observe({range, Range}, M),
    {Part, Rest} = split(maps:get(limit, Range, infinity), All),
    {ok, Part, {ok, Rest}};
expected({fold, Range}, M) ->
    {ok, Part, _} = expected({range, Range}, M),
    {ok, Part};
expected({paged, P, #{reverse := Reverse}}, M) ->
    case prop_model:observe({list, P}, M) of
        {ok, Names} when Reverse -> {ok, lists:reverse(Names)};
        Other -> Other
    end;
expected({prefetch, _}, _) -> ok;
expected(Look, M) -> prop_model:observe(Look, M).

%% So many keys and the rest; two records of a key stay together.
split(0, Entries) -> {[], Entries};
split(_, []) -> {[], []};
split(N, [{Key, group}, {Key, _} = Second | Entries]) ->
    {Part, Rest} = split(less(N), Entries),
    {[{Key, group}, Second | Part], Rest};
split(N, [Entry | Entries]) ->
    {Part, Rest} = split(less(N), Entries),
    {[Entry | Part], Rest}.

less(infinity) -> infinity;
less(N) -> N - 1.

%% Where a part ends says where the rest begins, which may be none.
seen({range, Range}, S) ->
    case hyper_lmdb:range(S, Range) of
        {ok, Part, done} -> {ok, Part, {ok, []}};
        {ok, Part, Next} -> {ok, Part, parts(S, Range#{continue => Next, limit => 2})};
        Other -> Other
    end;
seen({fold, Range}, S) ->
    Fun = case Range of
              #{keys_only := true} -> fun(Key, Acc) -> [Key | Acc] end;
              #{} -> fun(Key, Value, Acc) -> [{Key, Value} | Acc] end
          end,
    case hyper_lmdb:fold(S, Fun, [], Range) of
        {ok, Entries} -> {ok, lists:reverse(Entries)};
        Other -> Other
    end;
seen({paged, P, Page}, S) -> prop_commands:pages(P, S, Page#{return_cursor => true}, []);
seen({Function, Arg}, S) -> hyper_lmdb:Function(S, Arg).

parts(S, Range) ->
    case hyper_lmdb:range(S, Range) of
        {ok, Entries, done} -> {ok, Entries};
        {ok, Entries, Next} ->
            case parts(S, Range#{continue => Next}) of
                {ok, Rest} -> {ok, Entries ++ Rest};
                Other -> Other
            end;
        Other -> Other
    end.

%% -- what is tried -------------------------------------------------------------------------------

%% A snapshot over a few steps, which may have one of their own; now and then so many over so much
%% that memory ends the oldest.
step(0) -> {command(), looks()};
step(Depth) ->
    frequency([{60, step(0)},
               {6, {snapshot, resize(10, list(?LAZY(step(Depth - 1))))}},
               {1, {snapshot, stack(4)}}]).

%% What chance may leave out.
rare() -> [{snapshot, stack(4)}, {snapshot, [step(0), {restart(), looks()}, step(0)]}].

stack(0) -> resize(6, list(step(0)));
stack(Height) -> [{{fillers, range(5, 8)}, looks()}, {snapshot, stack(Height - 1)}, step(0)].

command() -> frequency([{60, prop_commands:command(value())}, {1, restart()}]).

%% Mostly in the mode that the property is about.
restart() -> {restart, frequency([{5, own}, {1, oneof(test_store:modes())}]), oneof([none, lz4, zstd])}.

looks() -> [look() || _ <- lists:seq(1, 5)].

look() ->
    Path = prop_commands:path_form(),
    Key = prop_commands:plain_key(),
    oneof([{read, Path}, {get, Key}, {exists, Key}, {read_link, Key}, {type, Path}, {resolve, Path}, {list, Path},
           ?LET({Limit, Reverse}, {range(1, 3), boolean()}, {paged, Path, #{limit => Limit, reverse => Reverse}}),
           {read_many, [Path, Path, Path]}, {read_many_fast, [Key, Key]}, {prefetch, [Key]},
           {list_prefix, prop_commands:prefix()},
           {range, some_of([{limit, range(1, 8)} | bounds()])},
           {fold, some_of([{limit, range(1, 8)} | bounds()])}]).

bounds() ->
    [{prefix, bound()}, {from, bound()}, {to, bound()}, {continue, prop_commands:plain_key()},
     {reverse, boolean()}, {keys_only, boolean()}, {records, boolean()}].

bound() -> frequency([{5, prop_commands:prefix()}, {1, ?LET(P, prop_commands:path(), <<P/binary, 255>>)}]).

%% Each of the options by a third.
some_of(Options) ->
    ?LET(Picked, [frequency([{2, none}, {1, Option}]) || Option <- Options],
         maps:from_list([Option || {_, _} = Option <- Picked])).

%% Around the threshold and far over it; some do not shrink, and some pass the buffer by.
value() ->
    frequency([{4, prop_commands:value()},
               {3, ?LET(Size, range(?THRESHOLD - 4, 2000), binary:part(binary:copy(<<"words and words ">>, 126), 0, Size))},
               {2, ?LET({Size, Seed}, {range(?THRESHOLD - 4, 2000), range(1, 1 bsl 30)}, noise(Size, Seed))},
               {1, ?LET(Letter, range($a, $z), binary:copy(<<Letter>>, 20000))}]).

noise(Size, Seed) ->
    {Bytes, _} = rand:bytes_s(Size, rand:seed_s(exsss, Seed)),
    Bytes.
