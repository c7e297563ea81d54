# Sourced by bench/run and bench/report from the root of the tree: builds what they run and says what
# they run on.
# shellcheck shell=bash

. scripts/lib/dev_tree.sh
root=$(pwd -P)
build=$dev_tree
unset REBAR_PROFILE ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS
work= # below $work_parent; gone at the end

make_work() { # parent directory
    work_parent=$1
    work=$(mktemp -d "$work_parent/hyper_lmdb_bench.XXXXXX")
    trap 'rm -rf "$work"' EXIT
}

quietly() { # the log is shown when the command fails
    if ! "$@" >"$work/log" 2>&1; then
        cat "$work/log" >&2
        echo "$0: failed: $*" >&2
        exit 1
    fi
}

build_native() { quietly build_dev_tree "$@"; }

build_erlang() {
    quietly rebar3 compile
    mkdir -p $build/ebin
    # The behaviour first: the others are checked against it.
    quietly erlc -o $build/ebin bench/stores/bench_peer.erl
    quietly erlc -pa $build/ebin -o $build/ebin bench/*/*.erl
}

vm() { # options of bench_main, or of another module that is named first
    local module=bench_main
    case $1 in bench_* | grid_*) module=$1 && shift ;; esac
    ERL_LIBS=$root/_build/default/lib erl -noshell -pa $build/ebin -s "$module" -extra "$@"
}

cpu() {
    sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1 | grep . ||
        sysctl -n machdep.cpu.brand_string 2>/dev/null || uname -m
}
rocksdb() { # the library's version by its header
    local header=/usr/include/rocksdb/version.h
    [ -f "$header" ] || { echo "not installed" && return; }
    sed -n 's/^#define ROCKSDB_\(MAJOR\|MINOR\|PATCH\)[[:space:]]*//p' "$header" | paste -sd. -
}
otp_version() {
    erl -noshell -eval 'io:format("~ts, ERTS ~ts, ~b schedulers", [erlang:system_info(otp_release),
        erlang:system_info(version), erlang:system_info(schedulers_online)]), halt().'
}

facts=()
fact() { # name, value
    printf '%-9s %s\n' "$1" "$2"
    local escaped=${2//\\/\\\\}
    facts+=("\"$1\": \"${escaped//\"/\\\"}\"")
}
head_lines() {
    fact date "$(date -u +%Y-%m-%dT%H:%MZ)"
    fact cpu "$(cpu), $(getconf _NPROCESSORS_ONLN) cores"
    fact kernel "$(uname -sr)"
    fact disk "$(df -T "$work" 2>/dev/null | awk 'NR == 2 { print $2 }' || echo unknown), $work_parent"
    fact liblmdb "$(pkg-config --modversion lmdb)"
    fact RocksDB "$(rocksdb)"
    fact OTP "$(otp_version)"
    fact load "$(uptime | sed 's/.*load average[s]*: //')"
    if [[ ${facts[*]} == *'"disk": "tmpfs'* ]]; then
        echo "WARNING: a tmpfs has nothing to flush to; the sync rows mean nothing. Use --dir."
    fi
    echo
}
