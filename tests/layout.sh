#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# layout.sh -- the preload object's code lies where preload/layout.ld wants it: every name there is one of ours, and a
# process that makes some blocks, frees some and waits has none of the code beyond in its memory, and one that works for a
# while nothing of the last part.  That it has is most likely the fault of a new function on the way of every process,
# which the script must name.
# layout_object=FILE tests another object than the one built here.

source=${top_srcdir:-$(dirname "$0")/..}
script=$source/preload/layout.ld
object=${layout_object:-$PWD/preload/.libs/libprivheap-preload.so}
program=$PWD/tests/idle
[ -e "$object" ] || { echo 'there is no preload object in this build'; exit 77; }
[ "$(readelf -lW "$object" | grep -c 'LOAD.* R E ')" = 3 ] || { echo 'this linker has not put code into three parts'; exit 77; }
failed=0
work=$(mktemp -d) || exit 99
waiting=
trap '[ -z "$waiting" ] || kill "$waiting" 2>/dev/null; rm -rf "$work"' 0

# A function that was renamed has gone to the rest.
sed '/^\/\*/,/\*\/$/d' "$script" | grep -o '\.\(text\|text\.unlikely\|bss\|rodata\)\.[A-Za-z_][A-Za-z0-9_]*' | sed 's/.*\.//' | sort -u |
    grep -vxE 'startup|unlikely|ph_class_' >"$work/names"
[ "$(wc -l <"$work/names")" -gt 100 ] || { echo "$script names next to nothing"; failed=1; }
while read -r name; do
    grep -qw -e "$name" "$source"/lib/*.c "$source"/lib/*.h "$source"/preload/*.c || { echo "preload/layout.ld names $name, and nothing is called so"; failed=1; }
done <"$work/names"

# Which functions the compiler leaves whole is its own business: known of one.
case ${build_flavour-default}:$(${CC:-gcc} --version | head -n 1) in
default:gcc*' 12.'* | '-g -O2 debug 0:gcc'*' 12.'* | '-O2 -g debug 0:gcc'*' 12.'*) ;;
*) echo 'with another compiler, or other options of it, other functions are left'; exit $failed ;;
esac

# KiB of the object in the memory of a process that waits, by the mapping's rights, in the order of addresses.
parts() { # ARGUMENT...
    mkfifo "$work/ready"
    LD_PRELOAD=$object "$program" "$@" >"$work/ready" &
    waiting=$!
    read -r word <"$work/ready"
    [ "$word" = ready ] || { echo "the idle program says '$word'"; exit 1; }
    awk -v file="${object##*/}" '
        /^[0-9a-f]+-[0-9a-f]+ / { ours = index($6, file) > 0; rights = $2 }
        ours && /^Rss:/ { print rights, $2 }' "/proc/$waiting/smaps" >"$work/parts"
    kill "$waiting"
    wait "$waiting" 2>/dev/null
    waiting=
    rm "$work/ready"
    cat "$work/parts"
}

beyond() { awk -v first="$1" '/^r-xp/ { n++; if (n > first) sum += $2 } END { print sum + 0 }' "$work/parts"; }

parts
resident=$(beyond 1)
[ "$resident" = 0 ] || { echo "code that an idle process has no use for is in its memory: $resident KiB"; failed=1; }
echo 'with an argument:'
parts work
resident=$(beyond 2)
[ "$resident" = 0 ] || { echo "code that hardly any process has a use for is in the memory of one that works: $resident KiB"; failed=1; }
exit $failed
