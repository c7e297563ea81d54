%% @doc Backups that are cut short by a stop or a kill, and those of stores that are only read.
-module(backup_ends_tests).
-include_lib("eunit/include/eunit.hrl").
-export([load/1]).

all_test_() ->
    [test_store:in_each_mode("stop during a backup", fun stopped/2),
     test_store:titled("the application stops during a backup", 120, fun application_stops/0),
     test_store:each_mode("a VM that is killed during backups", 240, fun killed/1),
     test_store:in_dir("a read-only store, with a journal that was left", fun read_only/1)].

stopped(S0, Dir) ->
    backup_copies:megabytes(S0, 5),
    Mode = test_store:info(S0, durability),
    Outcomes = [begin
         S = test_store:start_ok(#{name => Dir, durability => Mode}),
         File = <<Dir/binary, "/copy ", (list_to_binary(io_lib:format("~w", [Wait])))/binary>>,
         Backup = test_store:spawn_call(fun() -> hyper_lmdb:backup(S, File) end),
         %% One is left to end by itself, however busy the machine is.
         Early = case Wait of
             whole -> test_store:await(Backup);
             _ -> receive after Wait -> stopped end
         end,
         ?assertEqual(ok, hyper_lmdb:stop(S)),
         Result = case Early of stopped -> test_store:await(Backup); _ -> Early end,
         ?assert(lists:member(Result, [ok, {error, closed}])),
         ?assertEqual(Result =:= ok, filelib:is_regular(File)),
         ?assertEqual([], backup_copies:leftovers(Dir)),
         Result =:= ok andalso backup_copies:with_copy(File, Mode, fun(C) -> ?assertEqual(500, test_store:count(C)) end),
         Result
     end || Wait <- [0, 1, 2, 3, 5, 8, 12, 20, 30, 50, whole]],
    ?assert(lists:member(ok, Outcomes)).

application_stops() ->
    test_store:with_store(fun(S, Dir) ->
        {ok, _} = application:ensure_all_started(hyper_lmdb),
        backup_copies:megabytes(S, 10),
        File = <<Dir/binary, "/copy">>,
        Backup = test_store:spawn_call(fun() -> hyper_lmdb:backup(S, File) end),
        ok = test_store:wait_until(fun() -> backup_copies:leftovers(Dir) =/= [] orelse filelib:is_regular(File) end),
        ?assertEqual(ok, application:stop(hyper_lmdb)),
        Result = test_store:await(Backup),
        ?assert(lists:member(Result, [ok, {error, closed}])),
        ?assertEqual(Result =:= ok, filelib:is_regular(File)),
        ?assertEqual([], backup_copies:leftovers(Dir))
    end).

%% -- other processes -----------------------------------------------------------------------------

%% In a VM that will be killed: writers, and one backup after the other.
load(#{name := Dir} = Options) ->
    {ok, S} = hyper_lmdb:start(Options),
    {Acked, _} = backup_copies:start_writers(S),
    Say = child_vm:writer("/dev/stdout"),
    spawn_link(fun() -> report(Acked, child_vm:writer("/dev/stdout")) end),
    [begin
         ok = hyper_lmdb:backup(S, <<Dir/binary, "/copy ", (integer_to_binary(I))/binary>>, #{compact => I rem 2 =:= 0}),
         Say(["made ", integer_to_list(I)])
     end || I <- lists:seq(1, 100000)].

report(Acked, Say) ->
    Say(io_lib:format("acked ~w", [backup_copies:acked(Acked)])),
    report(Acked, Say).

killed(Mode) ->
    test_store:seed(),
    test_store:with_dir(fun(Dir) ->
        Options = #{name => Dir, durability => Mode, write_buffer_bytes => 1 bsl 20},
        [begin
             Port = child_vm:open(?MODULE, load, Options),
             {Before, seen} = child_vm:lines(Port, "made 3"),
             erlang:send_after(rand:uniform(100), self(), kill),
             receive kill -> child_vm:kill(Port) end,
             {After, _} = child_vm:lines(Port, none),
             Lines = Before ++ After,
             Acked = lists:last([Numbers || "acked " ++ List <- Lines, {ok, Numbers} <- [acked_numbers(List)]]),
             Made = [list_to_integer(I) || "made " ++ I <- Lines],
             S = test_store:start_ok(Options),
             [?assert(F >= A) || {F, A} <- lists:zip(backup_copies:last_batches(S), Acked)],
             ?assert(length(backup_copies:leftovers(Dir)) =< Round),
             %% A name that was taken by the killed VM is that of a whole copy.
             Copies = [{I, <<Dir/binary, "/copy ", (integer_to_binary(I))/binary>>}
                       || I <- lists:seq(1, lists:max(Made) + 1)],
             There = [{I, File} || {I, File} <- Copies, filelib:is_regular(File)],
             ?assertEqual([], Made -- [I || {I, _} <- There]),
             [backup_copies:with_copy(File, Mode, fun backup_copies:last_batches/1) || {_, File} <- lists:nthtail(length(There) - 3, There)],
             ?assertEqual(ok, hyper_lmdb:backup(S, <<Dir/binary, "/after">>)),
             [ok = file:delete(File) || {_, File} <- [{0, <<Dir/binary, "/after">>} | There]],
             ok = hyper_lmdb:reset(S),
             ok = hyper_lmdb:stop(S)
         end || Round <- lists:seq(1, 5)]
    end).

%% The last line may have been cut.
acked_numbers(List) ->
    try {ok, [list_to_integer(N) || N <- string:lexemes(List, "[],")]}
    catch error:badarg -> cut
    end.

read_only(Dir) ->
    Seen = child_vm:in_killed_vm(#{name => Dir}, fun(S) ->
        ok = hyper_lmdb:batch_write(S, [{put, <<"k", I:32>>, rand:bytes(100)} || I <- lists:seq(1, 1000)]),
        ok = hyper_lmdb:make_link(S, <<"k", 1:32>>, <<"link">>),
        backup_copies:contents(S)
    end),
    S = test_store:start_ok(#{name => Dir, read_only => true}),
    Left = test_store:journal(Dir),
    File = <<Dir/binary, ".copy">>,
    ?assertEqual(ok, hyper_lmdb:backup(S, File)),
    ?assertEqual(ok, hyper_lmdb:stop(S)),
    ?assertEqual(Left, test_store:journal(Dir)),
    [backup_copies:with_copy(File, Mode, fun(C) ->
         ?assertEqual(Seen, backup_copies:contents(C)),
         ?assertEqual(1, test_store:info(C, links))
     end) || Mode <- test_store:modes()],
    ok = file:delete(File).
