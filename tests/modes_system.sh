#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# modes_system.sh -- what the system can refuse an allocator: system calls by a filter, files, descriptors, an
# environment, privileges; and what it can do to one: trace it, put it at fixed addresses.
# preload_object=FILE tests another object than the one built here; "none" tests the test.

tests=${top_builddir:-$PWD}/tests
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
[ "$preload_object" = none ] || [ -e "$preload_object" ] ||
    { echo 'there is no preload object in this build'; exit 77; }
ours=$preload_object
[ "$ours" = none ] && ours=

work=$(mktemp -d) || exit 99
chmod 755 "$work"
trap 'rm -rf "$work"' 0
failed=0

fail() {
    echo "$*"
    head -n 5 "$work/out" "$work/err"
    failed=$((failed + 1))
}

expect() { # WHAT COMMAND...: exits with 0 and says just "done"; 77: not here
    local what=$1 got
    shift
    timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    [ $got -ne 77 ] || { echo "skipped here: $what"; return; }
    [ $got -eq 0 ] && [ "$(cat "$work/out")" = done ] && [ ! -s "$work/err" ] || fail "$what: exit status $got"
}

seccomp=$tests/modes_seccomp system=$tests/modes_system

# ---- filters of system calls -----------------------------------------------------------------------------

# env stands in front: the filter is there before the object is.
refused() { # ERROR CALLS
    expect "error $1 from $2" "$seccomp" deny "$1" "$2" /usr/bin/env LD_PRELOAD="$ours" "$seccomp" work
}
for calls in madvise getrandom membarrier prctl mremap; do refused 1 $calls; done # EPERM
for error in 1 38; do refused $error madvise,getrandom,membarrier,prctl,mincore; done # and ENOSYS
if [ -n "$ours" ]; then # glibc's own malloc needs brk
    for what in killed killed-full killed-other; do expect "a filter that kills: $what" env LD_PRELOAD="$ours" "$seccomp" $what; done
fi

# ---- surroundings ------------------------------------------------------------------------------------------

expect 'each system call traced' env LD_PRELOAD="$ours" "$system" traced "$seccomp" work
expect 'no random addresses' env LD_PRELOAD="$ours" "$system" fixed "$seccomp" work
expect 'no new privileges' env LD_PRELOAD="$ours" "$system" plain "$seccomp" work
expect 'no /proc' env LD_PRELOAD="$ours" "$system" no-proc "$seccomp" work
expect 'no descriptors' env LD_PRELOAD="$ours" "$system" descriptors
expect 'errno' env LD_PRELOAD="$ours" "$system" errno

# ---- the environment -----------------------------------------------------------------------------------------

expect 'an environment written over' env LD_PRELOAD="$ours" "$system" environment
loader=$(LC_ALL=C readelf -lW "$system" 2>"$work/err" | sed -n 's/.*program interpreter: \(.*\)]/\1/p')
if [ -n "$loader" ] && "$loader" --help 2>"$work/err" | grep -q -e --preload; then
    expect 'no environment' env -i "$loader" --preload "$ours" "$seccomp" work
    expect 'no list of an environment' "$system" empty "$loader" --preload "$ours" "$seccomp" work
else
    echo 'skipped here: no environment (this loader has no --preload, or there is no readelf)'
fi

# Options are read at the start: what the program does to their text later changes nothing.
if [ -n "$ours" ]; then
    env PRIVHEAP_LOG="$work/log" PRIVHEAP_STATS=1 LD_PRELOAD="$ours" "$system" environment >"$work/out" 2>"$work/err"
    [ -s "$work/log" ] && [ ! -s "$work/err" ] || fail 'the log is not where the environment said at the start'
fi

# ---- AT_SECURE ------------------------------------------------------------------------------------------------

# A set-group-ID copy, started by another user: the loader keeps our object only because the copy names it itself,
# and its environment is not to be trusted.
secure() {
    local nobody=65534 said
    cp "$ours" "$work/secure.so" && chmod 755 "$work/secure.so" && echo 'int main(void) { return 0; }' >"$work/secure.c"
    # shellcheck disable=SC2086 # CC may carry options
    ${CC:-cc} "$work/secure.c" -o "$work/secure" -Wl,--no-as-needed "$work/secure.so" -Wl,-rpath,"$work" 2>"$work/err" || return 99
    ln -s secure.so "$work/libprivheap-preload.so"
    said=$(env PRIVHEAP_VERBOSE=1 setpriv --reuid $nobody --regid $nobody --clear-groups "$work/secure" 2>&1) || return 77
    case $said in *serves*) ;; *) echo "not secure, and says: $said"; return 1 ;; esac
    chgrp 0 "$work/secure" && chmod 2755 "$work/secure" || return 77
    said=$(env PRIVHEAP_VERBOSE=1 PRIVHEAP_LOG="$work/secure.log" setpriv --reuid $nobody --regid $nobody --clear-groups "$work/secure" 2>&1)
    [ -z "$said" ] || { echo "secure, and says: $said"; return 1; }
}
if [ -z "$ours" ] || [ "$(id -u)" -ne 0 ] || ! command -v setpriv >"$work/out"; then
    echo 'skipped here: AT_SECURE (needs root and setpriv)'
elif findmnt -no OPTIONS -T "$work" 2>"$work/err" | grep -q nosuid; then
    echo 'skipped here: AT_SECURE (the folder for temporary files is mounted nosuid)'
else
    secure
    case $? in 0) ;; 77) echo 'skipped here: AT_SECURE (this user cannot become another)' ;; *) fail 'AT_SECURE' ;; esac
fi

echo "$failed not as expected"
[ $failed -eq 0 ]
