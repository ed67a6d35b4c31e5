#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# oom.sh -- privheap oom: every planted fault is found, with its line, none is invented; again by its token; what it
# must leave alone it leaves alone; words, figures and exit codes.

. "${top_srcdir:-$(dirname "$0")/..}/tests/verb.inc"
mkdir tmp
export TMPDIR=$work/tmp
source=$top_srcdir/tests/oomed.c

$CC -O0 -g -w -D_GNU_SOURCE -shared -fPIC "$top_srcdir/tests/oomed_library.c" -o liboomed.so &&
    $CC -O0 -g -D_GNU_SOURCE "$source" -o oomed -Wl,--no-as-needed -L. -loomed -Wl,-rpath,"$work" -pthread -ldl || exit 1

# Lines need libdw; without it there are modules and offsets.
"$privheap" oom -- ./oomed malloc_unchecked >report
expect 'exit code of a finding' 1 $?
has_lines=$(grep -c 'oomed\.c:' report)
[ "$has_lines" -gt 0 ] || echo 'libdw is not installed: lines are not looked at'

sweep() { timeout 60 "$privheap" oom "$@" >report 2>said; }

# check CASE CLASS OPTIONS...: one finding, of that class, with the planted line; and its token does it again.
check() {
    local case=$1 class=$2 code=0 line token
    shift 2
    case $class in crash* | hang* | heap*) code=1 ;; esac
    sweep "$@" -- ./oomed "$case"
    expect "$case: exit code" $code $?
    expect "$case: findings" ' 1 different finding' "$(sed -n '2s/.*;//p' report)"
    grep -q "^$class" report || complain "$case is no '$class': $(sed -n 4p report)"
    line=$(grep -n "PLANTED $case " "$top_srcdir"/tests/oomed*.c | sed 's/^.*\/\([^/:]*:[0-9]*\):.*/\1/')
    [ "$has_lines" = 0 ] || grep -q " tests/$line (" report || complain "$case: $line is in no stack: $(cat report)"
    token=$(sed -n 's/^  again: privheap oom --replay=\([^ ]*\) .*/\1/p' report)
    case " $* " in *' --rerun '*) set -- ;; *' --timeout=0.3 '*) set -- --timeout=0.3 ;; *) set -- ;; esac
    sweep "$@" --replay="$token" -- ./oomed "$case"
    expect "$case: exit code of $token" $code $?
    grep -q "^$class" report || complain "$case: $token is no '$class': $(cat report)"
}

for case in malloc_unchecked calloc_unchecked realloc_unchecked strdup_unchecked asprintf_unchecked getline_unchecked \
    fopen_unchecked stack_overflow; do
    check $case 'crash: SIGSEGV at address 0x'
done
check abort_silently 'crash: SIGABRT'
check double_free 'heap damage: PH101: freed twice'
check write_after_failed_realloc 'heap damage: PH114: access after free'
check read_after_failed_realloc 'heap damage: PH114: access after free'
check overflow 'heap damage: PH112: access behind the end'
export PRIVHEAP_GUARD_RATE=0 # where there are no guards, the end of the process finds what was written
has_lines_kept=$has_lines has_lines=0
check write_after_failed_realloc 'heap damage: PH106: changed after free'
check overflow 'heap damage: PH110: changed behind its end'
check overflow_kept 'heap damage: PH110: changed behind its end'
unset PRIVHEAP_GUARD_RATE
has_lines=$has_lines_kept
check hang_asleep 'hang: killed after 0.3 s' --timeout=0.3
check hang_busy 'hang: killed after 0.3 s' --timeout=0.3
check abort_with_message 'abort with a message: SIGABRT'
check lost 'leak: 1 block of 1000 bytes'
check lost_deep 'leak: 1 block of 2000 bytes'
check second 'crash: SIGSEGV' --pairs
check first_of_two 'crash: SIGSEGV' --pairs
check library 'crash: SIGSEGV' --module=liboomed.so
check thread 'crash: SIGSEGV' --rerun
sweep -- ./oomed abort_with_message
grep -q '^  it said: out of memory, giving up$' report || complain "the message is missing: $(cat report)"

if command -v gdb >/dev/null; then
    sweep -- ./oomed strdup_unchecked
    token=$(sed -n 's/^  again: privheap oom --replay=\([^ ]*\) .*/\1/p' report)
    printf 'run\nkill\n' | timeout 60 "$privheap" oom --replay="$token" --gdb -- ./oomed strdup_unchecked >debugged 2>&1
    grep -q 'fails on purpose' debugged && grep -q '^Program received signal SIGSEGV' debugged ||
        complain "the debugger does not come to the fault: $(cat debugged)"
fi

# Programs without a fault.
for case in good_list good_stdio good_growth good_leak_of_its_own good_sleeper second; do
    sweep -- ./oomed $case
    expect "$case" '0 0 different findings' "$? $(sed -n '2s/.*; //p' report)"
done
sweep -- ./oomed thread
expect 'threads: exit code' 0 $?
grep -q 'the program has threads: .* --rerun does' report || complain "threads are not told of: $(cat report)"

# Three times the same, one child at a time or four, and by a run for each.
sweep -- ./oomed good_list
list=$(sed -n 2p report)
for options in '' --jobs=1 --jobs=4 --rerun; do
    # shellcheck disable=SC2086
    sweep $options -- ./oomed good_list
    expect "the same with '$options'" "$list" "$(sed -n 2p report)"
done

# Which.
expect 'all' '60 allocations, 60 failed in turn' "$(sed -n '1s/.*: \(.*\), .*/\1/p' report)"
for options in '--first=7:7' '--skip=50:10' '--skip=5 --first=9:9' '--size=0-20:30' '--size=1m-:0' '--module=libc.so.6:30' '--module=oomed:60'; do
    # shellcheck disable=SC2086
    sweep ${options%:*} -- ./oomed good_list
    expect "${options%:*}" "60 allocations, ${options##*:} failed in turn" "$(sed -n '1s/.*: \(.*\), .*/\1/p' report)"
done
sweep --also-after -- ./oomed second
expect 'all behind the first: exit code' 1 $?

# Files stay as they are, what children say goes where it should, and nothing stays behind.
mkdir files kept
echo before >files/there
OOMED_FOLDER=$work/files sweep -- ./oomed good_writer
expect 'good_writer' '0 0 different findings' "$? $(sed -n '2s/.*; //p' report)"
grep -q 'children could write' report || expect 'what the program wrote, and only that' 'before good' "$(cat files/there | tr '\n' ' ' | sed 's/ $//')"
expect 'no file of a child' 'new there' "$(ls files | tr '\n' ' ' | sed 's/ $//')"
printf '%s\n' 3 1 2 | sweep --keep-output=kept -- sort
expect 'all of standard input comes' '1 2 3' "$(tr '\n' ' ' <kept/program.out | sed 's/ $//')"
ls kept/0*.out >/dev/null 2>&1 || complain "no output of children was kept: $(ls kept)"
printf '%s\n' 3 1 2 >numbers
sweep --keep-output=kept -- sort <numbers
expect 'and of a file' '1 2 3' "$(tr '\n' ' ' <kept/program.out | sed 's/ $//')"
expect 'the program says nothing' '' "$(cat said)"
expect 'no folder stays behind' '' "$(ls tmp)"

sweep --keep-output=made --first=1 -- sort numbers
expect 'a folder for output is made' '0 1 2 3' "$? $(tr '\n' ' ' <made/program.out | sed 's/ $//')"

# What goes on is ended, and the folder with it; what was cut off by that is no finding.
mkfifo pipe
set -m # else what is in the background ignores SIGINT
export OOMED_FOLDER=$work/files
interrupted() { # SIGNAL OPTIONS...
    local signal=$1
    shift
    rm -f files/waiting
    "$privheap" oom --timeout=100 "$@" -- ./oomed good_waiting >report 2>said &
    until_true [ -e files/waiting ] || complain "$* does not come to wait"
    kill -"$signal" -- -$! # as a terminal does: the program has it, too
    wait $!
    expect "interrupted by $signal, $*" "130 0 different findings " "$? $(sed -n '2s/.*; //p' report) $(ls tmp)"
}
interrupted INT
interrupted TERM --rerun
interrupted HUP --also-after
"$privheap" oom -- cat < <(echo x; exec sleep 60) >report 2>said &
until_true sh -c 'grep -qs . tmp/*/input' || complain 'standard input is not read'
kill -TERM $!
wait $!
expect 'interrupted while it reads its input' '130 ' "$? $(ls tmp)"
rm -f files/waiting
mkfifo held # one of its own: who lives on would be a writer of the other
"$privheap" oom --timeout=100 -- ./oomed good_waiting 9>held >report 2>said &
exec 3<held
until_true [ -e files/waiting ] || complain 'good_waiting does not come to wait'
kill -KILL $!
timeout 30 cat <&3 || complain 'the program outlives the command that is killed'
exec 3<&-
rm -rf tmp/*
set +m

# Nobody reads the report; somebody does, but slowly; it cannot be written.
for verb in "oom -- ./oomed malloc_unchecked" "oom --json=- -- ./oomed malloc_unchecked"; do
    # shellcheck disable=SC2086
    "$privheap" $verb >pipe 2>said &
    exec 3<pipe
    exec 3<&-
    wait $!
    expect "$verb, unread" '141  ' "$? $(ls tmp) $(cat said)"
done
long=$(head -c 100000 /dev/zero | tr '\0' x)
"$privheap" oom -- ./oomed second "$long" 2>said | { sleep 0.3; cat; } >report
expect 'read slowly' '0 100000 ' "${PIPESTATUS[0]} $(head -1 report | tr -cd x | wc -c) $(cat said)"
why='privheap oom: cannot write to standard output: '
gives 125 "${why}Bad file descriptor" sh -c '"$0" oom -- ./oomed double_free >&-' "$privheap"
[ -c /dev/full ] && gives 125 "${why}No space left on device" sh -c '"$0" oom -- ./oomed double_free >/dev/full' "$privheap"
expect 'without standard input' 0 "$(sh -c '"$0" oom -- ./oomed second <&- >report; echo $?' "$privheap")"

# Nobody outlives the sweep: who has the pipe open.
for options in '' --rerun --jobs=1; do
    # shellcheck disable=SC2086
    "$privheap" oom $options -- ./oomed good_sessions 9>pipe >report 2>said &
    timeout 30 cat pipe || complain "processes of good_sessions live on, '$options'"
    wait $!
    expect "good_sessions, '$options'" '0 0 different findings' "$? $(sed -n '2s/.*; //p' report)"
done

for verb in oom 'chaos --seeds=1'; do # what was there before is not ours
    # shellcheck disable=SC2016
    gives 0 '' sh -c 'sleep 60 >report 2>&1 & echo $! >id; exec "$0" "$@" >report' "$privheap" $verb --quiet -- ./oomed second
    grep -q '^State:.S' /proc/"$(cat id)"/status || complain "$verb ends what is none of its children"
    kill "$(cat id)"
done

for options in '' --rerun; do
    # shellcheck disable=SC2086
    sweep $options -- ./oomed good_fork
    expect "good_fork, '$options'" '0 1' "$? $(grep -c 'processes that the program makes by fork asked for memory, too: that was not tried' report)"
done

# A pipe is kept up to a bound.
head -c 70000000 /dev/zero | sweep --keep-output=kept --first=1 -- wc -c
expect 'a pipe without end' '0 67108864' "$? $(cat kept/program.out)"
expect 'and it is told' 'privheap oom: standard input is a pipe: of what comes through it the program gets the first 64 MB' "$(cat said)"

# Rules.
export XDG_CONFIG_HOME=$work/config
"$privheap" rules add env purge-delay=77 guard-rate=3
for options in '--keep-output=kept:77 3' '--keep-output=kept --no-rules: 1'; do
    # shellcheck disable=SC2086
    sweep ${options%:*} --first=1 -- env
    expect "${options%:*}" "${options##*:}" "$(sed -n 's/^PRIVHEAP_PURGE_DELAY=//p' kept/program.out) $(sed -n 's/^PRIVHEAP_GUARD_RATE=//p' kept/program.out)"
done

# Names as C++ has them.
cat >named.cc <<'END'
#include <stdlib.h>
namespace outer { struct inner { void work(int, char); }; }
__attribute__((noinline)) void outer::inner::work(int bytes, char c)
{
    char *volatile text = static_cast<char *>(malloc(bytes));
    text[3] = c;
    free(text);
}
int main() { outer::inner().work(30, 'x'); }
END
if [ "$has_lines" != 0 ] && ${CXX:-c++} -O0 -g named.cc -o named 2>shell; then
    sweep -- ./named
    expect 'C++ names' '1 2' "$? $(grep -c ' outer::inner::work(int, char) [^ ]*named.cc:[56] ' report)"
else
    echo 'no C++ compiler, or no libdw: C++ names are left out'
fi

# For programs.
sweep --json=out.json --junit=out.xml --quiet -- ./oomed double_free
expect 'quiet' '' "$(cat report said)"
if command -v python3 >/dev/null; then
    python3 - <<'END' || complain 'JSON or JUnit is not what it should be'
import json, xml.dom.minidom
found = json.load(open("out.json"))
assert found["forks"] is False and found["schema"] == "privheap.oom/1" and found["allocations"] == 2, found
one, = found["findings"]
assert one["class"] == "heap damage" and one["counts"] and one["failed"]["bytes"] == 40, one
assert one["failed"]["stack"][0]["module"] == "oomed" and one["ended"][0]["module"] == "oomed", one
suite = xml.dom.minidom.parse("out.xml").documentElement
assert suite.getAttribute("failures") == "1" and suite.getAttribute("tests") == "2"
END
fi

# Every switch is in the manual.
for option in $("$privheap" help oom | sed -n 's/^  --\([a-z-]*\).*/\1/p'); do
    grep -q "^\.It Fl -$option\( \|\$\)" "$top_builddir/man/privheap-oom.1" || complain "--$option is not in privheap-oom(1)"
done

# Words.
refuses() { # CODE LINE ARGUMENTS...
    code=$1 line=$2
    shift 2
    sweep "$@"
    expect "$*" "$code privheap oom: $line" "$? $(cat said)"
}
refuses 125 "'--jbos=3' is not an option; did you mean --jobs?" --jbos=3 -- true
refuses 125 '--jobs: "0" is not a whole number from 1 to 64' --jobs=0 -- true
refuses 125 '--size: "9-3" is not a range of sizes such as 100-4k' --size=9-3 -- true
refuses 125 '--replay: "xyz" is no token of a report, such as 4d20438635c5dcba.2' --replay=xyz -- true
refuses 125 '--gdb is for --replay=TOKEN' --gdb -- true
refuses 125 '--json: "" is no file name' --json= -- true
refuses 125 '--json: cannot write to nowhere/x: No such file or directory' --json=nowhere/x -- ./oomed second
refuses 125 "--junit: \"$work\" is a directory" --junit="$work" -- ./oomed second
refuses 125 'only one of --json and --junit can go to standard output' --json=- --junit=- -- true
refuses 125 '--keep-output: cannot write to nowhere/x: No such file or directory' --keep-output=nowhere/x -- ./oomed second
of='the file name of the program or of one of its libraries'
refuses 125 "no allocation came from typo.so: --module takes $of" --module=typo.so -- ./oomed second
refuses 125 "no allocation came from typo.so: --module takes $of" --module=typo.so --rerun -- ./oomed second
refuses 125 'which program? usage: privheap oom [options] [--] PROGRAM [ARGS]'
refuses 125 'the program made no such call: 1234.1 is another program'"'s, or of a run that went another way" --replay=1234.1 -- ./oomed good_list
refuses 127 'nothing-of-that-name is not found in PATH' -- nothing-of-that-name
tell_and_exit
