%% @doc Files and mounts around a store: made, listed, compared.
-module(environment_files).

-export([shell/1, try_shell/1, make/1, copy/2, remove/1, link/2, in_place/2, listing/3, differences/2, store_files/1]).

%% A command that must succeed.
shell(Command) ->
    case test_store:shell(Command) of
        {0, Output} -> Output;
        {Status, Output} -> error({command_failed, unicode:characters_to_list(Command), Status, Output})
    end.

%% For what this machine may be unable to do.
try_shell(Command) ->
    case test_store:shell(Command) of
        {0, _} -> ok;
        {_, Output} -> {skip, Output}
    end.

make(Dir) -> ok = filelib:ensure_path(Dir).
copy(From, To) -> shell(["cp -a '", From, "' '", To, "'"]), ok.
remove(Path) -> shell(["rm -rf --one-file-system '", Path, "'"]), ok.
link(Target, Name) -> shell(["ln -sfn '", Target, "' '", Name, "'"]), ok.

%% Something that is no regular file, under a name that a store uses.
in_place(fifo, Path) -> shell(["mkfifo '", Path, "'"]), ok;
in_place(directory, Path) -> make(Path), ok = file:write_file(filename:join(Path, "mine"), <<"mine">>);
in_place(dangling_link, Path) -> link(<<Path/binary, "-elsewhere">>, Path);
in_place(socket, Path) ->
    {ok, Socket} = gen_tcp:listen(0, [{ifaddr, {local, Path}}]),
    gen_tcp:close(Socket).

%% The files that make a store, by their names in its directory.
store_files(Dir) ->
    {ok, Names} = file:list_dir(Dir),
    lists:sort([Name || Name <- Names, is_of_store(Name)]).

is_of_store(Name) ->
    lists:member(Name, ["data.mdb", "lock.mdb", "dirty.mark"])
        orelse match =:= re:run(Name, "^journal-[0-9a-f]{16}$", [{capture, none}]).

%% Everything below Top by name: what it is, its mode, and what is in it. Stores are directories of which
%% only what is not the store's own counts; of the Unwatched nothing does.
listing(Top, Stores, Unwatched) ->
    maps:from_list(walk(Top, Stores, Unwatched)).

walk(Path, Stores, Unwatched) ->
    case {lists:member(Path, Unwatched), file:read_link_info(Path)} of
        {true, _} -> [];
        {false, {error, enoent}} -> [];
        {false, {ok, Info}} ->
            [{Path, {element(3, Info), element(8, Info) band 8#7777, content(element(3, Info), Path)}}
             | below(element(3, Info), Path, Stores, Unwatched)]
    end.

content(regular, Path) -> {ok, Bytes} = file:read_file(Path), {byte_size(Bytes), erlang:md5(Bytes)};
content(symlink, Path) -> file:read_link_all(Path);
content(_, _) -> none.

below(directory, Path, Stores, Unwatched) ->
    {ok, Names} = file:list_dir(Path),
    IsStore = lists:member(Path, Stores),
    lists:append([walk(filename:join(Path, Name), Stores, Unwatched)
                  || Name <- Names, not (IsStore andalso is_of_store(Name))]);
below(_, _, _, _) -> [].

differences(Before, After) ->
    [{gone, Path} || Path <- maps:keys(Before), not is_map_key(Path, After)]
        ++ [{new, Path} || Path <- maps:keys(After), not is_map_key(Path, Before)]
        ++ [{changed, Path} || {Path, What} <- maps:to_list(Before), maps:get(Path, After, What) =/= What].
