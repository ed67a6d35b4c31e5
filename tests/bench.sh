#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bench.sh -- the benches: each pattern prints its one line, with glibc and with us; wrong options are refused; and
# the table, the JSON and the comparison say what the figures say.

: "${top_srcdir:=$(cd "$(dirname "$0")/.." && pwd)}" "${preload_object:=$PWD/preload/.libs/libprivheap-preload.so}"
patterns=$PWD/bench/bench_patterns run=$PWD/bench/bench_run ratio=$PWD/bench/bench_ratio bench=$top_srcdir/bench/bench.sh
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
object=$(realpath "$preload_object")
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0 count=0

fail() { echo "$*"; failed=$((failed + 1)); }

# Ends with status 2 and says so, on one line of standard error that has TEXT in it.
refused() { # TEXT COMMAND...
    local text=$1 said status=0
    shift
    count=$((count + 1))
    said=$("$@" 2>&1 >"$work/out") || status=$?
    [ "$status" -eq 2 ] || fail "${*##*/}: status $status, expected 2"
    case $said in *"$text"*) ;; *) fail "${*##*/}: '$text' expected, not '$said'" ;; esac
    [ ! -s "$work/out" ] || fail "${*##*/}: a result as well"
}

# file has LINE, an extended regular expression.
has() { # FILE LINE
    count=$((count + 1))
    grep -qE -- "$2" "$1" || { fail "$(basename "$1") has no line '$2':"; sed 's/^/    /' "$1" | head -n 40; }
}

# ---- each pattern, one line: pattern/threads ns operations peak rest ----
names=$("$patterns" -l | awk '$1 != "nothing" && $1 != "where" { print $1 "/" $2 }')
[ "$(echo "$names" | wc -l)" -ge 25 ] || fail 'fewer patterns than there were'
for name in $names; do
    for under in '' "$object"; do
        count=$((count + 1))
        line=$(LD_PRELOAD=$under timeout 60 "$patterns" -b 15 "${name%/*}" 2>&1)
        [[ $line =~ ^"$name "[0-9]+\.[0-9]+" "[1-9][0-9]*" "[1-9][0-9]*" "[0-9]+$ ]] || fail "$name under '${under##*/}': '$line'"
    done
done
[[ $("$patterns" -b 5 -t 3 contend) = contend/3\ * ]] || fail 'contend -t 3 is not contend/3'
[ "$(LD_PRELOAD=$object "$patterns" where)" = "$object" ] || fail 'malloc is not where it was preloaded from'
where=$("$patterns" where)
[ "$where" != "$object" ] || fail 'malloc is ours without a preload'

# The box is CPU time, and a longer one does more.
few=$("$patterns" -b 5 tight16 | cut -d' ' -f3) many=$("$patterns" -b 80 tight16 | cut -d' ' -f3)
[ "$many" -gt $((few * 4)) ] || fail "5 ms: $few operations, 80 ms: $many"

refused 'usage:' "$patterns"
refused 'usage:' "$patterns" lifo fifo
refused "'nonsense' is not a pattern" "$patterns" nonsense
refused "'0' is not a number" "$patterns" -b 0 lifo
refused "'65' is not a number" "$patterns" -t 65 contend
refused "'2x' is not a number" "$patterns" -t 2x contend
refused 'an even number of threads' "$patterns" -t 3 remote
refused 'an even number of threads' "$patterns" -t 1 producers

# ---- a program's time and memory ----
used() { # STATUS COMMAND...: its own status, and four figures
    local expected=$1 status=0
    shift
    count=$((count + 1))
    "$run" -o "$work/used" "$@" >"$work/out" 2>&1 || status=$?
    [ "$status" -eq "$expected" ] || fail "bench_run $*: status $status, expected $expected"
    grep -qE '^[0-9]+ [0-9]+ [0-9]+ [0-9]+$' "$work/used" || fail "bench_run $*: '$(cat "$work/used")'"
}
used 0 true
used 5 sh -c 'exit 5'
used 143 sh -c 'kill -TERM $$'
used 0 -p "$object" "$patterns" where
[ "$(cat "$work/out")" = "$object" ] || fail 'bench_run -p does not preload'
used 0 sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done'
[ "$(cut -d' ' -f1 "$work/used")" -gt 5000000 ] || fail "a hundred thousand turns in $(cut -d' ' -f1 "$work/used") ns"
# What a pattern says it used it did use; its box is 100 ms.
used 0 "$patterns" -b 100 tight16
awk -v cpu="$(cut -d' ' -f1 "$work/used")" '{ all = $2 * $3 } END { exit !(cpu > 1e8 && all > 0.99e8 && all < cpu) }' "$work/out" ||
    fail "$(cat "$work/out"), but $(cat "$work/used")"
status=0
"$run" /nonexistent/program 2>"$work/err" || status=$?
[ "$status" -eq 127 ] || fail "bench_run of nothing: status $status"
refused 'usage:' "$run" -z

# ---- the table, from figures that we know ----
cat >"$work/raw" <<'END'
pattern one/1 glibc 1 100 1000 50
pattern one/1 peer 1 50 2000 50
pattern one/1 privheap 1 60 1500 50
pattern one/1 glibc 2 120 1000 50
pattern one/1 peer 2 10 2000 50
pattern one/1 privheap 2 62 1500 50
pattern one/1 glibc 3 110 1000 50
pattern one/1 peer 3 55 2000 50
pattern one/1 privheap 3 61 1500 50
program two glibc 1 200 4000 -
program two privheap 1 100 4000 -
END
printf 'machine   a machine\npeer      1.2.3, /lib/peer.so\nprivheap  /lib/ours.so\nrounds    3\nfailed    peer: two, 3 x\n' >"$work/context"
tell() {
    awk -v names='glibc peer privheap' -v base=glibc -v ours=privheap -v context="$work/context" -v date=today \
        -v behind="$work/behind" -v list="$work/list" \
        -f "$top_srcdir/bench/results.awk" -f "$top_srcdir/bench/$1" "$work/raw"
}
printf '# one: a comment\none: it looks behind each block.\n' >"$work/behind"
echo 'one  1  pair of ones' >"$work/list"
tell table.awk >"$work/table"
has "$work/table" '^\| one/1 \| 1\.00 \| 0\.45 \| 0\.55 \| 110\.00 ns \|$'
has "$work/table" '^\| one/1 \| 1\.00 \| 2\.00 \| 1\.50 \| 1000 KiB \|$'
has "$work/table" '^\| two \| 1\.00 \| - \| 0\.50 \| 0 ms \|$'
has "$work/table" '^\| CPU, all rows \| 1\.000 \| 0\.455 \| 0\.527 \|$'
has "$work/table" '^\* one/1: CPU 1\.22 x that of peer, the best peer\. it looks behind each block\.$'
has "$work/table" '^\* one/1: peak memory 1\.50 x that of glibc \(500 KiB more\)$'
[ "$(grep -c '^\* ' "$work/table")" -eq 2 ] || fail 'more rows behind than there are'
tell json.awk >"$work/json"
has "$work/json" '"name": "two", "allocator": "privheap", .*"cpu_time": 100, .*"rest_kib": null'
if command -v python3 >/dev/null; then
    python3 -c 'import json, sys; b = json.load(open(sys.argv[1])); assert len(b["benchmarks"]) == 11' "$work/json" || fail 'no JSON'
fi

# ---- what README tells of it ----
: >"$work/behind"
tell readme.awk >"$work/readme.md"
has "$work/readme.md" '^\| geometric means \| glibc \| peer 1\.2\.3 \| privheap \|$'
has "$work/readme.md" '^\| CPU, 1 patterns \| 1\.00 \| 0\.45 \| 0\.55 \|$'
has "$work/readme.md" '^\| `one`: pair of ones \| 110 \| 50\.0 \| 61\.0 \|$'
has "$work/readme.md" '^\* one/1: CPU 1\.22 x .*\. No reason is known yet\.$'
has "$work/readme.md" '^    failed    peer: two, 3 x$'
! grep -q contention "$work/readme.md" || fail 'a line about rows that are not there'
mkdir "$work/bench"
printf 'before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n' >"$work/README"
refused 'make bench first' "$top_srcdir/bench/readme.sh" "$work" "$work/README"
printf '<svg viewBox="0 0 1 1">\n<defs>\n<path/>\n</defs>\n\t<g fill="none">\n</g>\n<path d="M1.25,2.5 "/></svg>\n' >"$work/figures.svg"
"$top_srcdir/bench/readme.sh" "$work" "$work/README" || fail 'readme.sh fails'
{ printf 'before\n<!-- figures: begin -->\n'; cat "$work/readme.md"; printf '<!-- figures: end -->\nafter\n'; } >"$work/expected"
cmp "$work/README" "$work/expected" || fail 'README has not just the figures in place of the old ones'
has "$work/bench/figures.svg" '^<path d="M1,2 "/></svg>'
! grep -q '<defs>\|<g' "$work/bench/figures.svg" || fail 'the chart still has what it does not use'
echo 'no marks' >"$work/README"
refused 'has no line' "$top_srcdir/bench/readme.sh" "$work" "$work/README"

# ---- more than chance, or not ----
awk 'BEGIN { for (r = 1; r <= 8; r++) {
    print "pattern twice/1 new", r, 200 + r, 10, 1; print "pattern twice/1 old", r, 100 + r, 10, 1
    print "pattern same/1 new", r, 100 + r * 7 % 5, 10, 1; print "pattern same/1 old", r, 100 + r * 3 % 5, 10, 1 } }' >"$work/raw"
status=0
"$ratio" new old <"$work/raw" >"$work/table" || status=$?
[ "$status" -eq 1 ] || fail "bench_ratio: status $status though a row is slower"
has "$work/table" '^\| twice/1 \| 1\.9.* \| slower \| 1\.000 \|$'
has "$work/table" '^\| same/1 \| (0\.9|1\.0)[0-9]* \| .* \|  \| 1\.000 \|$'
has "$work/table" '^2 rows, 8 rounds: 0 faster, 1 slower'
"$ratio" old new <"$work/raw" >"$work/table" || fail 'bench_ratio: faster is no failure'
has "$work/table" '^\| twice/1 \| 0\.5.* \| faster '
refused 'no row has figures' "$ratio" old nobody <"$work/raw"
refused 'not a line of results' "$ratio" old new <<<'pattern twice/1 new'

# ---- all of it, small ----
status=0
"$bench" -q -N -d "$PWD" -o "$work/results" -b 3 -B again -x jemalloc -w 'tight16 contend/2 perl' \
    again="$object" jemalloc="$object" >"$work/out" 2>"$work/err" || {
    fail 'bench.sh fails'
    cat "$work/err"
}
has "$work/results/table.md" '^\| tight16/1 \| 1\.00 \| [0-9.]+ \| [0-9.]+ ns \|$'
has "$work/results/table.md" '^\| contend/2 \| 1\.00 \| [0-9.]+ \| [0-9]+ KiB \|$'
! command -v perl >/dev/null || has "$work/results/table.md" '^\| perl \| 1\.00 \| [0-9.]+ \| [0-9]+ ms \|$'
has "$work/results/raw.txt" '^contention contend/2 privheap 1 '
! grep -q jemalloc "$work/results/table.md" || fail 'what is left out is measured'
cmp -s "$work/out" "$work/results/table.md" || fail 'what is printed is not the table'

# A clock on which time flies: patterns get shorter, rows at the end are left out, and that is said; none is measured
# for some allocators only.
mkdir "$work/bin"
cat >"$work/bin/date" <<END
#!/bin/sh
echo \$((\$(cat "$work/clock") + 4)) >"$work/clock"
cat "$work/clock"
END
chmod +x "$work/bin/date"
echo 1000 >"$work/clock"
PATH=$work/bin:$PATH "$bench" -N -d "$PWD" -o "$work/results" -b 12 -l 99 -B again \
    -w 'tight16 tight1000 lifo fifo random aligned64 calloc4k calloc4kdirty' again="$object" >"$work/out" 2>"$work/err" || {
    fail 'bench.sh fails when it is late'
    cat "$work/err"
}
has "$work/out" '^rounds    1 of 5, 6 ms '
has "$work/out" '^short     patterns had 6 ms of CPU, not 12: '
has "$work/out" '^missing   [a-z0-9 ]*calloc4kdirty: this machine was too slow'
has "$work/out" '^\| tight16/1 '
! grep -q '^| calloc4kdirty' "$work/out" || fail 'a row that was not measured has figures'
[ "$(cut -d' ' -f2 "$work/results/raw.txt" | uniq -c | awk '$1 != 2' | wc -l)" -eq 0 ] || fail 'a row for one allocator only'

# An allocator that breaks a program: the row is told of, the others' figures stand.
if command -v perl >/dev/null && command -v "${CC:-cc}" >/dev/null; then
    cat >"$work/breaks.c" <<'END'
#include <errno.h>
#include <stdlib.h>
#include <string.h>
extern void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes) { return __libc_malloc(bytes); }
__attribute__((constructor)) static void begin(void) { if (strcmp(program_invocation_short_name, "perl") == 0) abort(); }
END
    "${CC:-cc}" -D_GNU_SOURCE -shared -fPIC -o "$work/breaks.so" "$work/breaks.c" || fail 'breaks.c does not compile'
    "$bench" -q -N -d "$PWD" -o "$work/results" -B breaks -w 'tight16 perl' breaks="$work/breaks.so" >"$work/out" 2>&1 || fail 'bench.sh fails'
    has "$work/out" '^failed    breaks: perl, 1 x$'
    has "$work/results/raw.txt" '^program perl privheap 1 '
    ! grep -q 'perl breaks' "$work/results/raw.txt" || fail 'a run that failed has figures'
fi

refused 'malloc is not in' "$bench" -N -d "$PWD" -o "$work/results" nothing="$(dirname "$where")/libm.so.6"
refused 'there is no' "$bench" -N -d "$PWD" -o "$work/results" nothing=/nonexistent.so
refused 'is not NAME=FILE' "$bench" -N -d "$PWD" -o "$work/results" nothing
refused 'the base' "$bench" -N -d "$PWD" -o "$work/results" -B nobody
refused 'is not a number' "$bench" -N -d "$PWD" -o "$work/results" -r 0
refused 'there is no commit' "$top_srcdir/bench/against.sh" -d "$PWD" no-such-commit

# ---- by threads, from figures that we know, and small ----
cat >"$work/raw" <<'END'
contention contend/1 glibc 1 10.04 2048 50
contention contend/1 glibc 2 30 2048 50
contention contend/1 glibc 3 20 4096 50
contention contend/1 privheap 1 8 1024 50
contention contend/64 glibc 1 40 2048 50
pattern producers/2 privheap 1 12.25 1024 50
pattern producers/2 privheap 2 12.35 3072 50
END
awk -v names='glibc privheap' -v charts="$work/plot" -f "$top_srcdir/bench/scaling.awk" "$work/raw" >"$work/table"
has "$work/table" '^\| contend: threads, ns of CPU for each operation \| glibc \| privheap \|$'
has "$work/table" '^\| 1 \| 20\.0 \| 8\.0 \|$'
has "$work/table" '^\| 1 \| 2\.0 \| 1\.0 \|$'
has "$work/table" '^\| 64 \| 40\.0 \| - \|$'
has "$work/table" '^\| 2 \| - \| 12\.3 \|$'
has "$work/table" '^\| 2 \| - \| 2\.0 \|$'
has "$work/plot" '^64 40$'
has "$work/plot" "linewidth 3 title 'privheap'"
"$top_srcdir/bench/scaling.sh" -N -d "$PWD" -o "$work/scaling" -r 1 -b 3 -t '1 2' -p 'contend remote' again="$object" >"$work/out" 2>"$work/err" || {
    fail 'scaling.sh fails'
    cat "$work/err"
}
has "$work/out" '^\| contend: threads, peak MiB \| again \| privheap \|$'
[ "$(grep -cE '^\| 1 \| [0-9.]+ \| [0-9.]+ \|$' "$work/out")" -eq 2 ] || fail 'one thread is not in two tables'
[ "$(grep -cE '^\| 2 \| [0-9.]+ \| [0-9.]+ \|$' "$work/out")" -eq 4 ] || fail 'two threads are not in four'
has "$work/out" '^\| privheap \| [0-9.]+ % \| [0-9.]+ % \|$'
! command -v gnuplot >/dev/null || has "$work/scaling/scaling.svg" '</svg>'
refused 'no rows are left' "$top_srcdir/bench/scaling.sh" -N -d "$PWD" -o "$work/scaling" -t 1 -p remote
refused 'is not a number' "$top_srcdir/bench/scaling.sh" -N -d "$PWD" -o "$work/scaling" -t '1 x'
refused 'bench_lines under' "$top_srcdir/bench/scaling.sh" -N -d "$work"

# ---- false sharing, counted ----
[[ $(LD_PRELOAD=$object bench/bench_lines) =~ ^together\ ([0-9]+)\ ([0-9]+).handed\ [0-9]+\ [0-9]+$ ]] || fail 'bench_lines says nothing'
[ $((BASH_REMATCH[1] * 200)) -le "${BASH_REMATCH[2]}" ] || fail "of ${BASH_REMATCH[2]} lines ${BASH_REMATCH[1]} hold blocks of two threads"

echo "$count checks, $failed failed"
[ "$failed" -eq 0 ]
