%% @doc The VM that is killed: opens the store, checks what the last one left, writes on.
%%
%% Prints: `opening`, `opened`, `state WRITER SEQ` for each writer, `lost WHAT` for each finding,
%% `checked`, `ack WRITER SEQ` after each reply, `refused WRITER SEQ` where a stop came first,
%% `closing`, `stopped`. Any other line is a failure.
-module(kill_child).

-export([run/1, create/1, control/1]).

%% `expected` maps each writer to #{acked, state, in_flight}.
run(#{options := Options, expected := Expected} = Job) ->
    Store = open(Options),
    States = check(Store, Expected, maps:get(seed, Job)),
    say("checked"),
    case maps:get(milliseconds, Job) of
        0 -> stop(Store);
        Milliseconds ->
            load(Store, States, Job),
            receive after Milliseconds -> ok end,
            stop(Store)
    end.

%% Only creates; a later VM looks at what came of it.
create(#{options := Options}) ->
    _ = open(Options),
    say("checked"),
    receive never -> ok end.

%% Harms the store on purpose, then checks as `run/1` does.
control(#{options := Options, expected := Expected, seed := Seed, harm := Harm}) ->
    Store = open(Options),
    harm(Harm, Store, Seed),
    _ = check(Store, Expected, Seed),
    say("checked"),
    stop(Store).

open(Options) ->
    say("opening"),
    {ok, Store} = hyper_lmdb:start(Options),
    say("opened"),
    Store.

stop(Store) ->
    say("closing"),
    ok = hyper_lmdb:stop(Store),
    say("stopped"),
    erlang:halt(0).

say(Line) -> child_vm:say(Line).

say(Format, Args) -> say(io_lib:format(Format, Args)).

%% -- checking ------------------------------------------------------------------------------------

check(Store, Expected, Seed) ->
    States = maps:map(fun(Writer, Known) -> check_writer(Store, Writer, Known, Seed) end, Expected),
    {ok, Keys} = hyper_lmdb:list_prefix(Store, <<>>),
    Entries = length(Keys -- kill_model:targets()),
    Wanted = kill_model:size(maps:map(fun(_, {_, State}) -> State end, States)),
    Entries =:= Wanted orelse say("lost count: ~b keys, expected ~b", [Entries, Wanted]),
    %% Read-only or not, nobody may be left with a journal that was not taken over.
    {ok, #{buffered_keys := Buffered}} = hyper_lmdb:info(Store),
    Buffered =:= 0 orelse say("lost count: ~b keys are buffered after the start", [Buffered]),
    States.

check_writer(Store, Writer, #{acked := Acked, state := State, in_flight := InFlight}, Seed) ->
    {ok, Results} = hyper_lmdb:read_many_fast(Store, [kill_model:key(Writer, Slot) || Slot <- kill_model:slots()]),
    Seen = [{Slot, kill_model:observe(Writer, Slot, Result, {hyper_lmdb:type(Store, Key), hyper_lmdb:resolve(Store, Key)})}
            || {Slot, {Key, Result}} <- lists:zip(kill_model:slots(), Results)],
    Found = maps:from_list([{Slot, What} || {Slot, What} <- Seen, What =/= absent]),
    Next = kill_model:advance(kill_model:write(Seed, Writer, Acked + 1), State),
    {Now, Then} = {kill_model:visible(State), kill_model:visible(Next)},
    case Found of
        Now -> say("state ~b ~b", [Writer, Acked]), {Acked, State};
        Then when InFlight -> say("state ~b ~b", [Writer, Acked + 1]), {Acked + 1, Next};
        _ ->
            Wrong = [{Slot, {found, What}, {expected, maps:get(Slot, Now, absent)}, {or_else, maps:get(Slot, Then, absent)}}
                     || {Slot, What} <- Seen, What =/= maps:get(Slot, Now, absent)],
            say("lost writer ~b after ~b: ~0p", [Writer, Acked, lists:sublist(Wrong, 5)]),
            {Acked, State}
    end.

%% -- load ----------------------------------------------------------------------------------------

load(Store, States, #{seed := Seed, busy := Busy, reload := Reload}) ->
    %% After a kill some may be there; a second process may be at it too.
    [begin Made = hyper_lmdb:put_new(Store, Target, <<>>), true = lists:member(Made, [ok, {error, exists}]) end
     || Target <- kill_model:targets()],
    Chosen = maps:with(Busy, States),
    [spawn_link(fun() -> writer(Store, W, Seq + 1, State, Seed, child_vm:writer("/dev/stdout")) end)
     || {W, {Seq, State}} <- maps:to_list(Chosen)],
    spawn_link(fun() -> reader(Store, maps:keys(States)) end),
    spawn_link(fun() -> syncer(Store) end),
    Reload andalso spawn_link(fun reloader/0).

writer(Store, Writer, Seq, State, Seed, Say) ->
    Ops = kill_model:write(Seed, Writer, Seq),
    case send(Store, Writer, Ops, State) of
        ok ->
            Say(["ack ", integer_to_list(Writer), $ , integer_to_list(Seq)]),
            writer(Store, Writer, Seq + 1, kill_model:advance(Ops, State), Seed, Say);
        {error, closed} ->
            Say(["refused ", integer_to_list(Writer), $ , integer_to_list(Seq)]);
        Error ->
            Say(io_lib:format("unexpected ~0p", [{Writer, Seq, Error}]))
    end.

send(Store, Writer, [{put, Slot, Seq}], State) ->
    Put = case kill_model:content(Slot, State) of
        none when Seq rem 2 =:= 0 -> put_new;
        _ -> put
    end,
    hyper_lmdb:Put(Store, kill_model:key(Writer, Slot), kill_model:value(Writer, Slot, Seq));
send(Store, Writer, [{link, Slot, Target}], _) ->
    hyper_lmdb:make_link(Store, kill_model:target(Target), kill_model:key(Writer, Slot));
send(Store, Writer, [{group, Slot}], _) ->
    hyper_lmdb:make_group(Store, kill_model:key(Writer, Slot));
send(Store, Writer, [{delete, Slot}], _) ->
    hyper_lmdb:delete(Store, kill_model:key(Writer, Slot));
send(Store, Writer, Ops, State) ->
    hyper_lmdb:batch_write(Store, check_first(Writer, hd(Ops), State) ++ [element_of(Writer, Op) || Op <- Ops]).

%% Batches begin with a check that must hold: a state gone wrong shows at once.
check_first(Writer, Op, State) ->
    Slot = element(2, Op),
    case kill_model:content(Slot, State) of
        none -> [{check, kill_model:key(Writer, Slot), absent}];
        {link, _} -> [];
        Seq -> [{check, kill_model:key(Writer, Slot), kill_model:value(Writer, Slot, Seq)}]
    end.

element_of(Writer, {put, Slot, Seq}) -> {put, kill_model:key(Writer, Slot), kill_model:value(Writer, Slot, Seq)};
element_of(Writer, {delete, Slot}) -> {delete, kill_model:key(Writer, Slot)};
element_of(Writer, {link, Slot, Target}) -> {link, kill_model:target(Target), kill_model:key(Writer, Slot)};
element_of(Writer, {group, Slot}) -> {group, kill_model:key(Writer, Slot)}.

%% Whatever a reader finds must be whole.
reader(Store, Writers) ->
    Writer = lists:nth(rand:uniform(length(Writers)), Writers),
    Slot = rand:uniform(length(kill_model:slots())) - 1,
    case hyper_lmdb:get(Store, kill_model:key(Writer, Slot)) of
        {error, closed} -> ok;
        Result ->
            case kill_model:describe(Writer, Slot, Result) of
                {damaged, What} -> say("lost while reading: ~0p", [{Writer, Slot, What}]);
                _ -> receive after 1 -> reader(Store, Writers) end
            end
    end.

syncer(Store) ->
    receive after rand:uniform(200) -> ok end,
    case hyper_lmdb:sync(Store) of
        ok -> syncer(Store);
        {error, closed} -> ok
    end.

reloader() ->
    [code:soft_purge(M) andalso ({module, M} = code:load_file(M)) || M <- [hyper_lmdb_nif, hyper_lmdb]],
    receive after 5 -> reloader() end.

%% -- harm for the negative controls --------------------------------------------------------------

harm(none, _, _) -> ok;
harm({remove, Writer, Slot}, Store, _) -> ok = hyper_lmdb:delete(Store, kill_model:key(Writer, Slot));
harm({truncate, Writer, Slot}, Store, _) ->
    Key = kill_model:key(Writer, Slot),
    {ok, Value} = hyper_lmdb:get(Store, Key),
    ok = hyper_lmdb:put(Store, Key, binary:part(Value, 0, byte_size(Value) - 1));
harm({older, Writer, Slot, Seq}, Store, _) ->
    ok = hyper_lmdb:put(Store, kill_model:key(Writer, Slot), kill_model:value(Writer, Slot, Seq));
harm({half_batch, Writer, Seq}, Store, Seed) ->
    Ops = kill_model:write(Seed, Writer, Seq),
    ok = hyper_lmdb:batch_write(Store, [element_of(Writer, Op) || Op <- lists:sublist(Ops, length(Ops) div 2)]);
harm({redirect, Writer, Slot, Target}, Store, _) ->
    ok = hyper_lmdb:make_link(Store, kill_model:target(Target), kill_model:key(Writer, Slot));
harm({unmark, Writer, Slot, Seq}, Store, _) ->
    Key = kill_model:key(Writer, Slot),
    ok = hyper_lmdb:delete(Store, Key),
    Seq =:= none orelse (ok = hyper_lmdb:put(Store, Key, kill_model:value(Writer, Slot, Seq)));
harm({mark, Writer, Slot}, Store, _) -> ok = hyper_lmdb:make_group(Store, kill_model:key(Writer, Slot));
harm(extra_key, Store, _) -> ok = hyper_lmdb:put(Store, <<"nobody's">>, <<>>).
