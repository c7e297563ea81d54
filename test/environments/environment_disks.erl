%% @doc Small file systems of each kind, and full ones.
-module(environment_disks).

-export([kinds/0, mount/2, mounted/1, mount_over/2, can_bind/1, leave/2, make_room/1]).

kinds() -> ["tmpfs", "ext4", "btrfs", "xfs", "overlayfs"].

mounted(Place) -> filename:join(Place, "mounted").

%% Mounts a file system at `mounted/1`: 16 MiB of it, or what it takes at least.
mount(Kind, Place) ->
    environment_files:make(mounted(Place)),
    case make(Kind, Place) of
        {Command, Unwatched} ->
            case environment_files:try_shell([Command, " '", mounted(Place), "'"]) of
                ok -> {unwatched, Unwatched};
                Skip -> Skip
            end;
        Skip -> Skip
    end.

make("tmpfs", _) -> {"mount -t tmpfs -o size=16m,mode=700 tmpfs", []};
make("ext4", Place) -> image(Place, "16M", "mkfs.ext4 -q -m 0");
make("btrfs", Place) -> image(Place, "128M", "mkfs.btrfs -q");
make("xfs", Place) -> image(Place, "300M", "mkfs.xfs -q");
make("overlayfs", Place) ->
    %% The layers are on a disk of their own, so that it can be filled.
    Disk = filename:join(Place, "layers"),
    environment_files:make(Disk),
    case environment_files:try_shell(["mount -t tmpfs -o size=16m tmpfs '", Disk, "'"]) of
        ok ->
            [environment_files:make(filename:join(Disk, Layer)) || Layer <- ["lower", "upper", "work"]],
            {mount_over(Disk, filename:join(Disk, "lower")), [filename:join(Disk, "upper"), filename:join(Disk, "work")]};
        Skip -> Skip
    end.

mount_over(Disk, Lower) ->
    ["mount -t overlay -o 'lowerdir=", Lower, ",upperdir=", Disk, "/upper,workdir=", Disk, "/work' overlay"].

image(Place, Size, Make) ->
    Image = filename:join(Place, "image"),
    Program = hd(string:lexemes(Make, " ")),
    case os:find_executable(Program) of
        false -> {skip, "there is no " ++ Program};
        _ ->
            environment_files:shell(["truncate -s ", Size, " '", Image, "' && ", Make, " '", Image, "'"]),
            {["mount -o loop '", Image, "'"], [Image]}
    end.

can_bind(Place) ->
    [environment_files:make(filename:join(Place, Name)) || Name <- ["a", "b"]],
    case environment_files:try_shell(["cd '", Place, "' && mount --bind a b && umount b"]) of
        ok -> ok;
        Skip -> Skip
    end.

%% Takes room until so many bytes are left, about; of 0 it is every block, also of those that a file
%% system hands out only one by one.
leave(Place, 0) ->
    {_, _} = test_store:shell(["cd '", mounted(Place), "' && ", take(2 bsl 20), "for i in 1 2 3; do "
                               "cat /dev/zero >>ballast; cat /dev/zero >>ballast-$i; sync -f .; done"]),
    ok;
leave(Place, Bytes) ->
    environment_files:shell(["cd '", mounted(Place), "' && ", take(Bytes), "true"]),
    ok.

%% `fallocate -l' counts what the file has already.
take(Left) ->
    ["room=$(($(stat -fc '%a * %S' .) - ", integer_to_list(Left), ")); "
     "[ $room -le 0 ] || fallocate -o $(stat -c %s ballast 2>/dev/null || echo 0) -l $room ballast; "].

make_room(Place) ->
    environment_files:shell(["cd '", mounted(Place), "' && rm -f ballast* && sync -f ."]),
    ok.
