# Sourced by the two commands: finds out what is missing and installs it with apt.
# shellcheck shell=bash disable=SC2034

# What building takes, and what the test command and bench/report take besides, by their Debian names.
# Users may do without LZ4 and Zstandard.
clang_format_version=14 # whose formatting is the project's
build_packages=(g++ cmake ninja-build pkg-config liblmdb-dev libxxhash-dev liblz4-dev libzstd-dev
    erlang-base erlang-dev rebar3)
test_packages=(git "clang-format-$clang_format_version" ccache catch2 libbenchmark-dev librocksdb-dev
    erlang-eunit erlang-dialyzer erlang-edoc erlang-tools erlang-proper erlang-proper-dev elixir
    gnuplot-nox fuse3 libfuse3-dev)
test_packages+=(util-linux mount e2fsprogs btrfs-progs xfsprogs faketime) # test/environments
bench_packages=(libbenchmark-dev gnuplot-nox erlang-mnesia erlang-bitcask)
# Those that not every Debian has. What needs one says so and is left out.
optional_packages=" clang-format-$clang_format_version erlang-bitcask "
# Debian's rebar3 depends on a desktop's libraries (wx, GTK, WebKit) for parts of Erlang that it never
# calls. So its one file is taken out of the package, and these are what that calls.
rebar3_packages=(erlang-crypto erlang-parsetools erlang-syntax-tools erlang-tools erlang-inets)
tools=$PWD/build/tools # the callers stand at the root of the tree
PATH=$PATH:$tools/usr/bin

have() { command -v "$1" >/dev/null 2>&1; }

otp() { # the value of an Erlang expression, a string
    erl -noshell -boot start_clean -eval "io:format(\"~ts~n\", [$1]), halt()." </dev/null
}

is_clang_format() { # program
    have "$1" && [[ $("$1" --version) =~ version\ $clang_format_version\. ]]
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
    clang-format-*) is_clang_format "$1" || is_clang_format clang-format ;;
    catch2) [ -f /usr/include/catch2/catch.hpp ] || [ -f /usr/include/catch2/catch_all.hpp ] ;;
    erlang-base) have erl ;;
    erlang-dev) have erl &&
        [ -f "$(otp 'code:root_dir() ++ "/erts-" ++ erlang:system_info(version)')/include/erl_nif.h" ] ;;
    erlang-proper-dev) have erl &&
        [ "$(otp 'filelib:wildcard(code:lib_dir() ++ "/proper-*/include/proper.hrl")')" ] ;;
    # Debian 13 brings an application's folder along before its package is installed.
    erlang-*) have erl &&
        [ "$(otp "filelib:wildcard(code:lib_dir() ++ \"/${1#erlang-}-*/ebin/${1#erlang-}.app\")")" ] ;;
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

to_be_had() { # package: whether an archive that apt knows has it
    have apt-cache && apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'
}
optional() { [[ $optional_packages == *" $1 "* ]]; }

install_rebar3() {
    local work
    work=$(mktemp -d) && chmod 755 "$work" || return 1 # apt-get downloads as a user of its own
    mkdir -p "$tools"
    (cd "$work" && { [ "$(id -u)" -ne 0 ] || chown _apt "$work"; } && apt-get -q download rebar3) &&
        dpkg-deb -x "$work"/rebar3_*.deb "$tools"
    local status=$?
    rm -rf "$work"
    return $status
}

# Installs those of the named packages that are not there; says which and why; silent when none is.
install_missing() { # what for, package...
    local purpose=$1 package
    local -a missing=() perhaps=() from_apt=()
    shift
    for package; do
        if present "$package"; then continue; fi
        if optional "$package" && ! to_be_had "$package"; then
            perhaps+=("$package")
        else
            missing+=("$package")
        fi
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
    # One source of many that fails to update need not stop the packages that come from others.
    apt_get update || echo "apt-get update failed; trying with the package lists at hand" >&2
    for package in "${perhaps[@]}"; do # the lists may have been empty
        if to_be_had "$package"; then missing+=("$package"); fi
    done
    for package in "${missing[@]}"; do
        if [ "$package" = rebar3 ]; then
            from_apt+=("${rebar3_packages[@]}")
        else
            from_apt+=("$package")
        fi
    done
    echo "Installing with apt-get: ${from_apt[*]}"
    apt_get install -y --no-install-recommends "${from_apt[@]}" || return 1
    if [[ " ${missing[*]} " == *" rebar3 "* ]]; then
        echo "Taking rebar3 out of its package into build/tools"
        install_rebar3 || return 1
    fi
    hash -r
    for package in "${missing[@]}"; do
        if ! present "$package"; then
            echo "$package was installed, yet what it is for is not found: another program may be" \
                "in front of it on the PATH, or this system's version has it in another place." >&2
            return 1
        fi
    done
}
