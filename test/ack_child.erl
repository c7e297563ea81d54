%% @doc A VM under write load that prints `ack WRITER NUMBER` after each acknowledged write.
-module(ack_child).
-export([load/1, key/2, acknowledged/1]).

key(Writer, Number) -> <<"writer ", Writer:16, Number:32>>.

%% Of less there would be little to lose.
-define(FEW, 20).

%% Runs in the child: load for a while, and for as long as it takes to be one, then the way out that was
%% asked for.
load(#{options := Options, writers := Writers, milliseconds := Milliseconds, way_out := WayOut}) ->
    %% Notes of the VM about its own end are no findings.
    ok = logger:set_primary_config(level, error),
    {ok, _} = application:ensure_all_started(hyper_lmdb),
    {ok, Store} = hyper_lmdb:start(Options),
    Acked = counters:new(1, []),
    [spawn(fun() -> writer(Store, W, Acked) end) || W <- lists:seq(1, Writers)],
    receive after Milliseconds -> ok end,
    ok = test_store:wait_until(fun() -> counters:get(Acked, 1) > ?FEW end),
    leave(WayOut, Store).

writer(Store, Writer, Acked) -> writer(Store, Writer, 0, Acked, child_vm:writer("/dev/stdout")).

writer(Store, Writer, Number, Acked, Say) ->
    Key = key(Writer, Number),
    case hyper_lmdb:put(Store, Key, Key) of
        ok ->
            Say(["ack ", integer_to_list(Writer), $ , integer_to_list(Number)]),
            counters:add(Acked, 1, 1),
            writer(Store, Writer, Number + 1, Acked, Say);
        {error, closed} -> gone;
        Error -> Say(io_lib:format("unexpected ~0p", [Error]))
    end.

leave(init_stop, _) -> init:stop();
leave(halt, _) -> erlang:halt(0);
leave(halt_without_flush, _) -> erlang:halt(0, [{flush, false}]);
leave(application_stop, _) -> ok = application:stop(hyper_lmdb), erlang:halt(0);
leave(stop, Store) -> ok = hyper_lmdb:stop(Store), erlang:halt(0);
leave(sigterm, _) -> os:cmd("kill -TERM " ++ os:getpid()).

%% The writes among the lines of a child, and the lines that are none.
acknowledged(Lines) ->
    lists:foldl(fun(Line, {Acks, Others}) ->
        case string:lexemes(Line, " ") of
            ["ack", Writer, Number] -> {[{list_to_integer(Writer), list_to_integer(Number)} | Acks], Others};
            _ -> {Acks, [Line | Others]}
        end
    end, {[], []}, Lines).
