%% @doc The environments: for each how it is set up, what happens while its stores are open, and what is
%% expected. What stands in no entry is as in an environment in which nothing is the matter.
%%
%%   setup     makes what is needed of the machine, in the place of a mode; or says why it cannot
%%   home      below the place of a mode: where the stores are
%%   vm        what a shell does before it becomes the VM
%%   seed      `template': the store is there already, as a killed VM left it
%%   prepare   before a store is started; may say by which `name' it is
%%   change    while the stores are open, between two rounds of writes
%%   undo      when they are closed, before they are opened again
%%   found     where a store is then, or `gone'
%%   check     of a store that is closed again
%%   starts, writes, stops   what `start', each write after the change, and `stop' may answer
%%   expect_failure   of a control: it passes where each of its cells fails so
%%   scenario  in place of all this, where it is another story; once for each mode
-module(environment_table).

-export([environments/0, controls/0]).

-import(environment_files, [shell/1, try_shell/1]).

environments() ->
    [#{name => "nothing is the matter"}]
    ++ paths() ++ limits() ++ file_systems() ++ others() ++ clocks().

%% -- names that change ---------------------------------------------------------------------------

paths() ->
    [#{name => "the directory renamed", change => fun rename/3, found => fun moved/1},
     #{name => "the directory renamed, another store under its name",
       change => fun(World, Vm, Cell) -> rename(World, Vm, Cell), stranger(World, maps:get(store, Cell)) end,
       found => fun moved/1},
     #{name => "its parent renamed", change => fun rename_parent/3, found => fun parent_moved/1},
     #{name => "its parent renamed, another store under its name",
       change => fun(World, Vm, #{home := Home} = Cell) ->
           rename_parent(World, Vm, Cell),
           environment_files:make(Home),
           stranger(World, maps:get(store, Cell))
       end, found => fun parent_moved/1},
     #{name => "a symbolic link switched to another store",
       prepare => fun(_, _, #{home := Home, store := Store} = Cell) ->
           environment_files:link("store", [Home, "/current"]),
           Cell#{name := <<(filename:dirname(Store))/binary, "/current">>}
       end,
       change => fun(World, _, #{home := Home}) ->
           stranger(World, [Home, "/next"]),
           environment_files:link("next", [Home, "/current"])
       end},
     #{name => "a symbolic link above it switched to nothing",
       prepare => fun(_, _, #{home := Home} = Cell) ->
           environment_files:link(Home, [Home, "-link"]),
           Cell#{name := list_to_binary([Home, "-link/store"])}
       end,
       change => fun(_, _, #{home := Home}) -> environment_files:link("nowhere", [Home, "-link"]) end},
     #{name => "the directory removed", change => fun(_, _, #{store := Store}) -> environment_files:remove(Store) end,
       writes => [no_such_directory], stops => [ok, no_such_directory], found => gone},
     #{name => "the directory removed and made anew",
       change => fun(_, _, #{store := Store}) -> environment_files:remove(Store), environment_files:make(Store) end,
       writes => [no_such_directory], stops => [ok, no_such_directory], found => gone},
     #{name => "the directory removed, another store under its name",
       change => fun(World, _, #{store := Store}) -> environment_files:remove(Store), stranger(World, Store) end,
       writes => [no_such_directory], stops => [ok, no_such_directory], found => gone},
     #{name => "the directory removed and made anew before the start",
       prepare => fun(_, Vm, #{store := Store, mode := Mode} = Cell) ->
           ok = environment_cells:in_vm(Vm, fun() ->
               ok = environment_store:start(Store, #{name => Store, durability => Mode}),
               ok = environment_store:put_key(Store, <<"gone">>),
               environment_store:stop(Store)
           end),
           environment_files:remove(Store),
           environment_files:make(Store),
           Cell
       end},
     #{name => "a bind mount over the directory",
       setup => fun(_, _, Place) -> environment_disks:can_bind(Place) end,
       change => fun(World, _, #{home := Home, store := Store}) ->
           stranger(World, [Home, "/over"]),
           shell(["mount --bind '", Home, "/over' '", Store, "'"])
       end,
       undo => fun(_, #{store := Store}) -> shell(["umount '", Store, "'"]) end},
     #{name => "the working directory changed after the start",
       prepare => fun(#{room := Room}, Vm, #{mode := Mode, ending := Ending} = Cell) ->
           ok = environment_cells:in_vm(Vm, fun() -> file:set_cwd(Room) end),
           Cell#{name := list_to_binary(filename:join([Mode, Ending, "store"]))}
       end,
       change => fun(_, Vm, #{home := Home}) ->
           environment_files:make([Home, "/elsewhere"]),
           ok = environment_cells:in_vm(Vm, fun() -> file:set_cwd([Home, "/elsewhere"]) end)
       end}]
    ++ [#{name => lists:concat(["a store ", Fate, " while open and a new one under its name, ", First, ", ", Vms]),
          scenario => fun(World, Mode) -> environment_scenarios:two_stores(Fate, First, Vms, World, Mode) end}
        || Fate <- [renamed, removed], First <- [old_first, new_first], Vms <- [one_vm, two_vms]]
    ++ [#{name => lists:concat(["two directories whose data.mdb is one file by a ", Kind]),
          setup => fun(_, _, Place) -> needs(Kind, Place) end,
          scenario => fun(World, Mode) -> environment_scenarios:one_file(Kind, World, Mode) end}
        || Kind <- [symbolic_link, hard_link, mount]]
    ++ [#{name => lists:concat(["a ", Kind, " in place of ", File]),
          scenario => fun(World, Mode) -> environment_scenarios:in_place(Kind, File, World, Mode) end}
        || Kind <- [fifo, socket, directory, dangling_link],
           File <- ["data.mdb", "lock.mdb", "dirty.mark", "dirty.mark.tmp", ".new-0123456789abcdef", journal]]
    ++ [#{name => "a fifo where the journal goes on",
          change => fun(_, _, #{store := Store}) -> [environment_files:in_place(fifo, Path) || Path <- next_in_journal(Store)] end,
          writes => [ok, refusal],
          undo => fun(_, #{store := Store}) -> [ok = file:delete(Path) || Path <- next_in_journal(Store)] end}].

%% Of the journal that stands after the writes of `before', or, without one, the first names there are.
next_in_journal(Store) ->
    [filename:join(Store, io_lib:format("journal-~16.16.0b", [Number])) || Number <- lists:seq(5, 9)].

needs(mount, Place) -> environment_disks:can_bind(Place);
needs(_, _) -> ok.

rename(_, _, #{store := Store} = Cell) -> ok = file:rename(Store, moved(Cell)).
moved(#{store := Store}) -> <<Store/binary, "-moved">>.

rename_parent(_, _, #{home := Home}) -> ok = file:rename(Home, Home ++ "-moved").
parent_moved(#{home := Home}) -> list_to_binary([Home, "-moved/store"]).

%% A store that the open one has nothing to do with; its journal goes by the same names.
stranger(World, Dir) -> environment_template:copy(World, sync, Dir).

%% -- limits and habits of the process ------------------------------------------------------------

limits() ->
    [#{name => "an address space of " ++ Words, scenario => fun(World, Mode) ->
           environment_scenarios:limited("ulimit -v " ++ integer_to_list(KiB), World, Mode)
       end} || {Words, KiB} <- [{"4 GB", 4 bsl 20}, {"100 GB", 100 bsl 20}, {"1 TB", 1 bsl 30}]]
    ++ [#{name => "64 file descriptors", vm => "ulimit -n 64", starts => [ok, too_many_files]}]
    ++ [#{name => "one store after the other, until " ++ Words, scenario => fun(World, Mode) ->
              environment_scenarios:until_refused(Before, Reasons, World, Mode)
          end} || {Words, Before, Reasons} <- [{"descriptors are out", "ulimit -n 64", [too_many_files]},
                                               {"address space is out", "ulimit -v 4194304", [no_memory, too_many_threads]}]]
    ++ [#{name => "a umask of " ++ Umask, vm => "umask " ++ Umask, check => fun for_owner_only/1} || Umask <- ["000", "077"]].

for_owner_only(#{store := Store}) ->
    Modes = [{Name, mode(filename:join(Store, Name))} || Name <- environment_files:store_files(Store)],
    [] = [Wrong || {_, Mode} = Wrong <- Modes, Mode =/= 8#600],
    ok.

mode(File) ->
    {ok, Info} = file:read_link_info(File),
    element(8, Info) band 8#777.

%% -- file systems --------------------------------------------------------------------------------

file_systems() ->
    [#{name => "a small " ++ Kind, setup => fun(_, _, Place) -> environment_disks:mount(Kind, Place) end,
       home => ["mounted"]} || Kind <- environment_disks:kinds()]
    ++ [#{name => "a full " ++ Kind, setup => fun(_, _, Place) -> environment_disks:mount(Kind, Place) end,
          scenario => fun(World, Mode) -> environment_scenarios:full_disk(Kind, World, Mode) end}
       || Kind <- environment_disks:kinds()]
    ++ [#{name => "a store of the lower layer of an overlayfs", setup => fun lower_layer/3, home => ["mounted"],
          seed => in_place},
        #{name => "a read-only mount", setup => fun(_, _, Place) -> environment_disks:can_bind(Place) end,
          scenario => fun environment_scenarios:read_only_mount/2}].

%% As the image of a container has it: what is written is copied up first.
lower_layer(World, Mode, Place) ->
    Lower = filename:join(Place, "lower"),
    [begin
         environment_files:make(filename:join(Lower, Ending)),
         environment_template:copy(World, Mode, filename:join([Lower, Ending, "store"]))
     end || Ending <- [stop, kill]],
    [environment_files:make(filename:join(Place, Name)) || Name <- ["upper", "work", "mounted"]],
    %% The root of the machine may be an overlayfs itself, which cannot be the upper layer of another.
    case try_shell(["mount -t tmpfs tmpfs '", Place, "/upper' && mkdir '", Place, "/upper/upper' '", Place, "/upper/work' && ",
                    environment_disks:mount_over(filename:join(Place, "upper"), Lower), " '", Place, "/mounted'"]) of
        ok -> {unwatched, [filename:join(Place, "upper")]};
        Skip -> Skip
    end.

%% -- other processes -----------------------------------------------------------------------------

others() ->
    [#{name => "another process that has the files open and copies them",
       change => fun(#{base := Base}, _, #{store := Store, mode := Mode, ending := Ending}) ->
           Copy = filename:join(Base, lists:concat(["copy-", Mode, "-", Ending])),
           put({holder, Store}, environment_holder:start(
               ["cd '", Store, "' && exec 3<data.mdb 4<>lock.mdb && echo held && "
                "while :; do cp -a . '", Copy, "'; rm -rf '", Copy, "'; cat * >/dev/null; done 2>/dev/null"]))
       end,
       undo => fun(_, #{store := Store}) -> environment_holder:stop(erase({holder, Store})) end},
     #{name => "a process that has locked the directory", scenario => fun environment_scenarios:locked_directory/2},
     #{name => "a second opener", scenario => fun environment_scenarios:second_opener/2}]
    ++ [#{name => lists:concat(["another process that cuts ", File, " short"]),
          scenario => fun(World, Mode) -> environment_scenarios:cut_short(File, World, Mode) end}
        || File <- ["data.mdb", "lock.mdb", "dirty.mark", journal]].

%% -- the clock -----------------------------------------------------------------------------------

clocks() ->
    [#{name => "the clock set " ++ Words,
       setup => fun(_, _, _) -> fake_time() end,
       vm => fun(#{room := Room}) ->
           Clock = filename:join(Room, "clock"),
           set_clock(Clock, "+0"),
           {found, Library} = fake_time_library(),
           %% A clock that is set moves the calendar's time only.
           "export FAKETIME_TIMESTAMP_FILE='" ++ Clock ++ "' FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 "
               "DONT_FAKE_MONOTONIC=1 LD_PRELOAD=" ++ Library
       end,
       change => fun(#{room := Room}, Vm, _) ->
           set_clock(filename:join(Room, "clock"), Set),
           Seen = environment_cells:in_vm(Vm, fun() -> os:system_time(second) end),
           true = abs(Seen - os:system_time(second)) > 5 * 86400
       end} || {Words, Set} <- [{"back", "-10d"}, {"forward", "+400d"}]].

%% In one step: a VM that asks for the time in between would find an empty file, which ends it.
set_clock(Clock, Set) ->
    ok = file:write_file(Clock ++ ".new", [Set, "\n"]),
    ok = file:rename(Clock ++ ".new", Clock).

fake_time() ->
    case fake_time_library() of
        {found, _} -> ok;
        none -> {skip, "there is no libfaketime (Debian: faketime)"}
    end.

fake_time_library() ->
    case filelib:wildcard("/usr/lib/*/faketime/libfaketimeMT.so.1") of
        [Library | _] -> {found, Library};
        [] -> none
    end.

%% -- controls ------------------------------------------------------------------------------------

%% Each breaks what the suite looks for, and passes if the suite says so.
controls() ->
    [#{name => "control: acknowledged writes that are gone",
       undo => fun(_, #{store := Store}) -> environment_files:remove(Store) end,
       expect_failure => fun({reopen, {store, [{lost, _, not_found} | _]}}) -> true; (_) -> false end},
     #{name => "control: another file that is touched",
       check => fun(#{store := Store}) -> file:write_file(filename:join(Store, "journal-notes.txt"), <<"yours">>) end,
       expect_failure => fun({_, {other_files, [{changed, _}]}}) -> true; (_) -> false end},
     #{name => "control: a start that should have been refused", starts => [already_open],
       expect_failure => fun({start, {start, {answered, ok}, _}}) -> true; (_) -> false end},
     #{name => "control: a refusal that nobody expects",
       change => fun(_, Vm, #{id := Id}) -> environment_cells:in_vm(Vm, fun() -> environment_store:stop(Id) end) end,
       expect_failure => fun({_, {_, {answered, {error, closed}}, _}}) -> true; (_) -> false end},
     #{name => "control: a VM that dies",
       change => fun(_, {_, OsPid}, _) -> test_store:shell("kill -9 " ++ OsPid) end,
       expect_failure => fun({_, the_vm_died}) -> true; (_) -> false end},
     #{name => "control: a call that hangs",
       scenario => fun(_, _) ->
           environment_cells:with_vm(plain, fun(Vm) -> child_vm:call(Vm, fun() -> receive after infinity -> ok end end, 500) end)
       end,
       expect_failure => fun({_, hangs}) -> true; (_) -> false end}].
