%% @doc A process that owns a store for a supervisor: starts it, and stops it when it ends.
%% @private
-module(hyper_lmdb_owner).

-behaviour(gen_server).

-export([start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, terminate/2]).

-spec start_link(hyper_lmdb:options()) -> {ok, pid()} | {error, hyper_lmdb:reason()}.
start_link(Options) ->
    gen_server:start_link(?MODULE, Options, []).

init(Options) ->
    process_flag(trap_exit, true),
    case hyper_lmdb:start(Options) of
        {ok, Store} -> {ok, Store};
        {error, Reason} -> {stop, Reason}
    end.

handle_call(_Request, _From, Store) ->
    {reply, {error, unknown_call}, Store}.

handle_cast(_Request, Store) ->
    {noreply, Store}.

terminate(_Reason, Store) ->
    case hyper_lmdb:stop(Store) of
        ok -> ok;
        {error, closed} -> ok; % somebody else stopped it
        {error, Reason} -> exit({stop_failed, Reason})
    end.
