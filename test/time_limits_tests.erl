%% @doc A test that says no time has EUnit's five seconds, and failed where the machine was busy.
-module(time_limits_tests).
-include_lib("eunit/include/eunit.hrl").

-define(LEAST_SECONDS, 30).

all_test_() ->
    test_store:titled("every test has time for a busy machine", fun() ->
        Modules = [list_to_atom(filename:basename(File, ".beam"))
                   || File <- filelib:wildcard(filename:join(filename:dirname(code:which(?MODULE)), "*_tests.beam"))],
        ?assert(lists:member(?MODULE, Modules)),
        ?assertEqual([], lists:append([hasty(M) || M <- Modules, M =/= ?MODULE])),
        ?assertMatch([_, _], hasty("x", [{"no time", fun() -> ok end}, [{"little", {timeout, 5, fun() -> ok end}}]]))
    end).

hasty(Module) ->
    {module, Module} = code:ensure_loaded(Module),
    Exported = [{atom_to_list(F), F} || {F, 0} <- Module:module_info(exports)],
    [{Module, F} || {Name, F} <- Exported, lists:suffix("_test", Name)]
        ++ lists:append([hasty(Module, Module:F()) || {Name, F} <- Exported, lists:suffix("_test_", Name)]).

hasty(Where, Tests) when is_list(Tests) -> lists:append([hasty(Where, Test) || Test <- Tests]);
hasty(_, {timeout, Seconds, _}) when Seconds >= ?LEAST_SECONDS -> [];
hasty(Where, {Title, Tests}) when is_list(Title), not is_function(Tests) -> hasty({Where, Title}, Tests);
hasty(Where, Test) -> [{Where, Test}].
