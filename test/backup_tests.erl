%% @doc backup/2,3: a copy of a running store in one file, and a store started from it.
-module(backup_tests).
-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/file.hrl").

all_test_() ->
    [test_store:in_each_mode("a copy starts in every mode, as a store of its own", fun starts/2),
     test_store:in_each_mode("twenty copies under full load", #{write_buffer_bytes => 1 bsl 20}, fun under_load/2),
     test_store:in_each_mode("a copy has no free pages, with and without compact", fun compact/2),
     test_store:in_each_mode("a snapshot, while writes go on", #{write_buffer_bytes => 1 bsl 20}, fun of_snapshot/2),
     test_store:in_each_mode("a snapshot that ends meanwhile", fun snapshot_ends/2),
     test_store:in_each_mode("past the age of snapshots", #{max_snapshot_age_ms => 1}, fun outlives_snapshots/2),
     test_store:in_each_mode("a target on another file system", fun elsewhere/2),
     test_store:in_each_mode("targets", fun targets/2),
     test_store:in_each_mode("forms of the arguments", fun forms/2),
     test_store:in_each_mode("one at a time", fun one_at_a_time/2),
     test_store:in_each_mode("a caller that dies", fun caller_dies/2)].

starts(S, Dir) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"k", I:32>>, rand:bytes(100)} || I <- lists:seq(1, 5000)]),
    ok = hyper_lmdb:make_link(S, <<"group">>, <<"link">>),
    ok = hyper_lmdb:make_group(S, <<"marked">>),
    ok = hyper_lmdb:write(S, <<"link/x">>, <<"through">>),
    Contents = backup_copies:contents(S),
    File = <<Dir/binary, "/copy">>,
    ?assertEqual(ok, hyper_lmdb:backup(S, File)),
    ok = hyper_lmdb:put(S, <<"later">>, <<"not in it">>),
    {ok, #file_info{mode = Mode}} = file:read_file_info(File),
    ?assertEqual(8#600, Mode band 8#777),
    Id = test_store:info(S, store_id),
    [backup_copies:with_copy(File, Durability, fun(C) ->
         ?assertEqual(Contents, backup_copies:contents(C)),
         ?assertNotEqual(Id, test_store:info(C, store_id)),
         ?assertEqual({ok, <<"through">>}, hyper_lmdb:read(C, <<"link/x">>)),
         ?assertEqual(composite, hyper_lmdb:type(C, <<"marked">>)),
         ok = hyper_lmdb:put(C, <<"theirs">>, <<"1">>),
         C2 = test_store:restart(C, #{name => test_store:info(C, name), durability => Durability}),
         ?assertEqual({ok, <<"1">>}, hyper_lmdb:get(C2, <<"theirs">>)),
         ?assertEqual(not_found, hyper_lmdb:get(C2, <<"later">>))
     end) || Durability <- test_store:modes()],
    ?assertEqual(not_found, hyper_lmdb:get(S, <<"theirs">>)),
    ?assertEqual(length(Contents) + 1, test_store:count(S)).

under_load(S, Dir) ->
    {Acked, Writers} = backup_copies:start_writers(S),
    ok = test_store:wait_until(fun() -> lists:min(backup_copies:acked(Acked)) > 0 end),
    [begin
         File = <<Dir/binary, "/copy ", (integer_to_binary(I))/binary>>,
         Before = backup_copies:acked(Acked),
         Given = case I rem 2 of 0 -> S; 1 -> #{name => Dir} end,
         ?assertEqual(ok, hyper_lmdb:backup(Given, File, #{compact => I rem 4 < 2})),
         After = backup_copies:acked(Acked),
         ?assertEqual([], backup_copies:leftovers(Dir)),
         Found = backup_copies:with_copy(File, lists:nth(1 + I rem 3, test_store:modes()), fun backup_copies:last_batches/1),
         %% A batch that is not acknowledged yet may be in it.
         [?assert(A =< F andalso F =< B + 1) || {A, F, B} <- lists:zip3(Before, Found, After)]
     end || I <- lists:seq(1, 20)],
    [begin unlink(W), exit(W, kill) end || W <- Writers].

compact(S, Dir) ->
    ok = hyper_lmdb:batch_write(S, [{put, <<"k", I:32>>, rand:bytes(1000)} || I <- lists:seq(1, 5000)]),
    [First, Plain, Compact] = [<<Dir/binary, "/", Name/binary>> || Name <- [<<"first">>, <<"plain">>, <<"compact">>]],
    ?assertEqual(ok, hyper_lmdb:backup(S, First, #{compact => true})),
    [ok = hyper_lmdb:delete(S, <<"k", I:32>>) || I <- lists:seq(11, 5000)],
    ?assertEqual(ok, hyper_lmdb:backup(S, Plain, #{compact => false})),
    ?assertEqual(ok, hyper_lmdb:backup(S, Compact, #{compact => true})),
    ?assert(filelib:file_size(First) > 4000000),
    ?assert(filelib:file_size(Plain) < 100000),
    ?assertEqual(filelib:file_size(Plain), filelib:file_size(Compact)),
    [backup_copies:with_copy(File, async, fun(C) -> ?assertEqual(backup_copies:contents(S), backup_copies:contents(C)) end) || File <- [Plain, Compact]].

%% -- snapshots -----------------------------------------------------------------------------------

%% It was read_only: what a program had looked at in a snapshot it could not keep.
of_snapshot(S, Dir) ->
    {Acked, Writers} = backup_copies:start_writers(S),
    ok = test_store:wait_until(fun() -> lists:min(backup_copies:acked(Acked)) > 100 end),
    File = fun(I) -> <<Dir/binary, "/copy ", ($0 + I)>> end,
    Seen = hyper_lmdb:with_snapshot(S, fun(Snapshot) ->
        Seen = {backup_copies:contents(Snapshot), backup_copies:last_batches(Snapshot)},
        [?assertEqual(ok, hyper_lmdb:backup(Snapshot, File(I))) || I <- [1, 2]],
        ?assertEqual(Seen, {backup_copies:contents(Snapshot), backup_copies:last_batches(Snapshot)}),
        Seen
    end),
    ?assertNotEqual(Seen, {backup_copies:contents(S), backup_copies:batches_so_far(S)}),
    [begin unlink(W), exit(W, kill) end || W <- Writers],
    [backup_copies:with_copy(File(I), Mode, fun(C) ->
         ?assertEqual(Seen, {backup_copies:contents(C), backup_copies:last_batches(C)})
     end) || I <- [1, 2], Mode <- test_store:modes()].

snapshot_ends(S, Dir) ->
    backup_copies:megabytes(S, 20),
    File = <<Dir/binary, "/copy">>,
    Self = self(),
    Pid = spawn(fun() ->
        hyper_lmdb:with_snapshot(S, fun(Snapshot) -> Self ! {snapshot, Snapshot}, receive never -> ok end end)
    end),
    Snapshot = receive {snapshot, Taken} -> Taken end,
    Backup = test_store:spawn_call(fun() -> hyper_lmdb:backup(Snapshot, File) end),
    ok = test_store:wait_until(fun() -> backup_copies:leftovers(Dir) =/= [] orelse filelib:is_regular(File) end),
    exit(Pid, kill),
    Result = test_store:await(Backup),
    ?assert(lists:member(Result, [ok, {error, snapshot_expired}])),
    ?assertEqual(Result =:= ok, filelib:is_regular(File)),
    ?assertEqual([], backup_copies:leftovers(Dir)),
    ok = test_store:wait_until(fun() -> hyper_lmdb:exists(Snapshot, <<"k">>) =:= {error, snapshot_expired} end),
    ?assertEqual({error, snapshot_expired}, hyper_lmdb:backup(Snapshot, <<File/binary, " 2">>)).

outlives_snapshots(S, Dir) ->
    backup_copies:megabytes(S, 20),
    ?assertEqual(ok, hyper_lmdb:backup(S, <<Dir/binary, "/copy">>)),
    backup_copies:with_copy(<<Dir/binary, "/copy">>, async, fun(C) -> ?assertEqual(2000, test_store:count(C)) end).

elsewhere(S, _Dir) ->
    backup_copies:megabytes(S, 1),
    Memory = <<"/dev/shm/hyper_lmdb_backup_", (binary:encode_hex(rand:bytes(8)))/binary>>,
    ok = file:make_dir(Memory),
    try
        File = <<Memory/binary, "/copy">>,
        ?assertEqual(ok, hyper_lmdb:backup(S, File)),
        ?assertEqual([], backup_copies:leftovers(Memory)),
        backup_copies:with_copy(File, async, fun(C) -> ?assertEqual(backup_copies:contents(S), backup_copies:contents(C)) end)
    after
        ok = file:del_dir_r(Memory)
    end.

targets(S, Dir) ->
    ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
    In = fun(Name) -> <<Dir/binary, "/", Name/binary>> end,
    ok = file:write_file(In(<<"file">>), <<"mine">>),
    ok = file:make_dir(In(<<"directory">>)),
    ok = file:make_symlink(In(<<"file">>), In(<<"link">>)),
    ok = file:make_symlink(In(<<"nowhere">>), In(<<"dangling">>)),
    ok = file:make_symlink(In(<<"directory">>), In(<<"way">>)),
    [?assertEqual({Name, {error, Reason}}, {Name, hyper_lmdb:backup(S, In(Name))})
     || {Name, Reason} <- [{<<"file">>, exists}, {<<"directory">>, exists}, {<<"link">>, exists},
                           {<<"dangling">>, exists}, {<<"data.mdb">>, exists}, {<<"lock.mdb">>, exists},
                           {<<".">>, exists}, {<<"..">>, exists}, {<<"none/copy">>, no_such_directory},
                           {<<"file/copy">>, no_such_directory}, {<<>>, {bad_option, file}},
                           {<<"directory/">>, {bad_option, file}}, {<<"a", 0, "b">>, {bad_option, file}},
                           {binary:copy(<<"n">>, 256), {bad_option, file}},
                           {binary:copy(<<"n/">>, 3000), {bad_option, file}}]],
    ?assertEqual({error, exists}, hyper_lmdb:backup(S, <<"/dev/null">>)),
    ?assertEqual({ok, <<"mine">>}, file:read_file(In(<<"file">>))),
    ?assertEqual({error, enoent}, file:read_file(In(<<"nowhere">>))),
    ?assertEqual(ok, hyper_lmdb:backup(S, In(<<"way/copy">>))),
    ?assertEqual({error, exists}, hyper_lmdb:backup(S, In(<<"directory/copy">>))),
    ?assertEqual([], backup_copies:leftovers(Dir) ++ backup_copies:leftovers(In(<<"directory">>))),
    ?assertMatch({match, _}, re:run(hyper_lmdb:format_error(exists), "file")).

forms(S, Dir) ->
    File = fun(Name) -> binary_to_list(Dir) ++ "/" ++ Name end,
    ?assertEqual(ok, hyper_lmdb:backup(S, File("string"))),
    Spelled = case file:native_name_encoding() of utf8 -> "gr\x{fc}n \x{1F600}"; latin1 -> "gr\x{fc}n" end,
    ?assertEqual(ok, hyper_lmdb:backup(S, File(Spelled))),
    ?assertEqual(ok, hyper_lmdb:backup(#{<<"name">> => binary_to_list(Dir)}, list_to_atom(File("atom")))),
    ?assertEqual(ok, hyper_lmdb:backup(S, File("a"), #{<<"compact">> => true, <<"other layer's">> => 1})),
    {ok, Cwd} = file:get_cwd(),
    ok = file:set_cwd(Dir),
    try ?assertEqual(ok, hyper_lmdb:backup(S, <<"relative">>, #{compact => false}))
    after ok = file:set_cwd(Cwd)
    end,
    [?assert(filelib:is_regular(File(Name))) || Name <- ["string", Spelled, "atom", "a", "relative"]],
    [?assertEqual({error, {bad_option, Key}}, hyper_lmdb:backup(S, File("b"), #{Key => Value}))
     || {Key, Value} <- [{compact, 2}, {compact, <<"yes">>}, {compress, true}, {1, true}]],
    ?assertEqual({error, {bad_option, compact}}, hyper_lmdb:backup(S, File("b"), #{<<"compact">> => yes})),
    ?assertNot(filelib:is_regular(File("b"))).

%% -- more than one, and those who do not wait ------------------------------------------------------

one_at_a_time(S, Dir) ->
    backup_copies:megabytes(S, 20),
    Results = test_store:in_parallel(8, fun(I) ->
        File = <<Dir/binary, "/copy ", ($0 + I)>>,
        {File, hyper_lmdb:backup(S, File)}
    end),
    ?assertEqual([], lists:usort([R || {_, R} <- Results]) -- [ok, {error, overloaded}]),
    Made = [File || {File, ok} <- Results],
    ?assertNotEqual([], Made),
    ?assertEqual(lists:sort(Made), lists:sort([File || {File, _} <- Results, filelib:is_regular(File)])),
    ?assertEqual([], backup_copies:leftovers(Dir)),
    %% Two stores do not wait for each other, and the next one of this store may come.
    ?assertEqual(ok, hyper_lmdb:backup(S, <<Dir/binary, "/next">>)),
    backup_copies:with_copy(<<Dir/binary, "/next">>, async, fun(C) ->
        ?assertEqual([ok, ok], test_store:gather([test_store:spawn_call(fun() -> hyper_lmdb:backup(X, F) end)
                                                  || {X, F} <- [{S, <<Dir/binary, "/s">>}, {C, <<Dir/binary, "/c">>}]]))
    end).

caller_dies(S, Dir) ->
    backup_copies:megabytes(S, 5),
    File = <<Dir/binary, "/copy">>,
    {Pid, Monitor} = spawn_monitor(fun() -> hyper_lmdb:backup(S, File) end),
    ok = test_store:wait_until(fun() -> backup_copies:leftovers(Dir) =/= [] orelse filelib:is_regular(File) end),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, _} -> ok end,
    ok = test_store:wait_until(fun() -> filelib:is_regular(File) end),
    ok = test_store:wait_until(fun() -> hyper_lmdb:backup(S, <<File/binary, " 2">>) =:= ok end),
    [backup_copies:with_copy(F, async, fun(C) -> ?assertEqual(500, test_store:count(C)) end) || F <- [File, <<File/binary, " 2">>]].
