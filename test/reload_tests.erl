%% @doc Loading the modules again, under load and at rest: open stores stay open.
%% Each runs in a VM of its own, whose code may be thrown about.
-module(reload_tests).
-include_lib("eunit/include/eunit.hrl").

-define(MODULES, [hyper_lmdb_nif, hyper_lmdb]).
-define(RELOADS, 100).

all_test_() ->
    [test_store:each_mode(Title, 240, fun(Mode) -> in_peer(Mode, Fun) end)
     || {Title, Fun} <- [{"load_file under load", fun under_load/2}, {"purge and load", fun purge_and_load/2},
                         {"delete, purge, load", fun delete_and_load/2}, {"delete and use", fun delete_and_use/2},
                         {"soft_purge", fun soft_purge/2}, {"old handles and new ones", fun old_and_new/2},
                         {"the library is let go of", fun after_stop/2},
                         {"another file of the library", fun another_file/2}]].

in_peer(Mode, Fun) ->
    test_store:with_dir(fun(Dir) ->
        Peer = child_vm:start_peer([]),
        Options = #{name => Dir, durability => Mode},
        try
            child_vm:call(Peer, fun() -> {ok, S} = hyper_lmdb:start(Options), Fun(S, Options) end),
            child_vm:stop_peer(Peer)
        after
            child_vm:kill_peer(Peer)
        end
    end).

works(S) ->
    Value = term_to_binary(make_ref()),
    ?assertEqual(ok, hyper_lmdb:put(S, <<"works">>, Value)),
    ?assertEqual({ok, Value}, hyper_lmdb:get(S, <<"works">>)),
    ?assertEqual(ok, hyper_lmdb:batch_write(S, [{check, <<"works">>, Value}, {delete, <<"works">>}])),
    ?assertMatch({ok, [{_, not_found}]}, hyper_lmdb:read_many(S, [<<"works">>])).

%% Loads once no process is in the old code any more; nobody is killed for it.
reload(Module) ->
    ok = test_store:wait_until(fun() -> code:soft_purge(Module) end),
    ?assertEqual({module, Module}, code:load_file(Module)).

under_load(S, _) ->
    Stop = atomics:new(1, []),
    Callers = [test_store:spawn_call(fun() -> work(S, <<I>>, Stop, 0) end) || I <- lists:seq(1, 8)],
    [reload(Module) || _ <- lists:seq(1, ?RELOADS), Module <- ?MODULES],
    atomics:put(Stop, 1, 1),
    Done = test_store:gather(Callers),
    ?assert(lists:min(Done) > 0),
    [?assertEqual({ok, <<(Count - 1):64>>}, hyper_lmdb:get(S, <<I>>)) || {I, Count} <- lists:zip(lists:seq(1, 8), Done)].

work(S, Key, Stop, Count) ->
    ok = hyper_lmdb:put(S, Key, <<Count:64>>),
    {ok, <<Count:64>>} = hyper_lmdb:get(S, Key),
    {ok, [{Key, {ok, _}}]} = hyper_lmdb:read_many(S, [Key]),
    case atomics:get(Stop, 1) of
        0 -> work(S, Key, Stop, Count + 1);
        1 -> Count + 1
    end.

purge_and_load(S, _) ->
    [begin
         _ = code:purge(Module),
         {module, Module} = code:load_file(Module),
         works(S)
     end || _ <- lists:seq(1, ?RELOADS), Module <- ?MODULES],
    still_one_store(S).

still_one_store(S) ->
    ?assertEqual({ok, S}, hyper_lmdb:start(#{name => test_store:info(S, name)})).

%% Without any copy of the module handles are plain references; the stores stay open by name.
delete_and_load(S, #{name := Name}) ->
    [begin
         _ = code:purge(Module),
         true = code:delete(Module),
         _ = code:purge(Module),
         {module, Module} = code:load_file(Module),
         works_by_name(S, Name)
     end || _ <- lists:seq(1, ?RELOADS), Module <- ?MODULES].

%% The next call loads the module by itself.
delete_and_use(S, #{name := Name}) ->
    [begin
         [begin _ = code:purge(Module), true = code:delete(Module), _ = code:purge(Module) end || Module <- ?MODULES],
         works_by_name(S, Name)
     end || _ <- lists:seq(1, ?RELOADS)].

works_by_name(Old, Name) ->
    works(#{name => Name}),
    {ok, S} = hyper_lmdb:start(#{name => Name}),
    works(S),
    ok = hyper_lmdb:put(S, <<"k">>, Name),
    ?assert(lists:member(catch_badarg(fun() -> hyper_lmdb:get(Old, <<"k">>) end), [badarg, {ok, Name}])).

catch_badarg(Fun) -> try Fun() catch error:badarg -> badarg end.

soft_purge(S, _) ->
    [begin
         ?assert(code:soft_purge(Module)),
         {module, Module} = code:load_file(Module),
         works(S),
         ?assert(code:soft_purge(Module)),
         works(S)
     end || _ <- lists:seq(1, ?RELOADS), Module <- ?MODULES],
    still_one_store(S).

old_and_new(S, Options) ->
    Other = Options#{name => <<(maps:get(name, Options))/binary, "/other">>},
    [begin
         [reload(Module) || Module <- ?MODULES],
         {ok, New} = hyper_lmdb:start(Other),
         works(New),
         works(S),
         ok = hyper_lmdb:stop(New),
         [reload(Module) || Module <- ?MODULES],
         ?assertEqual({error, closed}, hyper_lmdb:get(New, <<"k">>)),
         works(S)
     end || _ <- lists:seq(1, 20)].

%% Stores that ended before a reload are ended after it, and start again.
after_stop(S, Options) ->
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    ok = hyper_lmdb:stop(S),
    [begin _ = code:purge(M), true = code:delete(M), _ = code:purge(M), {module, M} = code:load_file(M) end || M <- ?MODULES],
    ?assert(lists:member(catch_badarg(fun() -> hyper_lmdb:get(S, <<"k">>) end), [badarg, {error, closed}])),
    ?assertEqual({error, not_started}, hyper_lmdb:get(#{name => maps:get(name, Options)}, <<"k">>)),
    {ok, S2} = hyper_lmdb:start(Options),
    ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S2, <<"k">>)),
    ok = hyper_lmdb:stop(S2).

%% A library that was built anew is another file, with variables of its own: what the copy before had
%% counted was taken off another number, and stores got 512 MiB in place of a tebibyte from then on.
another_file(S, Options = #{name := Name}) ->
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    #{capacity := Capacity, map_bytes := Map} = info(S),
    Sizes = [begin
        load_from(binary_to_list(Name) ++ "/copy-" ++ [Copy]),
        works(#{name => Name}),
        ok = hyper_lmdb:stop(#{name => Name}),
        {ok, Again} = hyper_lmdb:start(Options),
        ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(Again, <<"k">>)),
        ok = hyper_lmdb:stop(Again),
        {ok, _} = hyper_lmdb:start(Options),
        maps:with([capacity, map_bytes], info(#{name => Name}))
    end || Copy <- "12"],
    ?assertEqual([#{capacity => Capacity, map_bytes => Map}], lists:usort(Sizes)).

info(Store) -> {ok, Info} = hyper_lmdb:info(Store), Info.

%% Copies the application and loads its modules from there.
load_from(Dir) ->
    From = filename:dirname(filename:dirname(code:which(hyper_lmdb_nif))),
    To = filename:join(Dir, "hyper_lmdb"),
    [begin
         ok = filelib:ensure_dir(filename:join(To, File)),
         {ok, _} = file:copy(filename:join(From, File), filename:join(To, File))
     end || File <- ["priv/hyper_lmdb_nif.so" | ["ebin/" ++ filename:basename(Beam) || Beam <- filelib:wildcard(filename:join(From, "ebin/*"))]]],
    true = code:replace_path(hyper_lmdb, filename:join(To, "ebin")),
    [reload(Module) || Module <- ?MODULES],
    {ok, Maps} = file:read_file("/proc/self/maps"),
    ?assertNotEqual(nomatch, binary:match(Maps, list_to_binary(filename:join(To, "priv/hyper_lmdb_nif.so")))).
