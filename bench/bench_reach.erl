%% The measured ratios beside the goals: erl ... -s bench_reach -extra FIGURES... [--json FILE]
-module(bench_reach).
-export([start/0]).

start() ->
    Words = init:get_plain_arguments(),
    try
        {Files, Json} = case lists:splitwith(fun(Word) -> Word =/= "--json" end, Words) of
                            {F, ["--json", J]} -> {F, J};
                            {F, []} -> {F, none}
                        end,
        Figures = maps:from_list(lists:append([read(File) || File <- Files])),
        Rows = [row(Goal, Figures) || Goal <- goals()],
        print(Rows),
        bench_out:write(Json, [bench_out:json([maps:from_list(Row) || Row <- Rows]), $\n]),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "bench_reach: ~p:~p~n~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

goals() ->
    [{core_get_1, "core get / raw renew, get, copy, reset", at_most, 1.10},
     {erl_get_raw, "get/2 / raw renew, get, copy, reset", at_most, 1.40},
     {erl_get_ets, "get/2 / ets:lookup", at_most, 1.50},
     {erl_get_scaling, "get/2, two processes / one, of what raw gains", at_least, 0.90},
     {erl_put_map, "put/3, map_async / raw begin, put, commit", at_most, 1.50},
     {erl_batch_map, "batch_write/2 of 100, per put / raw", at_most, 1.00},
     {core_batch_map, "the same in the core", at_most, 1.00},
     {erl_read_many, "read_many/2 of 100, per key / raw", at_most, 1.30},
     {erl_read_many_keys, "read_many_fast/2 of 100, per key / raw", at_most, 1.30},
     {core_read_many, "the same in the core", at_most, 1.30},
     {erl_put_map_64, "64 writers / one, map_async", at_least, 0.50},
     {erl_put_sync_64, "64 writers / one, sync", at_least, 5.0},
     {paths_read_plain, "read/2 / get/2, no link in the store", at_most, 1.10},
     {paths_read_unlinked, "read/2 / get/2, links elsewhere", at_most, 1.10},
     {paths_read_link, "read/2 through one link, cached / get/2", at_most, 2.0},
     {paths_read_chain, "read/2 of a chain of 10 links, cached / get/2", at_most, 2.0},
     {paths_list, "list/2 of 100, 10^6 descendants / 100", at_most, 3.0},
     {paths_write, "write/3, links elsewhere / put/3, map_async", at_most, 1.50},
     {paths_hit_rate, "path cache hits, a link made per 100 reads", at_least, 0.95},
     {memory_growth_mb, "memory after 10^6 gets, 10^6 puts, MB", at_most, 20.0}].

read(File) ->
    {ok, Data} = file:read_file(File),
    [begin
         [Name, Value] = binary:split(Line, <<"\t">>),
         {binary_to_atom(Name), binary_to_float(Value)}
     end || Line <- binary:split(Data, <<"\n">>, [global, trim])].

row({Name, Title, How, Goal}, Figures) ->
    Figure = maps:get(Name, Figures, null),
    [{name, Name}, {title, unicode:characters_to_binary(Title)}, {goal, Goal}, {how, How},
     {figure, Figure}, {verdict, verdict(How, Figure, Goal)}].

verdict(_, null, _) -> 'not measured';
verdict(at_most, Figure, Goal) when Figure =< Goal -> met;
verdict(at_least, Figure, Goal) when Figure >= Goal -> met;
verdict(_, _, _) -> missed.

print(Rows) ->
    io:format("reach: ratios inside this run~n"),
    bench_out:table(["", "goal", "measured", ""],
                    [[Title, [words(How), bench_out:ratio(Goal)], measured(Figure),
                      atom_to_list(Verdict)]
                     || [_, {title, Title}, {goal, Goal}, {how, How}, {figure, Figure},
                         {verdict, Verdict}] <- Rows]).

words(at_most) -> "at most ";
words(at_least) -> "at least ".

measured(null) -> "";
measured(Figure) -> bench_out:ratio(Figure).
