%% @doc Runs a child, reads what it prints, kills it when the plan says so.
-module(kill_watch).

-export([child/3, advance/3, fold/2]).

-define(PATIENCE_MS, 120000).
-define(LOOKS, 2000).

%% When to kill: so many milliseconds after a line (or after the start of the VM), or as soon as
%% something is in flight after that, or never.
-type plan() :: {binary() | spawned, non_neg_integer()} | {binary(), non_neg_integer(), apply | flush} | never.
%% `opening', `closing' and `closed': the start or the stop was under way, or over, when the VM went;
%% `in_flight': what else was under way.
-type report() :: #{opening := boolean(), closing := boolean(), in_flight := [apply | flush],
                    checked := boolean(), stopped := boolean(), killed := boolean(), status := term(),
                    states := map(), acks := map(), refused := map(), ack_count := non_neg_integer(),
                    lost := [binary()], unexpected := [term()]}.
-export_type([plan/0, report/0]).

-spec child(atom(), map(), plan()) -> report().
child(Function, #{trace := Trace} = Job, Plan) ->
    Port = child_vm:open(kill_child, Function, Job, [binary, {args, maps:get(emulator, Job, [])}, {env, trace(Trace)}]),
    Deadline = erlang:send_after(?PATIENCE_MS, self(), {Port, too_late}),
    plan_kill(Port, spawned, Plan),
    Report = watch(Port, Plan, (empty())#{trace => Trace}),
    erlang:cancel_timer(Deadline),
    Report#{in_flight := in_flight(Trace)}.

trace(File) ->
    _ = file:delete(File),
    [{"LD_PRELOAD", filename:join(filename:dirname(code:which(?MODULE)), "in_flight.so")}, {"HYPER_LMDB_IN_FLIGHT", File}].

in_flight(Trace) ->
    case file:read_file(Trace) of
        {ok, <<Flushes:32/native, Applies:32/native>>} -> [apply || Applies > 0] ++ [flush || Flushes > 0];
        {error, enoent} -> [] % it ended before it opened a store
    end.

empty() ->
    #{opening => false, closing => false, in_flight => [], checked => false, stopped => false, killed => false, status => none, eof => false, states => #{},
      acks => #{}, refused => #{}, ack_count => 0, lost => [], unexpected => []}.

plan_kill(Port, Line, {Line, Milliseconds}) -> erlang:send_after(Milliseconds, self(), {Port, kill});
plan_kill(Port, Line, {Line, Milliseconds, What}) -> erlang:send_after(Milliseconds, self(), {Port, {kill_in, What, ?LOOKS}});
plan_kill(_, _, _) -> no.

watch(Port, Plan, #{status := Status, eof := Eof} = Report) when Status =:= none; not Eof ->
    receive
        {Port, {data, {eol, Line}}} ->
            plan_kill(Port, Line, Plan),
            watch(Port, Plan, line(Line, Report));
        {Port, {data, {noeol, Part}}} -> watch(Port, Plan, unexpected({cut, Part}, Report));
        {Port, {kill_in, What, Looks}} ->
            case Looks =:= 0 orelse lists:member(What, in_flight(maps:get(trace, Report))) of
                true -> self() ! {Port, kill};
                false -> erlang:send_after(1, self(), {Port, {kill_in, What, Looks - 1}})
            end,
            watch(Port, Plan, Report);
        {Port, kill} ->
            child_vm:kill(Port),
            watch(Port, Plan, Report#{killed := true});
        {Port, too_late} ->
            child_vm:kill(Port),
            watch(Port, Plan, unexpected(hangs, Report));
        {Port, eof} -> watch(Port, Plan, Report#{eof := true});
        {Port, {exit_status, Number}} -> watch(Port, Plan, Report#{status := Number})
    end;
watch(Port, _, Report) ->
    port_close(Port),
    Report.

line(<<"opening">>, Report) -> Report#{opening := true};
line(<<"opened">>, Report) -> Report#{opening := false};
line(<<"checked">>, Report) -> Report#{checked := true};
line(<<"closing">>, Report) -> Report#{closing := true};
line(<<"stopped">>, Report) -> Report#{closing := false, stopped := true};
line(<<"ack ", Rest/binary>>, #{acks := Acks, states := States, ack_count := Count} = Report) ->
    {Writer, Seq} = numbers(Rest),
    Last = maps:get(Writer, Acks, maps:get(Writer, States, unknown)),
    Next = Report#{acks := Acks#{Writer => Seq}, ack_count := Count + 1},
    case Last =:= unknown orelse Seq =:= Last + 1 of
        true -> Next;
        false -> unexpected({ack_out_of_order, Writer, Last, Seq}, Next)
    end;
line(<<"state ", Rest/binary>>, #{states := States} = Report) ->
    {Writer, Seq} = numbers(Rest),
    Report#{states := States#{Writer => Seq}};
line(<<"refused ", Rest/binary>>, #{refused := Refused} = Report) ->
    {Writer, Seq} = numbers(Rest),
    Report#{refused := Refused#{Writer => Seq}};
line(<<"lost ", _/binary>> = Line, #{lost := Lost} = Report) -> Report#{lost := [Line | Lost]};
%% OTP's helper process for ports, when its VM is killed before the two have met.
line(<<"erl_child_setup: ", _/binary>>, Report) -> Report;
line(Line, Report) -> unexpected(Line, Report).

unexpected(What, #{unexpected := Sofar} = Report) -> Report#{unexpected := [What | Sofar]}.

numbers(Text) ->
    [Writer, Seq] = binary:split(Text, <<" ">>),
    {binary_to_integer(Writer), binary_to_integer(Seq)}.

%% -- what is known after a child is gone ---------------------------------------------------------

%% The expectation for the next child, from the one before and what this one printed.
-spec fold(report(), {term(), [kill_model:writer()], map()}) -> map().
fold(#{checked := false}, {_, _, Expected}) -> Expected;
fold(#{states := States, acks := Acks, refused := Refused}, {Seed, Busy, Expected}) ->
    maps:map(fun(Writer, Known) ->
        Base = maps:get(Writer, States, maps:get(acked, Known)),
        Acked = maps:get(Writer, Acks, Base),
        (advance(Seed, {Writer, Acked}, Known))
            #{in_flight := lists:member(Writer, Busy) andalso not is_map_key(Writer, Refused)}
    end, Expected).

%% What is known of a writer once its write number Seq is.
-spec advance(term(), {kill_model:writer(), non_neg_integer()}, map()) -> map().
advance(Seed, {Writer, Seq}, #{acked := Acked, state := State} = Known) ->
    Ahead = lists:seq(Acked + 1, Seq),
    State2 = lists:foldl(fun(N, Now) -> kill_model:advance(kill_model:write(Seed, Writer, N), Now) end, State, Ahead),
    Known#{acked := Seq, state := State2, in_flight := false}.
