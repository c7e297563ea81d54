%% @doc What start/1 is given, brought to one form: names of older versions, binary keys and values.
%% Ranges are the core's business.
%% @private
-module(hyper_lmdb_options).

-export([normalise/1, name/1, listing/2, range/1, backup/1]).

-type name() :: binary().
-type normal() :: [{atom(), atom() | non_neg_integer()}].

%% @doc The directory as it was spelled, and the options the core knows.
-spec normalise(map()) -> {ok, name(), normal()} | {error, {bad_option, term()}}.
normalise(Options) ->
    try
        Given = maps:fold(fun collect/3, #{}, Options),
        Name = case Given of
                   #{name := N} -> N;
                   #{} -> throw({bad_option, name})
               end,
        {ok, Name, core_options(maps:remove(name, Given))}
    catch
        throw:{bad_option, _} = Reason -> {error, Reason}
    end.

%% @doc A store's name in any of the forms start/1 takes.
-spec name(term()) -> {ok, name()} | error.
name(Name) when is_binary(Name) -> {ok, Name};
name(Name) when is_atom(Name) -> {ok, atom_to_binary(Name)};
name(Name) when is_list(Name) ->
    try unicode:characters_to_binary(Name) of
        Binary when is_binary(Binary) -> {ok, Binary};
        _ -> error
    catch
        error:badarg -> error
    end;
name(_) -> error.

%% @doc What a listing is asked for: the page, and whether the cursor is wanted.
-spec listing(list | list_prefix, map()) ->
          {ok, {non_neg_integer() | infinity, binary() | nil, boolean()}, boolean()}
        | {error, {bad_option, term()}}.
listing(Function, Listing) ->
    Default = #{limit => infinity, cursor => nil, return_cursor => false, reverse => false},
    try
        #{limit := Limit, cursor := Cursor, return_cursor := ReturnCursor, reverse := Reverse} =
            maps:fold(fun page/3, Default, Listing),
        Reverse andalso Function =:= list_prefix andalso throw({bad_option, reverse}),
        {ok, {Limit, Cursor, Reverse}, ReturnCursor}
    catch
        throw:{bad_option, _} = Reason -> {error, Reason}
    end.

%% @doc Whether a backup leaves free pages out.
-spec backup(map()) -> {ok, boolean()} | {error, {bad_option, term()}}.
backup(Options) ->
    try
        #{compact := Compact} = maps:fold(fun backup/3, #{compact => false}, Options),
        {ok, Compact}
    catch
        throw:{bad_option, _} = Reason -> {error, Reason}
    end.

backup(compact, Compact, Given) when is_boolean(Compact) -> Given#{compact := Compact};
backup(<<"compact">>, Compact, Given) -> backup(compact, Compact, Given);
backup(Key, _Value, Given) when is_binary(Key) -> Given;
backup(Key, _Value, _Given) -> throw({bad_option, Key}).

page(limit, infinity, Page) -> Page;
page(limit, Limit, Page) when is_integer(Limit), Limit >= 0 -> Page#{limit := Limit};
page(cursor, Cursor, Page) when is_binary(Cursor) -> Page#{cursor := Cursor};
page(cursor, None, Page) when None =:= nil; None =:= undefined -> Page;
page(return_cursor, Wanted, Page) when is_boolean(Wanted) -> Page#{return_cursor := Wanted};
page(reverse, Reverse, Page) when is_boolean(Reverse) -> Page#{reverse := Reverse};
page(<<"limit">>, Limit, Page) -> page(limit, Limit, Page);
page(<<"cursor">>, Cursor, Page) -> page(cursor, Cursor, Page);
page(<<"return_cursor">>, Wanted, Page) -> page(return_cursor, Wanted, Page);
page(<<"reverse">>, Reverse, Page) -> page(reverse, Reverse, Page);
page(Key, _Value, Page) when is_binary(Key) -> Page;
page(Key, _Value, _Page) -> throw({bad_option, Key}).

%% @doc What a range is asked for, in the form of hyper_lmdb_nif:range/2.
-spec range(map()) -> {ok, tuple()} | {error, {bad_option, term()}}.
range(Asked) ->
    Default = #{prefix => <<>>, from => nil, to => nil, continue => nil, reverse => false,
                keys_only => false, records => false, limit => infinity},
    try maps:fold(fun range/3, Default, Asked) of
        #{prefix := Prefix, from := From, to := To, continue := Continue, reverse := Reverse,
          keys_only := KeysOnly, records := Records, limit := Limit} ->
            {ok, {Prefix, From, To, Continue, Reverse, KeysOnly, Limit, Records}}
    catch
        throw:{bad_option, _} = Reason -> {error, Reason}
    end.

range(Bound, Key, Range) when Bound =:= prefix; Bound =:= from; Bound =:= to ->
    case hyper_lmdb_args:key(Key) of
        Binary when is_binary(Binary) -> Range#{Bound := Binary};
        _ -> throw({bad_option, Bound})
    end;
%% The store refuses one that is too long.
range(continue, Key, Range) when is_binary(Key), Key =/= <<>> ->
    Range#{continue := Key};
range(reverse, Reverse, Range) when is_boolean(Reverse) -> Range#{reverse := Reverse};
range(keys_only, KeysOnly, Range) when is_boolean(KeysOnly) -> Range#{keys_only := KeysOnly};
range(records, Records, Range) when is_boolean(Records) -> Range#{records := Records};
range(limit, infinity, Range) -> Range;
range(limit, Limit, Range) when is_integer(Limit), Limit > 0 -> Range#{limit := Limit};
range(Key, Value, Range) when is_binary(Key) ->
    case lists:search(fun(Known) -> atom_to_binary(Known) =:= Key end, maps:keys(Range)) of
        {value, Known} -> range(Known, Value, Range);
        false -> Range
    end;
range(Key, _Value, _Range) -> throw({bad_option, Key}).

%% An option under its atom beats the same one under its binary.
collect(Key, Value, Given) when is_atom(Key) ->
    case option(Key) of
        unknown -> throw({bad_option, Key});
        Type -> Given#{Key => value(Type, Key, Value)}
    end;
collect(Key, Value, Given) when is_binary(Key) ->
    case known_atom(Key) of
        %% Callers hand over messages that carry the keys of other layers.
        unknown -> Given;
        Atom when is_map_key(Atom, Given) -> Given;
        Atom -> Given#{Atom => value(option(Atom), Atom, Value)}
    end;
collect(Key, _Value, _Given) ->
    throw({bad_option, Key}).

known_atom(Key) ->
    try binary_to_existing_atom(Key) of
        Atom ->
            case option(Atom) of
                unknown -> unknown;
                _ -> Atom
            end
    catch
        error:_ -> unknown
    end.

option(name) -> name;
option(durability) -> {one_of, [sync, async, map_async]};
option(capacity) -> integer;
option(write_buffer_bytes) -> integer;
option(sync_interval_ms) -> integer;
option(on_unclean) -> {one_of, [error, reset]};
option(max_value_bytes) -> integer;
option(max_batch_bytes) -> integer;
option(max_readers) -> integer;
option(path_cache_entries) -> integer;
option(path_cache_ttl_ms) -> integer;
option(max_snapshot_age_ms) -> integer;
option(checksum) -> boolean;
option(read_only) -> boolean;
option(shared) -> boolean;
option(no_readahead) -> boolean;
option(force) -> boolean;
option(compression) -> {one_of, [none, lz4, zstd]};
option(compression_threshold) -> integer;
option(page_size) -> integer;
%% Names of older versions.
option(map_size) -> integer;
option(no_sync) -> boolean;
option(map_async) -> boolean;
option(no_lock) -> boolean;
option(no_meta_sync) -> boolean;
option(no_tls) -> boolean;
option(max_dbs) -> integer;
option(_) -> unknown.

value(name, _Key, Value) ->
    case name(Value) of
        {ok, Name} -> Name;
        error -> throw({bad_option, name})
    end;
value(integer, _Key, Value) when is_integer(Value), Value >= 0 -> Value;
value(boolean, _Key, Value) when is_boolean(Value) -> Value;
value(boolean, _Key, <<"true">>) -> true;
value(boolean, _Key, <<"false">>) -> false;
value({one_of, Values}, Key, Value) ->
    case [V || V <- Values, V =:= Value orelse atom_to_binary(V) =:= Value] of
        [Found] -> Found;
        [] -> throw({bad_option, Key})
    end;
value(_Type, Key, _Value) ->
    throw({bad_option, Key}).

core_options(Given) ->
    Renamed = maps:merge(old_names(Given), Given),
    maps:to_list(maps:with([durability, capacity, write_buffer_bytes, sync_interval_ms, on_unclean,
                            max_value_bytes, max_batch_bytes, max_readers, compression,
                            compression_threshold, page_size, checksum, read_only, shared, no_readahead,
                            force, path_cache_entries, path_cache_ttl_ms, max_snapshot_age_ms],
                           Renamed)).

%% What the older names mean; the newer ones win.
old_names(Given) ->
    maps:merge(old_capacity(Given), old_durability(Given)).

old_capacity(#{map_size := Bytes}) -> #{capacity => Bytes};
old_capacity(#{}) -> #{}.

old_durability(#{map_async := true}) -> #{durability => map_async};
old_durability(#{no_sync := true}) -> #{durability => async};
old_durability(#{no_sync := false}) -> #{durability => sync};
old_durability(#{}) -> #{}.
