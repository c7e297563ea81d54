%% @doc Stories of one or two stores that are not the usual workload. Each is told in one mode.
-module(environment_scenarios).

-export([two_stores/5, one_file/3, second_opener/2, locked_directory/2, in_place/4, cut_short/3]).
-export([limited/3, until_refused/4, read_only_mount/2, full_disk/3]).

-import(environment_cells, [in_vm/2, with_vm/2, kill_vm/1, with_witness/1, expect/3, expect_holds/4]).

place(#{room := Room}, Mode) ->
    Place = filename:join(Room, Mode),
    environment_files:make(Place),
    Place.

path(Place, Name) -> list_to_binary(filename:join(Place, Name)).

start(Vm, Id, Dir, Mode) -> start(Vm, Id, Dir, Mode, #{}).
start(Vm, Id, Dir, Mode, More) ->
    Options = More#{name => Dir, durability => Mode},
    in_vm(Vm, fun() -> environment_store:start(Id, Options) end).

stop(Vm, Id) -> ok = in_vm(Vm, fun() -> environment_store:stop(Id) end).

%% Writes that must all be acknowledged; their keys.
write(Vm, Id, Tag) ->
    Answers = in_vm(Vm, fun() -> environment_store:write(Id, Tag) end),
    _ = [expect(Tag, [ok], Answer) || {_, Answer} <- Answers],
    environment_store:keys(Id, Tag).

holds_after_all(Id, Dir, Mode, Keys) -> holds_after_all(Id, Dir, Mode, Keys, #{}).
holds_after_all(Id, Dir, Mode, Keys, More) ->
    with_witness(fun(Vm) ->
        ok = expect('next start', [ok], start(Vm, Id, Dir, Mode, More)),
        expect_holds(Vm, Id, Keys, []),
        stop(Vm, Id)
    end).

%% A store is renamed (or removed) while it is open, and a new one is started under its name: neither
%% touches the other's files, whichever is stopped first.
two_stores(Fate, First, Vms, World, Mode) ->
    Place = place(World, Mode),
    {Name, Moved} = {path(Place, "store"), path(Place, "moved")},
    with_vm(plain, fun(VmOfOld) ->
        in_vms(Vms, VmOfOld, fun(VmOfNew) ->
            ok = start(VmOfOld, old, Name, Mode),
            Old1 = write(VmOfOld, old, <<"1">>),
            case Fate of
                renamed -> ok = file:rename(Name, Moved);
                removed -> environment_files:remove(Name)
            end,
            ok = expect('start of the new one', [ok], start(VmOfNew, new, Name, Mode)),
            New1 = write(VmOfNew, new, <<"1">>),
            Old2 = write_old(Fate, VmOfOld, <<"2">>),
            expect_holds(VmOfOld, old, Old1 ++ Old2, []),
            {Old3, New2} = case First of
                old_first -> stop_old(Fate, VmOfOld), {[], write(VmOfNew, new, <<"2">>)};
                new_first -> stop(VmOfNew, new), {write_old(Fate, VmOfOld, <<"3">>), []}
            end,
            kill_vm(VmOfNew),
            kill_vm(VmOfOld),
            holds_after_all(new, Name, Mode, New1 ++ New2),
            Fate =:= removed orelse holds_after_all(old, Moved, Mode, Old1 ++ Old2 ++ Old3),
            ok
        end)
    end).

in_vms(one_vm, Vm, Fun) -> Fun(Vm);
in_vms(two_vms, _, Fun) -> with_vm(plain, Fun).

stop_old(renamed, Vm) -> stop(Vm, old);
stop_old(removed, Vm) -> expect(stop, [ok, no_such_directory], in_vm(Vm, fun() -> environment_store:stop(old) end)).

write_old(renamed, Vm, Tag) -> write(Vm, old, Tag);
write_old(removed, Vm, Tag) ->
    Answers = in_vm(Vm, fun() -> environment_store:write(old, Tag) end),
    _ = [expect(Tag, [no_such_directory], Answer) || {_, Answer} <- Answers],
    [].

%% Two directories whose data.mdb is one file: the second is refused, in the same VM and in another.
one_file(Kind, World, Mode) ->
    Place = place(World, Mode),
    {A, B} = {path(Place, "a"), path(Place, "b")},
    with_vm(plain, fun(Vm) ->
        ok = start(Vm, a, A, Mode),
        Keys1 = write(Vm, a, <<"1">>),
        environment_files:make(B),
        {FileA, FileB} = {filename:join(A, "data.mdb"), filename:join(B, "data.mdb")},
        ok = case Kind of
            symbolic_link -> file:make_symlink("../a/data.mdb", FileB);
            hard_link -> file:make_link(FileA, FileB);
            mount -> environment_files:shell(["touch '", FileB, "' && mount --bind '", FileA, "' '", FileB, "'"]), ok
        end,
        Refused = fun(ByVm) ->
            [expect(start, [already_open], start(ByVm, b, B, Mode, More)) || More <- [#{}, #{read_only => true}]]
        end,
        Refused(Vm),
        with_witness(Refused),
        Keys2 = write(Vm, a, <<"2">>),
        expect_holds(Vm, a, Keys1 ++ Keys2, []),
        kill_vm(Vm),
        holds_after_all(a, A, Mode, Keys1 ++ Keys2)
    end).

second_opener(World, Mode) ->
    Store = path(place(World, Mode), "store"),
    with_vm(plain, fun(Vm) ->
        ok = start(Vm, store, Store, Mode),
        Keys1 = write(Vm, store, <<"1">>),
        with_witness(fun(Other) ->
            [expect(start, [already_open], start(Other, store, Store, Mode, More)) || More <- [#{}, #{read_only => true}]]
        end),
        Keys2 = write(Vm, store, <<"2">>),
        kill_vm(Vm),
        holds_after_all(store, Store, Mode, Keys1 ++ Keys2)
    end).

%% A program that locks the directory, or the data file, for reasons of its own.
locked_directory(World, Mode) ->
    Place = place(World, Mode),
    Store = path(Place, "store"),
    environment_template:copy(World, Mode, Store),
    [begin
         Holder = environment_holder:start(["exec flock '", Locked, "' sh -c 'echo held; exec sleep 600'"]),
         try
             with_witness(fun(Vm) ->
                 case expect(start, [ok, already_open], start(Vm, environment_template:id(Mode), Store, Mode)) of
                     ok -> stop(Vm, environment_template:id(Mode));
                     _ -> ok
                 end
             end)
         after environment_holder:stop(Holder)
         end
     end || Locked <- [Store, filename:join(Store, "data.mdb"), filename:join(Store, "lock.mdb")]],
    holds_after_all(environment_template:id(Mode), Store, Mode, environment_template:keys(Mode)).

%% Something that is no regular file where a store has one: a named refusal or a store that is whole; the
%% thing stays, a link's target does not come into being, and with the file put back all is there.
in_place(Kind, File, World, Mode) ->
    Place = place(World, Mode),
    {Store, Kept} = {path(Place, "store"), path(Place, "kept")},
    environment_template:copy(World, Mode, Store),
    Path = filename:join(Store, file_name(File, Store)),
    Was = file:rename(Path, Kept),
    environment_files:in_place(Kind, Path),
    Before = environment_files:listing(Path, [], []),
    Others = environment_files:listing(Place, [binary_to_list(Store)], []),
    Id = environment_template:id(Mode),
    Keys = environment_template:keys(Mode),
    [with_witness(fun(Vm) ->
         case expect(start, [ok, refusal], start(Vm, Id, Store, Mode, More)) of
             ok -> expect_holds(Vm, Id, Keys, []), stop(Vm, Id);
             {error, _} -> ok
         end,
         %% What is left of a creation that was cut off may go, by its whole name.
         File =:= ".new-0123456789abcdef" orelse no_differences(Before, environment_files:listing(Path, [], [])),
         no_differences(Others, environment_files:listing(Place, [binary_to_list(Store)], []))
     end) || More <- [#{read_only => true}, #{}]],
    environment_files:remove(Path),
    case Was of
        ok -> ok = file:rename(Kept, Path);
        {error, enoent} -> ok
    end,
    holds_after_all(Id, Store, Mode, Keys).

file_name(journal, Store) ->
    case test_store:journal(Store) of
        [First | _] -> First;
        [] -> "journal-0000000000000001"
    end;
file_name(Name, _) -> Name.

no_differences(Before, After) ->
    case environment_files:differences(Before, After) of
        [] -> ok;
        Touched -> error({other_files, Touched})
    end.

%% Somebody cuts a file short that is open, and mapped: its VM may end by that, and what was cut off is
%% lost. The next start says so by name or has a store that can be read; the start itself ends nothing.
cut_short(File, World, Mode) ->
    Place = place(World, Mode),
    Store = path(Place, "store"),
    environment_template:copy(World, Mode, Store),
    Id = environment_template:id(Mode),
    Path = filename:join(Store, file_name(File, Store)),
    with_vm(plain, fun(Vm) ->
        ok = start(Vm, Id, Store, Mode),
        _ = write(Vm, Id, <<"1">>),
        [environment_files:shell(["truncate -s 0 '", filename:join(Store, Name), "'"])
         || Name <- environment_files:store_files(Store),
            case File of journal -> lists:prefix("journal-", Name); _ -> Name =:= File end],
        try in_vm(Vm, fun() -> environment_store:write(Id, <<"2">>) end)
        catch exit:{Reason, {gen_server, call, _}} when Reason =/= timeout -> the_vm_died
        end
    end),
    filelib:is_file(Path) orelse File =:= journal orelse error({gone, Path}),
    with_witness(fun(Vm) ->
        case expect(start, [ok, refusal], start(Vm, Id, Store, Mode)) of
            ok ->
                {ok, _} = in_vm(Vm, fun() -> environment_store:count(Id) end),
                stop(Vm, Id);
            {error, _} -> ok
        end
    end).

%% One store, with the capacity that is the library's own choice: made in a VM that may have all there
%% is, then opened in two that may not.
limited(Before, World, Mode) ->
    Store = path(place(World, Mode), "store"),
    Round = fun(Tag, Keys) ->
        fun(Vm) ->
            ok = expect({start, Tag}, [ok], start(Vm, store, Store, Mode, #{capacity => default})),
            expect_holds(Vm, store, Keys, []),
            Keys ++ write(Vm, store, Tag)
        end
    end,
    Keys1 = with_vm(plain, Round(<<"unlimited">>, [])),
    Keys2 = with_vm(Before, Round(<<"limited">>, Keys1)),
    Keys3 = with_vm(Before, Round(<<"again">>, Keys2)),
    holds_after_all(store, Store, Mode, Keys3, #{capacity => default}).

%% Stores are started until there is no more of what a VM has: that is said by name, the ones before go
%% on, and all of them are there afterwards.
until_refused(Before, Reasons, World, Mode) ->
    Place = place(World, Mode),
    Stores = with_vm(Before, fun(Vm) ->
        Started = start_until(Vm, Place, Mode, Reasons, 1),
        [begin
             Answers = in_vm(Vm, fun() -> environment_store:write(Id, <<"1">>) end),
             _ = [expect(write, [ok | Reasons], Answer) || {_, Answer} <- Answers],
             There = [Key || {Keys, ok} <- Answers, Key <- Keys],
             expect_holds(Vm, Id, There, [Key || {Keys, {error, _}} <- Answers, Key <- Keys]),
             {Id, There}
         end || Id <- Started]
    end),
    [holds_after_all(Id, path(Place, Id), Mode, There, #{capacity => default}) || {Id, There} <- Stores].

start_until(_, _, _, _, Number) when Number > 200 -> error({nothing_was_out, Number});
start_until(Vm, Place, Mode, Reasons, Number) ->
    Id = integer_to_list(Number),
    Allowed = case Number of 1 -> [ok]; _ -> [ok | Reasons] end,
    case expect({start, Number}, Allowed, start(Vm, Id, path(Place, Id), Mode, #{capacity => default})) of
        ok -> [Id | start_until(Vm, Place, Mode, Reasons, Number + 1)];
        {error, _} -> []
    end.

%% A store on a read-only mount: not to be opened for writing, read with all that a killed VM has left,
%% and not a byte of it changed.
read_only_mount(World, Mode) ->
    Place = place(World, Mode),
    Store = path(Place, "store"),
    environment_template:copy(World, Mode, Store),
    environment_files:shell(["cd '", Place, "' && mount --bind store store && mount -o remount,bind,ro store"]),
    Before = environment_files:listing(Place, [], []),
    Id = environment_template:id(Mode),
    with_witness(fun(Vm) ->
        _ = expect(start, [permission_denied], start(Vm, Id, Store, Mode)),
        ok = expect('start to read', [ok], start(Vm, Id, Store, Mode, #{read_only => true})),
        expect_holds(Vm, Id, environment_template:keys(Mode), []),
        _ = expect(put, [read_only], in_vm(Vm, fun() -> environment_store:put_key(Id, <<"new">>) end)),
        stop(Vm, Id)
    end),
    no_differences(Before, environment_files:listing(Place, [], [])).

%% The store itself fills the disk: writes say so, reads go on, and what is removed is gone. Then somebody
%% takes the last block: the same, and all goes on when there is room. At last the VM is killed on a full
%% disk.
full_disk(Kind, World, Mode) ->
    Place = place(World, Mode),
    Store = path(environment_disks:mounted(Place), "store"),
    Large = #{capacity => 1 bsl 30}, % the disk is full before
    {There, Gone} = with_vm(plain, fun(Vm) ->
        environment_disks:leave(Place, 8 bsl 20),
        ok = start(Vm, store, Store, Mode, Large),
        Delete = fun(Allowed, Keys) ->
            Answers = in_vm(Vm, fun() -> [{Key, environment_store:delete(store, Key)} || Key <- Keys] end),
            [Key || {Key, Answer} <- Answers, expect(delete, Allowed, Answer) =:= ok]
        end,
        First = write(Vm, store, <<"1">>),
        Fill = puts_until_full(Vm, 1, []),
        expect_holds(Vm, store, First ++ Fill, []),
        {Removed, Kept} = lists:split(length(Fill) div 2, Fill),
        %% A file system that copies what is changed needs new blocks for a page that has its own.
        Removable = case {Kind, Mode} of
            {"btrfs", _} when Mode =/= map_async -> [ok, disk_full];
            _ -> [ok]
        end,
        Removed1 = Delete(Removable, Removed),
        Second = First ++ Kept ++ (Removed -- Removed1),
        expect_holds(Vm, store, Second, Removed1),

        environment_disks:leave(Place, 0),
        More = puts_until_full(Vm, length(Fill) + 1000, []),
        Removed2 = Removed1 ++ Delete(Removable, lists:sublist(First, 10)),
        Left = (Second -- Removed2) ++ More,
        expect_holds(Vm, store, Left, Removed2),
        environment_disks:make_room(Place),
        goes_on(Vm, <<"again/large">>),
        Third = Left ++ [<<"again/large">>] ++ write(Vm, store, <<"2">>),
        environment_disks:leave(Place, 0),
        expect_holds(Vm, store, Third, Removed2),
        {Third, Removed2}
    end),
    with_witness(fun(Vm) ->
        case expect('start on a full disk', [ok, disk_full], start(Vm, store, Store, Mode, Large)) of
            ok -> expect_holds(Vm, store, There, Gone), stop(Vm, store);
            _ -> ok
        end,
        ok = expect('start to read on a full disk', [ok],
                    start(Vm, store, Store, Mode, Large#{read_only => true})),
        expect_holds(Vm, store, There, Gone),
        stop(Vm, store)
    end),
    environment_disks:make_room(Place),
    holds_after_all(store, Store, Mode, There, Large).

%% What was refused room may be refused it for another moment.
goes_on(Vm, Key) ->
    ok = test_store:wait_until(fun() ->
        expect(put, [ok, disk_full], in_vm(Vm, fun() -> environment_store:put_key(store, Key) end)) =:= ok
    end).

%% Puts until the disk is full; the keys of those that were acknowledged.
puts_until_full(_, _, Sofar) when length(Sofar) > 20000 -> error(the_disk_is_never_full);
puts_until_full(Vm, Number, Sofar) ->
    Keys = [<<"fill/", (integer_to_binary(N))/binary, "/medium">> || N <- lists:seq(Number, Number + 99)],
    Answers = in_vm(Vm, fun() -> [environment_store:put_key(store, Key) || Key <- Keys] end),
    _ = [expect(put, [ok, disk_full], Answer) || Answer <- Answers],
    Acknowledged = [Key || {Key, ok} <- lists:zip(Keys, Answers)] ++ Sofar,
    case lists:member({error, disk_full}, Answers) of
        true -> Acknowledged;
        false -> puts_until_full(Vm, Number + 100, Acknowledged)
    end.
