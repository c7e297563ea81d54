%% @doc Records of every kind in the journal of a VM that was killed: what the next start makes of
%% them, and a read-only one.
-module(journal_records_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [[test_store:in_dir(lists:concat([Title, " (", Mode, ")"]), fun(Dir) -> Fun(#{durability => Mode}, Dir) end)
      || Mode <- [sync, async]]
     || {Title, Fun} <- [{"records of every kind survive a kill", fun every_record/2},
                         {"records of every kind survive a kill, over older ones", fun over_older/2}]].

paths() ->
    [<<>>] ++ [<<"v">>, <<"empty">>, <<"large">>, <<"gone">>, <<"kept">>, <<"g">>, <<"g/x">>, <<"gv">>, <<"l">>, <<"l/x">>,
               <<"dangling">>, <<"loop">>, <<"l2">>, <<"l2/x">>, <<"over">>, <<"a/b/c">>, <<"a">>, <<"a/b">>, <<"marked">>, <<"p/1">>, <<"p">>].

observe(S) ->
    {hyper_lmdb:list_prefix(S, <<>>),
     [{P, hyper_lmdb:read(S, P), hyper_lmdb:type(S, P), hyper_lmdb:resolve(S, P), hyper_lmdb:list(S, P)} || P <- paths()],
     [{P, hyper_lmdb:get(S, P), hyper_lmdb:exists(S, P)} || P <- tl(paths())]}.

everything(S) ->
    ok = hyper_lmdb:put(S, <<"v">>, <<"1">>),
    ok = hyper_lmdb:put(S, <<"v">>, <<"2">>),
    ok = hyper_lmdb:put(S, <<"empty">>, <<>>),
    ok = hyper_lmdb:put(S, <<"large">>, binary:copy(<<"large">>, 200000)),
    ok = hyper_lmdb:put(S, <<"gone">>, <<"soon">>),
    ok = hyper_lmdb:delete(S, <<"gone">>),
    ok = hyper_lmdb:put_new(S, <<"kept">>, <<"kept">>),
    {error, exists} = hyper_lmdb:put_new(S, <<"kept">>, <<"lost">>),
    ok = hyper_lmdb:make_group(S, <<"g">>),
    ok = hyper_lmdb:write(S, <<"g/x">>, <<"x">>),
    ok = hyper_lmdb:batch_write(S, [{put, <<"gv">>, <<"both">>}, {group, <<"gv">>}]),
    ok = hyper_lmdb:make_link(S, <<"g">>, <<"l">>),
    ok = hyper_lmdb:make_link(S, <<"nowhere">>, <<"dangling">>),
    ok = hyper_lmdb:make_link(S, <<"loop">>, <<"loop">>),
    ok = hyper_lmdb:make_link(S, <<"l">>, <<"l2">>),
    ok = hyper_lmdb:make_link(S, <<"v">>, <<"over">>),
    ok = hyper_lmdb:put(S, <<"over">>, <<"a value over a link">>),
    ok = hyper_lmdb:write(S, <<"l2/x">>, <<"through two links">>),
    {ok, B} = hyper_lmdb:begin_batch(S),
    ok = hyper_lmdb:batch_write(B, <<"a/b/c">>, <<"deep">>),
    ok = hyper_lmdb:batch_make_group(B, <<"marked">>),
    ok = hyper_lmdb:batch_make_link(B, <<"a/b">>, <<"p/l">>),
    ok = hyper_lmdb:commit_batch(B),
    ok = hyper_lmdb:batch_write(S, [{put, <<"p/", I>>, <<I>>} || I <- "123"]),
    {ok, 1} = hyper_lmdb:delete_prefix(S, <<"p/2">>),
    {error, {check_failed, 2}} = hyper_lmdb:batch_write(S, [{put, <<"v">>, <<"3">>}, {check, <<"v">>, absent}]).

every_record(Options, Dir) ->
    in_time(Options, Dir, fun(Here) -> survives(Here, fun everything/1) end).

%% A buffer is applied when it is two seconds old. Where the machine was slower than that there is
%% no journal to look at, so it is done again in another directory.
in_time(Options, Dir, Fun) -> in_time(Options, Dir, Fun, 10).

in_time(Options, Dir, Fun, Left) when Left > 0 ->
    case Fun(Options#{name => <<Dir/binary, "/", ($a + Left)>>}) of
        too_late -> in_time(Options, Dir, Fun, Left - 1);
        Done -> Done
    end.

%% A journal that says the opposite of what LMDB has.
over_older(Options, Dir) ->
    in_time(Options, Dir, fun(Here) ->
        S = test_store:start_ok(Here),
        everything(S),
        ok = hyper_lmdb:stop(S),
        survives(Here, fun the_opposite/1)
    end).

the_opposite(There) ->
    ok = hyper_lmdb:delete(There, <<"v">>),
    ok = hyper_lmdb:put(There, <<"gone">>, <<"back">>),
    ok = hyper_lmdb:delete(There, <<"g">>),
    ok = hyper_lmdb:delete(There, <<"l">>),
    ok = hyper_lmdb:make_link(There, <<"a">>, <<"l2">>),
    ok = hyper_lmdb:put(There, <<"dangling">>, <<"a value">>),
    ok = hyper_lmdb:delete(There, <<"marked">>),
    ok = hyper_lmdb:make_group(There, <<"v">>),
    {ok, 3} = hyper_lmdb:delete_prefix(There, <<"p/">>),
    ok = hyper_lmdb:make_link(There, <<"gv">>, <<"p/1">>).

survives(#{name := Dir} = Options, Fun) ->
    Expected = child_vm:in_killed_vm(Options#{checksum => true}, fun(S) -> Fun(S), {observe(S), test_store:info(S, links)} end),
    case test_store:journal(Dir) of
        [] -> too_late;
        [_] -> replayed(Options, Expected)
    end.

replayed(#{name := Dir} = Options, {Seen, Links}) ->
    {ok, Bytes} = file:read_file(filename:join(Dir, "data.mdb")),
    %% Read-only first: it shows the journal's records and leaves every file as it is.
    Left = test_store:journal(Dir),
    R = test_store:start_ok(#{name => Dir, read_only => true}),
    ?assertEqual(Seen, observe(R)),
    ?assertEqual(Links, test_store:info(R, links)),
    ?assert(test_store:info(R, replayed_records) > 5),
    ok = hyper_lmdb:stop(R),
    ?assertEqual({Left, {ok, Bytes}}, {test_store:journal(Dir), file:read_file(filename:join(Dir, "data.mdb"))}),
    S = test_store:start_ok(Options),
    ?assertEqual(Seen, observe(S)),
    ?assertEqual(Links, test_store:info(S, links)),
    ?assert(test_store:info(S, replayed_records) > 5),
    test_store:stop_clean(S, Dir),
    S2 = test_store:start_ok(Options),
    ?assertEqual(Seen, observe(S2)),
    ?assertEqual(0, test_store:info(S2, replayed_records)),
    test_store:stop_clean(S2, Dir).
