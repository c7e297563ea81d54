%% @doc Wrong types raise badarg, and the stack trace says which argument was wrong and how.
-module(bad_argument_tests).
-include_lib("eunit/include/eunit.hrl").
-export([explained/3, says/4]).

all_test_() ->
    [test_store:titled("the store argument", fun store_argument/0),
     test_store:titled("keys", fun keys/0),
     test_store:titled("values", fun values/0),
     test_store:titled("batches", fun batches/0),
     test_store:titled("lists of keys", fun lists_of_keys/0),
     test_store:titled("options", fun options/0),
     test_store:titled("words that stand for no name", fun no_names/0),
     test_store:titled("the wrong element of a list is named", fun elements/0),
     test_store:titled("the shell shows the argument", fun shown_by_the_shell/0),
     test_store:titled("a store of another node's make", fun foreign_handles/0),
     test_store:titled("the open store is left alone", fun store_survives/0)].

store_argument() ->
    [badarg(Function, [Wrong | Rest], 1)
     || {Function, Rest} <- test_terms:calls(),
        Wrong <- [nothing, 1, -1, 1.5, <<"/tmp/store">>, "/tmp/store", [], {}, {ok, store}, self(),
                  make_ref(), fun() -> ok end, <<1:1>>, atomics:new(1, []), ets_reference()]].

%% A reference with a resource behind it, of another kind.
ets_reference() -> ets:new(unnamed, []).

keys() ->
    test_store:with_store(fun(S) ->
        [badarg(Function, [S, Wrong | Rest], 2)
         || {Function, [<<"k">> | Rest]} <- test_terms:calls(),
            Wrong <- [1, -1, 1.5, {k}, {<<"k">>}, #{}, self(), make_ref(), <<1:1>>, <<"k", 1:7>>,
                      fun() -> ok end, [<<"a">> | <<"b">>], [1.5], [<<"a">>, {b}], [<<"a">>, <<1:1>>]]]
    end).

values() ->
    test_store:with_store(fun(S) ->
        [badarg(Function, [S, <<"k">>, Wrong], 3)
         || Function <- [put, put_new, write_fast],
            Wrong <- [v, 1, 1.5, {v}, #{}, "string", [<<"v">>], self(), make_ref(), <<1:1>>,
                      fun() -> ok end]],
        ?assertEqual(not_found, hyper_lmdb:get(S, <<"k">>))
    end).

batches() ->
    Good = {put, <<"k">>, <<"v">>},
    test_store:with_store(fun(S) ->
        [badarg(batch_write, [S, Wrong], 2)
         || Wrong <- [put, 1, {}, Good, #{}, <<"k">>, [Good | Good], [Good | <<"tail">>]]
                ++ [[Good, Element, Good] || Element <- bad_elements()]],
        ?assertEqual(0, test_store:count(S))
    end).

bad_elements() ->
    [put, 1, [], <<"k">>, {}, {put}, {put, <<"k">>}, {put, <<"k">>, <<"v">>, <<"w">>},
     {put, <<"k">>, v}, {put, <<"k">>, <<1:1>>}, {put, <<"k">>, "list"}, {put, 1, <<"v">>},
     {put, <<1:1>>, <<"v">>}, {put, [<<"a">> | <<"b">>], <<"v">>}, {delete}, {delete, 1},
     {delete, <<"k">>, <<"v">>}, {check, <<"k">>}, {check, <<"k">>, present}, {check, <<"k">>, 1},
     {check, 1, absent}, {check, <<"k">>, absent, 1}, {frobnicate, <<"k">>},
     {frobnicate, <<"k">>, <<"v">>}, {"put", <<"k">>, <<"v">>}, {<<"put">>, <<"k">>, <<"v">>}].

lists_of_keys() ->
    test_store:with_store(fun(S) ->
        [badarg(Function, [S, Wrong], 2)
         || Function <- [read_many, read_many_fast, prefetch],
            Wrong <- [k, 1, <<"k">>, {}, #{}, [<<"k">> | <<"k">>], [<<"k">> | k], [1], [<<"k">>, {k}],
                      [<<"k">>, <<1:1>>], [[<<"a">> | b]]]]
    end).

options() ->
    test_store:with_store(fun(S) ->
        [badarg(range, [S, Wrong], 2) || Wrong <- [nothing, 1, <<"k">>, [], [{limit, 1}], {}, self()]]
    end),
    [badarg(Function, [Wrong], 1)
     || Function <- [start, child_spec],
        Wrong <- [nothing, 1, 1.5, <<"/tmp/store">>, "/tmp/store", [], {}, self(), make_ref(), <<1:1>>]],
    badarg(start, [[{name, <<"/tmp/store">>}]], 1),
    [badarg(child_spec, [Wrong], 1)
     || Wrong <- [[{name, <<"/tmp/store">>} | tail], [{name, <<"/tmp/store">>}, read_only], [{name, nil}]]].

%% `System.get_env("NOPE")' as the name of a store made a directory `nil' where the VM stood, and
%% `delete_prefix(Store, nil)' removed what begins with these letters.
no_names() ->
    test_store:with_store(fun(S) ->
        ok = hyper_lmdb:put(S, <<"nil">>, <<"v">>),
        [begin
             Word = atom_to_list(Atom),
             [says(Word, F, [S, Wrong | Rest], 2)
              || {F, [<<"k">> | Rest]} <- test_terms:calls(), F =/= backup,
                 Wrong <- [Atom, [<<"a">>, Atom]]],
             [badarg(backup, [S, Atom | Rest], 2) || Rest <- [[], [#{}]]],
             [says(Word, F, [S, Atom, Atom], 2) || F <- [make_link, add_path]],
             [says(Word, F, [S, <<"k">>, Atom], 3) || F <- [make_link, add_path]],
             says(Word, path, [S, Atom], 2),
             [says(Word, F, [S, [<<"k">>, Atom]], 2) || F <- [read_many, read_many_fast, prefetch]],
             [says(Word, range, [S, #{Bound => Atom}], 2)
              || Bound <- [prefix, from, to, <<"prefix">>, <<"from">>, <<"to">>]],
             [says(Word, F, [#{Key => Atom}], 1) || F <- [start, child_spec, get], Key <- [name, <<"name">>], F =/= get],
             [says(Word, get, [#{Key => Atom}, <<"k">>], 1) || Key <- [name, <<"name">>]],
             says(Word, batch_write, [S, [{put, <<"k">>, <<"v">>}, {delete, Atom}]], 2)
         end || Atom <- [nil, undefined, null, true, false]],
        ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, <<"nil">>)),
        ?assertEqual(1, test_store:count(S))
    end),
    [?assertNot(filelib:is_file(Word)) || Word <- ["nil", "undefined", "null", "true", "false"]].

elements() ->
    Good = {put, <<"k">>, <<"v">>},
    test_store:with_store(fun(S) ->
        [says("element 3 of the list", batch_write, [S, [Good, Good, Wrong, Wrong]], 2) || Wrong <- bad_elements()],
        [says("element 2 of the list", F, [S, [<<"k">>, Wrong, <<"k">>]], 2)
         || F <- [read_many, read_many_fast, prefetch], Wrong <- [1, {k}, <<1:1>>, [a | b], nil]],
        %% In the part that is only decoded where there is more time, too.
        says("element 5001 of the list", batch_write, [S, lists:duplicate(5000, Good) ++ [Good, put]], 2, no),
        says("element 5001 of the list", batch_write, [S, lists:duplicate(5000, Good) ++ [put]], 2),
        says("proper list", batch_write, [S, [Good | Good]], 2)
    end).

says(Part, Function, Args, Position) -> says(Part, Function, Args, Position, yes).

says(Part, Function, Args, Position, Expected) ->
    Text = explained(Function, Args, Position),
    Found = case string:find(Text, Part) of nomatch -> no; _ -> yes end,
    ?assertEqual({Expected, Part, Function, Text}, {Found, Part, Function, Text}).

explained(Function, Args, Position) ->
    unicode:characters_to_list(maps:get(Position, badarg(Function, Args, Position))).

shown_by_the_shell() ->
    test_store:with_store(fun(S) ->
        Text = shell_text(fun() -> hyper_lmdb:put(S, <<"k">>, 17) end),
        ?assertMatch({match, _}, re:run(Text, "argument 3: ")),
        ?assertEqual(nomatch, re:run(Text, "argument [12]: ")),
        Both = shell_text(fun() -> hyper_lmdb:put(nothing, 18, <<"v">>) end),
        ?assertMatch({match, _}, re:run(Both, "argument 1: "))
    end).

shell_text(Fun) ->
    try Fun() of Result -> error({no_exception, Result})
    catch error:badarg:Stack ->
        unicode:characters_to_list(iolist_to_binary(erl_error:format_exception(error, badarg, Stack)))
    end.

%% A handle that crossed a node boundary, or was printed and read, is no handle here.
foreign_handles() ->
    test_store:with_store(fun(S) ->
        ?assertEqual(S, binary_to_term(term_to_binary(S))),
        Peer = child_vm:start_peer([]),
        Travelled = child_vm:call(Peer, fun() ->
            {ok, _} = application:ensure_all_started(hyper_lmdb),
            test_store:with_store(fun(Theirs) -> term_to_binary(Theirs) end)
        end),
        Theirs = binary_to_term(Travelled),
        [badarg(Function, [Theirs | Rest], 1) || {Function, Rest} <- test_terms:calls()],
        [?assertError(badarg, child_vm:call(Peer, fun() -> apply(hyper_lmdb, Function, [S | Rest]) end))
         || {Function, Rest} <- test_terms:calls()],
        child_vm:stop_peer(Peer)
    end).

store_survives() ->
    test_store:with_store(fun(S) ->
        ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
        [?assertError(badarg, hyper_lmdb:put(S, <<"k">>, I)) || I <- lists:seq(1, 1000)],
        ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, <<"k">>)),
        ?assertEqual([], test_store:flush_mailbox())
    end).

%% The call raises badarg, is itself the top of the stack, and explains argument number Position.
badarg(Function, Args, Position) ->
    try apply(hyper_lmdb, Function, Args) of
        Result -> error({no_badarg, Function, Args, Result})
    catch
        error:badarg:Stack ->
            [{Module, Name, TopArgs, Extra} | _] = Stack,
            ?assertEqual({hyper_lmdb, of_today(Function)}, {Module, Name}),
            ?assertEqual(Args, TopArgs),
            Info = proplists:get_value(error_info, Extra),
            ?assertMatch({true, _, _}, {is_map(Info), Function, Stack}),
            Formatter = maps:get(module, Info, hyper_lmdb),
            Format = maps:get(function, Info, format_error),
            Explained = Formatter:Format(badarg, Stack),
            ?assertMatch({#{Position := _}, _}, {Explained, {Function, Args}}),
            ?assert(iolist_size(maps:get(Position, Explained)) > 5),
            Explained
    end.

%% Older names show as what they call.
of_today(read_fast) -> get;
of_today(write_fast) -> put;
of_today(Function) -> Function.
