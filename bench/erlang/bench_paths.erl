%% Paths beside exact keys, all in map_async: reads with and without links on the way, listings,
%% writes, and what the path cache keeps while links are made. Both sides of a ratio have keys of
%% one length, the same values and the same random order.
-module(bench_paths).
-export([run/2]).

-define(LEAVES, 100). % values of a group
-define(LEAVES_READ, 5). % those read through its link: fewer paths than the cache holds
-define(HOPS, 10). % links of a chain
-define(CHILDREN, 100). % of the group that is listed
-define(READS_A_LINK, 100). % reads for each link made meanwhile

%% -> measurements, one a case and side, and the hit rate
run(Dir, #{keys := Keys} = Settings) ->
    Groups = Keys div ?LEAVES,
    prepare(Groups, Settings),
    Stores = open(Dir, Groups, Settings),
    Rows = lists:append([measure(Case, Rounds, Sides, Settings)
                         || {Case, Rounds, Sides} <- cases(Stores)]),
    HitRate = hit_rate(maps:get(linked, Stores), Groups),
    [ok = bench_stores:stop(Store) || Store <- maps:values(Stores)],
    #{rows => Rows, hit_rate => HitRate}.

prepare(Groups, #{keys := Keys, ops := Ops}) ->
    keep(numbers, [Key || {Key, _} <- bench_stores:random_pairs(Ops, Keys)]),
    Read = [{rand:uniform(Groups) - 1, rand:uniform(?LEAVES_READ) - 1} || _ <- lists:seq(1, Ops)],
    keep(leaves, [leaf(Group, Leaf) || {Group, Leaf} <- Read]),
    keep(linked_leaves, [linked_leaf(Group, Leaf) || {Group, Leaf} <- Read]),
    keep(chains, [hop(Group, 0) || {Group, _} <- Read]),
    keep(chain_ends, [chain_end(Group) || {Group, _} <- Read]),
    keep(pairs, [{leaf(rand:uniform(Groups) - 1, rand:uniform(?LEAVES) - 1), bench_stores:value()}
                 || _ <- lists:seq(1, Ops)]),
    keep(listings, lists:duplicate(100, listed())).

keep(Name, List) -> bench_stores:keep({paths, Name}, List).
kept(Name) -> bench_stores:kept({paths, Name}).

%% Five segments, 23 bytes each.
leaf(Group, Leaf) -> path("real/north/~4..0b/unit/~2..0b", [Group, Leaf]).
linked_leaf(Group, Leaf) -> path("view/north/~4..0b/unit/~2..0b", [Group, Leaf]).
hop(Group, Hop) -> path("hops/north/~4..0b/step/~2..0b", [Group, Hop]).
chain_end(Group) -> leaf(Group, Group rem ?LEAVES).
made(N) -> path("made/north/~4..0b/unit/~2..0b", [N div 100, N rem 100]).

listed() -> <<"tree">>.
descendant(Child, N) -> path("tree/~3..0b/~6..0b", [Child, N]).

path(Format, Numbers) -> iolist_to_binary(io_lib:format(Format, Numbers)).

%% `plain`: the data of the other benchmarks and no link; `linked`: the same, the tree, and links
%% into it; `uncached`: as `linked`; `broad` and `narrow`: what is listed.
open(Dir, Groups, #{keys := Keys, descendants := Descendants}) ->
    Numbers = bench_stores:puts(bench_stores:pairs(Keys)),
    Tree = [{put, leaf(Group, Leaf), bench_stores:value()} || Group <- lists:seq(0, Groups - 1),
                                                              Leaf <- lists:seq(0, ?LEAVES - 1)],
    Stores = #{plain => start(Dir, "plain", #{}), linked => start(Dir, "linked", #{}),
               uncached => start(Dir, "uncached", #{path_cache_entries => 0}),
               broad => start(Dir, "broad", #{}), narrow => start(Dir, "narrow", #{})},
    #{plain := Plain, linked := Linked, uncached := Uncached, broad := Broad,
      narrow := Narrow} = Stores,
    load(Plain, Numbers),
    [load(Store, Numbers ++ Tree ++ links(Groups)) || Store <- [Linked, Uncached]],
    load_children(Broad, Descendants div ?CHILDREN),
    load_children(Narrow, 1),
    [ok = hyper_lmdb:sync(Store) || Store <- maps:values(Stores)],
    check(Stores, Groups),
    Stores.

start(Dir, Name, Options) ->
    {ok, Store} = hyper_lmdb:start(Options#{name => filename:join(Dir, Name),
                                            durability => map_async}),
    Store.

load(Store, Ops) -> ok = bench_loops:batch(Store, bench_stores:chunks(Ops, 1000)).

%% The third segment of view/north/0001/unit/01 is a link; hops/north/0001/step/00 begins a chain.
links(Groups) ->
    lists:append([[{link, path("real/north/~4..0b", [Group]), path("view/north/~4..0b", [Group])},
                   {link, chain_end(Group), hop(Group, ?HOPS - 1)}
                  | [{link, hop(Group, Hop + 1), hop(Group, Hop)}
                     || Hop <- lists:seq(0, ?HOPS - 2)]]
                  || Group <- lists:seq(0, Groups - 1)]).

%% One batch a child: 10,000 puts in a run that counts.
load_children(Store, Each) ->
    [ok = hyper_lmdb:batch_write(Store, [{put, descendant(Child, N), bench_stores:value()}
                                         || N <- lists:seq(1, Each)])
     || Child <- lists:seq(1, ?CHILDREN)].

%% That both sides find the same.
check(#{linked := Linked, uncached := Uncached, broad := Broad, narrow := Narrow}, Groups) ->
    [{ok, _} = Value = hyper_lmdb:read(Store, Path)
     || Group <- lists:seq(0, Groups - 1), Store <- [Linked, Uncached],
        {Key, Path} <- [{leaf(Group, 0), linked_leaf(Group, 0)}, {chain_end(Group), hop(Group, 0)}],
        Value <- [hyper_lmdb:get(Store, Key)]],
    {ok, Names} = hyper_lmdb:list(Broad, listed()),
    {ok, Names} = hyper_lmdb:list(Narrow, listed()),
    ?CHILDREN = length(Names).

%% {Case, Rounds, [{Side, Milliseconds a round, Data, Loop, Store}]}; the milliseconds are those of
%% bench_single.
cases(#{plain := Plain, linked := Linked, uncached := Uncached, broad := Broad,
        narrow := Narrow}) ->
    Get = fun bench_loops:get/2,
    Read = fun bench_loops:read/2,
    List = fun bench_loops:list/2,
    [{read_plain, read_rounds, [{exact, 50, numbers, Get, Plain},
                                {path, 50, numbers, Read, Plain}]},
     {read_unlinked, read_rounds, [{exact, 50, numbers, Get, Linked},
                                   {path, 50, numbers, Read, Linked}]},
     {read_link, read_rounds, [{exact, 50, leaves, Get, Linked},
                               {path, 50, linked_leaves, Read, Linked},
                               {uncached, 50, linked_leaves, Read, Uncached}]},
     {read_chain, read_rounds, [{exact, 50, chain_ends, Get, Linked},
                                {path, 50, chains, Read, Linked}]},
     {list, read_rounds, [{narrow, 50, listings, List, Narrow},
                          {broad, 50, listings, List, Broad}]},
     {write, write_rounds, [{exact, 1100, pairs, fun bench_loops:put/2, Linked},
                            {path, 1100, pairs, fun bench_loops:write/2, Linked}]}].

measure(Case, Rounds, Sides, #{pace := Pace} = Settings) ->
    Timings = bench_rounds:run(maps:get(Rounds, Settings),
                               [{Side, sample(Ms * Pace, Data, Loop, Store)}
                                || {Side, Ms, Data, Loop, Store} <- Sides]),
    [(maps:get(Side, Timings))#{'case' => Case, side => Side} || {Side, _, _, _, _} <- Sides].

sample(Ms, Name, Loop, Store) ->
    fun() ->
            Data = kept(Name),
            Ops = length(Data),
            bench_rounds:at_least(Ms, fun() -> {bench_rounds:ns(fun() -> Loop(Store, Data) end),
                                                Ops}
                                      end)
    end.

%% Of the look-ups that reads through links make in a warm cache while links that have nothing to do
%% with them are made, one for so many reads. The look-ups of make_link itself do not count.
hit_rate(Store, Groups) ->
    Paths = kept(linked_leaves),
    ok = bench_loops:read(Store, Paths),
    hit_rate(Store, Groups, 0, bench_stores:chunks(Paths, ?READS_A_LINK), 0, 0).

hit_rate(Store, Groups, N, [Chunk | Chunks], Hits, Misses) ->
    {HitsBefore, MissesBefore} = counts(Store),
    ok = bench_loops:read(Store, Chunk),
    {HitsAfter, MissesAfter} = counts(Store),
    ok = hyper_lmdb:make_link(Store, chain_end(N rem Groups), made(N)),
    hit_rate(Store, Groups, N + 1, Chunks, Hits + HitsAfter - HitsBefore,
             Misses + MissesAfter - MissesBefore);
hit_rate(_, _, Links, [], Hits, Misses) ->
    #{links => Links, hits => Hits, misses => Misses, rate => Hits / (Hits + Misses)}.

counts(Store) ->
    {ok, #{path_cache_hits := Hits, path_cache_misses := Misses}} = hyper_lmdb:info(Store),
    {Hits, Misses}.
