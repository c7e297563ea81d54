%% @doc The application: stopping it stops every store of the node.
%% @private
-module(hyper_lmdb_app).

-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1, init/1]).

start(_Type, _Args) ->
    supervisor:start_link({local, hyper_lmdb_sup}, ?MODULE, []).

%% After the supervisor has gone, so that nothing of ours is still using a store.
stop(_State) ->
    lists:foreach(
      fun(Store) ->
              case hyper_lmdb:stop(Store) of
                  ok -> ok;
                  {error, closed} -> ok;
                  {error, Reason} ->
                      logger:error("hyper_lmdb: a store did not stop cleanly: ~ts",
                                   [hyper_lmdb:format_error(Reason)])
              end
      end, hyper_lmdb_nif:stores()).

init([]) ->
    {ok, {#{}, []}}.
