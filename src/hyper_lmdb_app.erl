%% @doc The application: it does not start where the library cannot be loaded, and stopping it stops
%% every store of the node.
%% @private
-module(hyper_lmdb_app).

-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1, init/1, load/0]).

%% Ours, and those of OTP that ours call and a VM may not have loaded by itself.
-define(MODULES, [hyper_lmdb, hyper_lmdb_app, hyper_lmdb_args, hyper_lmdb_error, hyper_lmdb_nif,
                  hyper_lmdb_options, hyper_lmdb_owner, binary, filename, gen_server, io_lib, logger,
                  proplists, string, supervisor, unicode]).

start(_Type, _Args) ->
    case load() of
        ok -> supervisor:start_link({local, hyper_lmdb_sup}, ?MODULE, []);
        {error, _} = Error -> Error
    end.

%% @doc Loads all modules now: one that is loaded by the first call that needs it cannot be where
%% descriptors have run out by then, and a library that is missing shows in each call as `undef'.
-spec load() -> ok | {error, {load_failed, string()}}.
load() ->
    case lists:all(fun erlang:module_loaded/1, ?MODULES) orelse code:ensure_modules_loaded(?MODULES) of
        true ->
            ok;
        ok ->
            %% With what a term is printed differs from one OTP to the next.
            _ = io_lib:format("~0tP", [{a, <<"b">>, 1.0, #{"c" => fun lists:map/2}}, 30]),
            ok;
        {error, Modules} ->
            Why = case lists:keyfind(hyper_lmdb_nif, 1, Modules) of
                      {_, on_load_failure} -> persistent_term:get({hyper_lmdb_nif, load_error});
                      _ -> io_lib:format("~0tp", [Modules])
                  end,
            {error, {load_failed, lists:flatten([Why, package(Why)])}}
    end.

%% What brings a library that is missing.
package(Why) ->
    Known = [{"liblmdb", "liblmdb0", "lmdb"}, {"liblz4", "liblz4-1", "lz4"}, {"libzstd", "libzstd1", "zstd"}],
    case [Found || {Library, _, _} = Found <- Known, string:find(Why, Library) =/= nomatch] of
        [{Library, OnDebian, OnMac} | _] ->
            ["; ", Library, " is missing: install it (Debian: apt-get install ", OnDebian,
             ", macOS: brew install ", OnMac, ")"];
        [] ->
            ""
    end.

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
