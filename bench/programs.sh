# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# programs.sh -- the real programs that bench.sh measures, and their inputs; read by it, not run.
#
# Inputs are made by rule, the same everywhere: nothing is downloaded.  Wants $work (a folder), $scale (1; more in a
# longer run), $run (bench_run), $seconds (bound for one run), $libc (the C library's file); program_run leaves `cpu_ns peak_kib faults wall_ns` in
# $work/used.

PROGRAMS='gcc g++ clang python3 perl sqlite3 redis git node php lua'

# program_command NAME: its file; empty when it is not installed.
program_command() {
    case $1 in
    redis) command -v redis-benchmark >/dev/null && command -v redis-cli >/dev/null && command -v redis-server ;;
    # What is found first may be a script that looks for the right version: we want the program itself.
    python3) command -v python3 >/dev/null && python3 -c 'import sys; print(sys.executable)' ;;
    *) command -v "$1" ;;
    esac || :
}

# A C file of many small functions; gcc and clang read it.
input_c() {
    awk -v count=$((50 * scale)) 'BEGIN {
        print "struct node { struct node *next; long key, value[4]; };\nextern long seen(const char *, long);"
        for (i = 0; i < count; i++) {
            printf "static long walk%d(struct node *node, long key)\n{\n    long sum = %d;\n", i, i
            printf "    for (; node; node = node->next) {\n        switch ((node->key ^ key) %% %d) {\n", i % 7 + 3
            for (j = 0; j < i % 7 + 3; j++)
                printf "        case %d: sum += node->value[%d] * %d; seen(\"walk %d %d\", sum); break;\n", j, j % 4, j * i, i, j
            printf "        }\n    }\n    return sum;\n}\n"
            printf "long entry%d(struct node *node) { return walk%d(node, %d) + seen(__func__, %d); }\n", i, i, i * 31 % 1009, i
        }
    }' >"$work/input.c"
}

input_cc() {
    awk -v count=$((2 * scale)) 'BEGIN {
        print "#include <algorithm>\n#include <map>\n#include <string>\n#include <unordered_map>\n#include <vector>"
        print "template <int N> struct item { int key; std::string name; bool operator<(const item &o) const { return key < o.key; } };"
        for (i = 0; i < count; i++) {
            printf "long use%d(const std::string &text)\n{\n    std::map<std::string, std::vector<item<%d>>> all;\n", i, i
            printf "    std::unordered_map<int, item<%d>> one;\n    all[text].push_back({%d, text});\n", i, i
            printf "    one[%d] = all[text].front();\n    std::sort(all[text].begin(), all[text].end());\n", i
            printf "    return static_cast<long>(all.size() + one.size());\n}\n"
        }
    }' >"$work/input.cc"
}

input_python3() {
    cat >"$work/input.py" <<END
import collections, json, re
rows = [{"id": i, "name": "row %d" % (i * 7919 % 10007), "tags": ["t%d" % (i % k) for k in range(1, 9)]} for i in range($((20000 * scale)))]
text = json.dumps(rows)
back = json.loads(text)
count = collections.Counter(tag for row in back for tag in row["tags"])
words = re.findall(r"row (\d+)", text)
print(len(text), len(words), count.most_common(3), sorted(set(words))[:3], sum(len(str(row)) for row in back))
END
}

input_perl() {
    cat >"$work/input.pl" <<END
my (%h, @lines);
for my \$i (1 .. $((150000 * scale))) {
    push @{\$h{\$i * 7919 % 10007}}, "value \$i";
    push @lines, join ',', \$i, \$i * 3, "text" x (\$i % 5);
}
my \$all = join "\n", @lines;
my \$found = () = \$all =~ /,(\d+5),text/g;
my @keys = sort { @{\$h{\$a}} <=> @{\$h{\$b}} || \$a <=> \$b } keys %h;
print scalar(@keys), " \$found ", length(\$all), " \$keys[0] \$keys[-1]\n";
END
}

input_sqlite3() {
    cat >"$work/input.sql" <<END
create table t(a integer, b text, c text);
with recursive n(x) as (select 1 union all select x + 1 from n where x < $((120000 * scale)))
    insert into t select x, hex(x * 7919 % 100003), 'text ' || x from n;
create index i on t(b);
select count(*), sum(length(c)) from t;
select b, count(*), group_concat(a) from t where a % 3 = 0 group by substr(b, 1, 3) order by 2 desc, 1 limit 3;
select count(*) from t x join t y on y.b = x.b and y.a < x.a;
END
}

input_node() {
    cat >"$work/input.js" <<END
const map = new Map(), rows = [];
for (let i = 0; i < $((100000 * scale)); i++) {
    map.set('key ' + i * 7919 % 100003, { i, text: 'value '.repeat(i % 4) + i });
    if (i % 50 === 0) rows.push(Buffer.alloc(64 + i % 8192, i & 255).toString('base64'));
}
const text = JSON.stringify([...map.values()]);
console.log(map.size, text.length, JSON.parse(text).length, rows.join('').length, text.match(/value \d*7"/g).length);
END
}

input_php() {
    cat >"$work/input.php" <<END
<?php
\$rows = [];
for (\$i = 0; \$i < $((150000 * scale)); \$i++) \$rows["key " . (\$i * 7919 % 50021)][] = str_repeat("v", \$i % 40) . \$i;
ksort(\$rows);
\$text = json_encode(\$rows);
echo count(\$rows), " ", strlen(\$text), " ", count(json_decode(\$text, true)), " ", preg_match_all('/v\d*7"/', \$text), "\n";
END
}

input_lua() {
    cat >"$work/input.lua" <<END
local rows, parts = {}, {}
for i = 1, $((70000 * scale)) do
    local key = i * 7919 % 20011
    rows[key] = rows[key] or {}
    table.insert(rows[key], { i, "value " .. i })
    if i % 2 == 0 then parts[#parts + 1] = ("x"):rep(i % 30) .. key end
end
local text, count = table.concat(parts, ","), 0
for word in text:gmatch("x%d+7") do count = count + #word end
print(#text, count, #rows)
END
}

# A history of files that change a little with each commit.
input_git() {
    rm -rf "$work/repository"
    git init -q "$work/repository"
    awk -v commits=$((400 * scale)) 'BEGIN {
        for (c = 1; c <= commits; c++) {
            printf "commit refs/heads/all\ncommitter A <a@example.org> %d +0000\ndata 8\ncommit %s\n", 1700000000 + c * 60, c % 10
            for (f = c % 7; f < 40; f += 7) {
                text = ""
                for (line = 0; line < 120; line++)
                    text = text sprintf("file %d line %d is %d\n", f, line, (line * f + (line % 50 == c % 50) * c) % 1009)
                printf "M 100644 inline folder%d/file%d\ndata %d\n%s\n", f % 5, f, length(text), text
            }
        }
    }' | git -C "$work/repository" fast-import --quiet
    git -C "$work/repository" config core.pager cat
}

program_inputs() { # for the programs named
    for program; do
        case $program in
        gcc | clang) [ -e "$work/input.c" ] || input_c ;;
        g++) input_cc ;;
        python3 | perl | sqlite3 | node | php | lua | git) "input_$program" ;;
        esac
    done
}

# under OBJECT PROGRAM [ARGUMENT...]: measured; what it writes is kept, to be compared.
under() {
    object=$1
    shift
    timeout -k 5 "$seconds" "$run" -o "$work/used" -p "$object" "$@" >"$work/output" 2>"$work/errors"
}

# The server is what is measured; the client runs without the allocator.
program_redis() { # OBJECT COMMAND
    socket=$work/redis.sock
    rm -f "$socket"
    # Debian's server brings jemalloc, which is glibc's row unless glibc comes first.
    under "${1:-$libc}" "$2" --port 0 --unixsocket "$socket" --save '' --appendonly no --databases 1 --dir "$work" &
    server=$!
    tries=0
    until redis-cli -s "$socket" ping >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 200 ] || ! kill -0 $server 2>/dev/null; then kill $server 2>/dev/null; wait $server; return 1; fi
        sleep 0.05
    done
    redis-benchmark -s "$socket" -q -P 16 -c 10 -r 20000 -d 100 -n $((50000 * scale)) -t set,get,lpush,hset,spop,zadd \
        >/dev/null 2>&1
    redis-cli -s "$socket" shutdown nosave >/dev/null 2>&1 || kill $server
    wait $server
    status=$?
    : >"$work/output"
    return $status
}

program_run() { # NAME COMMAND OBJECT
    case $1 in
    gcc | clang) under "$3" "$2" -w -O1 -S -o - "$work/input.c" ;;
    g++) under "$3" "$2" -w -O1 -S -o - "$work/input.cc" ;;
    python3) under "$3" "$2" -I -S "$work/input.py" ;;
    perl) under "$3" env PERL_HASH_SEED=1 "$2" "$work/input.pl" ;;
    sqlite3) under "$3" "$2" -init "$work/input.sql" :memory: .quit ;;
    redis) program_redis "$3" "$2" ;;
    git) under "$3" "$2" -C "$work/repository" log -p --stat -M all ;;
    node) under "$3" "$2" "$work/input.js" ;;
    lua) under "$3" "$2" "$work/input.lua" ;;
    php) under "$3" "$2" -n "$work/input.php" ;;
    esac
}
