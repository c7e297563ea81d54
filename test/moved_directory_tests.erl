%% @doc Directories that are renamed, switched, taken or removed under a running store: a store is its
%% directory, whatever that is called, and nobody else's files are touched.
-module(moved_directory_tests).
-include_lib("eunit/include/eunit.hrl").

-define(WRITES, 200).
-define(CAPACITY, 1 bsl 26). % a map_async file is read whole here

all_test_() ->
    test_store:each_mode("a link that is switched while the store is open", 120, fun switched_link/1)
    ++ test_store:each_mode("a renamed directory whose name another store takes", 240, fun taken_name/1)
    ++ test_store:each_mode("a directory that is removed", 120, fun removed/1)
    ++ test_store:each_mode("one data file in two directories", 120, fun one_data_file/1)
    ++ test_store:each_mode("a stop without the data file", 120, fun stopped_without/1)
    ++ [test_store:in_dir("a journal file that is removed", fun removed_journal/1)].

%% A deployment switched the link to the directory: what was written from then on went into a journal
%% in the other directory, and after a kill the synced writes were gone.
switched_link(Mode) ->
    test_store:with_dir(fun(Base) ->
        [Old, New] = [<<Base/binary, "/", Name/binary>> || Name <- [<<"old">>, <<"new">>]],
        ok = filelib:ensure_path(Old),
        ok = file:make_symlink("old", <<Base/binary, "/current">>),
        Name = <<Base/binary, "/current/store">>,
        child_vm:in_killed_vm(#{name => <<New/binary, "/store">>, durability => Mode, capacity => ?CAPACITY}, fun(S) ->
            ok = write(S, <<"new">>, 1),
            ok = hyper_lmdb:sync(S)
        end),
        Before = fingerprint(New),
        child_vm:in_killed_vm(#{name => Name, durability => Mode, capacity => ?CAPACITY, write_buffer_bytes => 1 bsl 16}, fun(S) ->
            ok = write(S, <<"old">>, 1),
            ok = file:delete(<<Base/binary, "/current">>),
            ok = file:make_symlink("new", <<Base/binary, "/current">>),
            ok = write(S, <<"old">>, 2),
            ok = hyper_lmdb:sync(S)
        end),
        ?assertEqual(Before, fingerprint(New)),
        S = test_store:start_ok(#{name => <<Old/binary, "/store">>, durability => Mode, capacity => ?CAPACITY}),
        ?assertEqual(ok, holds(S, <<"old">>, 2)),
        S2 = test_store:start_ok(#{name => Name, durability => Mode, capacity => ?CAPACITY}),
        ?assertEqual(ok, holds(S2, <<"new">>, 1))
    end).

%% The store that had been moved removed the journal of the one that had its name by now, whichever
%% was stopped first.
taken_name(Mode) ->
    [test_store:with_dir(fun(Base) ->
        [Name, Moved] = [<<Base/binary, "/", N/binary>> || N <- [<<"name">>, <<"moved">>]],
        child_vm:in_killed_vm(#{name => Name, durability => Mode, capacity => ?CAPACITY}, fun(First) ->
            ok = write(First, <<"first">>, 1),
            ok = file:rename(Name, Moved),
            {ok, Second} = hyper_lmdb:start(#{name => Name, durability => Mode, capacity => ?CAPACITY}),
            ok = write(Second, <<"second">>, 1),
            ok = write(First, <<"first">>, 2),
            [ok = hyper_lmdb:sync(S) || S <- [First, Second]],
            [ok = hyper_lmdb:stop(S) || {one, S} <- [{Stop, First}]],
            [ok = hyper_lmdb:stop(S) || {other, S} <- [{Stop, Second}]]
        end),
        S = test_store:start_ok(#{name => Moved, durability => Mode, capacity => ?CAPACITY}),
        ?assertEqual({Stop, ok}, {Stop, holds(S, <<"first">>, 2)}),
        S2 = test_store:start_ok(#{name => Name, durability => Mode, capacity => ?CAPACITY}),
        ?assertEqual({Stop, ok}, {Stop, holds(S2, <<"second">>, 1)}),
        ?assertEqual({Stop, not_found}, {Stop, hyper_lmdb:get(S2, <<"first", 1:32>>)})
     end) || Stop <- [one, other, none]].

%% Writes into a directory that had been removed were answered `ok'.
removed(Mode) ->
    test_store:with_dir(fun(Base) ->
        Name = <<Base/binary, "/store">>,
        S = test_store:start_ok(#{name => Name, durability => Mode, capacity => ?CAPACITY}),
        ok = write(S, <<"k">>, 1),
        ok = hyper_lmdb:sync(S),
        ok = file:del_dir_r(Name),
        ok = test_store:wait_until(fun() -> hyper_lmdb:put(S, <<"k">>, <<>>) =/= ok end),
        Gone = {error, no_such_directory},
        [?assertEqual({I, Gone}, {I, Write()})
         || {I, Write} <- lists:enumerate([fun() -> hyper_lmdb:put(S, <<"k">>, <<>>) end,
                                           fun() -> hyper_lmdb:delete(S, <<"k">>) end,
                                           fun() -> hyper_lmdb:put_new(S, <<"new">>, <<>>) end,
                                           fun() -> hyper_lmdb:write(S, <<"a/b">>, <<>>) end,
                                           fun() -> hyper_lmdb:make_link(S, <<"k">>, <<"l">>) end,
                                           fun() -> hyper_lmdb:batch_write(S, [{put, <<"k">>, <<>>}]) end,
                                           fun() -> hyper_lmdb:delete_prefix(S, <<"k">>) end,
                                           fun() -> hyper_lmdb:reset(S) end,
                                           fun() -> hyper_lmdb:sync(S) end])],
        %% What was read goes on being read, and a new store may have the name.
        ?assertEqual(ok, holds(S, <<"k">>, 1)),
        S2 = test_store:start_ok(#{name => Name, durability => Mode, capacity => ?CAPACITY}),
        ok = write(S2, <<"again">>, 1),
        _ = hyper_lmdb:stop(S),
        ?assertEqual({error, closed}, hyper_lmdb:get(S, <<"k">>)),
        S3 = test_store:restart(S2, #{name => Name, durability => Mode, capacity => ?CAPACITY}),
        ?assertEqual(ok, holds(S3, <<"again">>, 1))
    end).

%% Two directories that showed one data file both started, and each overwrote what the other wrote.
one_data_file(Mode) ->
    test_store:with_dir(fun(Base) ->
        [A, B, C] = [<<Base/binary, "/", Name/binary>> || Name <- [<<"a">>, <<"b">>, <<"c">>]],
        S = test_store:start_ok(#{name => A, durability => Mode, capacity => ?CAPACITY}),
        [ok = file:make_dir(Dir) || Dir <- [B, C]],
        ok = file:make_symlink("../a/data.mdb", <<B/binary, "/data.mdb">>),
        ok = file:make_link(<<A/binary, "/data.mdb">>, <<C/binary, "/data.mdb">>),
        [begin
             ?assertEqual({error, already_open}, test_store:start(#{name => Dir, durability => Mode, capacity => ?CAPACITY})),
             ?assertEqual({error, already_open}, test_store:start(#{name => Dir, read_only => true})),
             ?assertEqual({error, already_open}, child_vm_start(#{name => Dir, durability => Mode, capacity => ?CAPACITY}))
         end || Dir <- [B, C]],
        ok = write(S, <<"k">>, 1),
        ok = hyper_lmdb:stop(S),
        S2 = test_store:start_ok(#{name => B, durability => Mode, capacity => ?CAPACITY}),
        ?assertEqual(ok, holds(S2, <<"k">>, 1)),
        ?assertEqual({error, already_open}, test_store:start(#{name => A, durability => Mode, capacity => ?CAPACITY}))
    end).

%% A journal file that something else removed: writes say so until LMDB has what it held, and then go
%% on. They were answered `ok' and lost with a kill; then a store whose file was gone when it was to be
%% removed took no more writes at all.
removed_journal(Dir) ->
    child_vm:in_killed_vm(#{name => Dir}, fun(S) ->
        ok = hyper_lmdb:put(S, <<"before">>, <<"1">>),
        ok = hyper_lmdb:sync(S),
        [_ | _] = Journal = test_store:journal(Dir),
        [ok = file:delete(filename:join(Dir, File)) || File <- Journal],
        ok = test_store:wait_until(fun() -> hyper_lmdb:put(S, <<"k">>, <<"v">>) =:= {error, no_such_directory} end),
        ok = test_store:wait_until(fun() -> hyper_lmdb:put(S, <<"after">>, <<"2">>) =:= ok end),
        ok = hyper_lmdb:sync(S)
    end),
    S = test_store:start_ok(#{name => Dir}),
    ?assertEqual([{ok, <<"1">>}, {ok, <<"2">>}], [hyper_lmdb:get(S, K) || K <- [<<"before">>, <<"after">>]]).

%% `stop' of a store whose data file was gone was `ok'.
stopped_without(Mode) ->
    test_store:with_dir(fun(Base) ->
        [begin
             Name = <<Base/binary, "/", (atom_to_binary(What))/binary>>,
             S = test_store:start_ok(#{name => Name, durability => Mode, capacity => ?CAPACITY}),
             ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
             ok = hyper_lmdb:sync(S),
             ok = case What of
                      directory -> file:del_dir_r(Name);
                      removed -> file:delete(<<Name/binary, "/data.mdb">>);
                      moved -> file:rename(<<Name/binary, "/data.mdb">>, <<Name/binary, "/elsewhere">>)
                  end,
             ?assertEqual({What, {error, no_such_directory}}, {What, hyper_lmdb:sync(S)}),
             ?assertEqual({What, {error, no_such_directory}}, {What, hyper_lmdb:stop(S)})
         end || What <- [directory, removed, moved]]
    end).

write(S, Prefix, Value) ->
    [ok = hyper_lmdb:put(S, <<Prefix/binary, I:32>>, <<Value:800/unit:8>>) || I <- lists:seq(1, ?WRITES)],
    ok.

holds(S, Prefix, Value) ->
    Missing = [I || I <- lists:seq(1, ?WRITES), hyper_lmdb:get(S, <<Prefix/binary, I:32>>) =/= {ok, <<Value:800/unit:8>>}],
    case Missing of
        [] -> ok;
        _ -> {missing, length(Missing)}
    end.

child_vm_start(Options) ->
    Peer = child_vm:start_peer([]),
    try child_vm:call(Peer, fun() -> hyper_lmdb:start(Options) end) after child_vm:kill_peer(Peer) end.

%% Every file below a directory, and what is in it.
fingerprint(Dir) ->
    filelib:fold_files(Dir, "", true, fun(File, Sofar) ->
        {ok, Bytes} = file:read_file(File),
        [{File, erlang:md5(Bytes)} | Sofar]
    end, []).
