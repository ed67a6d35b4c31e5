#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# modes_loader.sh -- what the loader can do to an allocator: hooks that allocate in the middle of its start, an auditor,
# plug-ins that bind to libc's own malloc, other namespaces, another preload on either side, no room for static TLS.
# preload_object=FILE tests another object than the one built here; "none" tests the test.

sources=${top_srcdir:-$(dirname "$0")/..}/tests
tests=${top_builddir:-$PWD}/tests
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
[ "$preload_object" = none ] || [ -e "$preload_object" ] ||
    { echo 'there is no preload object in this build'; exit 77; }
ours=$preload_object
[ "$ours" = none ] && ours=

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0

build() { # OUTPUT SOURCE FLAGS...
    local output=$1 source=$2
    shift 2
    # shellcheck disable=SC2086 # CC may carry options
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -fno-builtin -pthread "$sources/$source" -o "$work/$output" "$@" || exit 99
}

expect() { # WHAT TEXT PRELOAD COMMAND...: exits with 0 and says just that
    local what=$1 text=$2 list=$3 got
    shift 3
    timeout 60 env LD_PRELOAD="$list" "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    [ $got -eq 0 ] && [ "$(cat "$work/out")" = "$text" ] && [ ! -s "$work/err" ] && return
    echo "$what: exit status $got, and instead of \"$text\":"
    head -n 5 "$work/out" "$work/err"
    failed=$((failed + 1))
}

build host modes_host.c
build plugin.so modes_plugin.c -shared -fPIC -Wl,-rpath,'$ORIGIN/sub'
mkdir "$work/sub" && cp "$work/plugin.so" "$work/sub/inner.so"
used="$tests/modes_seccomp work"

# ---- plug-ins, namespaces, pointers of libc's own ------------------------------------------------------

expect 'a plug-in opened by dlopen with RTLD_DEEPBIND' done "$ours" "$work/host" plugin "$work/plugin.so"
expect 'a plug-in opened by dlmopen with RTLD_DEEPBIND' done "$ours" "$work/host" plugin-dlmopen "$work/plugin.so"
expect 'a plug-in that its caller finds by $ORIGIN' done "$ours" "$work/host" beside "$work/plugin.so" inner.so
if [ -n "$ours" ]; then # glibc's own functions take no blocks of another namespace
    expect "blocks of another namespace" done "$ours" "$work/host" other "$work/plugin.so"
fi
expect "blocks of libc's own malloc" done "$ours" "$work/host" libc
expect '__libc_malloc and its kin among malloc and free' done "$ours" "$work/host" names

# ---- who else is there at the start --------------------------------------------------------------------

build hooks.so modes_hooks.c -shared -fPIC
build first.so modes_hooks.c -shared -fPIC -DEARLY -Wl,-z,initfirst
build second.so modes_second.c -shared -fPIC
build audit.so modes_audit.c -shared -fPIC
colon=${ours:+:}
[ -n "$ours" ] && called=done || called=$'done\nhooks: never called'
for object in hooks first; do
    [ $object = hooks ] || called=done
    # shellcheck disable=SC2086 # a program and its argument
    expect "$object.so after ours" "$called" "$ours$colon$work/$object.so" $used
    expect "$object.so before ours" "$called" "$work/$object.so$colon$ours" $used
done
[ -n "$ours" ] && seen='saw no calls' || seen=served
expect 'another malloc family after ours' $'done\nsecond: '"$seen" "$ours$colon$work/second.so" $used
expect 'another malloc family before ours' 'done
second: served' "$work/second.so$colon$ours" $used
for bound in now '' ; do
    expect "an auditor${bound:+, bound at once}" done "$ours" env LD_AUDIT="$work/audit.so" LD_BIND_NOW=$bound $used
    expect "an auditor and plug-ins${bound:+, bound at once}" done "$ours" env LD_AUDIT="$work/audit.so" LD_BIND_NOW=$bound "$work/host" plugin "$work/plugin.so"
done
expect 'bound at once' done "$ours" env LD_BIND_NOW=1 $used

# ---- static TLS ---------------------------------------------------------------------------------------

# The object opened late, with all of the room for static TLS taken but a little: dlopen.sh does it for the library.
if [ -n "$ours" ]; then
    unit=16 room=64 many=1
    build fill-0.so dlopen.c -shared -fPIC -DFILL=$unit
    mkdir "$work/fill" && mv "$work/fill-0.so" "$work/fill/0.so"
    while [ $many -lt 512 ]; do cp "$work/fill/0.so" "$work/fill/$many.so"; many=$((many + 1)); done
    build late modes_late.c
    most=$("$work/late" "$work/fill" $many) || exit 99
    if [ "$most" -ge $many ]; then
        echo "skipped: $most objects of $unit bytes fit, this loader has no such limit"
    else
        expect "the object opened with $room bytes of static TLS left" done '' "$work/late" "$work/fill" $((most - room / unit)) "$(realpath "$ours")"
    fi
fi

echo "$failed not as expected"
[ $failed -eq 0 ]
