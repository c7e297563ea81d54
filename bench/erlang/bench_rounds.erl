%% Interleaved repeats: in each round every case runs once, each in a process of its own; the order
%% moves on by one a round. A ratio is the median over the rounds of the ratio inside a round:
%% what slows the machine for longer than a round slows all sides alike.
-module(bench_rounds).
-export([run/2, ratio/2, at_least/2, ns/1, median/1]).
-export_type([timing/0, sample/0]).

-type sample() :: {Nanoseconds :: number(), Operations :: pos_integer()}.
%% Nanoseconds an operation; the rounds are in order.
-type timing() :: #{median := float(), least := float(), most := float(), rounds := [float()]}.

%% The first round warms up and does not count.
-spec run(pos_integer(), [{Name, fun(() -> sample())}]) -> #{Name => timing()}.
run(Rounds, Cases) ->
    _ = round_of(Cases),
    Samples = lists:append([round_of(rotate(N, Cases)) || N <- lists:seq(1, Rounds)]),
    maps:map(fun(_Name, Reversed) ->
                     PerOp = lists:reverse(Reversed),
                     #{median => median(PerOp), least => lists:min(PerOp), most => lists:max(PerOp),
                       rounds => PerOp}
             end,
             by_name(Samples)).

-spec ratio(timing(), timing()) -> float().
ratio(#{rounds := Above}, #{rounds := Below}) ->
    median([A / B || {A, B} <- lists:zip(Above, Below)]).

%% Repeats a sample until it has run for so many milliseconds.
-spec at_least(number(), fun(() -> sample())) -> sample().
at_least(Ms, Fun) -> at_least(Ms * 1.0e6, Fun, 0, 0).

at_least(Wanted, Fun, Ns, Ops) ->
    {MoreNs, MoreOps} = Fun(),
    case {Ns + MoreNs, Ops + MoreOps} of
        {Enough, _} = Sample when Enough >= Wanted -> Sample;
        {AllNs, AllOps} -> at_least(Wanted, Fun, AllNs, AllOps)
    end.

%% How long Fun takes.
-spec ns(fun(() -> term())) -> non_neg_integer().
ns(Fun) ->
    Start = erlang:monotonic_time(),
    _ = Fun(),
    Stop = erlang:monotonic_time(),
    erlang:convert_time_unit(Stop - Start, native, nanosecond).

-spec median([number()]) -> float().
median(Numbers) ->
    Sorted = lists:sort(Numbers),
    Size = length(Sorted),
    (lists:nth((Size + 1) div 2, Sorted) + lists:nth((Size + 2) div 2, Sorted)) / 2.

round_of(Cases) ->
    [begin {Ns, Ops} = in_new_process(Fun), {Name, Ns / Ops} end || {Name, Fun} <- Cases].

by_name(Samples) ->
    lists:foldl(fun({Name, PerOp}, Groups) ->
                        maps:update_with(Name, fun(Others) -> [PerOp | Others] end, [PerOp], Groups)
                end,
                #{}, Samples).

rotate(N, Cases) ->
    {Head, Tail} = lists:split(N rem length(Cases), Cases),
    Tail ++ Head.

in_new_process(Fun) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({sample, Fun()}) end),
    receive
        {'DOWN', Monitor, process, Pid, {sample, Sample}} -> Sample;
        {'DOWN', Monitor, process, Pid, Reason} -> error({case_failed, Reason})
    end.
