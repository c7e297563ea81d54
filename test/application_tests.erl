%% @doc The application: what it needs is there when it has started, or it says what is missing.
-module(application_tests).
-include_lib("eunit/include/eunit.hrl").
-export([log/2]).

all_test_() ->
    [test_store:titled("the processes it registers are in its file", fun registered_names/0),
     test_store:titled("it starts nothing where a shared library is missing", 120, fun missing_library/0),
     test_store:titled("its modules are loaded at the start, and what they call", 120, fun modules_loaded/0),
     test_store:titled("a store is used where descriptors have run out", 120, fun no_descriptors/0),
     test_store:in_dir("directories above a store are made, and the log says so", fun made_directories/1)].

in_peer(Exec, Fun) -> in_peer(Exec, [], Fun).

in_peer(Exec, Args, Fun) ->
    Peer = child_vm:start_peer(Exec, Args),
    try child_vm:call(Peer, Fun) after child_vm:kill_peer(Peer) end.

erl() -> os:find_executable("erl").

registered_names() ->
    {Listed, Ours} = in_peer(erl(), fun() ->
        Before = registered(),
        {ok, _} = application:ensure_all_started(hyper_lmdb),
        {application:get_key(hyper_lmdb, registered), registered() -- Before}
    end),
    ?assertEqual({{ok, Ours}, 1}, {Listed, length(Ours)}).

%% In a slim image without liblmdb0 the application started, and every call raised `undef'.
missing_library() ->
    test_store:with_dir(fun(Dir) ->
        Broken = filename:join(unicode:characters_to_list(Dir), "hyper_lmdb"),
        Ebin = filename:dirname(code:which(hyper_lmdb)),
        [copy(Ebin, filename:join(Broken, "ebin"), Name, fun(Bytes) -> Bytes end)
         || Name <- filelib:wildcard("hyper_lmdb*.{beam,app}", Ebin)],
        Missing = [{Library, Package} || {Library, Package} <- [{"liblmdb.so", "liblmdb0"}, {"liblz4.so", "liblz4-1"}, {"libzstd.so", "libzstd1"}],
                                         needs(Library)],
        ?assertMatch([_ | _], Missing),
        [begin
             copy(priv(), filename:join(Broken, "priv"), "hyper_lmdb_nif.so", fun(Bytes) -> without(Library, Bytes) end),
             {App, Start} = in_peer(erl(), ["-pa", filename:join(Broken, "ebin")], fun() ->
                 true = lists:prefix(Broken, code:which(hyper_lmdb)),
                 ok = logger:set_primary_config(level, none),
                 {application:ensure_all_started(hyper_lmdb), hyper_lmdb:start(#{name => <<Dir/binary, "/store">>})}
             end),
             {error, {hyper_lmdb, {{load_failed, Why}, {hyper_lmdb_app, start, _}}}} = App,
             ?assertEqual({error, {load_failed, Why}}, Start),
             Text = unicode:characters_to_list(hyper_lmdb:format_error(Start)),
             [?assertMatch({Part, Text, true}, {Part, Text, string:find(Text, Part) =/= nomatch})
              || Part <- [hidden(Library), "apt-get install " ++ Package]]
         end || {Library, Package} <- Missing]
    end).

priv() ->
    filename:join(filename:dirname(filename:dirname(code:which(hyper_lmdb))), "priv").

copy(From, To, Name, Change) ->
    {ok, Bytes} = file:read_file(filename:join(From, Name)),
    ok = filelib:ensure_dir(filename:join(To, Name)),
    ok = file:write_file(filename:join(To, Name), Change(Bytes)).

needs(Library) ->
    {ok, Bytes} = file:read_file(filename:join(priv(), "hyper_lmdb_nif.so")),
    binary:match(Bytes, list_to_binary(Library)) =/= nomatch.

%% It asks for another one, of a name that is as long.
without(Library, Bytes) ->
    binary:replace(Bytes, list_to_binary(Library), list_to_binary(hidden(Library)), [global]).

hidden(Library) -> lists:append(string:replace(Library, ".so", ".no", all)).

%% Later there may be no descriptor to load one.
modules_loaded() ->
    ok = case application:load(hyper_lmdb) of {error, {already_loaded, _}} -> ok; Loaded -> Loaded end,
    {ok, Ours} = application:get_key(hyper_lmdb, modules),
    ?assert(length(Ours) > 5),
    Called = lists:usort([Module || Mine <- Ours, {Module, _, _} <- imports(Mine)]),
    ?assert(lists:member(io_lib, Called)),
    ?assertEqual([], in_peer(erl(), fun() ->
        {ok, _} = application:ensure_all_started(hyper_lmdb),
        [Module || Module <- Ours ++ Called, not erlang:module_loaded(Module)]
    end)).

imports(Module) ->
    {ok, {Module, [{imports, Imports}]}} = beam_lib:chunks(code:which(Module), [imports]),
    Imports.

%% The first call with an argument in another form raised `undef', of the module that would have
%% explained or changed it, and so did the first error that was put into words.
no_descriptors() ->
    Limited = {"/bin/sh", ["-c", "ulimit -n 120; exec erl \"$@\"", "sh"]},
    Answers = in_peer(Limited, fun() ->
        [{module, _} = code:ensure_loaded(M) || M <- [test_terms, test_store, ?MODULE]],
        test_store:with_dir(fun(Dir) ->
            %% By start/1 alone: not everybody starts the application.
            {ok, S} = hyper_lmdb:start(#{name => Dir}),
            ok = hyper_lmdb:put(S, <<"k">>, <<"v">>),
            Files = take_all([]),
            Results = try [outcome(fun() -> apply(hyper_lmdb, F, [S | other_form(Args)]) end)
                       || {F, Args} <- test_terms:calls(), F =/= stop, F =/= backup]
                ++ [outcome(fun() -> apply(hyper_lmdb, F, [nothing | Args]) end) || {F, Args} <- test_terms:calls()]
                ++ [outcome(fun() -> iolist_size(hyper_lmdb:format_error(R)) end) || R <- test_terms:reasons()]
                ++ [outcome(fun() -> hyper_lmdb:start(#{name => <<Dir/binary, "-other">>}) end)]
            after [file:close(File) || File <- Files]
            end,
            ok = hyper_lmdb:stop(S),
            {length(Files), Results}
        end)
    end),
    {Files, Results} = Answers,
    ?assert(Files > 10),
    ?assertEqual([], [R || {error, undef, _} = R <- Results]),
    ?assertEqual({error, too_many_files}, lists:last(Results)),
    ?assert(lists:member({ok, [{<<"k">>, {ok, <<"v">>}}]}, Results)).

take_all(Files) ->
    case file:open("/dev/null", [read, raw]) of
        {ok, File} -> take_all([File | Files]);
        {error, emfile} -> Files
    end.

other_form([<<"k">> | Rest]) -> ["k" | Rest];
other_form([[<<"k">>] | Rest]) -> [["k"] | Rest];
other_form(Args) -> Args.

outcome(Fun) ->
    try Fun()
    catch error:Reason:Stack ->
        [{hyper_lmdb, F, _, _} = Top | _] = Stack,
        {error, Reason, {F, hyper_lmdb_error:format_error(Reason, [Top])}}
    end.

%% A name that is mistyped, or meant from elsewhere, made a whole path of directories without a word.
made_directories(Dir) ->
    {ok, #{level := Level}} = logger:get_handler_config(default),
    ok = logger:set_handler_config(default, level, none),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self(), level => notice}),
    try
        Start = fun(Name) ->
            S = test_store:start_ok(#{name => Name}),
            {ok, S} = hyper_lmdb:start(#{name => Name}),
            ok = hyper_lmdb:stop(S),
            _ = test_store:start_ok(#{name => Name}),
            logged()
        end,
        ?assertEqual([], Start(Dir)),
        ?assertEqual([], Start(<<Dir/binary, "/a/">>)),
        [begin
             Logged = Start(<<Dir/binary, "/", Name/binary>>),
             ?assertMatch({Name, [_], {_, _}}, {Name, Logged, binary:match(hd(Logged), <<Dir/binary, "/", Name/binary>>)})
         end || Name <- [<<"b/c">>, <<"d/e/f/g">>, <<"mainnet-cache/lmdb/">>]],
        ?assertEqual([], Start(<<Dir/binary, "/b/other">>))
    after
        ok = logger:remove_handler(?MODULE),
        ok = logger:set_handler_config(default, level, Level)
    end.

logged() ->
    receive {logged, Text} -> [Text | logged()] after 0 -> [] end.

log(#{msg := {Format, Args}}, #{config := Test}) ->
    Text = unicode:characters_to_binary(io_lib:format(Format, Args)),
    _ = [Test ! {logged, Text} || {_, _} <- [binary:match(Text, <<"hyper_lmdb">>)]],
    ok;
log(_, _) -> ok.
