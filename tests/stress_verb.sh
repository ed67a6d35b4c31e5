#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# stress_verb.sh -- privheap stress and privheap explain: what is found is told with its block, distance, stacks and
# lines, while the program lives or when it has died, in words, as JSON and as SARIF; exit codes, suppressions, signals,
# input and output are as they must be; a mistake at the prompt is one line.

privheap=${privheap:-$PWD/privheap}
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
for variable in $(env | sed -n 's/^\(PRIVHEAP_[^=]*\)=.*/\1/p'); do unset "$variable"; done
unset LD_PRELOAD
exec </dev/null
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
mkdir tmp
export TMPDIR=$work/tmp
failed=0

complain() { printf 'FAILED: %s\n' "$*"; failed=1; }
expect() { # WHAT EXPECTED GOT
    [ "$2" = "$3" ] && return
    printf '%s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    failed=1
}
has() { grep -qe "$2" "$3" || complain "$1: no '$2' in: $(cat "$3")"; }

$CC -g -O0 -fno-builtin -w -D_GNU_SOURCE "$top_srcdir/tests/stressed.c" -o stressed || exit 1
stress() { "$privheap" stress --max-slowdown=0 "$@" >out 2>said; } # however slow the machine is

# Lines need libdw; without it there are modules and offsets.
stress -- ./stressed over-read
has_lines=$(grep -c 'stressed\.c:' said)
[ "$has_lines" -gt 0 ] || echo 'libdw is not installed: lines are not looked at'
line_of() { grep -n "PLANTED $1 " "$top_srcdir/tests/stressed.c" | cut -d : -f 1; }

# found CASE OPTIONS HEADLINE [LINE]: one finding, with that line; and the command that is told finds it again.
found() {
    local again
    # shellcheck disable=SC2086
    stress $2 -- ./stressed "$1"
    expect "$1: exit code" 99 $?
    expect "$1: headline" "$3" "$(sed -n '1s/^==[0-9]*== //; 1s/0x[0-9a-f]*/0x/p' said)"
    has "$1" '; [0-9]* blocks\{0,1\} guarded; ' said
    [ "$has_lines" = 0 ] || [ -z "$4" ] || grep -q "^    #0 $4 .*stressed\.c:$(line_of "$4") (stressed+0x" said || complain "$1: its line: $(cat said)"
    [ "$has_lines" = 0 ] || has "$1" '^  SUMMARY: PH[0-9]* .* in .*stressed\.c:[0-9]* (stressed)$' said
    again=$(sed -n 's/^  again: privheap //p' said)
    has "$1" '^  what it means, and what to do: privheap explain PH[0-9]*$' said
    cp said before
    eval "\"\$privheap\" $again" >out 2>said
    expect "$1: exit code of $again" 99 $?
    expect "$1: headline of $again" "$3" "$(sed -n '1s/^==[0-9]*== //; 1s/0x[0-9a-f]*/0x/p' said)"
    grep -q 'privheap: PH' said before && complain "$1: the program's own text is there too"
}

found over-read '' 'PH112 read behind the end: 0 bytes behind the end of block 0x of 32 bytes' reads
found overflow '--seed=7' 'PH112 write behind the end: 8 bytes behind the end of block 0x of 32 bytes' writes
guarded=$(sed -n 's/.*; \([0-9]* blocks*\) guarded; .*/\1/p' said)
has 'the seed' '^  again: privheap stress --seed=7 --side=end --max-slowdown=0 -- ./stressed overflow$' said
found after-free '--stacks=4 --quarantine=1m' 'PH114 read after free: 7 bytes into block 0x of 32 bytes' looks
has 'the options' 'stress --seed=[0-9]* --side=end --max-slowdown=0 --stacks=4 --quarantine=1m -- ' said
[ "$has_lines" = 0 ] || has 'what was put into another function' "^    #1 main .*stressed\.c:[0-9]* ($(sed -n 's/^    #0 looks .*(\(.*\))$/\1/p' said))\$" said
has 'who had it' '^  allocated by thread [0-9]* here:$' said
has 'who freed it' '^  freed by thread [0-9]* here:$' said
found twice '' 'PH101 freed twice: block 0x of 32 bytes'
found under-read '--side=start' 'PH113 read before the start: 3 bytes before block 0x of 32 bytes' reads
found under-read '--side=both' 'PH113 read before the start: 3 bytes before block 0x of 32 bytes' reads
found copies '' 'PH112 write behind the end, by strcpy: 0 bytes behind the end of block 0x of 29 bytes' copies
found child '' 'PH112 write behind the end: 0 bytes behind the end of block 0x of 32 bytes' writes
expect 'what a child has from its parent counts once' "$guarded" "$(sed -n 's/.*; \([0-9]* blocks*\) guarded; .*/\1/p' said)"
found exec '' 'PH112 read behind the end: 0 bytes behind the end of block 0x of 32 bytes' reads

found named '' 'PH112 read behind the end: 16 bytes behind the end of block 0x of 32 bytes' reads
has 'the heap by its name' '^  address 0x[0-9a-f]*, heap 0x[0-9a-f]* (parser), thread ' said
stress --heap=parser -- ./stressed named
expect 'the heap that is asked for' 99 $?
stress --heap=other -- ./stressed named
expect 'a heap that is not asked for' 0 $?
# shellcheck disable=SC2016
stress --side=both -- sh -c 'echo >>times; exec ./stressed over-read'
expect 'found in the first run: there is no second' '99 1' "$? $(wc -l <times)"
stress --module=stressed -- ./stressed over-read
expect 'the module that is asked for' 99 $?

stress --leaks -- ./stressed loses
expect 'lost: exit code' 99 $?
has 'lost' '^==[0-9]*== PH117 leaked, nobody points to it: block 0x[0-9a-f]* of 48 bytes: 1 block, 48 bytes$' said
has 'lost: who had it' '^  allocated by thread [0-9]* here:$' said
stress -- ./stressed loses
expect 'lost, and nobody asks' 0 $?

if [ "$has_lines" != 0 ] && echo 'namespace deep { struct thing { virtual void run(char *at) { *at = 1; } virtual ~thing() {} }; }
    int main() { char *at = new char[16]; deep::thing *it = new deep::thing; it->run(at + 16); }' >plain.cc && $CXX -g -O0 plain.cc -o plain 2>/dev/null; then
    stress -- ./plain
    has 'names of C++' '^    #0 deep::thing::run(char\*) .*plain\.cc:1 (plain+0x' said
else
    echo 'no C++ here, or no lines: its names are not looked at'
fi

# ---- nothing is found -----------------------------------------------------------------------------

for code in 0 1 99; do
    stress -- ./stressed $code
    expect "the program's exit code" "$code" $?
    expect 'nothing is said' '' "$(cat said)"
done
stress -- ./stressed under-read
expect 'what the side start is needed for' 0 $?
{ stress -- ./stressed slips-and-crashes; } 2>shell
expect 'a crash after a slip' 99 $?
grep -q 'PH110 changed behind its end: 1 byte behind the end of block' said || complain "of a slip before a crash we say: $(cat said)"
{ stress -- ./stressed crash; } 2>shell
expect 'a crash that is none of ours' 139 $?
[ -s shell ] || complain 'the command did not end by the signal itself'
[ -s said ] && complain "of a crash we say: $(cat said)"
expect 'input and output' 'one two 6 ' "$(printf 'one\ntwo\n' | "$privheap" stress -- ./stressed echo | tr '\n' ' '; echo "${PIPESTATUS[1]} ")"
expect 'input, twice' 'one one 6 ' "$(printf 'one\n' | "$privheap" stress --side=both -- ./stressed echo | tr '\n' ' '; echo "${PIPESTATUS[1]} ")"
expect 'nothing is left behind' '' "$(ls -A tmp)"
stress --budget=8k --continue -- ./stressed many
has 'what was not guarded' 'guarded, [0-9]* of [0-9to ]* bytes with canaries only (the budget: [0-9]*); ' said
(ulimit -v 2000000 && stress -- ./stressed after-many)
expect 'under a bound on addresses: exit code' 99 $?
has 'under a bound on addresses' '^==[0-9]*== PH114 read after free: 7 bytes into block 0x[0-9a-f]* of 32 bytes$' said
has 'under a bound on addresses: all are guarded' ': 1 finding; 3000[0-9] blocks guarded; ' said
(ulimit -v 2000000 && stress --max-slowdown=1 -- ./stressed after-many) # freed blocks stay accessible
grep -q 'no address space' said && complain "under a bound on addresses, what is freed is not taken again: $(cat said)"
stress --unaligned -- ./stressed aligned
expect 'unaligned: blocks whose alignment was asked for' 0 $?
stress --size=1000- -- ./stressed over-read
expect 'a size that is not asked for' 0 $?
stress --module=libother.so -- ./stressed over-read
expect 'a module that is not asked for' 0 $?
has 'a module that no block is of' ': nothing was found; 0 blocks guarded; ' said

# ---- several ---------------------------------------------------------------------------------------

stress --continue -- ./stressed many
expect 'several: exit code' 99 $?
expect 'several: kinds' 'PH112 PH114 ' "$(sed -n 's/^==[0-9]*== \(PH[0-9]*\) .*/\1/p' said | tr '\n' ' ')"
has 'several: findings' ': 2 findings; ' said
stress -- ./stressed twins
has 'the same twice' ': 1 finding (2 times); ' said
expect 'the same twice is shown once' 1 "$(grep -c '^==' said)"
stress --exit-code=3 --log=report --continue -- ./stressed many
expect 'exit code of our own' 3 $?
expect 'nothing but in the log' '' "$(cat out said)"
has 'log' '^==[0-9]*== PH112 ' report
stress --quiet -- ./stressed twice
expect 'quiet' '99' "$?$(cat out said)"

# As soon as it is there, though the program lives on.
"$privheap" stress --max-slowdown=0 --log=live -- ./stressed lives-on "$work/go" &
for _ in $(seq 600); do grep -q '^==[0-9]*== PH112 ' live 2>/dev/null && break; sleep 0.1; done
grep -q 'explain PH112' live || complain 'nothing is told while the program lives'
jobs %1 >/dev/null 2>&1 || complain 'the program did not live on'
touch go
wait %1
expect 'exit code of one that lived on' 99 $?

# ---- suppressions ------------------------------------------------------------------------------------

printf '# known\n\nPH112:*stressed\ndouble-free:nobody\nuse-after-free-guard:give\n' >known
stress --suppress=known -- ./stressed many
code=$?
if [ "$has_lines" = 0 ]; then
    expect 'by module' 99 $code
else
    expect 'all are known' 0 $code
    has 'how many are' ': nothing was found, 2 suppressed (2 times); ' said
fi
printf '114:/*/stressed\n' >known
stress --suppress=known -- ./stressed many
expect 'one is known' 99 $?
has 'how many are' ': 1 finding, 1 suppressed (1 time)' said
expect 'the known one is not shown' 'PH112 ' "$(sed -n 's/^==[0-9]*== \(PH[0-9]*\) .*/\1/p' said | tr '\n' ' ')"

"$privheap" stress -- ./stressed busy-parent >out 2>said
expect 'in the child of a process whose time is short' 99 $?
has 'in the child of a process whose time is short' '^==[0-9]*== PH114 read after free: 3 bytes into block 0x[0-9a-f]* of 32 bytes$' said
timeout 20 "$privheap" stress --suppress=/dev/zero -- ./stressed 0 2>said
expect 'a file without an end' 125 $?
stress --suppress=/dev/null -- ./stressed 0
expect 'a file without lines' 0 $?

# ---- for programs ---------------------------------------------------------------------------------------

if command -v python3 >/dev/null; then
    stress --json=found.json --sarif=found.sarif --quiet --continue --seed=4 -- ./stressed many 'a "word" \ '
    python3 - <<'EOF' || complain 'JSON or SARIF is not as it should be'
import json
found = json.load(open('found.json'))
assert found['schema'] == 'privheap.stress/1' and found['seed'] == 4 and found['found'] == 2
assert found['program'] == ['./stressed', 'many', 'a "word" \\ ']
first = found['findings'][0]
assert first['number'] == 'PH112' and first['bytes'] == 32 and first['offset'] == 32 and first['write'] is False
assert first['stack']['frames'] and first['allocated']['frames'] and 'freed' not in first
assert found['findings'][1]['freed']['frames'] and found['runs'][0]['guarded'] >= 4
assert found['runs'][0]['exit'] == 0 and found['runs'][0]['processes'] == 1
sarif = json.load(open('found.sarif'))
assert sarif['version'] == '2.1.0' and len(sarif['runs']) == 1
run = sarif['runs'][0]
rules = run['tool']['driver']['rules']
assert len(run['results']) == 2 and len(rules) > 15
for result in run['results']:
    assert rules[result['ruleIndex']]['id'] == result['ruleId'] and result['message']['text']
    assert result['stacks'][0]['frames']
EOF
    "$privheap" stress --json --quiet -- ./stressed 0 | python3 -m json.tool >/dev/null || complain '--json without a file'
    [ "$has_lines" = 0 ] || python3 - <<'EOF' || complain 'SARIF has no lines'
import json
place = json.load(open('found.sarif'))['runs'][0]['results'][0]['locations'][0]['physicalLocation']
assert place['artifactLocation']['uri'].endswith('tests/stressed.c') and place['region']['startLine'] > 0
EOF
else
    echo 'python3 is not installed: JSON and SARIF are not looked at'
fi

# ---- signals --------------------------------------------------------------------------------------------

for row in USR1:30 TERM:143; do
    mkfifo ready
    "$privheap" stress -- ./stressed signals >ready 2>said &
    read -r word <ready
    expect 'the program runs' ready "$word"
    kill -"${row%:*}" $!
    wait $! 2>/dev/null
    expect "signal ${row%:*} is passed on" "${row#*:}" $?
    rm ready
done

# ---- the debugger ------------------------------------------------------------------------------------------

if command -v gdb >/dev/null; then
    printf 'set confirm off\nrun\nbt\nshow environment PRIVHEAP_STRESS\nquit\n' | HOME=$work timeout 120 "$privheap" stress --gdb --max-slowdown=0 --seed=3 -- ./stressed over-read >out 2>&1
    if grep -qi 'not permitted\|could not trace\|ptrace' out; then
        echo 'the system lets no debugger in: --gdb is not looked at'
    else
        has 'gdb: what it stops at' 'received signal SIGABRT' out
        has 'gdb: the report' 'PH112 read behind the end' out
        has 'gdb: where' '^#.* reads ' out
        has 'gdb: how it runs' 'PRIVHEAP_STRESS = side:end,seed:3,slowdown:0' out
    fi
else
    echo 'gdb is not installed: --gdb is not looked at'
fi

# ---- mistakes ---------------------------------------------------------------------------------------------

mistake() { # EXIT PATTERN WORD...
    local code=$1 pattern=$2
    shift 2
    "$privheap" "$@" >out 2>said
    expect "$*: exit code" "$code" $?
    expect "$*: one line" 1 "$(wc -l <said)"
    has "$*" "$pattern" said
}
mistake 125 'which program?' stress
mistake 125 "'--sode=end' is not an option; did you mean --side" stress --sode=end -- ./stressed
mistake 125 "'-side=end' is not an option; did you mean --side" stress -side=end -- ./stressed
mistake 125 'side: "left" is none of end, start, random and both' stress --side=left ./stressed
mistake 125 'quarantine: "lots" is not a number of bytes' stress --quarantine=lots ./stressed
mistake 125 'quarantine: "0000*\.\.\." is too long' stress --quarantine="$(printf '%0900d' 1)" ./stressed
mistake 125 'size: "9-4" ends before it begins' stress --size=9-4 ./stressed
mistake 125 'rate: "1/0" is not a rate' stress --rate=1/0 ./stressed
mistake 125 'stacks: "17" is not a whole number from 0 to 16' stress --stacks=17 ./stressed
mistake 125 'exit-code: "256" is not a whole number from 0 to 255' stress --exit-code=256 ./stressed
mistake 125 'seed: "x" is not a whole number' stress --seed=x ./stressed
mistake 125 'module: "a,b" is no name of a module' stress --module=a,b ./stressed
mistake 125 '--json: cannot write to .*/nowhere/x' stress --json="$work/nowhere/x" ./stressed
mistake 125 'gdb takes one side' stress --gdb --side=both ./stressed
mistake 125 'cannot read nofile' stress --suppress=nofile ./stressed
printf 'leak:x\nPH999:y\n' >known
mistake 125 'known, line 2: "PH999" is no kind' stress --suppress=known ./stressed
printf 'leak\n' >known
mistake 125 'known, line 1: "leak" has no pattern; a line is KIND:PATTERN' stress --suppress=known ./stressed
mistake 127 'cannot start ./no-such-program: No such file' stress ./no-such-program
mistake 126 'known is not executable' stress ./known
[ -e "$work/nowhere" ] && complain 'a folder was made'

# ---- explain ------------------------------------------------------------------------------------------------

for number in $(sed -n 's/^DIAGNOSTIC(\([0-9]*\),.*/\1/p' "$top_srcdir/lib/diagnostics.def"); do
    "$privheap" explain PH$number >out 2>said || complain "explain PH$number: $(cat said)"
    expect "explain PH$number" "PH$number" "$(sed -n '1s/ .*//p' out)"
    has "explain PH$number" '^Likely causes: ' out
    has "explain PH$number" '^Next: ' out
    grep -q '^\.\|\\' out && complain "explain PH$number has marks of the manual page: $(cat out)"
    [ "$(awk 'length > 80' out)" = '' ] || complain "explain PH$number has long lines"
done
expect 'with or without PH' "$("$privheap" explain PH101)" "$("$privheap" explain 101)"
expect 'by a word' 'PH101 freed twice' "$("$privheap" explain double-free | head -n 1)"
expect 'by part of a word' 'PH110 PH112 ' "$("$privheap" explain overflow | sed -n 's/^\(PH[0-9]*\) .*/\1/p' | tr '\n' ' ')"
expect 'all' "$(grep -c '^DIAGNOSTIC(' "$top_srcdir/lib/diagnostics.def")" "$("$privheap" explain | grep -c '^PH')"
mistake 125 "'PH999' is no report's number" explain PH999
mistake 125 "'leek' is no kind of report; did you mean 'leak' (PH117)" explain leek
mistake 125 "'--all' is not an option" explain --all

exit $failed
