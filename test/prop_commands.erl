%% @doc What the properties try: commands over few names, so that links, chains, cycles and groups
%% meet, and how a store runs them.
-module(prop_commands).
-include_lib("proper/include/proper.hrl").

-export([command/1, call/2, pages/4]).
-export([value/0, path/0, path_form/0, key/0, plain_key/0, prefix/0]).

-define(FILLER, <<"zz filler">>).

%% -- running -------------------------------------------------------------------------------------

call({old_batch, Elements}, S) ->
    {ok, B} = hyper_lmdb:begin_batch(S),
    Adds = [add(B, Element) || Element <- Elements],
    Result = hyper_lmdb:commit_batch(B),
    {error, committed} = hyper_lmdb:commit_batch(B),
    {Adds, Result};
call({filler, Bytes}, S) ->
    ok = hyper_lmdb:put(S, ?FILLER, binary:copy(<<"f">>, Bytes)),
    hyper_lmdb:delete(S, ?FILLER);
%% Several buffers of them.
call({fillers, Count}, S) -> lists:foreach(fun(_) -> ok = call({filler, 12000}, S) end, lists:seq(1, Count));
call(Name, S) when is_atom(Name) -> hyper_lmdb:Name(S);
call(Command, S) ->
    [Function | Args] = tuple_to_list(Command),
    apply(hyper_lmdb, Function, [S | Args]).

add(B, {write, P, V}) -> hyper_lmdb:batch_write(B, P, V);
add(B, {make_group, P}) -> hyper_lmdb:batch_make_group(B, P);
add(B, {make_link, Existing, New}) -> hyper_lmdb:batch_make_link(B, Existing, New).

%% A listing of a group, put together from its parts.
pages(P, S, Page, Sofar) ->
    case hyper_lmdb:list(S, P, Page) of
        {ok, Names, nil} -> {ok, Sofar ++ Names};
        {ok, Names, Cursor} -> pages(P, S, Page#{cursor => Cursor}, Sofar ++ Names);
        Other -> Other
    end.

%% -- what is tried -------------------------------------------------------------------------------

%% Small buffers are applied while the commands run; what fills them is put between the commands.
command(Value) ->
    frequency([{12, {make_link, path_form(), path_form()}},
               {10, {write, path_form(), Value}},
               {5, {make_group, path_form()}},
               {6, {put, key(), Value}},
               {6, {delete, key()}},
               {2, {put_new, key(), Value}},
               {2, {write_fast, key(), Value}},
               {8, {batch_write, short_list(op(Value))}},
               {8, {old_batch, short_list(element(Value))}},
               {2, {delete_prefix, prefix()}},
               {1, reset}, {1, sync}, {8, {filler, range(1000, 15000)}}]).

op(Value) ->
    frequency([{4, {put, plain_key(), Value}}, {2, {delete, plain_key()}}, {5, {link, path(), plain_key()}},
               {2, {group, plain_key()}}, {1, {check, plain_key(), absent}}, {1, {check, plain_key(), Value}}]).

element(Value) ->
    frequency([{4, {write, path_form(), Value}}, {4, {make_link, path_form(), path_form()}},
               {2, {make_group, path_form()}}]).

short_list(Type) -> resize(6, list(Type)).

%% A few values, so that checks hold at times; some look like what they are not.
value() -> oneof([<<>>, <<"1">>, <<"2">>, <<"link:a">>, <<"group">>, <<2, "a">>, <<4>>]).

%% `a-' sorts between `a' and `a/'.
segment() -> oneof([<<"a">>, <<"b">>, <<"c">>, <<"a-">>]).

path() ->
    ?LET(Depth, frequency([{1, 0}, {10, 1}, {10, 2}, {5, 3}, {1, 5}]),
         ?LET(Segments, vector(Depth, segment()), iolist_to_binary(lists:join($/, Segments)))).

plain_key() -> ?SUCHTHAT(Key, frequency([{9, path()}, {1, untidy()}]), Key =/= <<>>).
key() -> frequency([{9, path()}, {1, untidy()}]).
prefix() -> frequency([{1, <<>>}, {6, path()}, {2, ?LET(P, path(), <<P/binary, "/">>)}]).

%% No path function ever gets to see such a key.
untidy() ->
    ?LET({Before, Path, After}, {oneof([<<>>, <<"/">>]), path(), oneof([<<"/">>, <<"//a">>])},
         <<Before/binary, Path/binary, After/binary>>).

path_form() ->
    ?LET({Form, Path}, {frequency([{8, binary}, {1, slashes}, {1, parts}, {1, string}, {1, atom}]), path()},
         in_form(Form, Path)).

in_form(binary, Path) -> Path;
in_form(slashes, Path) -> <<"//", (binary:replace(Path, <<"/">>, <<"///">>, [global]))/binary, "/">>;
in_form(parts, Path) -> [<<>> | binary:split(Path, <<"/">>, [global])];
in_form(string, Path) -> binary_to_list(Path);
in_form(atom, Path) -> binary_to_atom(Path).
