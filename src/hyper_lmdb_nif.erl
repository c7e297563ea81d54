%% @doc The NIF's functions, one to one. No function here raises for what it is given: a wrong type
%% is `{badarg, Position}', a write that would have to wait is `queue'.
%% @private
-module(hyper_lmdb_nif).

-on_load(load/0).

-export([open/2, close/1, info/1, stores/0,
         get/2, exists/2, read_many/2,
         put/3, write/2, enqueue/4, enqueue_control/3]).

-nifs([open/2, close/1, info/1, stores/0,
       get/2, exists/2, read_many/2,
       put/3, write/2, enqueue/4, enqueue_control/3]).

-type badarg() :: {badarg, pos_integer()}.
-type error() :: {error, hyper_lmdb:reason()} | badarg().

load() ->
    erlang:load_nif(filename:join(priv_dir(), "hyper_lmdb_nif"), 0).

%% An application that is not on the code path as such still has its priv beside its ebin.
priv_dir() ->
    case code:priv_dir(hyper_lmdb) of
        {error, bad_name} ->
            filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
        Dir ->
            Dir
    end.

-spec open(binary(), [{atom(), term()}]) -> {ok, reference()} | error().
open(_Name, _Options) -> erlang:nif_error(not_loaded).

-spec close(hyper_lmdb:store()) -> ok | error().
close(_Store) -> erlang:nif_error(not_loaded).

-spec info(hyper_lmdb:store()) -> {ok, map()} | error().
info(_Store) -> erlang:nif_error(not_loaded).

-spec stores() -> [reference()].
stores() -> erlang:nif_error(not_loaded).

-spec get(hyper_lmdb:store(), binary()) -> {ok, binary()} | not_found | error().
get(_Store, _Key) -> erlang:nif_error(not_loaded).

-spec exists(hyper_lmdb:store(), binary()) -> boolean() | error().
exists(_Store, _Key) -> erlang:nif_error(not_loaded).

-spec read_many(hyper_lmdb:store(), [binary()]) ->
          {ok, [{binary(), {ok, binary()} | not_found | {error, hyper_lmdb:reason()}}]} | error().
read_many(_Store, _Keys) -> erlang:nif_error(not_loaded).

-spec put(hyper_lmdb:store(), binary(), binary()) -> ok | queue | error().
put(_Store, _Key, _Value) -> erlang:nif_error(not_loaded).

-spec write(hyper_lmdb:store(), [hyper_lmdb:op()]) -> ok | queue | error().
write(_Store, _Ops) -> erlang:nif_error(not_loaded).

%% The reply comes as `{Ref, ok | {error, Reason}}'; after `{wait, Ticket}' first `{Ref, go}', and
%% then the call is made again with the ticket.
-spec enqueue(hyper_lmdb:store(), [hyper_lmdb:op()], reference(), none | reference()) ->
          queued | {wait, reference()} | error().
enqueue(_Store, _Ops, _Ref, _Ticket) -> erlang:nif_error(not_loaded).

-spec enqueue_control(hyper_lmdb:store(), reset | sync, reference()) -> queued | error().
enqueue_control(_Store, _What, _Ref) -> erlang:nif_error(not_loaded).
