#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# driver.sh -- runs one test for Automake's parallel harness and writes down how long it took.
#
# Beside what the harness reads, the .trs file says `:seconds:`, `:passed:` and `:failed:`: the
# checks of a Check suite counted one by one, any other test as one.  slowest.sh and tally.sh read
# them.  A test that hangs is ended after TEST_SECONDS (600); one that fails shows its log's end.

color=no expected=no
while [ $# -gt 0 ]; do
    case $1 in
    --test-name) name=$2; shift 2 ;;
    --log-file) log=$2; shift 2 ;;
    --trs-file) trs=$2; shift 2 ;;
    --color-tests) color=$2; shift 2 ;;
    --expect-failure) expected=$2; shift 2 ;;
    --enable-hard-errors) shift 2 ;;
    --) shift; break ;;
    *) echo "driver.sh: what is $1?" >&2; exit 2 ;;
    esac
done

begun=$(date +%s%N)
timeout -k 10 "${TEST_SECONDS:-600}" "$@" >"$log" 2>&1 </dev/null
status=$?
tenths=$((($(date +%s%N) - begun) / 100000000))
seconds=$((tenths / 10)).$((tenths % 10))

[ $status -ne 124 ] || echo "driver.sh: ended after ${TEST_SECONDS:-600} seconds" >>"$log"
echo "exit status $status" >>"$log"

case $status:$expected in
0:no) result=PASS paint=32 ;;
0:yes) result=XPASS paint=31 ;;
77:*) result=SKIP paint=34 ;;
99:*) result=ERROR paint=35 ;;
*:yes) result=XFAIL paint=32 ;;
*) result=FAIL paint=31 ;;
esac

# "100%: Checks: 12, Failures: 0, Errors: 0", once for each runner of the program.
counts=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' "$log" |
    awk '{ checks += $1; failed += $2 + $3 } END { if (NR) print checks - failed, failed }')
passed=${counts% *} failed=${counts#* }
case $result in
PASS | XFAIL) [ -n "$counts" ] || passed=1 failed=0 ;;
SKIP) passed=0 failed=0 ;;
*) [ "${failed:-0}" -gt 0 ] || passed=${passed:-0} failed=1 ;;
esac

cat >"$trs" <<END
:test-result: $result
:global-test-result: $result
:recheck: $([ $result = PASS ] || [ $result = SKIP ] && echo no || echo yes)
:copy-in-global-log: $([ $result = PASS ] && echo no || echo yes)
:seconds: $seconds
:passed: $passed
:failed: $failed
END

[ $color = yes ] && shown=$(printf '\033[%sm%s\033[m' $paint $result) || shown=$result
case $result in
SKIP) echo "$shown: $name ($(sed '$d' "$log" | tail -n 1))" ;;
PASS | XFAIL) echo "$shown: $name${counts:+, $passed checks}, $seconds s" ;;
*)
    # In one piece, so that tests beside this one do not write in between.
    printf '%s\n' "$shown: $name${counts:+, $failed of $((passed + failed)) checks}, $seconds s; the end of $log:
$(tail -n 40 "$log" | sed 's/^/    /')"
    ;;
esac
