# Sourced by the other scripts: the root of the tree, builds by preset, and steps with a name, a time, a log and a result.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
logs=$root/build/logs
jobs=$(nproc 2>/dev/null || echo 2)
mkdir -p "$logs"

# build PRESET [TARGET...]: configure when needed, then build. Quiet unless something fails.
build() {
    local preset=$1
    shift
    cmake --preset "$preset" >"$root/build/configure-$preset.log" 2>&1 || {
        cat "$root/build/configure-$preset.log" >&2
        return 1
    }
    [ "$preset" != dev ] || ln -sf build/dev/compile_commands.json compile_commands.json
    cmake --build "$root/build/$preset" --parallel "$jobs" ${*:+--target "$@"}
}

# Python packages of the tests, from PyPI, in build/venv. Prints why and answers 77 when they cannot be had.
venv() {
    local stamp=build/venv/.stamp wanted=tests/blackbox/requirements.txt
    if [ ! -f "$wanted" ]; then
        echo "skipped: $wanted is not there"
        return 77
    fi
    if [ -f "$stamp" ] && cmp -s "$stamp" "$wanted"; then return 0; fi
    rm -rf build/venv
    python3 -m venv build/venv && build/venv/bin/pip install -q --disable-pip-version-check -r "$wanted" && cp "$wanted" "$stamp"
}

# step NAME COMMAND...: run it with its output in build/logs/NAME.log. A command that answers 77 is skipped; its last line
# says why. Counts of ctest, pytest and "N passed, N failed" lines are taken over; anything else counts as one.
step() {
    local name=$1 log start seconds rc=0 passed=0 failed=0 skipped=0 word
    shift
    log=$logs/$name.log
    start=$(date +%s.%N)
    # Not in a condition: there, bash would ignore errexit inside the step.
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    rc=$?
    set -e
    seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
    read -r passed failed skipped < <(count "$log")
    if [ $rc = 77 ]; then
        passed=0 failed=0 skipped=1 word=skipped
    elif [ $rc = 0 ]; then
        word=ok
        [ "$((passed + failed))" -gt 0 ] || passed=1
    else
        word=FAILED
        [ "$failed" -gt 0 ] || failed=1
    fi
    [ $rc = 0 ] && failed=0
    printf '%-22s %-8s %7s s  %s passed, %s failed%s\n' "$name" "$word" "$seconds" "$passed" "$failed" \
        "$([ "$skipped" = 0 ] || printf ', %s skipped' "$skipped")"
    if [ "$word" = skipped ]; then printf '    %s\n' "$(tail -n 1 "$log")"; fi
    if [ "$word" = FAILED ]; then
        tail -n "${FRESHET_LOG_LINES:-60}" "$log" | sed 's/^/    | /'
        printf '    whole log: %s\n' "${log#"$root"/}"
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$word" "$seconds" "$passed" "$failed" "$skipped" >>"$summary"
    return 0
}

# lanes COMMAND STEP...: COMMAND STEP for each, two at a time: for steps that wait much or use one core.
lanes() {
    local command=$1 name
    shift
    for name in "$@"; do
        while [ "$(jobs -pr | wc -l)" -ge 2 ]; do wait -n || true; done
        "$command" "$name" &
    done
    wait
}

# Passed, failed and skipped tests that a log reports itself, or 0 0 0.
count() {
    awk '
        / tests passed, .* tests? failed out of / { failed += $4; passed += $NF - $4 }
        /^(=+ )?[0-9]+ (passed|failed|skipped|error).* in [0-9.]+s/ {
            for (i = 1; i < NF; i++) {
                if ($(i + 1) ~ /^passed/) passed += $i
                if ($(i + 1) ~ /^(failed|error)/) failed += $i
                if ($(i + 1) ~ /^skipped/) skipped += $i
            }
        }
        /^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3 }
        END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

# finish: the totals of all steps as the last line; status 1 when something failed.
finish() {
    local passed failed skipped
    read -r passed failed skipped < <(awk -F '\t' '{ p += $4; f += $5; s += $6 } END { print p + 0, f + 0, s + 0 }' "$summary")
    echo
    awk -F '\t' '$2 == "skipped" { print "skipped: " $1 }' "$summary"
    for name in $(awk -F '\t' '$5 > 0 { print $1 }' "$summary"); do # why, once more at the end, for who sees only that
        echo "failed: $name"
        grep -aE 'FAIL|\*\*\*|rror:|SUMMARY|assert|[1-9][0-9]* failed' "$logs/$name.log" 2>/dev/null | tail -n 12 | cut -c1-300 | sed 's/^/    | /' || true
    done
    echo "$skipped skipped"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
