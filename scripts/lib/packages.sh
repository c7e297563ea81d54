# Sourced by the two commands: finds out what is missing and installs it with apt.
# shellcheck shell=bash disable=SC2034

# What building takes, and what the test command and bench/report take besides, by their Debian names.
# Users may do without LZ4 and Zstandard.
build_packages=(g++ cmake ninja-build pkg-config liblmdb-dev libxxhash-dev liblz4-dev libzstd-dev
    erlang-base erlang-dev rebar3)
test_packages=(git clang-format catch2 libbenchmark-dev librocksdb-dev erlang-eunit
    erlang-dialyzer erlang-edoc erlang-tools erlang-proper erlang-proper-dev elixir gnuplot-nox
    fuse3 libfuse3-dev)
bench_packages=(libbenchmark-dev gnuplot-nox erlang-mnesia erlang-bitcask)
test_packages+=(util-linux mount e2fsprogs btrfs-progs xfsprogs faketime) # test/environments

have() { command -v "$1" >/dev/null 2>&1; }

otp() { # the value of an Erlang expression, a string
    erl -noshell -boot start_clean -eval "io:format(\"~ts~n\", [$1]), halt()." </dev/null
}

# By what it is for rather than by package, so that a compiler or an Erlang of another origin counts.
present() {
    case $1 in
    g++) have c++ || have g++ || have clang++ ;;
    ninja-build) have ninja ;;
    liblmdb-dev) have pkg-config && pkg-config --exists lmdb ;;
    libxxhash-dev) have pkg-config && pkg-config --exists libxxhash ;;
    liblz4-dev) have pkg-config && pkg-config --exists liblz4 ;;
    libzstd-dev) have pkg-config && pkg-config --exists libzstd ;;
    libbenchmark-dev) [ -f /usr/include/benchmark/benchmark.h ] ;;
    fuse3) have fusermount3 ;;
    libfuse3-dev) have pkg-config && pkg-config --exists fuse3 ;;
    librocksdb-dev) [ -f /usr/include/rocksdb/db.h ] ;;
    gnuplot-nox) have gnuplot ;;
    catch2) [ -f /usr/include/catch2/catch.hpp ] ;;
    erlang-base) have erl ;;
    erlang-dev) have erl &&
        [ -f "$(otp 'code:root_dir() ++ "/erts-" ++ erlang:system_info(version)')/include/erl_nif.h" ] ;;
    erlang-proper-dev) have erl &&
        [ "$(otp 'filelib:wildcard(code:lib_dir() ++ "/proper-*/include/proper.hrl")')" ] ;;
    erlang-*) have erl && [ "$(otp "filelib:wildcard(code:lib_dir() ++ \"/${1#erlang-}-*\")")" ] ;;
    util-linux) have unshare ;;
    e2fsprogs) have mkfs.ext4 || [ -x /sbin/mkfs.ext4 ] ;;
    btrfs-progs) have mkfs.btrfs || [ -x /sbin/mkfs.btrfs ] ;;
    xfsprogs) have mkfs.xfs || [ -x /sbin/mkfs.xfs ] ;;
    *) have "$1" ;;
    esac
}

apt_get() {
    local -a as_root=(env)
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo env); fi
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null
}

# Installs those of the named packages that are not there; says which and why; silent when none is.
install_missing() { # what for, package...
    local purpose=$1 package
    local -a missing=()
    shift
    for package; do
        if ! present "$package"; then missing+=("$package"); fi
    done
    if [ ${#missing[@]} -eq 0 ]; then return 0; fi

    echo "Missing for $purpose: ${missing[*]}"
    if ! have apt-get; then
        echo "There is no apt-get here: install them your way and run this again." >&2
        return 1
    elif [ "$(id -u)" -ne 0 ] && ! have sudo; then
        echo "Neither root nor sudo here: have an administrator run" >&2
        echo "    apt-get install --no-install-recommends ${missing[*]}" >&2
        return 1
    fi
    echo "Installing with apt-get: ${missing[*]}"
    # One source of many that fails to update need not stop the packages that come from others.
    apt_get update || echo "apt-get update failed; trying with the package lists at hand" >&2
    apt_get install -y --no-install-recommends "${missing[@]}" || return 1
    hash -r
    for package in "${missing[@]}"; do
        if ! present "$package"; then
            echo "apt-get installed $package, yet it is not usable: is there another one in front" \
                "of it on the PATH?" >&2
            return 1
        fi
    done
}
