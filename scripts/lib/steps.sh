# Sourced by scripts/test: runs steps, counts the tests in what they print, sums up. The caller sets
# logs, a directory.
# shellcheck shell=bash disable=SC2154

passed=0
failed=0
skipped=0
step_lines=()
skip_lines=()

# Leaves the groups of the pattern's last match in BASH_REMATCH; false where nothing matches.
last_match() { # file, extended pattern
    [[ $(grep -E "$2" "$1" | tail -n 1) =~ $2 ]]
}
# What a test prints where it, or a part of it, cannot run.
skip_mark='^\*\*\* SKIPPED: '
lines_with() { grep -cE "$2" "$1" || true; } # file, extended pattern

# Each reader prints "passed failed skipped" for one log, or nothing where no test was run.
count_ctest() {
    last_match "$1" '([0-9]+) tests failed out of ([0-9]+)' || return 0
    local bad=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]} skip
    skip=$(lines_with "$1" '\*\*\*(Skipped|Not Run \(Disabled\))')
    # A program that says so of one of its cases has passed by the others.
    echo "$((total - bad - skip)) $bad $((skip + $(lines_with "$1" "$skip_mark")))"
}

count_eunit() { # cancelled tests did not pass; skipped ones say so and return
    local good bad=0 skip=0
    if last_match "$1" 'Failed: ([0-9]+)\.  Skipped: ([0-9]+)\.  Passed: ([0-9]+)\.'; then
        bad=${BASH_REMATCH[1]} skip=${BASH_REMATCH[2]} good=${BASH_REMATCH[3]}
    else
        last_match "$1" '([0-9]+) tests passed\.' || return 0
        good=${BASH_REMATCH[1]}
    fi
    bad=$((bad + $(lines_with "$1" 'tests were cancelled')))
    local told
    told=$(lines_with "$1" "$skip_mark")
    echo "$((good - told)) $bad $((skip + told))"
}

count_plain() {
    last_match "$1" '(^|: )([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$' || return 0
    echo "${BASH_REMATCH[2]} ${BASH_REMATCH[3]} ${BASH_REMATCH[5]:-0}"
}

count_one() { echo "1 0 0"; } # a check that either holds or fails

# Runs a function as a step of its own. A step fails by its exit code, by a failed test, or by
# running none; the steps after it run all the same.
step() { # heading, reader, function
    local heading=$1 reader=$2 function=$3 log=$logs/$3.log begun=$SECONDS status counts
    local good=0 bad=0 skip=0
    printf '\n==== %s\n' "$heading"
    (set -euo pipefail && "$function") 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    counts=$("$reader" "$log")
    if [ "$reader" = count_one ] && [ "$status" -ne 0 ]; then counts="0 1 0"; fi
    if [ -n "$counts" ]; then
        read -r good bad skip <<<"$counts"
    else
        echo "---- no test was run"
        bad=1
    fi
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        echo "---- exit code $status although no test failed"
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    skipped=$((skipped + skip))
    local line
    while IFS= read -r line; do skip_lines+=("$line"); done < <(grep -E "$skip_mark" "$log")
    local verdict=ok
    if [ "$bad" -ne 0 ]; then verdict=FAILED; fi
    step_lines+=("$(printf '%-7s %5d s  %5d passed %3d failed %3d skipped  %s' \
        "$verdict" $((SECONDS - begun)) "$good" "$bad" "$skip" "$heading")")
    echo "---- $verdict, $((SECONDS - begun)) s"
}

# Runs a command for so long at most.
limit() { # seconds, command...
    local seconds=$1
    shift
    # On a terminal Ctrl-C has to reach the command; elsewhere its children have to end with it.
    local -a how=(--kill-after=10)
    if [ -t 1 ]; then how+=(--foreground); fi
    timeout "${how[@]}" "$seconds" "$@" || {
        local status=$?
        [ $status -ne 124 ] || echo "$* was stopped after $seconds s" >&2
        return $status
    }
}

# The last line is read by machines: nothing may follow it.
summary() {
    printf '\n==== Summary (%d s)\n' "$SECONDS"
    printf '%s\n' "${step_lines[@]}"
    [ "${#skip_lines[@]}" -eq 0 ] || printf '%s\n' "${skip_lines[@]}" | sort -u
    if [ "$skipped" -gt 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ "$failed" -eq 0 ]
}
