#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# limits.sh -- programs under `ulimit -v 200000`; the process heap bounded by PRIVHEAP_MAX_SIZE; which blocks fail last;
# what an idle process costs.  preload_object=FILE tests another object than the one built here;
# "none" does the first part without any, which must hold as well.

preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
limits=${top_builddir:-$PWD}/tests/limits
space_kib=200000  # ulimit -v
bound_kib=16384   # PRIVHEAP_MAX_SIZE
least=85          # percent of the bound that small and middle blocks must get
idle_space_kib=65536
idle_private_kib=200

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0

fail() {
    echo "$*"
    failed=$((failed + 1))
}

if [ "$preload_object" = none ]; then
    preloaded() { "$@"; }
elif [ -e "$preload_object" ]; then
    preloaded() { env LD_PRELOAD="$preload_object" "$@"; }
else
    echo 'there is no preload object in this build'
    exit 77
fi
[ -x "$limits" ] || { echo "no program $limits"; exit 99; }

# ---- the same output with little address space as with plenty of it -------------------------

small() { # PROGRAM ARGUMENTS...
    command -v "$1" >"$work/found" || { echo "skipped: no $1"; return; }
    (timeout 30 "$@") >"$work/plain" 2>&1 </dev/null
    (ulimit -v $space_kib && preloaded timeout 30 "$@") >"$work/ours" 2>&1 </dev/null
    cmp -s "$work/plain" "$work/ours" || {
        fail "under ulimit -v $space_kib: $*"
        head -n 5 "$work/ours"
    }
}

seq 300000 | tac >"$work/numbers"
python=/usr/bin/python3
[ -x $python ] || python=python3

small /bin/true
small ls /
small bash -c '(for i in $(seq 200); do (echo $i) & done; wait) | sort -n'
small bash -c 'x=; for i in $(seq 3000); do x=$x$i; done; echo ${#x}; seq 100 | tr 0-9 a-j | md5sum'
small sort -n -S 20M --parallel=2 "$work/numbers"
small awk '{ sum += $1; seen[$1 % 1000]++ } END { print sum, length(seen) }' "$work/numbers"
small perl -e 'my %h; $h{$_ % 5000} .= "x" for 1..200000; print scalar(keys %h), "\n"'
small $python -c 'import threading, json
words = []
threads = [threading.Thread(target=lambda: words.append(json.dumps(list(range(5000))))) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(words), sum(map(len, words)))'
small git --version
small tar -cf /dev/null "$work"
small "$limits" work

# ---- a bounded process heap: NULL and ENOMEM at the limit, and all of it again after free -------

bounded() ( # VERB ARGUMENTS: what the program says, with the bound set
    ulimit -v 1000000 # a bound that does not hold must not eat the machine
    PRIVHEAP_MAX_SIZE=$((bound_kib * 1024)) preloaded timeout 60 "$limits" "$@"
)

must_eat() { # PERCENT VERB ARGUMENTS
    local percent=$1 error got again
    shift
    read -r error got again < <(bounded "$@")
    [ "$error" = ENOMEM ] && [ "${got:-0}" -le $bound_kib ] && [ "$got" -ge $((bound_kib * percent / 100)) ] &&
        { [ "$again" = kept ] || [ "$again" -ge 98 ]; } ||
        fail "bounded to $bound_kib KiB: $*: $error, $got KiB, again $again (percent)"
}

if [ "$preload_object" != none ]; then
    for bytes in 16 48 100 1000 5000; do must_eat $least eat $bytes; done
    must_eat $least eat 20000
    must_eat $least eat 100000
    must_eat 70 eat 1500000
    must_eat 70 eat 3000000
    must_eat $least threads
    must_eat 40 grow
    [ "$(bounded mixed)" = 'big block' ] || fail 'bounded: what was freed in small blocks does not serve a big one'
    small_bound=$(ulimit -v 1000000; PRIVHEAP_MAX_SIZE=1m preloaded "$limits" eat 100 | cut -d' ' -f1)
    [ "$small_bound" = ENOMEM ] || fail "the least bound, 1m: $small_bound"
fi

# ---- at the end of memory the smallest blocks fail last -------------------------------------------------

for mode in default secure tolerant; do
    for space in 6 10 16 23 32; do
        said=$(PRIVHEAP_MODE=$mode preloaded "$limits" order $space)
        [ "$said" = 'in order' ] || fail "mode=$mode: small blocks until NULL within $space MB more: $said"
    done
done

# ---- there what shrinks stays a block, and errno as it is --------------------------------------------

for mode in default secure tolerant; do
    said=$(PRIVHEAP_MODE=$mode preloaded "$limits" shrink 8)
    [ "$said" = 'all shrunk' ] || fail "mode=$mode: realloc to less where memory is out: $said"
done

# ---- what a process that does nothing costs --------------------------------------------------------

read -r plain_space plain_private < <("$limits" idle)
read -r space private < <(preloaded "$limits" idle)
[ $((space - plain_space)) -le $idle_space_kib ] ||
    fail "idle: $((space - plain_space)) KiB more address space, at most $idle_space_kib"
[ $((private - plain_private)) -le $idle_private_kib ] ||
    fail "idle: $((private - plain_private)) KiB more private memory, at most $idle_private_kib"

echo "idle: $((space - plain_space)) KiB more address space, $((private - plain_private)) KiB more private memory"
echo "$failed not as expected"
[ $failed -eq 0 ]
