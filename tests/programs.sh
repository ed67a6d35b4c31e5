#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# programs.sh [NAME...] -- real programs, once without us and once under `privheap run`, in the same
# folder; what they write must be the same byte for byte, and the exit status too.
#
# privheap=COMMAND and preload_object=FILE test others than those built here; without the command
# LD_PRELOAD is used, and preload_object=none runs everything plain twice, which shows that each
# case says the same each time.  Each case is a function that runs in a bash of its own, under the
# object with all its children; its standard output is compared, standard error shown on failure.

preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
privheap=${privheap:-$PWD/privheap}
case_seconds=40
names='bash coreutils sort python3 perl git gcc g++ clang make redis sqlite3 openssl xz tar gdb node'

case $preload_object in
none) under=() ;;
*)
    [ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
    under=(env "LD_PRELOAD=$(realpath "$preload_object")")
    [ ! -x "$privheap" ] || under=("$privheap" run --)
    ;;
esac

work=$(mktemp -d) || exit 99
end() {
    # A server that outlived its case (it writes its number down before anything else).
    for file in "$work"/*/server.pid; do
        [ -e "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null
    done
    rm -rf "$work"
}
trap end 0
trap 'exit 1' INT TERM HUP
export LC_ALL=C TZ=UTC HOME=$work TMPDIR=$work
unset MAKEFLAGS MFLAGS MAKELEVEL

# ---- the cases: `need` names the programs, the function's output is compared ----------------------

python=/usr/bin/python3
[ -x $python ] || python=python3
export python

case_bash() {
    for i in $(seq 250); do x=$(echo "$i" | tr 0-9 a-j); echo "$x $(echo $((i * i)))"; done
    declare -A table
    for i in $(seq 3000); do table[key$((i % 700))]+=$i; done
    for key in "${!table[@]}"; do echo "$key=${table[$key]}"; done | sort | md5sum
    for i in $(seq 40); do (echo "$i" >"part.$i") & done
    wait
    cat part.* | sort -n | paste -sd,
    text=$(seq 20000) && echo "${#text} $(md5sum <<<"${text//1/one}")"
}

case_coreutils() {
    seq 200000 | tac | sed 's/7/seven/' | sort -k1,1n | uniq -c | cut -c5- | tr -d ' ' | md5sum
    seq 50000 | shuf --random-source=<(yes) | split -l 5000 - part. && ls part.* && cat part.* | sort -n | md5sum
    seq 100000 | paste - - - - | join -t$'\t' -1 1 -2 1 - <(seq 1 4 100000) | wc
    ls -lR --time-style=+ part.* | awk '{ print $1, $5, $NF }'
    head -c 3000000 /dev/zero | od -An -tx1 | fold -w 80 | sha256sum
    seq 3000 | factor | expand | nl | tail -n 3
    printf '%s\n' a b c d | tsort <(echo 'a b b c c d') && du -sb part.aa | cut -f1 && df . | wc -l
    find . -type f | sort | xargs -n 2 -P 2 cksum | sort
}

case_sort() {
    $python -c 'import random
random.seed(7)
print("\n".join("%09d %s" % (random.randrange(10**9), "x" * random.randrange(40)) for i in range(600000)))' >lines
    sort -S 20M --parallel=2 lines | md5sum
    sort -S 20M --parallel=2 -k1,1nr lines | md5sum
    sort -u -S 5M --parallel=2 lines | wc -l
}

case_python3() {
    cat >program.py <<'END'
import ctypes, hashlib, json, multiprocessing, queue, re, sys, threading, zlib

def square(number):
    return sum(i * i for i in range(number % 500)), "x" * number

def work(jobs, results):
    while True:
        job = jobs.get()
        if job is None:
            return
        text = json.dumps({str(i): list(range(i % 50)) for i in range(job)})
        results.append((job, hashlib.md5(text.encode()).hexdigest()))

def in_threads():
    jobs, results = queue.Queue(), []
    threads = [threading.Thread(target=work, args=(jobs, results)) for _ in range(4)]
    for thread in threads: thread.start()
    for job in range(200): jobs.put(job)
    for thread in threads: jobs.put(None)
    for thread in threads: thread.join()
    print(hashlib.md5(repr(sorted(results)).encode()).hexdigest())

def in_processes(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map(square, range(400))
    print(method, sum(r[0] for r in results), sum(len(r[1]) for r in results))

def by_ctypes():
    libc = ctypes.CDLL(None, use_errno=True)
    for name in "malloc", "realloc": getattr(libc, name).restype = ctypes.c_void_p
    libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.free.argtypes = libc.malloc_usable_size.argtypes = [ctypes.c_void_p]
    for size in range(0, 100000, 777):
        block = libc.realloc(libc.malloc(size), size + 100)
        assert block % 16 == 0 and libc.malloc_usable_size(block) >= size + 100
        ctypes.memset(block, 65, size + 100)
        assert ctypes.string_at(block, size + 100) == b"A" * (size + 100)
        libc.free(block)
    libc.strdup.restype = ctypes.c_void_p
    copy = libc.strdup(b"a copy")
    print(ctypes.string_at(copy))
    libc.free(copy)

if __name__ == "__main__":
    in_threads()
    in_processes("fork")
    in_processes("spawn")
    by_ctypes()
    words = {}
    for i in range(100000): words.setdefault("k%d" % (i * 7919 % 5003), []).append(i)
    print(len(words), zlib.crc32(repr(sorted(words.items())).encode()))
    print(3 ** 20000 % 10 ** 20, len(re.findall(r"(\d)\1", str(2 ** 14000))))
END
    $python program.py
}

case_perl() {
    perl -e 'my %h; for my $i (1..200000) { push @{$h{$i % 5000}}, "v$i" if $i % 3; }
        print scalar(keys %h), " ", length(join ",", map { @{$h{$_}} } sort { $a <=> $b } keys %h), "\n";'
    perl -e '$_ = join " ", 1..100000; my $n = 0; $n++ while /\b(\d)\d*\1\b/g; s/(\d+)7/<$1>/g; print "$n ", length, "\n"'
    perl -MPOSIX -e 'for my $i (1..40) { my $p = fork; if (!$p) { my @x = map { "y" x $_ } 1..300; exit(scalar(@x) % 256); } waitpid $p, 0; $s += $? >> 8; } print "$s\n"'
    perl -MDigest::MD5=md5_hex -MData::Dumper -e '$Data::Dumper::Sortkeys = 1; print md5_hex(Dumper({ map { $_ => [1..$_ % 30] } 1..3000 })), "\n"'
}

case_git() {
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
    export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_CONFIG_NOSYSTEM=1
    git init -q -b main one && cd one || return
    for i in $(seq 40); do
        for k in 1 2 3; do seq "$i" $((i * 40 + k)) >"file.$((i % 7)).$k"; done
        git add . && git commit -qm "number $i"
        [ $((i % 10)) -ne 0 ] || git tag "t$i"
    done
    git checkout -qb side HEAD~5 && echo side >side && git add side && git commit -qm side && git checkout -q main
    git merge -q -m merged side
    git gc -q && git fsck --strict && git count-objects -v | grep -E '^(count|in-pack|packs|garbage)'
    cd .. && git clone -q one two && git clone -q --no-local --depth 5 "file://$PWD/one" three
    git -C two log --stat --format='%H %an %ad %s' | md5sum
    git -C three log --format=%H && git -C two blame file.1.1 | md5sum && git -C two diff t10 t30 | md5sum
    git -C two grep -c 17 | md5sum && git -C two rev-list --objects --all | sort | md5sum
}

case_gcc() {
    for i in $(seq 300); do echo "int f$i(int *a, int n) { int s = $i; for (int i = 0; i < n; i++) s += a[i] * (s ^ i) % ($i + 3); return s; }"; done >many.c
    echo 'int main(void) { int a[9] = { 1, 2, 3 }; extern int f7(int *, int); return f7(a, 9) & 63; }' >main.c
    gcc -O2 -g -c many.c && gcc -O2 -c main.c && gcc main.o many.o -o main && ./main
    echo $? && md5sum <main && md5sum <many.o
    gcc -O2 -flto -c many.c -o lto.o && gcc -O2 -flto=1 main.c lto.o -o lto && ./lto
    echo $? && gcc -fsyntax-only -x c - <<<'int f(void) { return undeclared; }' 2>&1
    echo $?
}

case_g++() {
    cat >templates.cc <<'END'
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <sstream>
#include <vector>
template <int N> struct tower { static long up(long x) { return tower<N - 1>::up(x * N % 1000003) + N; } };
template <> struct tower<0> { static long up(long x) { return x; } };
int main()
{
    std::map<std::string, std::vector<long>> all;
    for (int i = 0; i < 20000; i++) all["k" + std::to_string(i % 777)].push_back(tower<60>::up(i));
    std::ostringstream text;
    for (auto &entry : all) { std::sort(entry.second.begin(), entry.second.end(), std::greater<>()); text << entry.first << entry.second.front(); }
    std::cout << text.str().size() << ' ' << std::hash<std::string>()(text.str()) << ' ' << std::regex_replace(text.str().substr(0, 40), std::regex("[0-9]+"), "#") << '\n';
}
END
    g++ -std=c++17 -O2 -c templates.cc && md5sum <templates.o && g++ templates.o -o templates && ./templates
}

case_clang() {
    for i in $(seq 200); do echo "double f$i(double *a, int n) { double s = $i; for (int i = 0; i < n; i++) s += a[i] / (s + i); return s; }"; done >many.c
    echo '#include <stdio.h>
double f3(double *, int);
int main(void) { double a[9] = { 1, 2, 3 }; printf("%.6f\n", f3(a, 9)); return 0; }' >main.c
    clang -O2 -S many.c && md5sum <many.s && clang -O1 -g main.c many.c -o main && ./main
    clang -fsyntax-only -x c - <<<'int f(void) { return undeclared; }' 2>&1
    echo $?
}

case_make() {
    {
        printf 'all: %s\n\techo all $(words $^)\n' "$(seq -f 'out.%g' 60 | paste -sd' ')"
        printf 'out.%%:\n\t@seq $* 2000 | md5sum >$@ && echo made $@\n'
        printf '%s\n' 'names := $(foreach i,$(shell seq 800),$(i)-$(words $(wordlist 1,$(i),a b c d e f)))' 'show:' '	@echo $(sort $(names)) | md5sum'
    } >Makefile
    make -j2 | sort
    make -j2 show && make && make -n | head -n 3
    make nothing 2>&1
    echo $?
}

# A port that nobody answers on.
free_port() {
    local port
    while port=$((20000 + RANDOM % 20000)); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }; done
}

start_redis() {
    redis-server --port "$1" --bind 127.0.0.1 --dir "$PWD" --save '' --daemonize no --appendonly no \
        --enable-debug-command local --pidfile '' >>server.log 2>&1 &
    server=$!
    echo $server >../server.pid
    for _ in $(seq 100); do [ "$(redis-cli -p "$1" ping 2>/dev/null)" = PONG ] && return; sleep 0.05; done
    echo 'the server does not answer'
    return 1
}

case_redis() {
    local port
    port=$(free_port)
    trap 'kill -9 $server 2>/dev/null' 0
    start_redis "$port" || return
    redis-benchmark -p "$port" -q -n 8000 -c 20 -P 4 -t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset >benchmark 2>&1
    echo "benchmark: $?, $(tr '\r' '\n' <benchmark | grep -c 'requests per second, p50')"
    redis-cli -p "$port" flushall
    for i in $(seq 3000); do
        echo "SET key:$i $(printf '%0*d' $((i % 300)) "$i")"
        echo "HSET hash:$((i % 50)) f$i v$i"
        echo "ZADD sorted:$((i % 20)) $i m$i"
        echo "RPUSH list:$((i % 30)) e$i"
    done | redis-cli -p "$port" --pipe | tail -n 1
    redis-cli -p "$port" bgsave >saved
    for i in $(seq 1000); do echo "SETRANGE key:$i 10 changed"; done | redis-cli -p "$port" >>saved
    for _ in $(seq 100); do redis-cli -p "$port" info persistence | grep -q rdb_bgsave_in_progress:0 && break; sleep 0.05; done
    redis-cli -p "$port" info persistence | grep -a rdb_last_bgsave_status
    redis-cli -p "$port" dbsize && redis-cli -p "$port" debug digest
    redis-cli -p "$port" shutdown save
    wait $server
    echo "end: $?"
    start_redis "$port" || return
    redis-cli -p "$port" dbsize && redis-cli -p "$port" debug digest && redis-cli -p "$port" memory doctor >saved
    redis-cli -p "$port" shutdown nosave
    wait $server
}

case_sqlite3() {
    sqlite3 base.db "create table t(id integer primary key, a text, b int);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)
            insert into t select i, 'text ' || (i * 7919 % 10007), i % 97 from n;
        create index t_a on t(a); create table u as select b, count(*) c, group_concat(id) g from t group by b;
        select count(*), sum(length(g)) from u; select count(*) from t x join t y on x.a = y.a and x.id < y.id;
        delete from t where b % 3 = 0; vacuum; pragma integrity_check; select a, b from t order by a desc limit 3;"
    sqlite3 base.db .dump | md5sum
    sqlite3 :memory: "create virtual table d using fts5(x); insert into d values('the heap'),('a block'); select count(*) from d('heap');"
    sqlite3 base.db "select * from nowhere" 2>&1
    echo $?
}

case_openssl() {
    seq 200000 >data
    [ -e ../key.pem ] || openssl genrsa -out ../key.pem 2048 2>errors # the same key both times
    openssl dgst -md5 data && openssl dgst -sha256 data && openssl dgst -sha3-512 data && openssl dgst -blake2b512 data
    openssl enc -aes-256-cbc -K "$(printf '%064d' 7)" -iv "$(printf '%032d' 9)" -in data | tee sealed | md5sum
    openssl enc -d -aes-256-cbc -K "$(printf '%064d' 7)" -iv "$(printf '%032d' 9)" -in sealed | cmp - data && echo same
    openssl dgst -sha256 -sign ../key.pem data | md5sum
    openssl rsa -in ../key.pem -check -noout 2>&1 && openssl genrsa 2048 2>errors | openssl rsa -check -noout 2>&1
    openssl req -x509 -new -key ../key.pem -subj /CN=example.org -days 3 -set_serial 5 2>errors | openssl x509 -noout -subject -serial
    openssl ciphers -v | md5sum && openssl list -digest-algorithms | wc -l
}

case_xz() {
    seq 2500000 >data
    xz -T2 -1 --block-size=4MiB -k data && md5sum <data.xz && xz -T2 -dc data.xz | cmp - data && echo same
    xz -l --robot data.xz | md5sum
    xz -9e -c <(seq 100000) | md5sum
    xz -t 2>&1 <<<no
    echo $?
}

case_tar() {
    mkdir -p tree/a/b && for i in $(seq 300); do seq "$i" $((i * 3)) >"tree/a/file.$i"; done
    seq 100000 >tree/a/b/big && ln -s big tree/a/b/link
    tar --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cf one.tar tree && md5sum <one.tar
    tar -tvf one.tar | awk '{ print $1, $3, $6 }' | md5sum
    tar --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -I 'gzip -n' -cf one.tgz tree && gzip -dc one.tgz | cmp - one.tar
    mkdir out && tar -xzf one.tgz -C out && diff -r tree out/tree && echo same
    tar -xf nowhere.tar 2>&1
    echo $?
}

case_gdb() {
    cat >program.c <<'END'
#include <stdlib.h>
#include <string.h>
struct node { int number; char name[12]; struct node *next; };
static void deep(struct node *list, int depth)
{
    struct node *one = malloc(sizeof *one);
    *one = (struct node){ depth, "node", list };
    if (depth == 3) abort();
    deep(one, depth + 1);
    free(one);
}
int main(void) { deep(NULL, 0); return 0; }
END
    gcc -g -O0 program.c -o program
    gdb -nx --batch -ex 'set width 0' -ex 'set debuginfod enabled off' -ex 'break deep if depth == 2' -ex run -ex 'info locals' -ex 'print *list' \
        -ex 'print list->next->number' -ex 'print list->name' -ex continue -ex 'frame function main' -ex 'info source' ./program 2>&1 |
        sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/process [0-9]+/process N/; s/Thread ADDRESS \(LWP [0-9]+\)/Thread/' | grep -v '^warning: Error disabling address'
    gdb -nx --batch -ex 'set width 0' -ex 'set debuginfod enabled off' -ex run -ex bt ./program 2>&1 | grep -E '^#.* (deep|main|abort|.*raise)' | sed -E 's/0x[0-9a-f]+/ADDRESS/g'
}

case_node() {
    cat >program.js <<'END'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto'), zlib = require('zlib'), child = require('child_process');
const hash = text => crypto.createHash('sha256').update(text).digest('hex');
if (!isMainThread) {
    const list = [];
    for (let i = 0; i < 30000; i++) list.push({ key: 'k' + i % 501, value: [i, String(i).repeat(workerData % 7 + 1)] });
    list.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : a.value[0] - b.value[0]);
    parentPort.postMessage([workerData, hash(JSON.stringify(list))]);
} else {
    const waits = [1, 2, 3].map(n => new Promise((done, fail) => new Worker(__filename, { workerData: n }).on('message', done).on('error', fail)));
    Promise.all(waits).then(results => {
        console.log(results);
        const buffers = []; for (let i = 0; i < 2000; i++) buffers.push(Buffer.alloc(i * 50, i & 255));
        const all = Buffer.concat(buffers), packed = zlib.gzipSync(all, { level: 1 });
        console.log(all.length, hash(all), zlib.gunzipSync(packed).equals(all), hash(packed));
        console.log(child.execSync('echo from a child').toString().trim());
        const map = new Map(); for (let i = 0; i < 300000; i++) map.set('k' + i % 9973, (map.get('k' + i % 9973) || 0) + i);
        console.log(map.size, map.get('k77'), (2n ** 5000n).toString().length);
    });
}
END
    node program.js
}

# ---- running them ---------------------------------------------------------------------------

need() { # NAME: the programs of a case
    case $1 in
    coreutils) echo seq ;;
    redis) echo redis-server redis-benchmark redis-cli ;;
    gdb) echo gdb gcc ;;
    sort) echo sort "$python" ;;
    python3) echo "$python" ;;
    *) echo "$1" ;;
    esac
}

# Run case $1 in the folder that both runs share, then call that folder $2.  The first thing that
# runs is a child that looks for the object among its own mappings.
run_case() { # NAME WHICH COMMAND...
    local name=$1 which=$2 folder=$work/$1
    shift 2
    mkdir -p "$folder/here" && cd "$folder/here" || exit 99
    timeout -k 5 $case_seconds "$@" bash -c "grep -c libprivheap-preload /proc/self/maps >../$which.active
        $(declare -f free_port start_redis "case_$name")
        case_$name" >"../$which.out" 2>"../$which.err" </dev/null
    echo "exit status $?" >>"../$which.out"
    cd "$work" && mv "$folder/here" "$folder/$which"
    # Whatever the case left running has its number there.
    [ ! -e "$folder/server.pid" ] || { kill -9 "$(cat "$folder/server.pid")" 2>/dev/null; rm -f "$folder/server.pid"; }
}

passed=0 failed=0 skipped=
fail() { # NAME WHAT
    echo "$1: $2"
    failed=$((failed + 1))
}

compare() { # NAME
    local folder=$work/$1
    if [ "$(cat "$folder/plain.active")" != 0 ]; then
        fail "$1" 'the run without us was with us'
    elif [ "$preload_object" != none ] && [ "$(cat "$folder/ours.active")" = 0 ]; then
        fail "$1" 'the object was not active'
    elif ! cmp -s "$folder/plain.out" "$folder/ours.out"; then
        fail "$1" 'differs (< without us, > with us):'
        diff "$folder/plain.out" "$folder/ours.out" | head -n 20
        tail -n 10 "$folder/ours.err"
    elif [ "$(wc -l <"$folder/plain.out")" -lt 2 ] || ! grep -q '^exit status 0$' "$folder/plain.out"; then
        fail "$1" 'does not work without us either'
        tail -n 10 "$folder/plain.out" "$folder/plain.err"
    elif grep '^privheap: ' "$folder/ours.err"; then
        fail "$1" 'the lines above are ours'
    else
        passed=$((passed + 1))
    fi
}

for name in ${*:-$names}; do
    missing=
    for program in $(need "$name"); do command -v "$program" >"$work/found" || missing=$program; done
    if [ -n "$missing" ]; then
        skipped="$skipped $name"
        continue
    fi
    begun=$(date +%s%N)
    run_case "$name" plain
    run_case "$name" ours "${under[@]}"
    compare "$name"
    echo "$name: $((($(date +%s%N) - begun) / 1000000)) ms for both"
    rm -rf "${work:?}/$name"
done

[ -z "$skipped" ] || echo "skipped, not on this machine:$skipped"
echo "$passed kinds of programs the same, $failed not"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
