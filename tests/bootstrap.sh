#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bootstrap.sh -- what a newcomer's two commands promise, once everything is built: the program gets the
# caller's folder, standard input, arguments and environment, its exit code comes back, nothing is said, and it
# takes under a second.  Wrong words get the usage and exit 2.

bootstrap=$top_srcdir/bootstrap
status=0
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
cd "$work" || exit 99

expect() { # WHAT EXPECTED GOT
    [ "$2" = "$3" ] && return
    printf '%s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    status=1
}

for words in '' 'rum -- true' 'run' 'run --' 'check more'; do
    # shellcheck disable=SC2086
    "$bootstrap" $words >out 2>err
    expect "exit code of: bootstrap $words" 2 $?
    expect "usage after: bootstrap $words" 1 "$(grep -c '^usage: ./bootstrap' err)"
done
expect 'usage on standard output when asked for' 1 "$("$bootstrap" --help | grep -c '^usage: ./bootstrap')"

# A build of bootstrap's own is needed for the rest, as `bootstrap check` has just made it.
[ $status -eq 0 ] || exit $status
[ "$BOOTSTRAPPED" = yes ] || { echo 'only the words: not started by ./bootstrap check'; exit 0; }

begun=$(date +%s%N)
said=$(echo 'my input' | "$bootstrap" run -- sh -c 'cat; pwd; printf "<%s>" "$@"; exit 7' sh 'a b' '' 2>err)
expect 'exit code' 7 $?
ended=$(date +%s%N)
expect 'folder, input and arguments' "my input
$work
<a b><>" "$said"
expect 'nothing said' '' "$(cat err)"
expect 'environment' '' "$(env | grep -v '^_=' | sort >before
    "$bootstrap" run -- env | grep -v -e '^_=' -e '^LD_PRELOAD=' | sort | diff before -)"
[ $(((ended - begun) / 1000000)) -lt 1000 ] || expect 'milliseconds' 'under 1000' $(((ended - begun) / 1000000))
exit $status
