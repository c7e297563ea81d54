%% Text with each compression: what the file takes, what puts and gets cost. The text is a directory
%% tree's, once whole and once without what is compressed already.
-module(bench_compression).
-export([run/3, table/1, figures/1]).

-type row() :: #{tree := whole | text, compression := none | lz4 | zstd, files := pos_integer(),
                 raw_bytes := pos_integer(), used_bytes := pos_integer(),
                 put_us := float(), get_us := float(), mib_put := float(), mib_got := float()}.
%% Of the median round: microseconds a value, and MiB of text a second.

%% @doc A row for each half of the tree and each compression; stores are made below Dir. Skipped where
%% the library was built without one of them, or the tree has no text.
-spec run(string(), file:name(), pos_integer()) -> [row()] | {skipped, binary()}.
run(Tree, Dir, Rounds) ->
    case [Codec || Codec <- [lz4, zstd], not is_built(Codec, Dir)] of
        [] -> rows(Tree, Dir, Rounds);
        [Codec | _] -> {skipped, iolist_to_binary(io_lib:format("built without ~s", [Codec]))}
    end.

is_built(Codec, Dir) ->
    Name = iolist_to_binary(filename:join(Dir, "is_built")),
    case hyper_lmdb:start(#{name => Name, compression => Codec}) of
        {ok, Store} ->
            ok = hyper_lmdb:stop(Store),
            ok = file:del_dir_r(Name),
            true;
        {error, {bad_option, compression}} -> false
    end.

rows(Tree, Dir, Rounds) ->
    Whole = filelib:fold_files(Tree, "", true, fun read/2, []),
    case [File || {Name, _} = File <- Whole, not is_compressed(Name)] of
        [] -> {skipped, unicode:characters_to_binary(["no text in ", Tree])};
        Text -> [row(Half, Files, Codec, Dir, Rounds)
                 || {Half, Files} <- [{whole, Whole}, {text, Text}], Codec <- [none, lz4, zstd]]
    end.

%% A link is read once, where it leads to.
read(Name, Files) ->
    case file:read_link(Name) of
        {ok, _} -> Files;
        {error, _} ->
            case file:read_file(Name) of
                {ok, Bytes} -> [{list_to_binary(Name), Bytes} | Files];
                {error, _} -> Files
            end
    end.

is_compressed(Name) ->
    lists:member(filename:extension(Name),
                 [<<".gz">>, <<".bz2">>, <<".xz">>, <<".png">>, <<".jpg">>, <<".gif">>, <<".pdf">>, <<".woff2">>]).

row(Half, Files, Codec, Dir, Rounds) ->
    Raw = lists:sum([byte_size(Bytes) || {_, Bytes} <- Files]),
    Shuffled = [File || {_, File} <- lists:sort([{erlang:phash2(Name), File} || {Name, _} = File <- Files])],
    {Puts, Gets, Used} = lists:unzip3([once(Shuffled, Codec, Dir) || _ <- lists:seq(1, Rounds)]),
    {Put, Get} = {median(Puts), median(Gets)},
    Count = length(Files),
    #{tree => Half, compression => Codec, files => Count, raw_bytes => Raw, used_bytes => median(Used),
      put_us => Put / Count, get_us => Get / Count,
      mib_put => Raw / 1.048576 / Put, mib_got => Raw / 1.048576 / Get}.

once(Files, Codec, Dir) ->
    Name = iolist_to_binary(filename:join(Dir, "compression")),
    Options = #{name => Name, compression => Codec},
    {ok, Fresh} = hyper_lmdb:start(Options),
    Put = us(fun() -> [ok = hyper_lmdb:put(Fresh, Key, Value) || {Key, Value} <- Files] end),
    ok = hyper_lmdb:stop(Fresh),
    {ok, Store} = hyper_lmdb:start(Options),
    {ok, #{used_bytes := Used}} = hyper_lmdb:info(Store),
    Read = fun() -> [{ok, _} = hyper_lmdb:get(Store, Key) || {Key, _} <- Files] end,
    _ = Read(),
    Get = us(Read),
    ok = hyper_lmdb:stop(Store),
    ok = file:del_dir_r(Name),
    {Put, Get, Used}.

us(Fun) ->
    erlang:garbage_collect(),
    {Us, _} = timer:tc(Fun),
    Us.

median(Values) -> lists:nth((length(Values) + 1) div 2, lists:sort(Values)).

%% @doc The rows in Markdown.
-spec table([row()]) -> iodata().
table(Rows) ->
    ["| text | compression | files | MiB | file, MiB | file / none | put, us | get, us |\n"
     "|---|---|---|---|---|---|---|---|\n" |
     [io_lib:format("| ~s | ~s | ~b | ~.1f | ~.1f | ~.2f | ~.1f | ~.1f |~n",
                    [Half, Codec, Files, Raw / 1048576, Used / 1048576, Used / used(Half, Rows), Put, Get])
      || #{tree := Half, compression := Codec, files := Files, raw_bytes := Raw, used_bytes := Used,
           put_us := Put, get_us := Get} <- Rows]].

%% @doc What the store takes of what it takes uncompressed, for the reach table.
-spec figures([row()]) -> [{atom(), float()}].
figures(Rows) ->
    [{compression_figure(Half, Codec), Used / used(Half, Rows)}
     || #{tree := Half, compression := Codec, used_bytes := Used} <- Rows, Codec =/= none].

compression_figure(text, lz4) -> compression_text_lz4;
compression_figure(text, zstd) -> compression_text_zstd;
compression_figure(whole, lz4) -> compression_whole_lz4;
compression_figure(whole, zstd) -> compression_whole_zstd.

used(Half, Rows) ->
    [Used] = [Used || #{tree := H, compression := none, used_bytes := Used} <- Rows, H =:= Half],
    Used.
