%% @doc Names of stores: the directory that `file' means by them.
-module(names_tests).
-include_lib("eunit/include/eunit.hrl").

all_test_() ->
    [test_store:titled("names are encoded as those of files, names of files " ++ Encoding, 120,
                       fun() -> as_files(Encoding) end) || Encoding <- ["latin1", "utf8"]]
    ++ [test_store:titled("a list of binaries is no name", fun lists_of_binaries/0)].

%% Where names of files are latin1, as under LC_ALL=C on some systems, the string "\x{e4}" went to the
%% directory that has its UTF-8 as name, which no function of `file' finds by that string.
as_files(Encoding) ->
    Peer = child_vm:start_peer(["+fn" ++ [hd(Encoding)]]),
    try
        ?assertEqual({list_to_atom(Encoding), []}, child_vm:call(Peer, fun() ->
            {file:native_name_encoding(), test_store:with_dir(fun(Dir) ->
                ok = file:make_dir(Dir),
                lists:append([not_as_files(Dir, Name) || Name <- ["plain", [16#e4], "a" ++ [16#e4, 16#dc], [16#20ac]]])
            end)}
        end))
    after
        child_vm:stop_peer(Peer)
    end.

%% What `file' refuses, or finds under the name in no form.
not_as_files(Dir, Name) ->
    Parent = binary_to_list(Dir),
    ByString = Parent ++ "/s-" ++ Name,
    case {file:make_dir(Parent ++ "/f-" ++ Name), hyper_lmdb:start(#{name => ByString})} of
        {ok, {ok, S}} ->
            Found = filelib:is_dir(ByString),
            Same = {ok, S} =:= hyper_lmdb:start(#{name => list_to_atom(ByString)}),
            ok = hyper_lmdb:put(#{name => ByString}, <<"k">>, <<"v">>),
            Copied = hyper_lmdb:backup(S, ByString ++ "/copy"),
            Copy = filelib:is_regular(ByString ++ "/copy"),
            ok = hyper_lmdb:stop(S),
            [{Name, Found, Same, Copied, Copy} || {Found, Same, Copied, Copy} =/= {true, true, ok, true}];
        {{error, badarg}, {error, {bad_option, name}}} -> [];
        Other -> [{Name, Other}]
    end.

%% As a name it was their letters in a row, as a key they are joined with slashes.
lists_of_binaries() ->
    [bad_argument_tests:says("binaries", start, [#{name => Name}], 1)
     || Name <- [[<<"a">>, <<"b">>], ["a", <<"b">>], [$a | <<"b">>], [<<"a">>]]],
    bad_argument_tests:says("binaries", get, [#{name => [<<"a">>, <<"b">>]}, <<"k">>], 1),
    ?assertNot(filelib:is_file("ab")).
