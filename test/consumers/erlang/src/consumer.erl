%% What a first program does with a store; a wrong answer is a badmatch.
-module(consumer).
-export([main/0]).

main() ->
    {ok, _} = application:ensure_all_started(consumer),
    Dir = list_to_binary(os:getenv("CONSUMER_STORE")),
    {ok, Store} = hyper_lmdb:start(#{name => Dir}),
    ok = hyper_lmdb:put(Store, <<"a">>, <<"1">>),
    {ok, <<"1">>} = hyper_lmdb:get(Store, <<"a">>),
    not_found = hyper_lmdb:get(Store, <<"b">>),
    ok = hyper_lmdb:batch_write(Store, [{check, <<"a">>, <<"1">>}, {put, <<"b">>, <<"2">>},
                                        {delete, <<"a">>}]),
    {error, {check_failed, 2}} =
        hyper_lmdb:batch_write(Store, [{put, <<"c">>, <<"3">>}, {check, <<"a">>, <<"1">>}]),
    ok = hyper_lmdb:stop(Store),
    {ok, Again} = hyper_lmdb:start(#{name => Dir}),
    {ok, [{<<"a">>, not_found}, {<<"b">>, {ok, <<"2">>}}, {<<"c">>, not_found}]} =
        hyper_lmdb:read_many(Again, [<<"a">>, <<"b">>, <<"c">>]),
    ok = hyper_lmdb:stop(Again),
    io:format("consumer: every answer was right~n"),
    halt(0).
