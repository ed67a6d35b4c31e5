#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# chaos.sh -- option CHAOS and privheap chaos: each dependence is found and named by its way, its sizes and its module,
# and shown again by the command that is told; programs that depend on nothing are left in peace.

. "${top_srcdir:-$(dirname "$0")/..}/tests/verb.inc"
mkdir tmp
export TMPDIR=$work/tmp

$CC -g -O1 -fno-builtin -w "$top_srcdir/tests/chaotic.c" -o chaotic -pthread || exit 1

setarch -R true 2>shell && fixed='setarch -R' || { fixed=; echo 'addresses are always random here: those that are printed are left out'; }
chaos() { "$privheap" chaos "$@" >report 2>said; }
run() { "$privheap" run --checks=0 --guard-rate=0 "$@" 2>&1; }

# wrong CASE WAY SIZES OPTIONS...: that way, those sizes, this program; and again by the command in the report.
wrong() {
    local case=$1 way=$2 sizes=$3 seen told again
    shift 3
    chaos "$@" -- ./chaotic "$case"
    expect "$case: exit code" 1 $?
    expect "$case: findings" '1 cause of a difference' "$(sed -n '1s/.*; //p' report)"
    expect "$case: way" "$way" "$(sed -n '3s/:.*//p' report)"
    expect "$case: blocks" "  blocks of $sizes by chaotic" "$(sed -n 4p report)"
    seen=$(sed -n 's/^    seed [0-9]*: //p' report)
    again=$(sed -n 's/^  again: //p' report)
    expect "$case: addresses as the runs had them" "${fixed:+$fixed }privheap" "${again%% run *}"
    case $(sed -n 5p report) in
    '  how it ends'*) return ;;
    '  standard output differs, line '*) ;;
    '  standard error differs, line '*) ;;
    *) complain "$case: $(sed -n 5p report)" ;;
    esac
    told=$(eval "${again/privheap run/\"\$privheap\" run}" 2>&1)
    case $told in *"$seen"*) ;; *) complain "$case: $again says $told, not $seen" ;; esac
}

wrong uninitialised fresh '4609 to 5120 bytes, asked for'
wrong after-free freed '33 to 48 bytes, given back'
wrong address-order order '17 to 32 bytes, asked for'
wrong stays move '97 to 112 bytes, asked for'
wrong over-read fresh '17 to 32 bytes, asked for'
wrong over-read fresh '17 to 20 bytes, asked for' --size=10-20
wrong nothing zero '0 to 16 bytes, asked for'
wrong aligned align '49 to 64 bytes, asked for'
wrong reused late '49 to 64 bytes, given back' --ways=fresh+late
wrong to-error fresh '0 to 16 bytes, asked for'
wrong code fresh '0 to 16 bytes, asked for'
wrong pair 'fresh and move' '385 to 416 bytes, asked for'
chaos -- ./chaotic nothing
grep -q '^    seed 1: signal 11' report || complain "a block of nothing: $(cat report)"
chaos --timeout=2 --ways=fresh --size=1 --module=chaotic --seeds=1 -- ./chaotic hangs
expect 'hanging' '1     seed 1: hangs' "$? $(grep -o '^    seed 1: hangs' report)"

# Two causes are two findings.
printf '#!/bin/sh\n./chaotic uninitialised\n./chaotic stays\n' >both.sh
chmod +x both.sh
chaos -- ./both.sh
expect 'two causes' 'fresh move ' "$(sed -n 's/^\([a-z]*\): .*/\1/p' report | tr '\n' ' ')"

# What is not asked for is not found.
for options in --ways=freed+order --size=100- --module=libc.so.6 --size=0-4k; do
    case $options in --size=0-4k) case=uninitialised ;; *) case=after-free ;; esac
    case $options in --ways*) case=uninitialised ;; esac
    chaos "$options" -- ./chaotic "$case"
    expect "$options" 0 $?
done

# Each way alone, and nothing else by it; a seed does the same twice, another does otherwise.
table='uninitialised=fresh after-free=freed address-order=order stays=move over-read=fresh nothing=zero aligned=align'
for row in $table; do
    case=${row%=*}
    plain=$(run --chaos=ways:none ./chaotic $case)
    for way in fresh freed order late move zero align; do
        got=$(run --chaos=seed:3,ways:$way ./chaotic $case)
        if [ $way = "${row#*=}" ]; then
            [ "$got" != "$plain" ] || complain "$case is the same with $way"
        else
            expect "$case, $way" "$plain" "$got"
        fi
    done
done
expect 'the same seed' "$(run --chaos=seed:5 ./chaotic address-order)" "$(run --chaos=seed:5 ./chaotic address-order)"
[ "$(run --chaos=seed:5 ./chaotic address-order)" != "$(run --chaos=seed:6 ./chaotic address-order)" ] || complain 'two seeds, one order'
expect 'no block of 64 bytes is aligned to 32' '0 of 8' "$(run --chaos=ways:align ./chaotic aligned)"
expect 'the exact size' 17 "$(run --chaos=ways:order+align ./chaotic usable)"
expect 'secure mode' 'it stays' "$(run --mode=secure --chaos=seed:1 ./chaotic stays)"

# A double free is one, also of a block that waits or has no bytes.
for bytes in 0 64; do
    { run --chaos=seed:1 ./chaotic twice $bytes >told; } 2>shell
    grep -q 'PH101 freed twice' told || complain "freed twice, $bytes bytes: $(cat told)"
done

# ---- right -----------------------------------------------------------------------------------

right() { # OPTIONS... -- PROGRAM ARGS
    chaos "$@"
    expect "$*" '0 nothing differs' "$? $(sed -n '1s/.*; //p' report)"
    [ -s said ] && complain "$*: $(cat said)"
}
installed() { command -v "$1" >/dev/null || { echo "$1 is not installed: left out"; return 1; }; }

for case in threads forks jumping sizes; do
    right --seeds=3 -- ./chaotic $case
done
right --ignore='0x[0-9a-f]+' -- ./chaotic pointers
right -- ls -l "$top_srcdir"
right -- sort -r "$top_srcdir/NEWS"
right -- sed 's/a/b/g' "$top_srcdir/NEWS"
right -- "${CC%% *}" -v
right -- env
right --seeds=3 -- "${CC%% *}" -O1 -w -S -o - "$top_srcdir/tests/chaotic.c"
installed perl && right --seeds=3 -- perl -e 'print join(",", map { $_ * 2 } 1 .. 1000), "\n"'
installed python3 && right --seeds=3 -- python3 -c 'print(sorted(str(i) for i in range(1000)))'

# ---- what differs without us --------------------------------------------------------------------

chaos -- ./chaotic id
expect 'a number that is never the same' '125 1' "$? $(grep -c '^privheap chaos: two plain runs differ in standard output, line 1: "[0-9]*" and "[0-9]*"; --ignore=REGEX' said)"
right --ignore='^[0-9]+' -- ./chaotic id
chaos --ignore='^[0-9]' -- ./chaotic id
expect 'the first digit only' 125 $?
right --ignore=x --ignore='[0-9]' -- ./chaotic id
chaos --timeout=0.3 -- sleep 20
expect 'a plain run that hangs' '125 privheap chaos: the plain run did not end in 0.3 s' "$? $(cat said)"
if [ -n "$fixed" ]; then
    chaos -- ./chaotic pointers
    expect 'pointers that are printed' '1 1 cause of a difference' "$? $(sed -n '1s/.*; //p' report)"
    grep -q '^  it differs by each of these, too: ' report || complain "pointers that are printed differ by one way only: $(cat report)"
    right -- ./chaotic stack
    expect 'what stands in free memory' "$($fixed "$privheap" run --checks=0 --guard-rate=0 --chaos=ways:none ./chaotic keys)" "$($fixed "$privheap" run --checks=0 --guard-rate=0 --chaos=ways:none ./chaotic keys)"
fi
printf '#!/bin/sh\ntimes=$(cat times)\necho $((times + 1)) >times\n[ $times != 2 ] || echo odd\n' >third.sh
chmod +x third.sh
echo 0 >times
chaos -- ./third.sh
expect 'a difference that does not come again' '0   1 seed differed once and not again: the program itself is not the same each time' "$? $(sed -n 2p report)"
"$privheap" chaos -- sh -c 'touch started; sleep 20' 2>said &
until [ -e started ]; do sleep 0.02; done
kill -TERM $!
wait $!
expect 'interrupted' 130 $?

# ---- the same input each time --------------------------------------------------------------------

printf 'one\ntwo\n' >input
printf '#!/bin/sh\nread -r word; [ "$word" = two ] || ./chaotic uninitialised\n' >second.sh
chmod +x second.sh
for way in pipe file place; do
    case $way in
    pipe) cat input | chaos --json=json -- ./chaotic input ;;
    file) chaos -- ./chaotic input <input ;;
    place) { read -r _; chaos -- ./second.sh; } <input ;;
    esac
    expect "input by $way" '0 nothing differs' "$? $(sed -n '1s/.*; //p' report)"
done
printf '#!/bin/sh\nread -r word && [ "$word" = one ] || echo lost; ./chaotic to-error\n' >reader.sh
chmod +x reader.sh
chaos <input --ways=fresh -- ./reader.sh
grep -q lost report && complain 'a run did not find its input'

head -c 70000000 /dev/zero | chaos --ways=fresh --seeds=1 -- wc -c
expect 'a pipe without end' '0 privheap chaos: standard input is a pipe: of what comes through it the program gets the first 64 MB' "$? $(cat said)"

# ---- its end, rules ----------------------------------------------------------------------------

mkfifo pipe
set -m # else what is in the background ignores SIGINT
for signal in INT TERM HUP; do
    rm -f waiting
    "$privheap" chaos -- sh -c 'echo >waiting; exec sleep 60' 9>pipe >report 2>said &
    exec 3<pipe
    until_true [ -e waiting ] || complain 'the program does not run'
    kill -$signal $!
    timeout 30 cat <&3 || complain "the program lives on behind $signal"
    wait $!
    expect "interrupted by $signal" '130 ' "$? $(ls tmp)"
done
exec 3<&-
set +m
"$privheap" chaos --json=- -- ./chaotic stays >pipe 2>said &
exec 3<pipe
exec 3<&-
wait $!
expect 'nobody reads' '141  ' "$? $(ls tmp) $(cat said)"
"$privheap" chaos --seeds=1 -- sh -c 'rm -f gone; setsid sh -c "echo >gone; exec sleep 60" & until [ -e gone ]; do :; done' 9>pipe >report 2>said &
timeout 30 cat pipe || complain 'a process with a session of its own lives on'
wait $!
expect 'a session of its own' 0 $?
gives 125 'privheap chaos: cannot write to standard output: Bad file descriptor' sh -c '"$0" chaos --seeds=1 -- true >&-' "$privheap"

export XDG_CONFIG_HOME=$work/config
"$privheap" rules add sh purge-delay=77
for options in --seed=1:77 --no-rules:; do
    chaos --seeds=1 "${options%:*}" -- sh -c 'echo "$PRIVHEAP_PURGE_DELAY" >seen'
    expect "${options%:*}" "0 ${options##*:}" "$? $(cat seen)"
done

# ---- JSON, words, exit codes ------------------------------------------------------------------------

chaos --json=- --ways=fresh+move --seeds=2 -- ./chaotic stays 'a "b"'
expect 'JSON' 1 $?
for part in '"schema": "privheap.chaos/1"' '"command": ["./chaotic", "stays", "a \\"b\\""]' '"ways": ["move"], "also": \[\], "seed": 1, "least": 97, "most": 112, "module": "chaotic"' \
    '"differs": "stdout", "line": 1, "plain": "it stays", "other": "it moves", "chaos": "seed:1,ways:move,size:97-112,module:chaotic"'; do
    grep -q "${part//\[\"/\\[\"}" report || complain "no $part in $(cat report)"
done
if installed python3; then python3 -m json.tool report >/dev/null || complain 'that is no JSON'; fi
expect 'nothing is left behind' '' "$(ls tmp)"

while IFS='|' read -r options what; do
    # shellcheck disable=SC2086
    chaos $options </dev/null # which is the table
    expect "exit code of $options" 125 $?
    grep -qF -e "$what" said || complain "$options: $(cat said)"
done <<'END'
--seeds=0 -- true|--seeds: "0" is not a whole number
--seds=1 -- true|did you mean --seeds?
--ways=stale -- true|--ways: "stale" are no ways
--ways=none -- true|--ways: "none" are no ways
--size=9-3 -- true|--size: "9-3" is not a range
--ignore=( -- true|--ignore: "(" is no regular expression
--timeout=x -- true|--timeout: "x" is not a number of seconds
--json= -- true|--json: "" is no file name
--json=nowhere/x -- true|--json: cannot write to nowhere/x: No such file
--module=typo.so --seeds=1 -- ./chaotic stays|no block came from typo.so: --module takes the file name
|which program?
END
chaos -- ./no-such-program
expect 'no such program' 127 $?
for text in seed: ways: ways:fresh+ size:3-2 other:1 'seed:1,'; do
    run --chaos="$text" true >said
    expect "exit code for $text" 125 $?
    grep -q 'it takes seed:N, ways:WAY+WAY' said || complain "$text: $(cat said)"
done
tell_and_exit
