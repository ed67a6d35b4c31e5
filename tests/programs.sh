#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# programs.sh [NAME...] -- real programs, once without us and once under `privheap run`, in the same
# folder; what they write must be the same byte for byte, and the exit status too.  Longer than
# other files, because each of the programs has its case here.
#
# modes='default secure tolerant stress' says in which modes (option MODE) each runs; without it every one
# runs in the default mode, and a few quick ones in the others.
# privheap=COMMAND and preload_object=FILE test others than those built here; without the command
# LD_PRELOAD is used, and preload_object=none runs everything plain twice, which shows that each
# case says the same each time.  Each case is a function that runs in a bash of its own, under the
# object with all its children; its standard output is compared, standard error shown on failure.

preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
privheap=${privheap:-$PWD/privheap}
case_seconds=${case_seconds:-240} # a machine may be busy: each takes a few
# The slow ones first, so that none of them is the last to run alone.
names='postgres sort clang gcc redis gdb git python3 java cmake node nginx g++ php openssl xz imagemagick ruby coreutils curl
    stress-ng sqlite3 bash perl perl_threads lua vim tar make'
quick=' bash lua nginx perl python3 redis sqlite3 vim '

case $preload_object in
none) under=() ;;
*)
    [ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
    under=(env "LD_PRELOAD=$(realpath "$preload_object")")
    [ ! -x "$privheap" ] || under=("$privheap" run --)
    ;;
esac

# `privheap run` puts ours in front of it.
check_object=
[ ! -x "$privheap" ] || check_object=$(realpath -e "${preload_object%-preload.so}-check.so" 2>/dev/null)

work=$(mktemp -d) || exit 99
set -m # each case in a process group of its own, signals as a program from a terminal has them
end() {
    trap '' INT TERM HUP # a second one, as timeout sends it, must not end this
    # Who would start the next run, then what is left of cases that were running, servers and all.
    for job in $(jobs -p); do kill -9 -- "-$job" 2>/dev/null; done
    for file in "$work"/*/group; do [ ! -e "$file" ] || kill -9 -- "-$(cat "$file")" 2>/dev/null; done
    rm -rf "$work"
}
trap end 0
trap 'exit 1' INT TERM HUP
chmod 711 "$work" # postgres runs as another user
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
    g++ -std=c++17 -O1 -c templates.cc && md5sum <templates.o && g++ templates.o -o templates && ./templates
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
    for _ in $(seq 100); do [ "$(redis-cli -p "$1" ping 2>/dev/null)" = PONG ] && return; sleep 0.05; done
    echo 'the server does not answer'
    return 1
}

case_redis() {
    local port
    trap 'kill -9 $server 2>/dev/null' 0
    for _ in 1 2 3; do # somebody else may have taken the port meanwhile
        port=$(free_port)
        start_redis "$port" >refused && break
        kill -9 "$server" 2>/dev/null
    done
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

# A server started as $server answers on port $1.
wait_for_port() {
    for _ in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    echo 'the server does not answer'
    return 1
}

start_nginx() {
    local port=$1
    cat >nginx.conf <<END
$([ "$(id -u)" -ne 0 ] || echo 'user root root;')
daemon off; worker_processes 2; pid $PWD/nginx.pid; error_log $PWD/logs/error.log;
events { worker_connections 256; }
http {
    access_log $PWD/logs/access.log; client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3;
    uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5; default_type text/plain; gzip on; gzip_comp_level 3; server_tokens off;
    server {
        listen 127.0.0.1:$port; root $PWD/www;
        location /through/ { proxy_pass http://127.0.0.1:$port/; proxy_buffer_size 4k; }
        location /text { return 200 "a text for \$uri \$arg_n\n"; }
        location ~ ^/gone/(.*)\$ { return 302 /text?n=\$1; }
    }
}
END
    nginx -p "$PWD" -e "$PWD/logs/error.log" -c "$PWD/nginx.conf" >server.log 2>&1 &
    server=$!
    wait_for_port "$port"
}

case_nginx() {
    local port
    mkdir www logs && seq 3000 >www/list.txt && head -c 200000 /dev/zero | tr '\0' x >www/big.txt
    trap 'kill -9 $server 2>/dev/null' 0
    for _ in 1 2 3; do # somebody else may have taken the port meanwhile
        port=$(free_port)
        start_nginx "$port" >refused && break
        kill -9 "$server" 2>/dev/null
    done
    cat refused
    bench() { # NAME [OPTIONS] PATH
        local path=${*: -1}
        ab -q "${@:1:$#-1}" "http://127.0.0.1:$port/$path" 2>&1 |
            grep -E '^(Document Length|Complete requests|Failed requests|Non-2xx responses|HTML transferred|ab:|apr_)' || echo "ab: $path"
    }
    bench -n 4000 -c 20 -k list.txt
    bench -n 1000 -c 10 -H 'Accept-Encoding: gzip' list.txt
    bench -n 800 -c 10 -k through/big.txt
    bench -n 500 -c 5 text?n=7
    kill -HUP $server
    sleep 0.3
    bench -n 500 -c 5 -k gone/away
    bench -n 300 -c 5 nowhere
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /through/list.txt HTTP/1.1\r\nHost: here\r\nRange: bytes=5-30\r\nConnection: close\r\n\r\n' >&3
    grep -av '^Date:\|^Last-Modified\|^ETag' <&3
    exec 3>&-
    kill -QUIT $server
    wait $server
    echo "end: $?, $(wc -l <logs/access.log) lines, $(grep -cE 'alert|emerg|crit' logs/error.log) alarms"
}

case_php() {
    cat >program.php <<'END'
<?php
$list = get_loaded_extensions(); sort($list); echo count($list), ' ', md5(implode(',', $list)), "\n";
$words = []; for ($i = 0; $i < 60000; $i++) { $words["k" . ($i * 7919 % 5003)][] = $i; } ksort($words);
echo count($words), ' ', md5(serialize($words)), ' ', md5(json_encode($words)), "\n"; unset($words);
echo preg_match_all('/(\d)\1/', implode(' ', range(1, 50000))), ' ', md5(preg_replace_callback('/\d+7/', fn($m) => "<$m[0]>", implode(' ', range(1, 20000)))), "\n";
function tree($depth) { return $depth ? ['l' => tree($depth - 1), 'r' => tree($depth - 1), 'v' => str_repeat('x', $depth)] : null; }
$t = tree(13); echo md5(serialize($t)), "\n"; unset($t); gc_collect_cycles();
function numbers($n) { for ($i = 0; $i < $n; $i++) yield "n$i" => str_repeat(chr(97 + $i % 26), $i % 200); }
$sum = 0; foreach (numbers(40000) as $k => $v) $sum += strlen($k . $v); echo $sum, "\n";
class Node { public $other; public $text; function __construct($o) { $this->other = $o; $this->text = str_repeat('t', 50); } }
for ($i = 0; $i < 30000; $i++) { $a = new Node(null); $b = new Node($a); $a->other = $b; } echo gc_collect_cycles() >= 0 ? "collected\n" : '';
try { str_repeat('x', 1 << 20) . intdiv(1, 0); } catch (DivisionByZeroError $e) { echo get_class($e), "\n"; }
if (extension_loaded('sqlite3')) { $d = new SQLite3(':memory:'); $d->exec('create table t(a, b)'); $s = $d->prepare('insert into t values(?, ?)');
    for ($i = 0; $i < 3000; $i++) { $s->bindValue(1, $i); $s->bindValue(2, "text $i"); $s->execute(); $s->reset(); }
    echo $d->querySingle('select count(*) || group_concat(b) from t where a % 500 = 0'), "\n"; $s->close(); $d->close(); }
if (extension_loaded('pdo_sqlite')) { $p = new PDO('sqlite::memory:'); echo $p->query('select 6 * 7')->fetchColumn(), "\n"; }
if (extension_loaded('dom')) { $x = new DOMDocument; $r = $x->appendChild($x->createElement('r'));
    for ($i = 0; $i < 2000; $i++) $r->appendChild($x->createElement('e', "text $i"))->setAttribute('n', $i);
    echo md5($x->saveXML()), ' ', (new DOMXPath($x))->query('//e[@n > 1500]')->length, "\n";
    if (extension_loaded('xsl')) { $st = new DOMDocument; $st->loadXML('<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><o><xsl:for-each select="//e[@n mod 7 = 0]"><xsl:sort select="." order="descending"/><i><xsl:value-of select="."/></i></xsl:for-each></o></xsl:template></xsl:stylesheet>');
        $pr = new XSLTProcessor; $pr->importStylesheet($st); echo md5($pr->transformToXML($x)), "\n"; } }
if (extension_loaded('simplexml')) echo count(simplexml_load_string('<a><b/><b><c/></b></a>')->b), "\n";
if (extension_loaded('mbstring')) echo mb_strtoupper("grüße "), mb_strlen(str_repeat("€", 5000)), ' ', mb_convert_encoding("é", 'ISO-8859-1', 'UTF-8') === "\xe9" ? 'latin' : 'no', "\n";
if (extension_loaded('iconv')) echo bin2hex(iconv('UTF-8', 'UTF-16LE', 'ab')), "\n";
if (extension_loaded('gd')) { $i = imagecreatetruecolor(200, 200); imagefilledellipse($i, 100, 100, 150, 90, 0xff8800); $i = imagescale($i, 77, 55); ob_start(); imagepng($i); echo md5(ob_get_clean()), "\n"; }
if (extension_loaded('zlib')) { $z = gzcompress(str_repeat('the heap ', 30000)); echo strlen($z), ' ', strlen(gzuncompress($z)), "\n"; }
if (extension_loaded('openssl')) echo openssl_encrypt('a text', 'aes-128-cbc', str_repeat('k', 16), 0, str_repeat('i', 16)), "\n";
if (extension_loaded('sodium')) echo bin2hex(sodium_crypto_generichash('heap')), "\n";
if (extension_loaded('intl')) echo (new Collator('de_DE'))->compare('ä', 'z'), "\n";
if (extension_loaded('FFI')) { $f = FFI::cdef('void *malloc(size_t); void free(void *); int abs(int);'); $f->free($f->malloc(1000)); echo $f->abs(-5), "\n"; }
if (extension_loaded('pcntl')) { for ($i = 0; $i < 5; $i++) { $c = pcntl_fork(); if ($c === 0) { $x = range(1, 1000 * $i + 1); exit(count($x) % 256); } pcntl_waitpid($c, $s); echo pcntl_wexitstatus($s), ' '; } echo "\n"; }
echo md5(var_export(unserialize(serialize(new ArrayObject(range(1, 5000)))), true)), "\n";
END
    php -d ffi.enable=1 program.php && echo "status $?"
    USE_ZEND_ALLOC=0 php -d ffi.enable=1 program.php | md5sum
    php -d opcache.enable_cli=1 -d ffi.enable=1 program.php | md5sum
    php -r 'set_error_handler(null); ini_set("memory_limit", "16M"); $x = str_repeat("x", 1 << 28);' 2>&1 | grep -c 'Allowed memory size'
    php -m | md5sum
}

case_ruby() {
    cat >program.rb <<'END'
require 'json'
require 'digest'
require 'zlib'
table = Hash.new { |hash, key| hash[key] = [] }
80_000.times { |i| table["k#{i * 7919 % 5003}"] << i }
puts table.size, Digest::MD5.hexdigest(JSON.generate(table.sort)), Digest::MD5.hexdigest(Marshal.dump(table.sort))
puts Marshal.load(Marshal.dump(table.sort)) == table.sort
table = nil
GC.start
threads = 4.times.map { |n| Thread.new { (1..4000).map { |i| ('x' * (i % 97)) + n.to_s }.group_by(&:size).sum { |size, all| size * all.size } } }
p threads.map(&:value)
p (1..3).map { |n| Process.fork { exit!((1..10_000).map(&:to_s).join.size % 200 + n) } }.map { |child| Process.wait2(child)[1].exitstatus }
text = (1..40_000).to_a.join(' ')
puts text.scan(/(\d)\1/).size, Digest::SHA256.hexdigest(text.gsub(/\d+7/) { |found| "<#{found}>" })
puts Zlib::Inflate.inflate(Zlib::Deflate.deflate(text)) == text, Zlib.crc32(text)
fibers = 200.times.map { |i| Fiber.new { 20.times { |k| Fiber.yield('y' * (i * k % 300)) }; :done } }
puts 20.times.sum { fibers.sum { |fiber| fiber.resume.size } }
puts (2**5000).to_s.size, (1..300).inject(:*).to_s.size
GC.stress = true
puts (1..40).map { |i| "s#{i}" * i }.join.size
GC.stress = false
GC.compact if GC.respond_to?(:compact)
begin
  def deep(n) = n.zero? ? raise('bottom') : deep(n - 1)
  deep(2000)
rescue RuntimeError => error
  puts error.message, error.backtrace.size > 100
end
puts ObjectSpace.each_object(Class).count > 100
END
    ruby program.rb
}

case_lua() {
    cat >program.lua <<'END'
local t = {}
for i = 1, 200000 do local k = "k" .. (i * 7919 % 5003); t[k] = (t[k] or 0) + i end
local keys = {}
for k in pairs(t) do keys[#keys + 1] = k end
table.sort(keys)
local parts = {}
for i, k in ipairs(keys) do parts[i] = k .. "=" .. t[k] end
local text = table.concat(parts, ",")
print(#keys, #text, text:sub(1, 60))
local count = 0
for _ in text:gmatch("(%d)%1") do count = count + 1 end
print(count, #text:gsub("%d+7", "<%0>"))
local threads = {}
for i = 1, 500 do threads[i] = coroutine.wrap(function() for k = 1, 20 do coroutine.yield(("x"):rep(i * k % 400)) end end) end
local sum = 0
for _ = 1, 20 do for i = 1, #threads do sum = sum + #threads[i]() end end
print(sum)
local weak = setmetatable({}, { __mode = "v" })
for i = 1, 20000 do weak[i] = { i, tostring(i) } end
collectgarbage()
print(next(weak) == nil)
local function tree(d) return d > 0 and { tree(d - 1), tree(d - 1) } or {} end
local function size(n) return 1 + (n[1] and size(n[1]) + size(n[2]) or 0) end
print(size(tree(15)))
local big = {}
for i = 1, 300000 do big[i] = i end
for i = 300000, 1, -1 do big[i] = nil end
print(#big, pcall(string.rep, "x", 1 << 50))
print(select("#", load("return " .. ("1,"):rep(200) .. "1")()))
local f <close> = setmetatable({}, { __close = function() print("closed") end })
collectgarbage("generational")
for i = 1, 100000 do local s = "a" .. i; if i % 9 == 0 then parts[i % 100 + 1] = s end end
print(#table.concat(parts))
END
    lua program.lua
}

case_perl_threads() {
    cat >program.pl <<'END'
use strict; use warnings; use threads; use threads::shared; use Thread::Queue; use Digest::MD5 'md5_hex';
my $jobs = Thread::Queue->new(1 .. 120); $jobs->end;
my %results :shared;
sub work { my $sum = 0; while (defined(my $job = $jobs->dequeue)) {
    my %h; push @{$h{$_ % 37}}, "v" x ($_ % 60) for 1 .. $job * 10;
    lock %results; $results{$job} = md5_hex(join ",", map { @{$h{$_}} } sort { $a <=> $b } keys %h); } return threads->tid > 0; }
my @threads = map { threads->create(\&work) } 1 .. 4;
print join(",", map { $_->join } @threads), "\n";
print scalar(keys %results), " ", md5_hex(join ",", map { "$_=$results{$_}" } sort { $a <=> $b } keys %results), "\n";
for my $round (1 .. 6) { my @short = map { my $n = $_; threads->create(sub { my @x = map { "y" x $_ } 1 .. 50 * $n; return length join "", @x }) } 1 .. 4;
    print join(" ", map { $_->join } @short), "\n"; }
my $answer = threads->create({ context => 'list' }, sub { return map { [$_, "text $_"] } 1 .. 1000 });
print scalar(my @list = $answer->join), "\n";
my $bad = threads->create(sub { no warnings; eval { die { code => 7 } }; return $@->{code} }); print $bad->join, "\n";
END
    perl program.pl
}

case_java() {
    cat >Main.java <<'END'
import java.nio.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Main {
    static String md5(String text) throws Exception { return HexFormat.of().formatHex(MessageDigest.getInstance("MD5").digest(text.getBytes("UTF-8"))); }
    static long work(int n) throws Exception {
        Map<String, List<Integer>> map = new TreeMap<>();
        for (int i = 0; i < 20000; i++) map.computeIfAbsent("k" + i * 7919 % (503 + n), k -> new ArrayList<>()).add(i);
        Deflater deflater = new Deflater(); byte[] data = map.toString().getBytes("UTF-8"), packed = new byte[data.length + 100];
        deflater.setInput(data); deflater.finish(); int length = deflater.deflate(packed); deflater.end();
        Inflater inflater = new Inflater(); inflater.setInput(packed, 0, length); byte[] back = new byte[data.length]; inflater.inflate(back); inflater.end();
        ByteBuffer[] direct = new ByteBuffer[60];
        for (int i = 0; i < direct.length; i++) (direct[i] = ByteBuffer.allocateDirect(1 + i * 997)).put(i * 997, (byte) i);
        long sum = 0; for (ByteBuffer one : direct) sum += one.get(one.capacity() - 1) + one.capacity();
        return sum * 31 + Arrays.hashCode(back) + (Arrays.equals(data, back) ? 1 : 0);
    }
    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Long>> all = new ArrayList<>();
        for (int i = 0; i < 24; i++) { int n = i; all.add(pool.submit(() -> work(n))); }
        for (Future<Long> one : all) System.out.print(one.get() + " ");
        pool.shutdown();
        System.out.println(md5(IntStream.range(0, 50000).mapToObj(Integer::toString).collect(Collectors.joining(","))));
        for (int i = 0; i < 40; i++) { Thread thread = new Thread(() -> new byte[10000].clone()); thread.start(); thread.join(); }
        try { byte[][] hog = new byte[4096][]; for (int i = 0; i < hog.length; i++) hog[i] = new byte[1 << 22]; } catch (OutOfMemoryError full) { System.out.println("full"); }
        Process child = new ProcessBuilder("echo", "from a child").start();
        System.out.println(new String(child.getInputStream().readAllBytes()).trim() + " " + child.waitFor());
        System.out.println("text 17 of 30".replaceAll("[0-9]+", "#") + " " + String.format("%08.3f", Math.PI));
    }
}
END
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 Main.java
}

case_postgres() {
    local port as=()
    port=$(free_port)
    # Postgres refuses to be root's.
    [ "$(id -u)" -ne 0 ] || as=(setpriv "--reuid=$other_user" "--regid=$other_user" --clear-groups)
    mkdir data && chmod 711 . && { [ "$(id -u)" -ne 0 ] || chown "$other_user:$other_user" data; }
    chmod 700 data
    "${as[@]}" "$pg/initdb" -D "$PWD/data" -A trust -U test -N -E UTF8 --locale=C --no-instructions >initdb.log 2>&1
    echo "initdb: $?"
    "${as[@]}" "$pg/postgres" -D "$PWD/data" -h 127.0.0.1 -p "$port" -c unix_socket_directories= -c fsync=off -c shared_buffers=16MB \
        -c max_connections=20 -c min_parallel_table_scan_size=0 -c parallel_setup_cost=0 -c parallel_tuple_cost=0 >server.log 2>&1 &
    server=$!
    trap 'kill -QUIT $server 2>/dev/null; wait $server' 0
    wait_for_port "$port" || return
    ask() { "$pg/psql" -X -q -A -t -h 127.0.0.1 -p "$port" -U test -d postgres -v ON_ERROR_STOP=1 "$@" 2>&1; }
    for _ in $(seq 100); do "$pg/pg_isready" -q -h 127.0.0.1 -p "$port" && break; sleep 0.05; done
    grep -q libprivheap-preload "/proc/$server/maps" || echo 0 >"$active"
    ask <<'END'
create table t(id int primary key, a text, b int, c jsonb);
insert into t select i, 'text ' || (i * 7919 % 10007), i % 97, jsonb_build_object('n', i, 'l', array[i, i + 1]) from generate_series(1, 20000) i;
create index on t(a); create index on t using gin(c); analyze t;
select count(*), sum(b), max(a), md5(string_agg(a, ',' order by id)) from t;
select b, count(*), sum(id) from t group by b having sum(id) > 2100000 order by b limit 5;
select count(*) from t x join t y on x.a = y.a and x.id < y.id;
select count(*) from t where c @> '{"n": 77}'; select length(jsonb_agg(c)::text) from t;
update t set a = repeat(a, 3) where b % 3 = 0; delete from t where b % 5 = 0; vacuum t;
select md5(string_agg(x::text, '' order by x)) from (select regexp_replace(a, '[0-9]+', '#') x from t) q;
create function f(n int) returns bigint language plpgsql as $$ declare s bigint := 0; begin for i in 1..n loop s := s + length(repeat('x', i % 50)); end loop; return s; end $$;
select f(30000); with recursive r(n, s) as (select 1, 'x' union all select n + 1, s || n::text from r where n < 400) select max(length(s)) from r;
END
    ask -c 'select 1 / 0' -c 'select 2'
    "$pg/pgbench" -i -q -s 1 -h 127.0.0.1 -p "$port" -U test postgres >bench 2>&1
    "$pg/pgbench" -c 4 -t 40 -h 127.0.0.1 -p "$port" -U test postgres 2>&1 | grep -a 'actually processed\|aborted\|failed'
    "$pg/pg_dump" -h 127.0.0.1 -p "$port" -U test -t t --no-owner postgres | grep -v '^--\|^.restrict\|^.unrestrict' | md5sum
    kill -INT $server
    wait $server
    echo "end: $?, $(grep -cE 'PANIC|terminated by signal' server.log) crashes"
}

case_curl() {
    local port
    port=$(free_port)
    mkdir www && for i in $(seq 60); do seq $((i * 50)) >"www/file.$i"; done
    cat >server.py <<'END'
import http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def log_message(self, *_): pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.send_header("Set-Cookie", "heap=block; Path=/"); self.end_headers()
        self.wfile.write(body[::-1])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
END
    cd www || return
    $python ../server.py "$port" >../server.log 2>&1 &
    server=$!
    trap 'kill -9 $server 2>/dev/null' 0
    wait_for_port "$port" || return
    local url=http://127.0.0.1:$port
    curl -sS --noproxy '*' "$url/file.[1-60]" | md5sum
    curl -sS --noproxy '*' -Z --parallel-max 8 -o '../got.#1' "$url/file.[1-60]" && cat ../got.* | sort -n | md5sum
    curl -sS --noproxy '*' -r 10-99 "$url/file.9" | md5sum
    seq 30000 | curl -sS --noproxy '*' --data-binary @- -c ../jar -w '%{http_code} %{size_upload} %{size_download}\n' -o ../back "$url/post" && md5sum <../back
    grep -c heap ../jar
    curl -sS --noproxy '*' -F "a=@file.3" -F b=text "$url/form" | wc -c
    curl -sS --noproxy '*' -I "$url/file.1" | grep -i '^HTTP\|^content-length'
    curl -sS --noproxy '*' -f "$url/nowhere" 2>&1
    echo $?
    curl -sS "file://$PWD/file.5" | md5sum
    curl -sS --noproxy '*' http://127.0.0.1:1/ >../refused 2>&1
    echo $?
}

case_cmake() {
    mkdir source && cat >source/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.10)
project(demo C)
enable_testing()
include(CheckSymbolExists)
check_symbol_exists(malloc stdlib.h HAVE_MALLOC)
foreach(i RANGE 1 25)
  configure_file(part.c.in part${i}.c @ONLY)
  list(APPEND parts ${CMAKE_CURRENT_BINARY_DIR}/part${i}.c)
endforeach()
add_library(parts STATIC ${parts})
add_executable(demo main.c)
target_link_libraries(demo parts)
add_test(NAME runs COMMAND demo)
set(numbers "")
foreach(i RANGE 1 3000)
  math(EXPR n "${i} * 7919 % 10007")
  list(APPEND numbers "n${n}")
endforeach()
list(SORT numbers)
list(REMOVE_DUPLICATES numbers)
string(REPLACE ";" "," joined "${numbers}")
string(MD5 sum "${joined}")
string(REGEX REPLACE "[0-9]+7" "#" changed "${joined}")
string(LENGTH "${changed}" length)
message(STATUS "numbers ${sum} ${length} malloc ${HAVE_MALLOC}")
END
    echo 'int part@i@(int x) { return x * @i@ + 1; }' >source/part.c.in
    printf 'int part7(int);\nint part25(int);\nint main(void) { return part7(1) + part25(2) != 59; }\n' >source/main.c
    cmake -S source -B build -G 'Unix Makefiles' >configured 2>&1
    echo $? && grep numbers configured
    cmake --build build -j 2 >built 2>&1
    echo $? && grep -c 'Building C object' built
    (cd build && ctest >tested 2>&1; echo $?; grep -o '.*tests passed.*failed' tested)
    cmake -N -LA build | grep -E 'CMAKE_BUILD_TYPE|CMAKE_INSTALL_PREFIX'
    cmake -E sha256sum source/main.c && cmake -E tar czf one.tgz source && cmake -E tar tf one.tgz | sort
    cmake -P nowhere.cmake >missing 2>&1
    echo $?
}

case_vim() {
    seq 20000 | sed 's/.*/line & of the text, with some words/' >text
    cat >script.vim <<'END'
set nomore undolevels=1000
%s/\v(\d)(\d)/\2\1/ge
g/7$/d
g/line 1/normal Aend
%s/words/\=line('.') % 3 ? 'heap' : 'block'/g
1,3000sort! n
let words = {}
for l in range(1, line('$'), 7)
  let words[getline(l)] = get(words, getline(l), 0) + len(split(getline(l), ' '))
endfor
call append(line('$'), ['sum ' . len(words), 'text ' . len(join(sort(keys(words)), ','))])
10,2000m$
5,50copy 0
v/heap\|block\|sum\|text/d
earlier 2
later 2
new other
call setline(1, map(range(1, 5000), 'repeat("x", v:val % 70)'))
normal ggVGJ
write! joined
bwipe!
1000,1200>
write! changed
quitall!
END
    vim -u NONE -i NONE -n -N -es -S script.vim text
    echo $?
    md5sum <changed && md5sum <joined && wc changed joined && tail -n 2 changed
    vim -u NONE -i NONE -n -es -c 'call does_not_exist()' -c 'qa!' text 2>&1
    echo $?
}

case_imagemagick() {
    export OMP_NUM_THREADS=2 MAGICK_THREAD_LIMIT=2 MAGICK_CONFIGURE_PATH=$PWD
    show() { "$magick" "$@" -depth 8 -format '%m %wx%h %k %#\n' info:; }
    "$magick" -seed 7 -size 240x180 plasma:red-blue one.png && "$magick" -size 200x200 gradient:yellow-green two.ppm
    show one.png -resize 60% -rotate 30 -blur 0x2
    show two.ppm -colors 16 -dither FloydSteinberg
    show one.png two.ppm -append -negate -emboss 1
    show one.png -distort Arc 90 -crop 100x100+20+20 +repage
    show one.png -fx '(u.r+u.g)/2' -resize 64x64
    "$magick" one.png -morphology Dilate Octagon -quality 80 three.jpg && show three.jpg -equalize
    "$magick" -delay 5 one.png \( one.png -flop \) \( one.png -negate \) -resize 80x80 anim.gif && show 'anim.gif[1]'
    "$magick" nowhere.png out.png 2>&1 | head -n 1
}

case_stress-ng() {
    stress-ng --malloc 2 --malloc-ops 20000 --malloc-bytes 8M --malloc-max 4000 --timeout 15 --temp-path "$PWD" >said 2>&1
    echo $? && grep -c 'malloc' said >lines
    stress-ng --malloc 2 --malloc-ops 4000 --malloc-bytes 64K --malloc-pthreads 2 --verify --timeout 15 --temp-path "$PWD" >said 2>&1 ||
        stress-ng --malloc 2 --malloc-ops 4000 --malloc-bytes 64K --verify --timeout 15 --temp-path "$PWD" >said 2>&1
    echo $? && grep -icE 'fail(ed|ure)?: *[1-9]|corrupt|segv' said
    return 0
}

# ---- running them ---------------------------------------------------------------------------

pg=$(for folder in /usr/lib/postgresql/*/bin; do echo "$folder"; done | sort -V | tail -n 1)
magick=$(command -v magick convert-im6.q16 convert-im6 convert | head -n 1)
other_user=$(getent passwd postgres nobody | head -n 1 | cut -d: -f1)
export pg magick other_user

need() { # NAME: the programs of a case
    case $1 in
    coreutils) echo seq ;;
    curl) echo curl "$python" ;;
    gdb) echo gdb gcc ;;
    imagemagick) echo "${magick:-convert}" ;;
    java) echo java javac ;;
    cmake) echo cmake ctest gcc make ;;
    nginx) echo nginx ab ;;
    perl_threads) echo perl ;;
    postgres) echo "$pg/initdb" "$pg/postgres" "$pg/psql" "$pg/pgbench" setpriv ;;
    python3) echo "$python" ;;
    redis) echo redis-server redis-benchmark redis-cli ;;
    sort) echo sort "$python" ;;
    *) echo "$1" ;;
    esac
}

# What else a case needs; why not, in words, when it is not there.
lacks() { # NAME
    case $1 in
    perl_threads) perl -Mthreads -e1 2>"$work/lacks" || echo 'perl without threads' ;;
    postgres)
        [ "$(id -u)" -ne 0 ] || [ "$preload_object" = none ] ||
            setpriv --reuid="$other_user" --regid="$other_user" --clear-groups test -r "$preload_object" ||
            echo "$other_user cannot read the object"
        ;;
    esac
}

# Run case $1 in the folder that all its runs share, then call that folder $2.  The first thing that
# runs is a child that looks for the object among its own mappings.
run_case() { # NAME WHICH COMMAND...
    local name=$1 which=$2 folder=$work/$1
    shift 2
    mkdir -p "$folder/here" && cd "$folder/here" || exit 99
    timeout -k 5 $case_seconds "$@" bash -c "active=../$which.active; grep -c libprivheap-preload /proc/self/maps >\$active
        $(declare -f free_port start_redis wait_for_port "case_$name")
        case_$name" >"../$which.out" 2>"../$which.err" </dev/null &
    echo $! >../group
    wait $!
    echo "exit status $?" >>"../$which.out"
    kill -9 -- "-$(cat ../group)" 2>/dev/null
    rm -f ../group
    cd "$work" && mv "$folder/here" "$folder/$which"
}

compare() { # NAME MODE: 0 when it is as it has to be
    local folder=$work/$1 label=$1
    [ "$2" = default ] || label="$1, $2 mode"
    if [ "$(cat "$folder/plain.active")" != 0 ]; then
        echo "$label: the run without us was with us"
    elif [ "$preload_object" != none ] && [ "$(cat "$folder/$2.active")" = 0 ]; then
        echo "$label: the object was not active"
    elif ! cmp -s "$folder/plain.out" "$folder/$2.out"; then
        echo "$label: differs (< without us, > with us):"
        diff "$folder/plain.out" "$folder/$2.out" | head -n 20
        tail -n 10 "$folder/$2.err"
    elif [ "$(wc -l <"$folder/plain.out")" -lt 2 ] || ! grep -q '^exit status 0$' "$folder/plain.out"; then
        echo "$label: does not work without us either"
        tail -n 10 "$folder/plain.out" "$folder/plain.err"
    elif grep '^privheap: ' "$folder/$2.err"; then
        echo "$label: the lines above are ours"
    else
        return 0
    fi
    return 1
}

modes_of() { # NAME
    case ${modes-}:$1:$quick in
    :bash:* | :redis:*) echo default secure tolerant ;; # a shell makes children by the thousand
    :*:*" $1 "*) echo default secure tolerant stress ;;
    *) echo "${modes:-default}" ;;
    esac
}

setting_of() { # MODE: what stands before the command; stress is option STRESS, with the second object of the command
    case $1 in
    default) ;;
    stress) echo "env PRIVHEAP_STRESS=on" ${check_object:+"LD_PRELOAD=$check_object"} ;;
    *) echo "env PRIVHEAP_MODE=$1" ;;
    esac
}

# One kind of program, all its runs.  In the folder `ended`: NAME.passed, .failed or .skipped, with what there is to say.
one() { # NAME
    local name=$1 program reason verdict=passed begun mode
    for program in $(need "$name"); do command -v "$program" >"$work/found.$name" || reason=$program; done
    [ -n "$reason" ] || reason=$(lacks "$name")
    if [ -n "$reason" ]; then
        echo "$name ($reason)" >"$work/ended/$name.skipped"
        return
    fi
    begun=$(date +%s%N)
    run_case "$name" plain
    for mode in $(modes_of "$name"); do
        # shellcheck disable=SC2046 # words
        run_case "$name" "$mode" $(setting_of "$mode") "${under[@]}"
        compare "$name" "$mode" || verdict=failed
    done >"$work/said.$name" 2>&1
    echo "$name: $((($(date +%s%N) - begun) / 1000000)) ms for all runs" >>"$work/said.$name"
    mv "$work/said.$name" "$work/ended/$name.$verdict"
    rm -rf "${work:?}/$name"
}

mkdir "$work/ended"
running=0 most=$(nproc)
for name in ${*:-$names}; do
    [ "$running" -lt "$most" ] || { wait -n; running=$((running - 1)); }
    one "$name" &
    running=$((running + 1))
done
wait

for name in ${*:-$names}; do cat "$work/ended/$name.passed" "$work/ended/$name.failed" 2>/dev/null; done
count() { find "$work/ended" -name "*.$1" | wc -l; }
[ "$(count skipped)" -eq 0 ] || echo "skipped, not on this machine: $(cat "$work"/ended/*.skipped | sort | paste -sd ' ')"
failed=$(($(set -- ${*:-$names}; echo $#) - $(count passed) - $(count skipped)))
echo "$(count passed) kinds of programs the same, $failed not"
[ $failed -eq 0 ] && [ "$(count passed)" -gt 0 ]
