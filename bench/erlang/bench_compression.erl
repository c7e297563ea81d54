%% Text with each compression: what the file takes, what puts and gets cost. The text is a directory
%% tree's, once whole and once without what is compressed already, and that with other thresholds too.
-module(bench_compression).
-export([run/3, table/1, figures/1]).

-define(THRESHOLD, 1024). % the library's default
-define(OTHER_THRESHOLDS, [64, 256, 4096, 16384]).

-type row() :: #{tree := whole | text, compression := none | lz4 | zstd, threshold := pos_integer(),
                 files := pos_integer(), raw_bytes := pos_integer(), used_bytes := float(),
                 put_us := float(), applied_us := float(), get_us := float()}.
%% Of the median round: microseconds a value. `applied' is the put and its share of the stop, which
%% brings everything into LMDB.

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
        Text -> [row(Half, Files, {Codec, ?THRESHOLD}, Dir, Rounds)
                 || {Half, Files} <- [{whole, Whole}, {text, Text}], Codec <- [none, lz4, zstd]] ++
                [row(text, Text, {Codec, Threshold}, Dir, Rounds)
                 || Codec <- [lz4, zstd], Threshold <- ?OTHER_THRESHOLDS]
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

row(Half, Files, {Codec, Threshold} = How, Dir, Rounds) ->
    Raw = lists:sum([byte_size(Bytes) || {_, Bytes} <- Files]),
    Shuffled = [File || {_, File} <- lists:sort([{erlang:phash2(Name), File} || {Name, _} = File <- Files])],
    Samples = [once(Shuffled, How, Dir) || _ <- lists:seq(1, Rounds)],
    Count = length(Files),
    [Used, Put, Applied, Get] = [bench_rounds:median([maps:get(What, Sample) || Sample <- Samples])
                                 || What <- [used, put, applied, get]],
    #{tree => Half, compression => Codec, threshold => Threshold, files => Count, raw_bytes => Raw,
      used_bytes => Used, put_us => Put / Count, applied_us => Applied / Count, get_us => Get / Count}.

once(Files, {Codec, Threshold}, Dir) ->
    Name = iolist_to_binary(filename:join(Dir, "compression")),
    Options = #{name => Name, compression => Codec, compression_threshold => Threshold},
    {ok, Fresh} = hyper_lmdb:start(Options),
    Put = us(fun() -> [ok = hyper_lmdb:put(Fresh, Key, Value) || {Key, Value} <- Files] end),
    Stop = us(fun() -> ok = hyper_lmdb:stop(Fresh) end),
    {ok, Store} = hyper_lmdb:start(Options),
    {ok, #{used_bytes := Used}} = hyper_lmdb:info(Store),
    Read = fun() -> [{ok, _} = hyper_lmdb:get(Store, Key) || {Key, _} <- Files] end,
    _ = Read(),
    Get = us(Read),
    ok = hyper_lmdb:stop(Store),
    ok = file:del_dir_r(Name),
    #{used => Used, put => Put, applied => Put + Stop, get => Get}.

us(Fun) ->
    erlang:garbage_collect(),
    {Us, _} = timer:tc(Fun),
    Us.

%% @doc The rows in Markdown.
-spec table([row()]) -> iodata().
table(Rows) ->
    ["| values | compression | from bytes | count | MiB | file, MiB | file / none | put, us | put until "
     "in LMDB, us | get, us |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n" |
     [io_lib:format("| ~s | `~s` | ~s | ~b | ~.1f | ~.1f | ~.2f | ~.1f | ~.1f | ~.1f |~n",
                    [Half, Codec, from(Row), Files, Raw / 1048576, Used / 1048576, Used / used(Half, Rows),
                     Put, Applied, Get])
      || #{tree := Half, compression := Codec, files := Files, raw_bytes := Raw, used_bytes := Used,
           put_us := Put, applied_us := Applied, get_us := Get} = Row <- Rows]].

from(#{compression := none}) -> "";
from(#{threshold := Threshold}) -> bench_out:count(Threshold).

%% @doc What the store takes of what it takes uncompressed, for the reach table.
-spec figures([row()]) -> [{atom(), float()}].
figures(Rows) ->
    [{compression_figure(Half, Codec), Used / used(Half, Rows)}
     || #{tree := Half, compression := Codec, threshold := ?THRESHOLD, used_bytes := Used} <- Rows,
        Codec =/= none].

compression_figure(text, lz4) -> compression_text_lz4;
compression_figure(text, zstd) -> compression_text_zstd;
compression_figure(whole, lz4) -> compression_whole_lz4;
compression_figure(whole, zstd) -> compression_whole_zstd.

used(Half, Rows) ->
    [Used] = [Used || #{tree := H, compression := none, used_bytes := Used} <- Rows, H =:= Half],
    Used.
