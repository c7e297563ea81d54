# Sourced, from the root of the tree, by what builds programs beside the library: build/dev holds the
# core as users get it, only with warnings as errors, for the benchmarks, the power cuts and the NIF's
# own check.
# shellcheck shell=bash disable=SC2034

. scripts/lib/jobs.sh
dev_tree=build/dev

build_dev_tree() { # target...
    local generator=
    if [ ! -f "$dev_tree/CMakeCache.txt" ] && command -v ninja >/dev/null; then generator=-GNinja; fi
    cmake -S . -B "$dev_tree" ${generator:+"$generator"} -DCMAKE_BUILD_TYPE=Release \
        -DHYPER_LMDB_DEV=ON -DHYPER_LMDB_NIF=ON -DHYPER_LMDB_SANITIZE= &&
        cmake --build "$dev_tree" --parallel "$(compile_jobs "")" --target "$@"
}
