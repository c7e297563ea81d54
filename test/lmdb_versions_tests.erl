%% @doc What depends on the liblmdb the library was built with: sizes of pages, lengths of keys, whose
%% files it reads.
-module(lmdb_versions_tests).

-include_lib("eunit/include/eunit.hrl").

page_size_test_() ->
    Title = "a page size is chosen once, or never",
    case test_store:with_store(fun test_store:has_page_size/1) of
        true -> test_store:each_mode(Title, 60, fun chosen/1);
        false -> test_store:each_mode(Title, 60, fun no_choice/1)
    end.

long_keys_test_() -> test_store:in_each_mode("keys and paths of every length", fun lengths/1).

files_test_() ->
    test_store:each_mode("a file of another LMDB", 60, fun files/1).

no_choice(Mode) ->
    test_store:with_dir(fun(Dir) ->
        [?assertEqual({error, {bad_option, page_size}},
                      test_store:start(#{name => Dir, durability => Mode, page_size => Size}))
         || Size <- [4096, 16384, 65536]],
        ?assertNot(filelib:is_file(Dir)),
        S = test_store:start_ok(#{name => Dir, durability => Mode}),
        ?assertEqual(511, test_store:longest_key(S))
    end).

chosen(Mode) ->
    [test_store:with_dir(fun(Dir) ->
         Options = #{name => Dir, durability => Mode},
         S = test_store:start_ok(Options#{page_size => Size}),
         ?assertEqual(Size, test_store:info(S, page_size)),
         ?assert(test_store:longest_key(S) < Size div 2),
         lengths(S),
         Conflict = {error, {conflicting_option, page_size}},
         Others = [4096, 16384, 65536] -- [Size],
         [?assertEqual(Conflict, test_store:start(Options#{page_size => Other})) || Other <- Others],
         {ok, S} = test_store:start(Options#{page_size => Size}),
         ok = hyper_lmdb:stop(S),
         [?assertEqual(Conflict, test_store:start(Options#{page_size => Other})) || Other <- Others],
         Again = test_store:start_ok(Options),
         ?assertEqual(Size, test_store:info(Again, page_size)),
         {ok, Again} = test_store:start(Options#{page_size => Size}),
         lengths_are_there(Again),
         Copy = filename:join(Dir, "copy.mdb"),
         ok = hyper_lmdb:backup(Again, Copy, #{compact => true}),
         test_store:with_dir(fun(Other) ->
             ok = file:make_dir(Other),
             ok = file:rename(Copy, filename:join(Other, "data.mdb")),
             Copied = test_store:start_ok(#{name => Other, durability => Mode}),
             ?assertEqual(Size, test_store:info(Copied, page_size)),
             lengths_are_there(Copied)
         end)
     end) || Size <- [4096, 16384, 65536]].

lengths(S) ->
    Longest = test_store:longest_key(S),
    Keys = keys(Longest),
    [ok = hyper_lmdb:put(S, K, integer_to_binary(byte_size(K))) || K <- Keys],
    Path = path(Longest),
    ok = hyper_lmdb:write(S, Path, <<"far">>),
    Group = filename:dirname(Path),
    ok = hyper_lmdb:make_link(S, Group, <<"l">>),
    ok = hyper_lmdb:make_link(S, Path, <<"whole">>),
    lengths_are_there(S),
    Over = test_store:too_long(S),
    [?assertEqual({error, key_too_large}, Answer)
     || Answer <- [hyper_lmdb:get(S, Over), hyper_lmdb:put(S, Over, <<>>), hyper_lmdb:delete(S, Over),
                   hyper_lmdb:read(S, Over), hyper_lmdb:write(S, Over, <<>>), hyper_lmdb:list(S, Over),
                   hyper_lmdb:make_link(S, Over, <<"m">>), hyper_lmdb:make_link(S, <<"m">>, Over)]],
    ?assertEqual(not_found, hyper_lmdb:read(S, <<"whole/x">>)),
    ?assertEqual({error, bad_key}, hyper_lmdb:write(S, [<<"l">>, <<(filename:basename(Path))/binary, "x">>], <<>>)).

lengths_are_there(S) ->
    Longest = test_store:longest_key(S),
    Keys = keys(Longest),
    Expected = [{K, integer_to_binary(byte_size(K))} || K <- Keys],
    [?assertEqual({ok, V}, hyper_lmdb:get(S, K)) || {K, V} <- Expected],
    Path = path(Longest),
    Name = filename:basename(Path),
    Group = filename:dirname(Path),
    [?assertEqual({ok, <<"far">>}, hyper_lmdb:read(S, P)) || P <- [Path, [<<"l">>, Name], <<"whole">>]],
    ?assertEqual({ok, [Name]}, hyper_lmdb:list(S, Group)),
    ?assertEqual(Path, hyper_lmdb:resolve(S, <<"whole">>)),
    ?assertEqual({composite, simple}, {hyper_lmdb:type(S, <<"l">>), hyper_lmdb:type(S, <<"whole">>)}),
    Both = lists:sort([{Path, <<"far">>} | Expected]),
    Fold = fun(From) -> {ok, All} = hyper_lmdb:fold(From, fun(K, V, Acc) -> [{K, V} | Acc] end, [], #{}), All end,
    ?assertEqual(lists:reverse(Both), Fold(S)),
    ?assertEqual(lists:reverse(Both), hyper_lmdb:with_snapshot(S, Fold)),
    ?assertEqual({ok, [{K, {ok, V}} || {K, V} <- Both]}, hyper_lmdb:read_many_fast(S, [K || {K, _} <- Both])).

keys(Longest) ->
    lists:usort([binary:copy(<<Byte>>, Size) || Byte <- [0, $a, 255], Size <- [1, 500, Longest div 2, Longest - 1, Longest]]).

%% A path of so many bytes with many segments.
path(Longest) ->
    Segments = Longest div 50 - 1,
    Name = Longest - Segments * 50,
    <<(binary:copy(<<(binary:copy(<<"p">>, 49))/binary, "/">>, Segments))/binary, (binary:copy(<<"n">>, Name))/binary>>.

%% Refused by name, and not a byte of it changed.
files(Mode) ->
    Newer = test_store:with_store(fun test_store:has_page_size/1),
    [test_store:with_dir(fun(Dir) ->
         File = filename:join(Dir, "data.mdb"),
         Bytes = test_store:fixture(Name),
         ok = file:make_dir(Dir),
         ok = file:write_file(File, Bytes),
         Options = #{name => Dir, durability => Mode},
         case Readable of
             true ->
                 S = test_store:start_ok(Options),
                 ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
                 ?assertEqual({ok, <<"v">>}, hyper_lmdb:get(S, <<"k">>));
             false ->
                 [?assertEqual({error, version_mismatch}, test_store:start(maps:merge(Options, More)))
                  || More <- [#{}, #{on_unclean => reset}, #{read_only => true}]],
                 ?assertEqual({ok, Bytes}, file:read_file(File)),
                 ?assertEqual({ok, ["data.mdb"]}, file:list_dir(Dir))
         end
     end) || {Name, Readable} <- [{"lmdb_0_9.mdb", not Newer}, {"lmdb_1_0.mdb", Newer}]].
