#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# modes_memory.sh -- memory ends, at each kind of limit, and what was freed can be had again, all of it: limits on
# address space, on data, on mappings, on a control group's memory.  (modes_overcommit.sh: strict overcommit.)
# preload_object=FILE tests another object than the one built here.

preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
memory=${top_builddir:-$PWD}/tests/modes_memory
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0
mib=56

expect() { # WHAT COMMAND...: exits with 0 and says just "done"; 77: not here
    local what=$1 got
    shift
    timeout 500 env LD_PRELOAD="$preload_object" "$@" >"$work/out" 2>&1 </dev/null
    got=$?
    [ $got -ne 77 ] || { echo "skipped here: $what"; return; }
    [ $got -eq 0 ] && [ "$(cat "$work/out")" = done ] && return
    echo "$what: exit status $got"
    head -n 20 "$work/out"
    failed=$((failed + 1))
}

# ---- a control group: the kernel ends whoever takes more, so the limit is not reached ------------------------

group= files=
group_begin() { # BYTES
    local cgroups=/sys/fs/cgroup
    if [ -e $cgroups/cgroup.controllers ]; then
        group=$cgroups/privheap-test-$$
        mkdir "$group" 2>"$work/err" && echo "$1" >"$group/memory.max" 2>>"$work/err"
    elif [ -d $cgroups/memory ]; then
        group=$cgroups/memory/privheap-test-$$
        mkdir "$group" 2>"$work/err" && echo "$1" >"$group/memory.limit_in_bytes" 2>>"$work/err"
    else
        return 1
    fi
}
join_group='[ -w "$1/cgroup.procs" ] && echo $$ >"$1/cgroup.procs" && shift && exec "$@"'

expect "RLIMIT_AS of $mib MiB" "$memory" as $mib
expect "RLIMIT_DATA of $mib MiB" "$memory" data $mib
# What stays is descriptors of pages with the smallest blocks: one and a half parts of a hundred; in secure mode
# ten, and address space for its guards, so that its bound is one on data.
expect 'RLIMIT_AS, sizes far apart' "$memory" as 128 50
expect 'RLIMIT_DATA, sizes far apart' "$memory" data 128 50
expect 'RLIMIT_DATA, sizes far apart, secure mode' env PRIVHEAP_MODE=secure "$memory" data $mib 5
expect '64,300 burned mappings' "$memory" maps 1230
expect '40,000 live blocks of 128 KiB' "$memory" blocks 40000 131072

if group_begin $((mib << 21)); then
    if bash -c "$join_group" join "$group" true 2>>"$work/err"; then
        timeout 500 bash -c "$join_group" join "$group" env LD_PRELOAD="$preload_object" "$memory" touch $mib >"$work/out" 2>&1 </dev/null
        got=$?
        [ $got -eq 0 ] && [ "$(cat "$work/out")" = done ] || { echo "a control group of $((mib * 2)) MiB: exit status $got"; head -n 20 "$work/out"; failed=$((failed + 1)); }
    else
        echo 'skipped here: a control group (this user may not join one)'
    fi
    rmdir "$group"
else
    echo 'skipped here: a control group (none for memory can be made)'
    [ -z "$group" ] || rmdir "$group" 2>>"$work/err"
fi

echo "$failed not as expected"
[ $failed -eq 0 ]
