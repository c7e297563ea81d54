%% @doc A process that owns a store for a supervisor: starts it, and stops it when it ends.
%% @private
-module(hyper_lmdb_owner).

-behaviour(gen_server).

-export([start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-spec start_link(hyper_lmdb:options()) -> {ok, pid()} | {error, hyper_lmdb:reason()}.
start_link(Options) ->
    gen_server:start_link(?MODULE, Options, []).

init(Options) ->
    process_flag(trap_exit, true),
    case hyper_lmdb:start(Options) of
        {ok, Store} -> watch(Store, Options);
        {error, Reason} -> {stop, Reason}
    end.

watch(Store, Options) ->
    Ref = make_ref(),
    case hyper_lmdb_nif:watch(Store, Ref) of
        ok -> {ok, {Store, Ref}};
        {error, closed} -> init(Options); % stopped by somebody else since
        {error, Reason} -> {stop, Reason}
    end.

handle_call(_Request, _From, State) ->
    {reply, {error, unknown_call}, State}.

handle_cast(_Request, State) ->
    {noreply, State}.

%% Somebody else stopped the store: the supervisor has to know, and starts it again.
handle_info({Ref, {error, closed}}, {_, Ref} = State) ->
    {stop, closed, State};
handle_info(_Message, State) ->
    {noreply, State}.

terminate(_Reason, {Store, _}) ->
    case hyper_lmdb:stop(Store) of
        ok -> ok;
        {error, closed} -> ok; % somebody else stopped it
        {error, Reason} -> exit({stop_failed, Reason})
    end.
