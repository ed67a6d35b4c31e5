#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# fail.sh -- option FAIL: exactly the calls fail that it says, each in the way that its function has, and one line
# says which.

. "${top_srcdir:-$(dirname "$0")/..}/tests/verb.inc"
library=$top_builddir/lib/.libs

$CC -g -O1 "$top_srcdir/tests/failing.c" -I"$top_srcdir/lib" -o "$work/failing" -L"$library" -lprivheap \
    -Wl,-rpath,"$library" -pthread || exit 1

fails() { "$privheap" run "--log=$work/log" "$@" 2>&1; } # what the program says; our lines are in the log

# Each call of the program in turn, in every mode.  One that takes less never fails and does not count.
ways=(malloc malloc-page malloc-run malloc-large malloc-0 calloc calloc-large memalign aligned_alloc posix_memalign
    valloc reallocarray strdup realloc-more asprintf)
win32=(HeapAlloc HeapReAlloc HeapAligned 'HeapAlloc-raising (raised)')
for mode in default secure tolerant; do
    for i in "${!ways[@]}"; do
        expect "nth:$((i + 1)), $mode" "${ways[i]} " "$(fails --mode=$mode --fail=nth:$((i + 1)) "$work/failing")"
    done
    for i in 0 1 2 3; do
        size=$((i == 0 ? 100 : i == 1 ? 1000 : i == 2 ? 640 : 200))
        expect "nth:1,size:$size, $mode" "${win32[i]} " \
            "$(fails --mode=$mode --fail=nth:$((i == 0 ? 3 : 1)),size:$size "$work/failing")"
    done
done
expect 'nothing fails behind the last call' '' "$(fails --fail=nth:1000 "$work/failing")"

# One line, with the place in the program, and by that stack the same call fails again.
: >"$work/log"
fails --fail=nth:8 "$work/failing" >/dev/null
expect 'one line' 1 "$(wc -l <"$work/log")"
line=$(cat "$work/log")
case $line in
"privheap: memalign of 100 bytes fails on purpose, call 8, stack:"????????????????.1,\ at\ failing+0x*' < libc.so.6+0x'*) ;;
*) expect 'the line' 'memalign of 100 bytes ...' "$line" ;;
esac
stack=$(sed 's/.* \(stack:[^,]*\),.*/\1/' "$work/log")
expect "$stack" 'memalign ' "$(fails --fail="$stack" "$work/failing")"
expect "$stack, another ordinal" '' "$(fails --fail="${stack%.1}.2" "$work/failing")"

# Parts.
expect after '' "$(fails --fail=after:1000 "$work/failing")"
expect 'after:13' 'realloc-more asprintf HeapAlloc HeapReAlloc HeapAligned HeapAlloc-raising (raised) ' \
    "$(fails --fail=after:13 "$work/failing" | sed 's/HeapReAlloc-less //')"
expect 'size:20-60' 'malloc calloc posix_memalign ' "$(fails --fail=size:20-60 "$work/failing")"
expect 'size:1m-' 'malloc-large calloc-large ' "$(fails --fail=size:1m- "$work/failing")"
expect 'size:24' 'malloc ' "$(fails --fail=size:24 "$work/failing")"
expect 'nth:2,size:20-60' 'calloc ' "$(fails --fail=nth:2,size:20-60 "$work/failing")"
expect 'size:20-60,after:2' 'posix_memalign ' "$(fails --fail=size:20-60,after:2 "$work/failing")"
expect 'module:libc.so.6' 'strdup ' "$(fails --fail=module:libc.so.6,size:10 "$work/failing")"
expect 'module:failing' 'valloc strdup ' "$(fails --fail=module:failing,size:10 "$work/failing")"
expect 'module:libother' '' "$(fails --fail=module:libother.so "$work/failing")"

# A rate: the same calls for the same seed, threads or not.
some=$(fails --fail=rate:1/3,seed:1 "$work/failing")
expect 'the same seed' "$some" "$(fails --fail=rate:1/3,seed:1 "$work/failing")"
others=$(for seed in 2 3 4 5; do fails --fail=rate:1/3,seed:$seed "$work/failing"; done | sort -u | wc -l)
[ "$others" -ge 1 ] && [ -n "$some" ] || expect 'some calls fail' 'one in three' "$some"
[ "$some" != "$(fails --fail=rate:1/3,seed:2 "$work/failing")" ] || expect 'another seed' 'others' "$some"
sum=$(fails --fail=rate:1/10,seed:7,size:48 "$work/failing" 4)
{ [ "$sum" -ge 300 ] && [ "$sum" -le 500 ]; } || expect 'one in ten of 4,000' 'about 400' "$sum"
for i in 1 2 3; do
    expect '4 threads' "$sum" "$(fails --fail=rate:1/10,seed:7,size:48 "$work/failing" 4)"
done
: >"$work/log"
fails --fail=size:48 "$work/failing" 4 >/dev/null
expect 'not more than 100 lines' 100 "$(wc -l <"$work/log")"

# C++: new throws, once.
if $CXX -std=c++17 -g -O1 "$top_srcdir/tests/failing.cc" -o "$work/failing++" 2>"$work/compiled"; then
    all=('new:thrown ' 'new[]:thrown ' 'new-nothrow:null ' 'new-aligned:thrown ' 'new-aligned-nothrow:null ' 'handler ')
    for i in "${!all[@]}"; do
        expect "C++, nth:$((i + 1))" "${all[i]}" "$(fails --fail=module:failing++,nth:$((i + 1)) "$work/failing++")"
    done
else
    echo 'no C++ compiler: operator new is left out'
fi

# What is no such thing.
for text in nth: nth:0 nth:x nth:1,nth:2 rate:3 rate:1/0 seed:4 size:9-3 size: module: stack:1 'nth:1,' other:1; do
    fails --fail=$text true >"$work/said"
    expect "exit code for $text" 125 $?
    expect "one line for $text" "1 1" "$(wc -l <"$work/said") $(grep -c 'it takes nth:N, after:N, rate:1/N' "$work/said")"
done
tell_and_exit
