%% @doc Random sequences of all functions over few names, so that links, chains, cycles and groups
%% meet, against the plain model; after each command several paths are looked at in every way.
-module(prop_paths_tests).
-include_lib("proper/include/proper.hrl").

-export([all_test_/0]).

-define(TESTS, 110).
-define(LONGEST, 80).
-define(LEAST_COMMANDS, 2500).
-define(KILL_TESTS, 25).
-define(LEAST_KILL_COMMANDS, 400).

%% Small buffers are applied while the commands run; what fills them is put between the commands.
all_test_() ->
    Small = 64 bsl 10,
    [test_store:titled("model: " ++ Title, 300, fun() -> check(here, Options) end)
     || {Title, Options} <- [{"cache as it is", #{}},
                             {"cache off", #{path_cache_entries => 0}},
                             {"cache of one entry", #{path_cache_entries => 1}},
                             {"entries live one millisecond", #{path_cache_ttl_ms => 1}},
                             {"map_async", #{durability => map_async}},
                             {"async, small buffers", #{durability => async, write_buffer_bytes => Small}},
                             {"sync, small buffers", #{durability => sync, write_buffer_bytes => Small}}]]
    ++ [test_store:titled(lists:concat(["model: killed now and then (", Mode, ")"]), 300,
                          fun() -> check(there, #{durability => Mode, write_buffer_bytes => Small}) end)
        || Mode <- [sync, async]].

check(Where, Options) ->
    Seed = test_store:seed(),
    Done = counters:new(1, []),
    {Tests, Least} = case Where of
        here -> {?TESTS, ?LEAST_COMMANDS};
        there -> {?KILL_TESTS, ?LEAST_KILL_COMMANDS}
    end,
    test_store:with_dir(fun(Dir) ->
        Runner = #{options => Options#{name => Dir}, done => Done, where => Where},
        begin_store(Runner),
        try
            Passed = proper:quickcheck(?SETUP(fun() -> reseed(Seed) end, prop_model(Runner)),
                                       [{numtests, Tests}, {max_shrinks, 300}, {on_output, fun(_, _) -> ok end}]),
            verdict(Passed, counters:get(Done, 1), Least, Seed, Runner)
        after
            end_store(Runner)
        end
    end).

verdict(true, Count, Least, _, _) when Count >= Least -> io:format(user, "  ~b commands~n", [Count]);
verdict(true, Count, _, _, _) -> error({too_few_commands, Count});
verdict(_, _, _, Seed, Runner) ->
    [Steps] = proper:counterexample(),
    io:format(user, "  TEST_SEED=~b finds~n~p~n", [Seed, Steps]),
    error({differs_from_model, outcome(Steps, Runner)}).

%% PropEr seeds itself from the clock.
reseed(Seed) ->
    rand:seed(exsss, Seed),
    fun() -> ok end.

prop_model(#{done := Done} = Runner) ->
    ?FORALL(Steps, resize(?LONGEST, list(step())),
            begin
                counters:add(Done, 1, length(Steps)),
                outcome(Steps, Runner) =:= same
            end).

%% One store serves all: a start costs more than the commands.
outcome(Steps, Runner) ->
    ok = at_store(Runner, fun hyper_lmdb:reset/1),
    run(Steps, Runner, prop_model:new()).

%% -- where the store is: here, or in a VM that may be killed; a restart leaves it in this process -

begin_store(#{where := here, options := Options}) ->
    put(?MODULE, test_store:start_ok(Options));
begin_store(#{where := there, options := Options}) ->
    Peer = child_vm:start_peer([]),
    put(?MODULE, Peer),
    ok = child_vm:call(Peer, fun() -> {ok, _} = hyper_lmdb:start(Options), ok end).

end_store(#{where := here}) -> ok;
end_store(#{where := there}) -> child_vm:kill_peer(get(?MODULE)).

%% A handle does not travel, so over there the store goes by its name.
at_store(#{where := here}, Fun) -> Fun(get(?MODULE));
at_store(#{where := there, options := #{name := Dir}}, Fun) ->
    child_vm:call(get(?MODULE), fun() -> Fun(#{name => Dir}) end).

%% -- running -------------------------------------------------------------------------------------

run([], _, _) -> same;
run([{Command, Looks} | Rest], Runner, M) ->
    {Expected, After} = prop_model:run(Command, M),
    Seen = command(Command, Runner),
    case Seen =:= Expected andalso at_store(Runner, fun(S) -> look(Looks, S, After) end) of
        true -> run(Rest, Runner, After);
        false -> {Command, {expected, Expected}, {seen, Seen}, {store, M}};
        Different -> {Command, Different, {store, After}}
    end.

command({restart, _}, #{where := there} = Runner) ->
    end_store(Runner),
    begin_store(Runner);
command({restart, same}, #{options := Options}) ->
    put(?MODULE, test_store:restart(get(?MODULE), Options)),
    ok;
command({restart, Mode}, #{options := Options}) ->
    put(?MODULE, test_store:restart(get(?MODULE), Options#{durability => Mode})),
    ok;
command(Command, Runner) -> at_store(Runner, fun(S) -> prop_commands:call(Command, S) end).

look(Paths, S, M) ->
    Keys = [Key || P <- Paths, Key <- [prop_model:path(P)], Key =/= <<>>],
    Looks = [{Function, P} || P <- Paths, Function <- [read, type, resolve, list, paged, paged_back]]
        ++ [{Function, K} || K <- Keys, Function <- [get, exists]]
        ++ [{read_many, Paths}, {range, #{}}, {range, #{reverse => true}}, {list_prefix, <<>>} | [{list_prefix, K} || K <- Keys]],
    different([{Look, Expected, Seen} || {What, Arg} = Look <- Looks,
                                         Expected <- [expected(Look, M)],
                                         Seen <- [seen(What, Arg, S)], Seen =/= Expected]).

different([]) -> true;
different([Difference | _]) -> Difference.

expected({paged, P}, M) -> prop_model:observe({list, P}, M);
expected({paged_back, P}, M) ->
    case prop_model:observe({list, P}, M) of
        {ok, Names} -> {ok, lists:reverse(Names)};
        not_found -> not_found
    end;
expected(Look, M) -> prop_model:observe(Look, M).

seen(paged, P, S) -> prop_commands:pages(P, S, #{limit => 1, return_cursor => true}, []);
seen(paged_back, P, S) -> prop_commands:pages(P, S, #{limit => 2, return_cursor => true, reverse => true}, []);
seen(Function, Arg, S) -> hyper_lmdb:Function(S, Arg).

%% -- what is tried -------------------------------------------------------------------------------

%% In the store's own mode, or in any.
restart() -> frequency([{3, same}, {1, oneof(test_store:modes())}]).

step() -> {command(), [prop_commands:path_form() || _ <- lists:seq(1, 4)]}.

command() -> frequency([{70, prop_commands:command(prop_commands:value())}, {1, {restart, restart()}}]).
