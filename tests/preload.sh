#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# preload.sh -- the hard moments of a preloaded object: before main and after it, libraries that
# come and go, a second preload, no environment, no file descriptors, the ways a process ends.
# preload_object=FILE tests another object than the one built here; "none" tests the test.

sources=${top_srcdir:-$(dirname "$0")/..}/tests
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
[ "$preload_object" = none ] || [ -e "$preload_object" ] ||
    { echo 'there is no preload object in this build'; exit 77; }

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0
nl=$'\n'

build() { # OUTPUT SOURCE FLAGS...
    local output=$1 source=$2
    shift 2
    # shellcheck disable=SC2086 # CC may carry options
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -fno-builtin -pthread "$sources/$source" -o "$work/$output" "$@" || exit 99
}

# Run a command under the object, and $second where it is set, in the order given by $order.
preloaded() {
    local list=
    case $order:$preload_object in
    *:none) list=$second ;;
    second-first:*) list=$second:$preload_object ;;
    *) list=$preload_object${second:+:$second} ;;
    esac
    timeout 30 env LD_PRELOAD="$list" "$@"
}

expect() { # WHAT STATUS TEXT COMMAND...
    local what=$1 status=$2 text=$3 got
    shift 3
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    [ $got -eq "$status" ] && [ "$(cat "$work/out")" = "$text" ] && [ ! -s "$work/err" ] && return
    echo "$what: exit status $got, expected $status; the output, and what was expected:"
    diff "$work/out" <(printf '%s' "${text:+$text$nl}")
    head -n 5 "$work/err"
    failed=$((failed + 1))
}

# Does the object really serve these programs?  Asked of a process that is one of them.
is_active() {
    [ "$preload_object" = none ] && return
    local maps
    maps=$(preloaded cat /proc/self/maps)
    case $maps in *"$(basename "$(realpath "$preload_object")")"*) return ;; esac
    echo "$preload_object is not active"
    exit 99
}

order=first second=
is_active

build life preload_life.c
life='the first constructor
the last constructor
a thread of a constructor
main'
end='main, again
atexit, registered by main
atexit, registered by a constructor
the first destructor
the last destructor'
expect 'every phase of a process' 7 "$life"$'\n'"$end" preloaded "$work/life"

# Nothing but LD_PRELOAD in the environment.
only_preload() { timeout 30 env -i ${list:+LD_PRELOAD="$list"} "$@"; }
[ "$preload_object" = none ] && list= || list=$preload_object
expect 'an empty environment' 7 "$life${nl}an argument$nl$end" only_preload "$work/life" "an argument$nl" x

build second.so preload_second.c -shared -fPIC
second=$work/second.so
[ "$preload_object" = none ] && seen='passed calls on' || seen='saw no calls'
expect 'a second preload after ours' 7 "$life$nl$end${nl}second: $seen" preloaded "$work/life"
order=second-first
expect 'a second preload before ours' 7 "$life$nl$end${nl}second: passed calls on" preloaded "$work/life"
order=first second=

build host preload_host.c
build library.so preload_library.c -shared -fPIC
expect 'a library that comes and goes' 0 'blocks passed both ways' preloaded "$work/host" library "$work/library.so"
expect 'a library opened with RTLD_DEEPBIND' 0 'blocks passed both ways' preloaded "$work/host" library "$work/library.so" deepbind

# shellcheck disable=SC2086
if ${CXX:-c++} -std=c++17 -O2 -g -fsized-deallocation -shared -fPIC "$sources/preload_thrower.cc" -o "$work/thrower.so" 2>"$work/err"; then
    expect 'bad_alloc in a C++ library of a C program' 0 $'works: 1\ncalls of the handler: 2\nall forms: 1' preloaded "$work/host" thrower "$work/thrower.so"
else
    echo 'skipped: no C++ compiler'
fi

build fork preload_fork.c
expect 'children of a threaded program end by exit' 0 '100 children' preloaded "$work/fork"
build thread_end preload_thread_end.c
expect 'a thread ends the process after main has ended' 6 'ended by a thread' preloaded "$work/thread_end"

# No descriptor is open: nothing of ours may land in the first file that the program opens.
no_descriptors() { (preloaded "$@" <&- >&- 2>&-); }
expect 'no file descriptors' 0 '' no_descriptors bash -c "exec 5>$work/first; exec 6>$work/second; echo only this >&5; seq 100 | sort >&6"
[ "$(cat "$work/first")" = 'only this' ] || { echo 'something was written into a file of the program'; failed=$((failed + 1)); }
few_descriptors() { (ulimit -n 4; preloaded "$@"); }
expect 'few file descriptors' 0 'hello' few_descriptors bash -c 'echo hello'

# The object is loaded late, by dlopen, into a process that has blocks of its own.
if [ "$preload_object" != none ]; then
    cat >"$work/late.c" <<'END'
#include <dlfcn.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    void *before = malloc(100), *object = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) return 1;
    void *(*take)(size_t) = (void *(*)(size_t))dlsym(object, "malloc");
    void (*give)(void *) = (void (*)(void *))dlsym(object, "free");
    for (int i = 0; i < 1000; i++) give(take(i * 100));
    free(before);
    return dlclose(object);
}
END
    # shellcheck disable=SC2086
    ${CC:-cc} -O1 "$work/late.c" -o "$work/late" || exit 99
    expect 'the object opened by dlopen' 0 '' "$work/late" "$(realpath "$preload_object")"
fi

echo "$failed not as expected"
[ $failed -eq 0 ]
