%% @doc Calls of every function, terms nobody should pass, and the reasons that may be answered.
-module(test_terms).

-export([calls/0, reasons/0, is_reason/1, nasty/1, huge/0]).

%% Every function that looks at a store, with good arguments to go after it.
calls() ->
    [{stop, []}, {reset, []}, {sync, []}, {info, []}, {backup, [<<"copy">>]}, {backup, [<<"copy">>, #{}]}, {get, [<<"k">>]}, {put, [<<"k">>, <<"v">>]},
     {delete, [<<"k">>]}, {exists, [<<"k">>]}, {read_link, [<<"k">>]}, {put_new, [<<"k">>, <<"v">>]},
     {batch_write, [[{put, <<"k">>, <<"v">>}, {check, <<"k">>, <<"v">>}]]}, {delete_prefix, [<<"k">>]},
     {read, [<<"k">>]}, {write, [<<"k">>, <<"v">>]}, {prefetch, [[<<"k">>]]}, {read_many, [[<<"k">>]]}, {make_group, [<<"k">>]},
     {make_link, [<<"k">>, <<"l">>]}, {type, [<<"k">>]}, {list, [<<"k">>]}, {list, [<<"k">>, #{}]},
     {resolve, [<<"k">>]}, {list_prefix, [<<"k">>]}, {list_prefix, [<<"k">>, #{}]}, {range, [#{}]}, {fold, [fun(_, _, Acc) -> Acc end, 0, #{}]}, {with_snapshot, [fun(_) -> ok end]}, {begin_batch, []},
     {read_fast, [<<"k">>]}, {write_fast, [<<"k">>, <<"v">>]}, {read_many_fast, [[<<"k">>]]}].

plain_reasons() ->
    [bad_key, key_too_large, value_too_large, batch_too_large, exists, map_full, disk_full,
     quota_exceeded, file_too_large, io_error, env_failed, corrupted, checksum_mismatch,
     not_a_database, version_mismatch, unknown_format, unclean_shutdown, journal_mismatch, readers_full,
     overloaded, no_memory, too_many_files, too_many_threads, permission_denied, read_only, no_such_directory,
     unsupported_fs, already_open, closed, snapshot_expired, not_started, committed, internal].

%% One of each shape.
reasons() ->
    plain_reasons() ++ [{bad_option, durability}, {conflicting_option, capacity}, {check_failed, 3},
                        {2, bad_key}, {load_failed, "liblmdb.so.0: cannot open shared object file"}].

is_reason({bad_option, _}) -> true;
is_reason({conflicting_option, Key}) -> is_atom(Key);
is_reason({check_failed, Index}) -> is_integer(Index) andalso Index > 0;
is_reason({Index, Reason}) when is_integer(Index), Index > 0 ->
    lists:member(Reason, [bad_key, key_too_large, value_too_large]);
is_reason(Reason) -> lists:member(Reason, plain_reasons()).

%% Named, and made when called: some are large, and a process should make its own. Dir is a
%% directory in which names may be created; Closed is the handle of a stopped store.
nasty(#{dir := Dir, closed := Closed}) ->
    [{atom, fun() -> foo end}, {true, fun() -> true end}, {undefined, fun() -> undefined end},
     {empty_atom, fun() -> '' end}, {long_atom, fun() -> list_to_atom(lists:duplicate(255, $x)) end},
     {unicode_atom, fun() -> list_to_atom(lists:duplicate(255, 16#1F600)) end},
     {zero, fun() -> 0 end}, {minus_one, fun() -> -1 end}, {one, fun() -> 1 end},
     {int32, fun() -> 1 bsl 32 end}, {small_edge, fun() -> 1 bsl 59 end},
     {int63, fun() -> 1 bsl 63 end}, {uint64, fun() -> (1 bsl 64) - 1 end},
     {above_uint64, fun() -> 1 bsl 64 end}, {below_int64, fun() -> -(1 bsl 63) - 1 end},
     {bignum, fun() -> 1 bsl 100000 end},
     {float, fun() -> 1.0 end}, {huge_float, fun() -> 1.0e308 end}, {minus_zero, fun() -> -0.0 end},
     {empty_binary, fun() -> <<>> end}, {one_bit, fun() -> <<1:1>> end},
     {nine_bits, fun() -> <<0:9>> end}, {nul_binary, fun() -> <<0>> end},
     {binary_511, fun() -> binary:copy(<<"a">>, 511) end},
     {binary_512, fun() -> binary:copy(<<"a">>, 512) end},
     {long_binary, fun() -> binary:copy(<<255>>, 1 bsl 20) end},
     {reserved_binary, fun() -> <<0, "hyper_lmdb">> end},
     {unaligned, fun() -> <<_:3, B:40/bitstring, _/bitstring>> = <<"abcdefgh">>, B end},
     {empty_list, fun() -> [] end}, {improper, fun() -> [a | b] end},
     {improper_binaries, fun() -> [<<"a">>, <<"b">> | <<"c">>] end},
     {string, fun() -> "string" end}, {unicode_string, fun() -> [16#1F600, 16#E4] end},
     {surrogate_string, fun() -> [16#D800, 16#DC00] end}, {beyond_unicode, fun() -> [16#110000] end},
     {negative_string, fun() -> [$a, -1] end}, {nul_string, fun() -> [$a, 0, $b] end},
     {nested_list, fun() -> [[[[<<"a">>]]]] end}, {iolist, fun() -> [<<"a">>, "b", [$c | <<"d">>]] end},
     {list_of_bits, fun() -> [<<"a">>, <<1:1>>] end}, {list_of_lists, fun() -> [[], [], []] end},
     {empty_tuple, fun() -> {} end}, {pair, fun() -> {ok, 1} end},
     {put_alone, fun() -> [{put}] end}, {put_of_atoms, fun() -> [{put, a, b}] end},
     {put_tail, fun() -> [{put, <<"t">>, <<"v">>} | {put, <<"t">>, <<"v">>}] end},
     {wide_tuple, fun() -> erlang:make_tuple(10000, x) end},
     {pid, fun() -> self() end}, {reference, fun() -> make_ref() end},
     {port, fun() -> hd(erlang:ports()) end}, {local_fun, fun() -> fun(X) -> X end end},
     {external_fun, fun() -> fun erlang:halt/1 end},
     {closed_handle, fun() -> Closed end}, {atomics, fun() -> atomics:new(1, []) end},
     {counters, fun() -> counters:new(1, []) end}, {table, fun() -> ets:new(t, []) end},
     {compiled_regex, fun() -> element(2, re:compile("a")) end},
     {foreign_reference, fun foreign_reference/0}, {foreign_pid, fun foreign_pid/0},
     {empty_map, fun() -> #{} end}, {nonsense_map, fun() -> #{{} => []} end},
     {map_unknown_name, fun() -> #{name => <<Dir/binary, "/never started">>} end},
     {map_name_number, fun() -> #{name => 17} end}, {map_name_empty, fun() -> #{name => <<>>} end},
     {map_name_nul, fun() -> #{name => <<Dir/binary, 0, "x">>} end},
     {map_name_long, fun() -> #{name => binary:copy(<<"a/">>, 5000)} end},
     {map_name_list, fun() -> #{name => [Dir | Dir]} end},
     {map_two_names, fun() -> #{name => 1, <<"name">> => 2} end},
     {map_unknown_atom, fun() -> #{name => <<Dir/binary, "/u">>, no_such_option => 1} end},
     {map_option_map, fun() -> #{name => <<Dir/binary, "/m">>, capacity => #{}} end},
     {large_map, fun() -> maps:from_list([{<<I:32>>, I} || I <- lists:seq(1, 2000)]) end},
     {deep_list, fun() -> deep_list(20000) end}, {deep_tuple, fun() -> deep_tuple(20000) end}].

%% Slow to make and to look at: for a few functions only.
huge() ->
    [{[get, batch_write, read_many, list_prefix, format_error], million_deep_list, fun() -> deep_list(1000000) end},
     {[get, batch_write, read_many, list_prefix, format_error], million_deep_tuple, fun() -> deep_tuple(1000000) end},
     {[get], map_of_a_million,
      fun() -> maps:from_list([{<<I:32>>, I} || I <- lists:seq(1, 1000000)]) end},
     {[get, batch_write, read_many], ten_million_numbers, fun() -> lists:seq(1, 10000000) end},
     {[get], million_binaries, fun() -> lists:duplicate(1000000, <<"k">>) end},
     {[batch_write], ten_million_bad_tails, fun() -> lists:duplicate(10000000, {put, <<"k">>, <<>>}) ++ bad end}].

deep_list(N) -> lists:foldl(fun(_, Inner) -> [Inner] end, <<"a">>, lists:seq(1, N)).

deep_tuple(N) -> lists:foldl(fun(_, Inner) -> {Inner} end, <<"a">>, lists:seq(1, N)).

%% Of a node that is not here, in the external format: 119 is an atom, 90 a reference, 88 a pid.
foreign_reference() ->
    binary_to_term(<<131, 90, 3:16, 119, 9, "elsewhere", 1:32, 1:32, 2:32, 3:32>>).

foreign_pid() -> binary_to_term(<<131, 88, 119, 9, "elsewhere", 1:32, 2:32, 1:32>>).
