%% @doc What functions are given in a map, brought to one form: names of older versions, keys and words
%% that are binaries, numbers and booleans in any spelling. Which numbers go is the core's business.
%% @private
-module(hyper_lmdb_options).

-export([as_map/1, normalise/1, name/1, has_binary/1, listing/2, range/1, backup/1]).

-type name() :: binary().
-type normal() :: [{atom(), atom() | non_neg_integer()}].

%% @doc The map a keyword list stands for, of which the first of several pairs counts; what is no such
%% list stays what it is.
-spec as_map(term()) -> term().
as_map([{_, _} | _] = List) ->
    try maps:from_list(lists:reverse(List))
    catch error:_ -> List
    end;
as_map(Other) ->
    Other.

%% @doc The directory as it was spelled, and the options the core knows. `badarg' where the map is none
%% of options at all, or the name one that nobody means.
-spec normalise(map()) -> {ok, name(), normal()} | {error, {bad_option, term()}} | badarg.
normalise(Options) ->
    case given(Options, fun option/1, #{}) of
        {ok, #{name := Name} = Given} -> {ok, Name, core_options(maps:remove(name, Given))};
        {ok, _} -> {error, {bad_option, name}};
        Wrong -> Wrong
    end.

%% @doc A store's name in any of the forms start/1 takes, as the bytes that `file' makes of it.
-spec name(term()) -> {ok, name()} | error.
name(Name) when is_binary(Name) -> {ok, Name};
name(Name) when is_atom(Name) ->
    case hyper_lmdb_args:is_no_name(Name) of
        true -> error;
        false -> name(atom_to_list(Name))
    end;
name(Name) when is_list(Name) ->
    try not has_binary(Name) andalso
            unicode:characters_to_binary(Name, unicode, file:native_name_encoding()) of
        Binary when is_binary(Binary) -> {ok, Binary};
        _ -> error
    catch
        error:badarg -> error
    end;
name(_) -> error.

%% @doc Whether a list has a binary in it: as a name it might be meant to be joined with slashes, or not.
-spec has_binary(term()) -> boolean().
has_binary([Head | Tail]) -> has_binary(Head) orelse has_binary(Tail);
has_binary(Part) -> is_binary(Part).

%% @doc What a listing is asked for: the page, and whether the cursor is wanted.
-spec listing(list | list_prefix, map()) ->
          {ok, {non_neg_integer() | infinity, binary() | nil, boolean()}, boolean()}
        | {error, {bad_option, term()}} | badarg.
listing(Function, Listing) ->
    Default = #{limit => infinity, cursor => nil, return_cursor => false, reverse => false},
    case given(Listing, fun listing_option/1, Default) of
        {ok, #{reverse := true}} when Function =:= list_prefix ->
            {error, {bad_option, reverse}};
        {ok, #{limit := Limit, cursor := Cursor, return_cursor := ReturnCursor, reverse := Reverse}} ->
            {ok, {Limit, Cursor, Reverse}, ReturnCursor};
        Wrong ->
            Wrong
    end.

%% @doc Whether a backup can have these options, none of which has an effect.
-spec backup(map()) -> ok | {error, {bad_option, term()}} | badarg.
backup(Options) ->
    case given(Options, fun backup_option/1, #{}) of
        {ok, _} -> ok;
        Wrong -> Wrong
    end.

%% @doc What a range is asked for, in the form of hyper_lmdb_nif:range/2.
-spec range(map()) -> {ok, tuple()} | {error, {bad_option, term()}} | badarg.
range(Asked) ->
    Default = #{prefix => <<>>, from => nil, to => nil, continue => nil, reverse => false,
                keys_only => false, records => false, limit => infinity},
    case given(Asked, fun range_option/1, Default) of
        {ok, #{prefix := Prefix, from := From, to := To, continue := Continue, reverse := Reverse,
               keys_only := KeysOnly, records := Records, limit := Limit}} ->
            {ok, {Prefix, From, To, Continue, Reverse, KeysOnly, Limit, Records}};
        Wrong ->
            Wrong
    end.

%%% Any options

%% The options of a map under their atoms, beside those of `Default'. A key may be a binary too, and have
%% hyphens for underscores; of several that mean one option atoms beat binaries, and hyphens none.
given(#{'__struct__' := _}, _TypeOf, _Default) ->
    badarg;
given(Options, TypeOf, Default) ->
    Take = fun(Key, Value, Given) ->
        case TypeOf(Key) of
            unknown -> spelled(Key, Value, Given, Options, TypeOf);
            Type -> Given#{Key => value(Type, Key, Value)}
        end
    end,
    try
        {ok, maps:fold(Take, Default, Options)}
    catch
        throw:{bad_option, _} = Reason -> {error, Reason};
        throw:badarg -> badarg
    end.

spelled(Key, Value, Given, Options, TypeOf) ->
    Word = word(Key),
    Plain = underscored(Word),
    Known = known(Plain),
    case TypeOf(Known) of
        %% Callers hand over messages that carry the keys of other layers, and those are binaries.
        unknown when is_binary(Key) -> Given;
        unknown -> throw({bad_option, Key});
        Type ->
            Hyphened = Plain =/= Word,
            Better = [Known] ++ [Plain || Hyphened] ++ [known(Word) || Hyphened, is_binary(Key)],
            case lists:any(fun(Other) -> is_map_key(Other, Options) end, Better) of
                true -> Given;
                false -> Given#{Known => value(Type, Known, Value)}
            end
    end.

word(Key) when is_atom(Key) -> atom_to_binary(Key);
word(Key) when is_binary(Key) -> Key;
word(Key) -> throw({bad_option, Key}).

%% `unknown' where there is no such atom, which is no option either.
known(Word) ->
    try binary_to_existing_atom(Word)
    catch error:_ -> unknown
    end.

underscored(Word) ->
    case has_hyphen(Word) of
        true -> << <<(case Byte of $- -> $_; _ -> Byte end)>> || <<Byte>> <= Word >>;
        false -> Word
    end.

has_hyphen(<<$-, _/binary>>) -> true;
has_hyphen(<<_, Rest/binary>>) -> has_hyphen(Rest);
has_hyphen(_) -> false.

value(name, _Key, Value) ->
    case name(Value) of
        {ok, Name} -> Name;
        error -> wrong(hyper_lmdb_args:is_no_name(Value) orelse is_list(Value) andalso has_binary(Value), name)
    end;
value(key, Key, Value) ->
    case hyper_lmdb_args:key(Value) of
        Binary when is_binary(Binary) -> Binary;
        _ -> wrong(hyper_lmdb_args:is_no_name(Value), Key)
    end;
%% The store refuses one that is too long.
value(continue, _Key, Value) when is_binary(Value), Value =/= <<>> -> Value;
value(cursor, _Key, Value) when is_binary(Value) -> Value;
value(cursor, _Key, Value) when Value =:= nil; Value =:= undefined -> nil;
value({limit, _Least}, _Key, Value) when Value =:= infinity; Value =:= <<"infinity">> -> infinity;
value({limit, Least}, Key, Value) ->
    case value(integer, Key, Value) of
        Limit when Limit >= Least -> Limit;
        _ -> throw({bad_option, Key})
    end;
value(integer, _Key, Value) when is_integer(Value), Value >= 0 -> Value;
value(integer, Key, <<Digit, _/binary>> = Value) when Digit >= $0, Digit =< $9, byte_size(Value) =< 20 ->
    try binary_to_integer(Value)
    catch error:badarg -> throw({bad_option, Key})
    end;
value(boolean, _Key, Value) when is_boolean(Value) -> Value;
value(boolean, _Key, Value) when Value =:= 1; Value =:= <<"1">>; Value =:= <<"true">> -> true;
value(boolean, _Key, Value) when Value =:= 0; Value =:= <<"0">>; Value =:= <<"false">> -> false;
value({one_of, Words}, Key, Value) ->
    Spelled = case is_binary(Value) of
                  true -> known(underscored(Value));
                  false -> Value
              end,
    case [Word || Word <- Words, Word =:= Spelled] of
        [Found] -> Found;
        [] -> throw({bad_option, Key})
    end;
value(_Type, Key, _Value) ->
    throw({bad_option, Key}).

%% A word where a name is meant is the caller's fault, not an option that a store could not have.
-spec wrong(boolean(), atom()) -> no_return().
wrong(true, _Key) -> throw(badarg);
wrong(false, Key) -> throw({bad_option, Key}).

listing_option(limit) -> {limit, 0};
listing_option(cursor) -> cursor;
listing_option(return_cursor) -> boolean;
listing_option(reverse) -> boolean;
listing_option(_) -> unknown.

backup_option(compact) -> boolean;
backup_option(_) -> unknown.

range_option(prefix) -> key;
range_option(from) -> key;
range_option(to) -> key;
range_option(continue) -> continue;
range_option(reverse) -> boolean;
range_option(keys_only) -> boolean;
range_option(records) -> boolean;
range_option(limit) -> {limit, 1};
range_option(_) -> unknown.

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

core_options(Given) ->
    Renamed = maps:merge(old_names(Given), Given),
    maps:to_list(maps:with([durability, capacity, write_buffer_bytes, sync_interval_ms, on_unclean,
                            max_value_bytes, max_batch_bytes, max_readers, compression,
                            compression_threshold, page_size, checksum, read_only, no_readahead,
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
