%% @doc Every exported function, every argument, every nasty term: the answer is a documented one or
%% badarg; nothing hangs, and neither atoms nor file descriptors are left behind.
-module(bad_input_matrix_tests).
-include_lib("eunit/include/eunit.hrl").

-define(HANG_MS, 5000).
-define(HUGE_HANG_MS, 120000).

all_test_() ->
    [test_store:titled("the API, open store", 600, fun() -> api_matrix(open) end),
     test_store:titled("the API, closed store", 600, fun() -> api_matrix(closed) end),
     test_store:titled("options of start", 600, fun option_matrix/0),
     test_store:titled("lists of ten million", 600, fun huge_terms/0),
     test_store:titled("the NIF itself", 600, fun nif_matrix/0),
     test_store:titled("the matrix knows every function", fun complete/0),
     test_store:titled("the matrix can fail", fun negative_control/0)].

%% Good arguments for every function of the API; start and child_spec have a test of their own.
functions(S) ->
    [{Name, [S | Args]} || {Name, Args} <- test_terms:calls()]
    ++ [{init, []}, {scope, []}, {scope, [S]}, {format_error, [closed]}, {start, [#{}]}, {child_spec, [#{}]},
        {path, [S, <<"k">>]}, {add_path, [S, <<"k">>, <<"l">>]}].

%% A batch takes one commit only, so each call has one of its own.
batch_functions() ->
    [{batch_write, [<<"k">>, <<"v">>]}, {batch_make_group, [<<"k">>]}, {batch_make_link, [<<"k">>, <<"l">>]},
     {commit_batch, []}].

complete() ->
    Known = [{Name, length(Args)} || {Name, Args} <- functions(store)]
        ++ [{Name, 1 + length(Args)} || {Name, Args} <- batch_functions()],
    Exported = [F || {Name, _} = F <- hyper_lmdb:module_info(exports), Name =/= module_info],
    %% format_error/2 is what the shell calls with a stack trace, not for users.
    ?assertEqual([], Exported -- [{format_error, 2} | Known]).

api_matrix(State) ->
    in_matrix(fun(S, Nasty) ->
        State =:= closed andalso (ok = hyper_lmdb:stop(S)),
        [{{Name, Position, Term}, Make, fun(Made) -> call(Name, replace(Position, Made, Args)) end}
         || {Name, Args} <- functions(S), Position <- lists:seq(1, length(Args)),
            {Term, Make} <- Nasty ++ element_terms(Name, Position, Nasty)]
        ++ [{{Name, Position, Term}, Make, fun(Made) -> call_batch(S, Name, replace(Position, Made, [batch | Args])) end}
            || {Name, Args} <- batch_functions(), Position <- lists:seq(1, 1 + length(Args)), {Term, Make} <- Nasty]
    end).

%% A store that was started after all is stopped.
call(start, [Options]) -> test_store:with_dir(fun(_) -> test_store:start(Options) end);
%% One of the terms is a function that answers the snapshot it was given, which is over by then.
call(with_snapshot, [S, Fun]) ->
    case hyper_lmdb:with_snapshot(S, Fun) of
        Snapshot when is_reference(Snapshot) -> {error, snapshot_expired} = hyper_lmdb:get(Snapshot, <<"k">>);
        Result -> Result
    end;
call(Name, Args) -> apply(hyper_lmdb, Name, Args).

call_batch(S, Name, [batch | Args]) ->
    case hyper_lmdb:begin_batch(S) of
        {ok, Batch} ->
            Added = apply(hyper_lmdb, Name, [Batch | Args]),
            {ok, _} = {ok, hyper_lmdb:commit_batch(Batch)},
            Added;
        Error -> Error
    end;
call_batch(_, Name, Args) -> apply(hyper_lmdb, Name, Args).

%% For functions that take lists: each term as an element, and inside an element.
element_terms(batch_write, 2, Nasty) ->
    [{{Shape, Term}, fun() -> [{put, <<"a">>, <<"b">>}, Wrap(Make())] end}
     || {Term, Make} <- Nasty,
        {Shape, Wrap} <- [{element, fun(T) -> T end}, {put_key, fun(T) -> {put, T, <<"v">>} end},
                          {put_value, fun(T) -> {put, <<"k">>, T} end},
                          {delete, fun(T) -> {delete, T} end}, {group, fun(T) -> {group, T} end},
                          {target, fun(T) -> {link, T, <<"l">>} end}, {link, fun(T) -> {link, <<"k">>, T} end},
                          {check_key, fun(T) -> {check, T, absent} end},
                          {check_value, fun(T) -> {check, <<"k">>, T} end},
                          {tag, fun(T) -> {T, <<"k">>, <<"v">>} end}]];
element_terms(ReadMany, 2, Nasty) when ReadMany =:= read_many; ReadMany =:= read_many_fast;
                                         ReadMany =:= prefetch ->
    [{{Shape, Term}, fun() -> Wrap(Make()) end}
     || {Term, Make} <- Nasty,
        {Shape, Wrap} <- [{element, fun(T) -> [<<"a">>, T, <<"b">>] end},
                          {tail, fun(T) -> [<<"a">> | T] end},
                          {in_a_key, fun(T) -> [[<<"a">>, T]] end}]];
element_terms(range, 2, Nasty) ->
    [{{Key, Term}, fun() -> #{Key => Make()} end}
     || {Term, Make} <- Nasty, Key <- [prefix, from, to, <<"continue">>, reverse, limit, keys_only, records]];
element_terms(_, 3, Nasty) ->
    [{{Key, Term}, fun() -> #{Key => Make()} end} || {Term, Make} <- Nasty, Key <- [limit, cursor, <<"return_cursor">>, reverse, compact]];
element_terms(_, _, _) -> [].

option_matrix() ->
    Options = [name, durability, capacity, write_buffer_bytes, sync_interval_ms, on_unclean,
               max_value_bytes, max_batch_bytes, max_readers, checksum, read_only, shared,
               no_readahead, force, no_sync, map_async, map_size, no_lock, no_meta_sync, no_tls,
               max_dbs, path_cache_entries, max_snapshot_age_ms, compression, page_size, no_such_option],
    in_matrix(fun(_, Nasty) ->
        [{{start, Key, Term}, Make,
          fun(Made) ->
              test_store:with_dir(fun(Dir) -> test_store:start(maps:put(Key, Made, #{name => Dir})) end)
          end}
         || Key <- Options ++ [<<"name">>, <<"durability">>, <<"capacity">>, <<"checksum">>, <<"map_size">>],
            {Term, Make} <- Nasty]
    end).

huge_terms() ->
    in_matrix(?HUGE_HANG_MS, fun(S, _) ->
        [{{Name, last, Term}, Make,
          fun(Made) ->
              case Name of
                  format_error -> hyper_lmdb:format_error(Made);
                  _ -> apply(hyper_lmdb, Name, [S, Made])
              end
          end}
         || {Names, Term, Make} <- test_terms:huge(), Name <- Names]
    end).

%% Here any exception will do: nobody calls these but our own module.
nif_matrix() ->
    test_store:with_store(fun(S) ->
        %% What a handle looks like to the NIF is its own affair: both forms stand first.
        Functions = [F || {Name, _} = F <- hyper_lmdb_nif:module_info(exports),
                          not lists:member(Name, [module_info, on_load, load, init])],
        ?assert(Functions =/= []),
        with_nasty(fun(Nasty) ->
            [watched(Make, fun(Made) -> catch apply(hyper_lmdb_nif, Name, nif_args(S, Arity, Position, Made)) end,
                     ?HANG_MS)
             || {Name, Arity} <- Functions, Position <- lists:seq(1, Arity), {_, Make} <- Nasty]
        end)
    end),
    test_store:with_store(fun(S) -> ?assertEqual(ok, hyper_lmdb:put(S, <<"k">>, <<"v">>)) end).

nif_args(S, Arity, Position, Term) ->
    Good = lists:sublist([S, <<"k">>, <<"v">>] ++ lists:duplicate(Arity, <<"k">>), Arity),
    replace(Position, Term, Good).

%% A finding must fail the run.
negative_control() ->
    Watched = fun(Fun, Limit) -> verdict(watched(fun() -> made end, Fun, Limit)) end,
    [?assertMatch({bad, _}, Watched(Fun, ?HANG_MS))
     || Fun <- [fun(made) -> {error, eperm} end, fun(made) -> error(function_clause) end,
                fun(made) -> exit(self(), kill), receive never -> ok end end, fun(made) -> undocumented end]],
    ?assertEqual({bad, hang}, Watched(fun(made) -> receive never -> ok end end, 10)).

%% -- machinery -----------------------------------------------------------------------------------

in_matrix(MakeCases) -> in_matrix(?HANG_MS, MakeCases).

in_matrix(Limit, MakeCases) ->
    test_store:with_store(fun(S) ->
        {ok, Options} = hyper_lmdb:info(S),
        Name = iolist_to_binary([maps:get(name, Options)]),
        with_nasty(fun(Nasty) ->
            Cases = MakeCases(S, Nasty),
            Run = fun({_, Make, Call}) ->
                Verdict = verdict(watched(Make, Call, Limit)),
                {ok, _} = hyper_lmdb:start(#{name => Name}),
                Verdict
            end,
            %% What the first calls make for good (atoms of modules, pools) does not count.
            _ = [watched(Make, fun(_) -> ok end, Limit) || {_, Make} <- Nasty],
            _ = [Run(Case) || {{_, _, Term}, _, _} = Case <- Cases, lists:member(Term, [atom, zero, reference])],
            Before = resources(),
            Bad = [{Where, Why} || {Where, _, _} = Case <- Cases, {bad, Why} <- [Run(Case)]],
            [io:format(user, "~n  ~0p", [{B}]) || B <- lists:sublist(Bad, 20)],
            ?assertEqual([], Bad),
            ?assertEqual(Before, settled(Before)),
            ?assert(length(Cases) > 0)
        end),
        ok = hyper_lmdb:stop(#{name => Name})
    end).

with_nasty(Fun) ->
    test_store:with_dir(fun(Dir) ->
        Closed = test_store:with_store(fun(S) -> S end),
        %% Relative names end up here, not in the project.
        {ok, Cwd} = file:get_cwd(),
        ok = file:make_dir(Dir),
        ok = file:set_cwd(Dir),
        try Fun(test_terms:nasty(#{dir => Dir, closed => Closed}))
        after ok = file:set_cwd(Cwd)
        end
    end).

replace(Position, Term, Args) ->
    {Before, [_ | After]} = lists:split(Position - 1, Args),
    Before ++ [Term | After].

%% The outcome of Call(Make()) in a process of its own. Making the term takes as long as it takes.
watched(Make, Call, Limit) ->
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        Made = Make(),
        Self ! {made, self()},
        exit(try {returned, Call(Made)}
             catch Class:Reason:Stack -> {raised, Class, Reason, [{M, F} || {M, F, _, _} <- Stack]}
             end)
    end),
    receive {made, Pid} -> ok end,
    receive {'DOWN', Monitor, process, Pid, Outcome} -> Outcome
    after Limit ->
        exit(Pid, kill),
        receive {'DOWN', Monitor, process, Pid, _} -> hang end
    end.

verdict({returned, Result}) ->
    case documented(Result) of true -> fine; false -> {bad, {returned, Result}} end;
verdict({raised, error, badarg, _}) -> fine;
verdict(Other) -> {bad, Other}.

documented({error, Reason}) -> test_terms:is_reason(Reason);
documented({ok, _}) -> true;
documented(#{id := _, start := {_, _, _}}) -> true;
documented(Binary) when is_binary(Binary) -> true;
documented([_ | _] = Text) -> is_list(catch unicode:characters_to_list(Text));
documented({ok, Part, Next}) -> is_list(Part) andalso (Next =:= nil orelse Next =:= done orelse is_binary(Next));
documented(Result) -> lists:member(Result, [ok, not_found, true, false, local, simple, composite]).

resources() ->
    {ok, Fds} = file:list_dir("/proc/self/fd"),
    {erlang:system_info(atom_count), length(Fds)}.

%% Sockets of ports that are being closed may take a moment to go.
settled(Wanted) ->
    try test_store:wait_until(fun() -> resources() =:= Wanted end, 10000), Wanted
    catch error:waited_in_vain -> resources()
    end.
