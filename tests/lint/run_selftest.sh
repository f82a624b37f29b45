#!/bin/sh
# Proves that tests/run-all counts what fails: scripts stand in for the test programs. TAP.
set -u
top=$(pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0
failed=0
unset RESULTS LABEL VENV B
cd "$scratch" || exit 1
mkdir -p tests/unit tests/sim tests/fuzz tests/lint
cp "$top/tests/run-all" tests/

program() { # KIND STEM: standard input is its body
    mkdir -p "b/tests/$1"
    : >"tests/$1/$2.c"
    { echo '#!/bin/sh'; cat; } >"b/tests/$1/$2"
    chmod +x "b/tests/$1/$2"
}

# expect NAME LINE STATUS STAGE...: the closing line and the exit status
expect() {
    name=$1 line=$2 status=$3
    shift 3
    B=b tests/run-all "$@" >out 2>&1
    got=$?
    count=$((count + 1))
    if [ "$(tail -n 1 out)" = "$line" ] && [ $got -eq "$status" ]; then
        echo "ok $count - runner: $name"
    else
        echo "not ok $count - runner: $name (status $got)"
        sed 's/^/# /' out
        failed=1
    fi
    rm -rf tests/unit/* tests/sim/* tests/fuzz/* b
}

tap='printf "1..2\nok 1 - one\nok 2 - two\n"'
expect 'nothing at all is not success' '0 passed, 0 failed' 1 unit sim
echo "$tap" | program unit test_a
expect 'passed tests are counted' '2 passed, 0 failed' 0 unit
echo "$tap; exit 1" | program unit test_a
expect 'an exit status without a failed test' '2 passed, 1 failed' 1 unit
echo 'printf "1..2\nok 1 - one\n"; exit 0' | program unit test_a
expect 'a test that is in the plan and never ran' '1 passed, 1 failed' 1 unit
echo 'printf "1..2\nok 1 - one\nnot ok 2 - two\n"; exit 1' | program unit test_a
echo "$tap" | program unit test_b
expect 'a failed test is counted once' '3 passed, 1 failed' 1 unit
echo 'printf "1..2\nok 1 - one\nnot ok 2 # SKIP two\n"' | program unit test_a
expect 'a skipped test is neither' '1 passed, 0 failed' 0 unit
echo 'kill -SEGV $$' | program unit test_a
expect 'a crash' '0 passed, 1 failed' 1 unit
echo 'echo here; exec sleep 100' | program unit test_a
TEST_TIMEOUT=1 && export TEST_TIMEOUT
expect 'a program that does not end' '0 passed, 1 failed' 1 unit
unset TEST_TIMEOUT
count=$((count + 1))
grep -q 'status 124' out && grep -q 'no end within 1 s' out || { printf 'not ' && failed=1; }
echo "ok $count - runner: ... says so"
: >tests/unit/test_a.c
expect 'a program that was not built' '0 passed, 1 failed' 1 unit
program unit test_a <<'END'
printf "1..1\nok 1 - one\n"
prefix=${ASAN_OPTIONS#*log_path=}
echo bad >"${prefix%%:*}.7"
END
expect 'a sanitizer report of a program that lived on' '1 passed, 1 failed' 1 unit
echo 'echo seeds $SEEDS; [ $SEEDS = 50 ]' | program sim sim_a
expect 'a simulation without TAP is one test' '1 passed, 0 failed' 0 sim
echo 'exit 3' | program sim sim_a
echo "$tap" | program unit test_a
expect 'stages after a failed one still run' '2 passed, 1 failed' 1 sim unit
: | program fuzz fuzz_a
expect 'a target without a corpus' '0 passed, 1 failed' 1 replay
mkdir -p tests/fuzz/fuzz_a.in tests/fuzz/fuzz_a.repro
: >tests/fuzz/fuzz_a.in/1 && : >tests/fuzz/fuzz_a.repro/2
echo '[ "$*" = "tests/fuzz/fuzz_a.in/1 tests/fuzz/fuzz_a.repro/2" ]' | program fuzz fuzz_a
expect 'a target is given its inputs' '1 passed, 0 failed' 0 replay
program fuzz fuzz_a <<'END'
for argument; do case $argument in -artifact_prefix=*) echo bad >"${argument#*=}crash-1" ;; esac; done
exit 77
END
expect 'fuzzing that finds something' '0 passed, 1 failed' 1 fuzz
count=$((count + 1))
grep -q "$(echo bad | base64)" out || { printf 'not ' && failed=1; }
echo "ok $count - runner: ... shows the input"
MAKE=false && export MAKE
echo "$tap" | program unit test_a
expect 'nothing runs when the build fails' '0 passed, 1 failed' 1 build unit
unset MAKE

cd "$top" || exit 1
echo "1..$count"
exit $failed
