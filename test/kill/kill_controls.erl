%% @doc Negative controls: harm is done to a copy of the store, and the checker must report it.
-module(kill_controls).

-export([run/1]).

%% Results in the shape of rounds. World has the options under which the store is opened.
run(#{base := Base, options := Options, expected := Expected, seed := Seed} = World) ->
    %% A last look, then a clean stop: what the store holds is known exactly from here on.
    Job = #{options => Options, seed => Seed, expected => Expected, milliseconds => 0, reload => false, busy => [],
            trace => filename:join(Base, "in_flight")},
    Last = kill_watch:child(run, Job, never),
    #{lost := Lost, unexpected := Unexpected, stopped := Stopped} = Last,
    Known = kill_watch:fold(Last, {Seed, [], Expected}),
    Final = result("final check", Lost ++ Unexpected ++ [not_stopped || not Stopped]),
    Controls = [control(What, World#{base := Base, expected := Known}) || What <- controls(Known, Seed)],
    print(Final),
    [print(Control) || Control <- Controls],
    [Final | Controls].

result(Title, Failures) ->
    #{kind_text => Title, mode => none, acks => 0, kills => 0, hits => [], failures => Failures}.

print(#{kind_text := Title, failures := Failures}) ->
    io:format("    ~s: ~s~n", [Title, case Failures of [] -> "ok"; _ -> io_lib:format("FAILED ~0tp", [Failures]) end]).

%% {Title, what the child does to the store, what is claimed, whether the checker must complain}.
controls(Known, Seed) ->
    {Writer, #{acked := Acked, state := State}} =
        hd([W || {_, #{state := S}} = W <- lists:sort(maps:to_list(Known)), values(S) =/= []]),
    [{Slot, Seq, _} | _] = values(State),
    %% Of any writer; a short run may have none.
    Places = [{W, S, Content, Marked} || {W, #{state := Slots}} <- lists:sort(maps:to_list(Known)),
                                         {S, {Content, Marked}} <- maps:to_list(Slots)],
    Links = [{W, S, I} || {W, S, {link, I}, _} <- Places],
    Marks = [{W, S, Content} || {W, S, Content, true} <- Places, not is_tuple(Content)],
    Plain = [{W, S} || {W, S, Content, false} <- Places, is_integer(Content)],
    {Batch, Ahead} = next_batch(Seed, Writer, Acked, State),
    [{"control: an untouched copy passes", none, Known, clean},
     {"control: an acknowledged value removed", {remove, Writer, Slot}, Known, lost},
     {"control: a value cut short", {truncate, Writer, Slot}, Known, lost},
     {"control: an older value put back", {older, Writer, Slot, Seq - 1}, Known, lost},
     {"control: a key nobody wrote", extra_key, Known, lost}]
    ++ [{"control: a link that leads elsewhere", {redirect, W, S, I rem length(kill_model:targets()) + 1}, Known, lost}
        || {W, S, I} <- lists:sublist(Links, 1)]
    ++ [{"control: a link removed", {remove, W, S}, Known, lost} || {W, S, _} <- lists:sublist(Links, 1)]
    ++ [{"control: a group mark removed", {unmark, W, S, Content}, Known, lost} || {W, S, Content} <- lists:sublist(Marks, 1)]
    ++ [{"control: a group mark nobody made", {mark, W, S}, Known, lost} || {W, S} <- lists:sublist(Plain, 1)]
    ++ [
     {"control: a forged acknowledgement", none, forged(Known, Seed, Writer, Batch), lost},
     {"control: half a batch", {half_batch, Writer, Batch}, in_flight(Ahead, Known, Writer), lost}].

values(State) -> [{Slot, Seq, Marked} || {Slot, {Seq, Marked}} <- maps:to_list(State), is_integer(Seq)].

%% The number of the next write that is a batch and of which half differs from all and from nothing,
%% and what would be known just before it.
next_batch(Seed, Writer, Acked, State) ->
    Ops = kill_model:write(Seed, Writer, Acked + 1),
    Half = kill_model:advance(lists:sublist(Ops, length(Ops) div 2), State),
    Whole = kill_model:advance(Ops, State),
    Differ = 3 =:= length(lists:usort([kill_model:visible(S) || S <- [State, Half, Whole]])),
    case length(Ops) > 3 andalso Differ of
        true -> {Acked + 1, #{acked => Acked, state => State, in_flight => true}};
        %% The store does not hold the writes skipped here, and need not: the checker compares states.
        false -> next_batch(Seed, Writer, Acked + 1, State)
    end.

in_flight(Ahead, Known, Writer) -> Known#{Writer := Ahead}.

%% Claims that a write was acknowledged which was never made.
forged(Known, Seed, Writer, Seq) ->
    #{Writer := #{state := State}} = Known,
    State2 = kill_model:advance(kill_model:write(Seed, Writer, Seq), State),
    Known#{Writer := #{acked => Seq, state => State2, in_flight => false}}.

control({Title, Harm, Expected, Verdict}, #{base := Base, options := Options, seed := Seed}) ->
    Copy = filename:join(Base, "copy"),
    {0, _} = test_store:shell(["rm -rf '", Copy, "' && cp -r --sparse=always '", maps:get(name, Options), "' '", Copy, "'"]),
    Job = #{options => Options#{name := unicode:characters_to_binary(Copy)}, seed => Seed, expected => Expected, harm => Harm,
            trace => filename:join(Base, "in_flight")},
    #{lost := Lost, unexpected := Unexpected, stopped := Stopped} = kill_watch:child(control, Job, never),
    Missed = case {Verdict, Lost} of
        {clean, []} -> [];
        {lost, [_ | _]} -> [];
        _ -> [{checker_said, Lost}]
    end,
    result(Title, Missed ++ Unexpected ++ [not_stopped || not Stopped]).
