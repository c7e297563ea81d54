# Sourced by whatever compiles, in any POSIX shell: how many compilers to run at once.
# shellcheck shell=sh

# Memory of a compiler that works on the largest source, in KiB.
compiler_kib=500000

lowest() { # of the whole numbers among lines; empty where there is none
    grep -E '^[0-9]+$' | sort -n | head -n 1
}

# Of the group of processes this one is in and those around it: cgroup version 2, then 1. A
# container sees its own at the root.
group_files() { # root of the system, file of version 2, controller and file of version 1
    sed -n -e 's/^0::\(.*\)/\1 /p' -e "s/^[0-9]*:\([^:]*,\)*$3\(,[^:]*\)*:\(.*\)/\3 $3/p" \
        "$1/proc/self/cgroup" 2>/dev/null |
        while read -r group controller; do
            file=$2
            [ -z "$controller" ] || file=$4
            while :; do
                for top in "$1/sys/fs/cgroup" "$1/sys/fs/cgroup/unified"; do
                    echo "$top${controller:+/$controller}${group%/}/$file"
                done
                case $group in / | "") break ;; esac
                group=${group%/*}
            done
        done
}

# As many as there are processors, and less where memory is short, the machine's or a container's.
# CMAKE_BUILD_PARALLEL_LEVEL wins.
compile_jobs() { # root of the system, for tests
    if [ -n "${CMAKE_BUILD_PARALLEL_LEVEL:-}" ]; then
        echo "$CMAKE_BUILD_PARALLEL_LEVEL"
        return
    fi
    {
        nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
        {
            group_files "${1:-}" cpu.max cpu cpu.cfs_quota_us | while read -r file; do
                case $file in
                */cpu.max) cat "$file" 2>/dev/null ;;
                *) cat "$file" "${file%quota_us}period_us" 2>/dev/null | paste -s -d ' ' - ;;
                esac
            done
        } | awk '$1 > 0 && $2 > 0 { print int(($1 + $2 - 1) / $2) }'
        {
            awk '$1 == "MemAvailable:" { print $2 }' "${1:-}/proc/meminfo" 2>/dev/null
            group_files "${1:-}" memory.max memory memory.limit_in_bytes | while read -r file; do
                cat "$file" 2>/dev/null
            done | awk '/^[0-9]+$/ { print int($1 / 1024) }'
        } | awk -v each=$compiler_kib '{ print $1 < each ? 1 : int($1 / each) }'
    } | lowest || true
}
