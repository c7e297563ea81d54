%% Medians of interleaved repeats: in each round every case runs once, in an order that moves on by
%% one a round, each in a process of its own. A slow minute of the machine hits all sides alike.
-module(bench_rounds).
-export([run/2, ns/1, median/1]).
-export_type([timing/0, sample/0]).

-type sample() :: {Nanoseconds :: number(), Operations :: pos_integer()}.
-type timing() :: #{median := float(), least := float(), most := float()}.

%% The first round warms up and does not count.
-spec run(pos_integer(), [{Name, fun(() -> sample())}]) -> #{Name => timing()}.
run(Rounds, Cases) ->
    _ = round_of(Cases),
    Samples = lists:append([round_of(rotate(N, Cases)) || N <- lists:seq(1, Rounds)]),
    maps:map(fun(_Name, PerOp) ->
                     #{median => median(PerOp), least => lists:min(PerOp), most => lists:max(PerOp)}
             end,
             by_name(Samples)).

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
