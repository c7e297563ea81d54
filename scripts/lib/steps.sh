# Sourced by scripts/test: runs steps, counts the tests in what they print, sums up. The caller sets
# logs, a directory.
# shellcheck shell=bash disable=SC2154

passed=0
failed=0
skipped=0
step_lines=()
skip_lines=()

# A line of a log that begins so names what was left out, and why.
skip_mark='^\*\*\* SKIPPED:? '

# Leaves the groups of the pattern's last match in BASH_REMATCH; false where nothing matches.
last_match() { # file, extended pattern
    [[ $(grep -aE "$2" "$1" | tail -n 1) =~ $2 ]]
}
lines_with() { grep -acE "$2" "$1" || true; } # file, extended pattern

# Each reader prints "passed failed skipped" for one log, or nothing where no test was run.
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
    local good=${BASH_REMATCH[2]} bad=${BASH_REMATCH[3]} skip=${BASH_REMATCH[5]:-0} told
    told=$(lines_with "$1" "$skip_mark") # more than it has counted: parts of what it counts
    echo "$good $bad $((told > skip ? told : skip))"
}

count_one() { # a check that holds, fails or is left out
    if [ "$(lines_with "$1" "$skip_mark")" -eq 0 ]; then echo "1 0 0"; else echo "0 0 1"; fi
}

# Sums up what the test programs of a build tree counted, from ctest's log. A program that ended in
# another way than its cases say (a crash, a limit, a leak) or did not run is a failure of its own.
count_cases() { # build tree
    awk '
        match($0, /^[0-9]+\/[0-9]+ Testing: /) { name = substr($0, RLENGTH + 1); told = bad = 0 }
        /^[0-9]+ passed, [0-9]+ failed/ { told = $1 + $3 + $5; bad = $3; good += $1; all_bad += $3; skip += $5 }
        /^\*\*\* SKIPPED/ { print }
        /^Test (Passed|Failed)\.$/ && (!told || (/Failed/ && !bad)) {
            all_bad++
            print "FAILED  " name (told ? ": every case passed, the program failed" : ": crashed, was stopped or ran no case")
        }
        END { printf "%d passed, %d failed, %d skipped\n", good, all_bad, skip }
    ' "$1/Testing/Temporary/LastTest.log"
}

# The seconds of processors that children took, of what `times` prints in the shell they are of.
processor_seconds() { # file
    awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, "[ms]"); sum += 60 * t[1] + t[2] } }
        END { print int(sum) }' "$1"
}

# Runs a function as a step of its own. A step fails by its exit code, by a failed test, or by
# running none; the steps after it run all the same.
step() { # heading, reader, function
    local heading=$1 reader=$2 function=$3 log=$logs/$3.log begun=$SECONDS status counts
    local spent good=0 bad=0 skip=0 line
    printf '\n==== %s\n' "$heading"
    times >"$logs/times" && spent=$(processor_seconds "$logs/times")
    (set -euo pipefail && "$function") 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    times >"$logs/times" && spent=$(($(processor_seconds "$logs/times") - spent))
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
    local verdict=ok
    if [ "$bad" -ne 0 ]; then verdict=FAILED; fi
    while IFS= read -r line; do
        skip_lines+=("$heading: $line")
    done < <(grep -aE "$skip_mark" "$log" | sed -E "s/$skip_mark//")
    step_lines+=("$(printf '%-7s %5d s (%5d s of processors)  %5d passed %3d failed %3d skipped  %s' \
        "$verdict" $((SECONDS - begun)) "$spent" "$good" "$bad" "$skip" \
        "$heading")")
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
    if [ "$skipped" -gt 0 ]; then
        echo "Left out:"
        printf '    %s\n' "${skip_lines[@]}"
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ "$failed" -eq 0 ]
}
