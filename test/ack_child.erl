%% @doc A VM under write load that prints `ack WRITER NUMBER` after each acknowledged write.
-module(ack_child).
-export([load/1, key/2, acknowledged/1]).

key(Writer, Number) -> <<"writer ", Writer:16, Number:32>>.

%% Runs in the child: load for a while, then the way out that was asked for.
load(#{options := Options, writers := Writers, milliseconds := Milliseconds, way_out := WayOut}) ->
    %% Notes of the VM about its own end are no findings.
    ok = logger:set_primary_config(level, error),
    {ok, _} = application:ensure_all_started(hyper_lmdb),
    {ok, Store} = hyper_lmdb:start(Options),
    [spawn(fun() -> writer(Store, W) end) || W <- lists:seq(1, Writers)],
    receive after Milliseconds -> leave(WayOut, Store) end.

writer(Store, Writer) -> writer(Store, Writer, 0, child_vm:writer("/dev/stdout")).

writer(Store, Writer, Number, Say) ->
    Key = key(Writer, Number),
    case hyper_lmdb:put(Store, Key, Key) of
        ok ->
            Say(["ack ", integer_to_list(Writer), $ , integer_to_list(Number)]),
            writer(Store, Writer, Number + 1, Say);
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
