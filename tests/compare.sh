#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# compare.sh -- privheap compare: what it measures, what it finds out about allocators that break a program, are
# not there or hang, what it writes, and what it says to wrong words.  The allocators compared are made here: libc's
# malloc with one peculiarity each.

. "${top_srcdir:-$(dirname "$0")/..}/tests/verb.inc"
pages=$top_builddir/man
unset NO_COLOR

# ---- how to say what is expected ------------------------------------------------------------

verdict() {
    what=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $what"; cat out err 2>/dev/null; fi
}

# compare CODE ARGUMENTS...: out and err are what it says.
compare() {
    expected=$1
    shift
    PATH=${path:-$PATH} "$privheap" compare "$@" >out 2>err
    code=$?
    verdict "exit code $code, not $expected, of: compare $*" [ $code -eq "$expected" ]
}

says() { verdict "the output has no line: $1" grep -q -e "$1" out; }
is_silent_about() { verdict "the output has a line: $1" [ "$(grep -c -e "$1" out)" -eq 0 ]; }

# refuses CODE LINE ARGUMENTS...
refuses() {
    line=$2
    code=$1
    shift 2
    compare "$code" "$@"
    verdict "expected: $line" [ "$(cat out err)" = "privheap compare: $line" ]
}

# figure ALLOCATOR KEY: of the first run in out.json.
figure() { sed -n "/\"allocator\": \"$1\"/,/outlier/p" out.json | sed -n "s/.*\"$2\": \([0-9.]*\).*/\1/p" | head -n 1; }
is_between() { awk -v v="$1" -v least="$2" -v most="$3" 'BEGIN { exit !(v != "" && v >= least && v <= most) }'; }

# ---- allocators and programs ----------------------------------------------------------------

cat >allocator.c <<'END'
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes) { return __libc_malloc(bytes); }
__attribute__((constructor)) static void begin(void)
{
#ifdef SLOW
    usleep(40000);
#endif
#ifdef BUSY
    for (volatile long i = 0; i < 60000000; i++) continue;
#endif
#ifdef BIG
    char *block = malloc(48 << 20);
    memset(block, 1, 48 << 20);
    free(block);
#endif
#ifdef CRASH
    write(2, "out of\norder\n", 13);
    abort();
#endif
#ifdef CHATTY
    write(1, "hello", 5);
#endif
#ifdef HANG
    pause();
#endif
}
END
cat >work.c <<'END'
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    size_t bytes = (size_t)atoi(argv[argc - 1]) << 20;
    volatile char *block = malloc(bytes + 1);
    memset((char *)block, 1, bytes + 1);
    return block[bytes] - 1;
}
END
cat >own.c <<'END'
#include <stddef.h>
#include <stdlib.h>
static char room[1 << 20];
static size_t used;
void *malloc(size_t bytes) { used += (bytes + 15) & ~(size_t)15; return room + used; }
void free(void *block) { (void)block; }
int main(void) { return malloc(10) == NULL; }
END
cat >threads.c <<'END'
#include <pthread.h>
#include <stdlib.h>
static void *run(void *with) { return with; }
int main(void)
{
    pthread_t id[8];
    for (int i = 0; i < 8; i++) pthread_create(&id[i], NULL, run, NULL);
    for (int i = 0; i < 8; i++) pthread_join(id[i], NULL);
    return 0;
}
END
cat >sandbox.c <<'END'
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sock_filter steps[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog program = { sizeof steps / sizeof steps[0], steps };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 77;
    execv(argv[1], argv + 1);
    return argc;
}
END
for kind in SLOW BUSY BIG CRASH CHATTY HANG; do
    $CC -shared -fPIC -D$kind -o "lib$kind.so" allocator.c -ldl || exit 99
done
$CC -o work work.c && $CC -fno-builtin -rdynamic -o own own.c && $CC -o threads threads.c -pthread && $CC -o sandbox sandbox.c || exit 99
: >work.txt

# ---- figures --------------------------------------------------------------------------------

compare 0 --runs=5 --with=slow=./libSLOW.so,./libBIG.so,busy=./libBUSY.so --json=out.json --label=size -- ./work 20
says '^size: ./work 20$'
says '^  ratio to glibc '
says '^  privheap  *[0-9.]* \[ *[0-9.]*, *[0-9.]*\] '
says '^  BIG .* [0-9.]* \[[0-9., ]*\]   [0-9.]* \[[0-9., ]*\]$'
says '^  Least wall time  *[A-Za-z]*, [01]\.[0-9]* \['
is_silent_about active
is_silent_about ended
is_silent_about served
verdict 'no colour and no progress in a file' [ "$(cat out err | grep -c "$(printf '\033')")" -eq 0 ]
verdict "peak of 20 MB: $(figure glibc peak_rss_bytes)" is_between "$(figure glibc peak_rss_bytes)" 20971520 25000000
verdict "peak of 48 MB: $(figure BIG peak_rss_bytes)" is_between "$(figure BIG peak_rss_bytes)" 50331648 54000000
verdict "faults of 20 MB: $(figure glibc page_faults)" is_between "$(figure glibc page_faults)" 5120 6000
verdict "40 ms: $(figure slow real_time)" is_between "$(figure slow real_time)" 40 5000
verdict "sleep is no CPU time: $(figure slow cpu_time)" is_between "$(figure slow cpu_time)" 0.1 39
verdict 'work is CPU time' is_between "$(figure busy cpu_time)" "$(figure glibc cpu_time)" 10000

if command -v python3 >/dev/null; then
    python3 - out.json >python.out 2>&1 <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
assert d["schema"] == "privheap.compare/1", d["schema"]
names = ["privheap", "glibc", "slow", "BIG", "busy"]
assert [a["name"] for a in d["allocators"]] == names
assert all(a["active"] == "yes" and a["runs"] == 5 and a["processes"] == 1 for a in d["allocators"]), d["allocators"]
runs = [b for b in d["benchmarks"] if b["run_type"] == "iteration"]
assert len(runs) == 25 and len(d["benchmarks"]) == 40
assert sorted({b["run_name"] for b in runs}) == sorted("size/" + n for n in names)
for b in runs:
    assert b["iterations"] == 1 and b["repetitions"] == 5 and b["time_unit"] == "ms" and b["exit_code"] == 0
    assert abs(b["cpu_time"] - b["user_time"] - b["system_time"]) < 1e-3
    assert b["peak_rss_floor_bytes"] < b["peak_rss_bytes"]
for n in names:
    kept = sorted(b["real_time"] for b in runs if b["allocator"] == n and not b["outlier"])
    median, low, high = ([b["real_time"] for b in d["benchmarks"] if b["name"] == "size/%s_%s" % (n, w)][0]
                         for w in ("median", "low95", "high95"))
    middle = (kept[(len(kept) - 1) // 2] + kept[len(kept) // 2]) / 2
    assert abs(median - middle) < 1e-5 and low <= median <= high, (n, median, kept)
ratio = {(r["allocator"], r["metric"]): r for r in d["ratios"]}
assert ratio["busy", "cpu_time"]["significant"] and ratio["busy", "cpu_time"]["ratio"] > 1
assert ratio["BIG", "peak_rss_bytes"]["significant"] and 2 < ratio["BIG", "peak_rss_bytes"]["ratio"] < 2.6
assert not ratio["glibc", "real_time"]["significant"] and ratio["glibc", "cpu_time"]["ratio"] == 1
c = d["context"]
assert c["command"] == ["./work", "20"] and c["base"] == "glibc" and c["num_cpus"] >= 1 and not c["interrupted"]
END
    verdict "the JSON: $(cat python.out)" [ ! -s python.out ]
fi

# A small program is not charged with our own size.
compare 0 --runs=1 --with=glibc --json=out.json -- ./work 0
verdict "floor: $(figure glibc peak_rss_floor_bytes)" is_between "$(figure glibc peak_rss_floor_bytes)" 1 900000
says 'below 4 no difference is significant'

# Each round has each allocator once, in an order of its own that the seed decides.
cat >note.sh <<'END'
#!/bin/sh
echo "${LD_PRELOAD##*/}" >>order
END
chmod 755 note.sh
order_of() {
    rm -f order
    compare 0 --quiet --runs=4 --warmup=0 --seed="$1" --with=./libBIG.so,./libSLOW.so -- ./note.sh
    cat order
}
first=$(order_of 3)
verdict 'the same seed, the same order' [ "$(order_of 3)" = "$first" ]
verdict 'another seed, another order' [ "$(order_of 4)" != "$first" ]
verdict 'every round has each once' [ "$(echo "$first" | awk '{ print int((NR - 1) / 4) ":" $0 }' | sort -u | wc -l)" -eq 16 ]
verdict 'rounds differ in order' [ "$(echo "$first" | paste -s -d '   \n' | sort -u | wc -l)" -gt 1 ]

# ---- what goes wrong ------------------------------------------------------------------------

compare 1 --runs=2 --with=./libCRASH.so --json=out.json -- ./work 1
says 'CRASH: 2 of 2 runs ended differently (killed by SIGABRT, not exit code 0) and do not count; it said: out of order'
says '^  CRASH  *-  *-  *-  *-$'
verdict 'the signal is in the JSON' grep -q '"allocator": "CRASH", .*' out.json
verdict 'the signal is in the JSON' grep -q '"exit_code": null, "signal": 6, .*"error_occurred": true' out.json

compare 1 --runs=2 --with=./libCHATTY.so -- ./work 1
says 'CHATTY: the program wrote 5 bytes to standard output, not 0'
compare 1 --runs=2 --with=./libHANG.so --timeout=2 -- ./work 1
says 'HANG: a run took longer than --timeout; it was run no more'
is_silent_about 'glibc: a run'

# The program's own doing is told once, and is no finding.
compare 0 --runs=2 --with=glibc -- sh -c 'echo no >&2; exit 3'
says 'the program ended with exit code 3 under glibc too; it said: no'
compare 0 --runs=6 --with=glibc -- sh -c 'head -c $(date +%N | sed "s/^0*//; s/.*\(...\)$/1\1/") /dev/zero'
says "the program's standard output differs in size from run to run under glibc: not checked"

# ---- was it active? -------------------------------------------------------------------------

compare 1 --runs=1 --with=glibc -- ./own
says 'privheap was not active: own has a malloc of its own, which comes first'
$CC -shared -o libgone.so allocator.c -fPIC && $CC -shared -fPIC -o libneedy.so allocator.c -Wl,--no-as-needed -L. -lgone &&
    rm libgone.so
compare 1 --runs=1 --with=./libneedy.so -- ./work 1
says 'needy: 1 of 1 runs ended differently (exit code 127, not exit code 0) and do not count; it said: .*libgone'
compare 1 --runs=1 --with=glibc -- env -u LD_PRELOAD ./work 1
says 'privheap was not active: it is not loaded in work'
compare 0 --runs=1 --with=glibc --json=out.json -- ./threads
is_silent_about active
verdict 'threads are no processes' grep -q '"active": "yes", "processes": 1,' out.json
compare 0 --runs=1 --with=glibc -- sh -c './work 1; LD_PRELOAD= ./work 2; ./work 1'
says 'privheap served 3 of 4 processes; not, for one, work'
compare 0 --runs=1 --warmup=0 --with=glibc -- ./work 1
says 'whether the allocators were active was not checked: --warmup=0'
if $CC -static -o static work.c 2>/dev/null; then
    refuses 125 './static cannot be preloaded: it is statically linked, no loader reads LD_PRELOAD' -- ./static 1
fi

# Where ptrace is forbidden, as in some containers, it is said that nobody looked.
./sandbox "$privheap" compare --runs=1 --with=glibc -- ./work 1 >out 2>err
code=$?
[ $code -eq 77 ] || verdict 'works without ptrace' [ $code -eq 0 ]
[ $code -eq 77 ] || says 'whether they were active could not be seen (privheap, glibc): Operation not permitted'

# ---- interruption ---------------------------------------------------------------------------

mkfifo begun
"$privheap" compare --runs=1000 --warmup=0 --with=glibc -- sh -c 'echo $$ >>pids; [ "$(wc -l <pids)" -ne 7 ] || { trap "echo term >ended; exit" TERM; sleep 100 & echo >begun; wait; }' >out 2>err &
compared=$!
read -r _ <begun
kill -TERM $compared
wait $compared
verdict 'exit code after an interruption' [ $? -eq 130 ]
says '^3 runs of each of 2 allocators'
says 'interrupted: these are the runs until then'
verdict 'the program got the signal' [ "$(cat ended)" = term ]
verdict 'the program was ended' [ "$(ps -o pid= -p "$(tail -n 1 pids)" | wc -l)" -eq 0 ]

# ---- what else goes in and comes out --------------------------------------------------------

head -c 12345 /dev/zero >input
compare 0 --runs=1 --with=glibc --stdin=input --json=out.json -- cat
verdict 'each run reads all of --stdin' [ "$(grep -c '"output_bytes": 12345' out.json)" -eq 2 ]
compare 1 --runs=1 --with=other=privheap --env=other:PRIVHEAP_MODE=tolerant --env=other:X=1 --json=out.json -- sh -c 'printf "$PRIVHEAP_MODE$X"'
verdict 'a variable for one only' [ "$(grep -c '"output_bytes": 9,' out.json)" -eq 1 ]
compare 0 --runs=1 --with=glibc --show-output -- echo shown
verdict 'the output of four runs' [ "$(grep -c '^shown$' out)" -eq 4 ]
compare 0 --runs=4 --quiet --with=glibc -- ./work 1
verdict 'quiet' [ ! -s out -a ! -s err ]
compare 0 --runs=4 --with=glibc --without=privheap --csv=- -- ./work 1
verdict 'CSV: a head and a line' [ "$(awk -F, 'NF == 32' out | wc -l)" -eq 2 ]
says '^glibc,4,0,[01],0\.[0-9]*'
compare 0 --runs=4 --with=glibc --base=privheap --markdown=- -- ./work 1
says '^| ratio to privheap |'
says '^| privheap | 1.00 |'
compare 0 --runs=1 --with=glibc --json=- --label="$(printf 'a"\\\té\377\355\240\200')" -- ./work 1
says '"name": "a\\"\\\\\\u0009é\\ufffd\\ufffd\\ufffd\\ufffd/privheap"'

if command -v script >/dev/null; then
    on_terminal() { script -qec "$1 '$privheap' compare --runs=5 --with=./libSLOW.so -- ./work 1" /dev/null >out 2>&1; }
    escape=$(printf '\033')
    TERM=xterm on_terminal ''
    says "$escape\[31m"
    says 'round 5: '
    says '[0-9] s left'
    TERM=xterm on_terminal NO_COLOR=1
    is_silent_about "$escape\[31m"
fi

# ---- charts ---------------------------------------------------------------------------------

mkdir bare && ln -s "$(command -v sh)" bare/sh
path=$work/bare
refuses 125 "--plot: the charts are drawn by gnuplot, which is not found in PATH; install it (Debian's package: gnuplot-nox), or leave --plot out and use --json" --plot=x.svg -- sh
path=
refuses 125 "--plot: the file's name must end in .svg or .png" --plot=x.gif -- ./work 1
if command -v gnuplot >/dev/null; then
    compare 0 --runs=2 --with=glibc --plot=chart.svg --label="it's" -- ./work 1
    verdict 'the chart is SVG' grep -q '<svg' chart.svg
    verdict 'the chart names both' grep -q 'privheap' chart.svg
    verdict 'the data stay' [ "$(grep -c '^"[a-z]*" [0-9]' chart.svg.dat)" -eq 2 ]
    compare 0 --runs=2 --with=glibc --quiet --plot=chart.png -- ./work 1
    verdict 'the chart is PNG' [ "$(head -c 4 chart.png | tail -c 3)" = PNG ]
else
    echo 'gnuplot is not installed: no chart was drawn'
fi

# ---- wrong words ----------------------------------------------------------------------------

refuses 125 'which program? usage: privheap compare [options] [--] PROGRAM [ARGS]'
refuses 125 "'--rusn=3' is not an option; did you mean --runs?" --rusn=3 -- ./work 1
refuses 125 "'-x' is not an option; \`privheap help compare\` lists them" -x ./work 1
refuses 125 '--runs: "0" is not a whole number from 1 to 10000' --runs=0 -- ./work 1
refuses 125 '--runs: "3x" is not a whole number from 1 to 10000' --runs=3x -- ./work 1
refuses 125 '--runs needs a value: NUMBER' --runs
refuses 125 '--json needs a value: FILE' --json -- true
refuses 125 '--quiet takes no value' --quiet=1 -- ./work 1
refuses 125 '--timeout: "0" is not a number of seconds, 0.001 to 1000000' --timeout=0 -- ./work 1
refuses 125 '--json: cannot write to /nowhere/x: No such file or directory' --json=/nowhere/x -- ./work 1
refuses 125 '--stdin: cannot read nothing: No such file or directory' --stdin=nothing -- ./work 1
refuses 125 'only one of --json, --csv and --markdown can go to standard output' --json=- --csv=- -- ./work 1
refuses 125 '--with: cannot read ./none.so: No such file or directory' --with=./none.so -- ./work 1
refuses 125 '--with: ./work.txt is not a shared library' --with=x=./work.txt -- ./work 1
refuses 125 '--with: ./work defines no malloc: nothing to compare' --with=./work -- ./work 1
refuses 125 "--with: 'a b=./work' begins with no good name: up to 31 letters, digits and ._+-" "--with=a b=./work" -- ./work 1
refuses 125 "--with: 'jmalloc' is none of privheap, glibc, jemalloc, mimalloc, tcmalloc, tcmalloc_minimal, tbbmalloc, scudo, snmalloc, rpmalloc, hardened_malloc; for any other: --with=NAME=FILE.so" --with=jmalloc -- ./work 1
refuses 125 "--with: rpmalloc is not found on this machine; say where: --with=rpmalloc=FILE.so" --with=rpmalloc -- ./work 1
refuses 125 "two allocators are called 'glibc'; give one another name: --with=NAME=$work/libBIG.so" --with=glibc=./libBIG.so -- ./work 1
refuses 125 "--base: 'x' is not among those compared: privheap, glibc" --base=x --with=glibc -- ./work 1
refuses 125 "--env: 'x' names no allocator compared here: x:A=1" --env=x:A=1 --with=glibc -- ./work 1
refuses 125 '--env: "A=1" is not NAME:VARIABLE=VALUE' --env=A=1 -- ./work 1
refuses 127 'none-such is not found in PATH' -- none-such
refuses 126 './work.txt is not executable for you; see chmod(1)' -- ./work.txt

verdict 'a closed standard output is told' [ "$(sh -c '"$0" compare --runs=1 --warmup=0 --with=glibc -- ./work 0 >&-' \
    "$privheap" 2>&1)" = 'privheap compare: cannot write to standard output: Bad file descriptor' ]

# ---- help and manual ------------------------------------------------------------------------

"$privheap" help compare >help || failed=$((failed + 1))
for option in $(sed -n 's/^  --\([a-z-]*\).*/\1/p' help); do
    verdict "--$option is not in privheap-compare(1)" grep -q "^\.It Fl -$option\( \|\$\)" "$pages/privheap-compare.1"
done

tell_and_exit
