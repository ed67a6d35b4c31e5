#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# man.sh -- the manual pages are complete and well formed, those of section 3 say what the headers say, and every
# command in EXAMPLES works (programs: examples.sh).

build=${top_builddir:-$PWD}
preload_object=${preload_object:-$build/preload/.libs/libprivheap-preload.so}
command_page=$build/man/privheap.1
compare_page=$build/man/privheap-compare.1
rules_page=$build/man/privheap-rules.5
object_page=$build/man/libprivheap-preload.7
failed=0

complain() { echo "FAILED: $*"; failed=1; }

# has_sections PAGE NAME,...
has_sections() {
    echo "$2" | tr , '\n' >man.sections.tmp
    while read -r name; do
        grep -qx "\.Sh $name" "$1" || complain "$1 has no section $name"
    done <man.sections.tmp
    rm -f man.sections.tmp
}
has_sections "$command_page" 'NAME,SYNOPSIS,DESCRIPTION,OPTIONS,ENVIRONMENT,FILES,EXIT STATUS,EXAMPLES,DIAGNOSTICS,SEE ALSO,CAVEATS'
has_sections "$compare_page" 'NAME,SYNOPSIS,DESCRIPTION,OPTIONS,ENVIRONMENT,EXIT STATUS,EXAMPLES,SEE ALSO,CAVEATS'
has_sections "$rules_page" 'NAME,SYNOPSIS,DESCRIPTION,ENVIRONMENT,FILES,EXIT STATUS,EXAMPLES,SEE ALSO'
has_sections "$build/man/privheap-oom.1" 'NAME,SYNOPSIS,DESCRIPTION,OPTIONS,ENVIRONMENT,EXIT STATUS,EXAMPLES,SEE ALSO,LIMITS,CAVEATS'
has_sections "$build/man/privheap-chaos.1" 'NAME,SYNOPSIS,DESCRIPTION,OPTIONS,ENVIRONMENT,EXIT STATUS,EXAMPLES,SEE ALSO,CAVEATS'
has_sections "$build/man/privheap-stress.1" 'NAME,SYNOPSIS,DESCRIPTION,OPTIONS,SUPPRESSIONS,ENVIRONMENT,FILES,EXIT STATUS,EXAMPLES,SEE ALSO,LIMITS,CAVEATS'
has_sections "$build/man/privheap-explain.1" 'NAME,SYNOPSIS,DESCRIPTION,OPTIONS,EXIT STATUS,EXAMPLES,SEE ALSO'
has_sections "$object_page" 'NAME,SYNOPSIS,DESCRIPTION,ENVIRONMENT,FILES,EXAMPLES,DIAGNOSTICS,SEE ALSO,LIMITS'
for code in 125 126 127; do
    grep -qx "\.It $code" "$command_page" || complain "exit code $code is not in privheap.1"
done
for page in "$build"/man/*.[1-9]; do
    grep '@' "$page" && complain "$page has a place that was not filled in"
done

# Section 3: all there, and the functions as the headers declare them.
function_pages=$(grep -L '^\.so ' "$build"/man/*.3)
for page in $function_pages; do
    has_sections "$page" 'NAME,SYNOPSIS,DESCRIPTION,RETURN VALUES,EXAMPLES,ERRORS,SEE ALSO'
    grep -q '^\.Dl cc .*pkg-config --cflags --libs privheap' "$page" || complain "$page does not say how to link"
done
one_form() { sed 's/VOID/void/g; s/  */ /g; s/ *\([(*,]\) */\1/g; s/^ //' | LC_ALL=C sort; }
printf '#include <heapapi.h>\n#include <privheap.h>\n' | $CC -E -P -I"$top_srcdir/lib" - | grep -v '^#' |
    tr '\n' ' ' | sed 's/extern "C" {//g; s/;/\n/g' | grep -v typedef |
    grep -E '[ *]((Heap|GetProcess|GetLast|SetLast)[A-Za-z]*|ph_[a-z_]*) *\(.*\) *$' | one_form >man.headers.tmp
# shellcheck disable=SC2086
awk '
    function word(text) { gsub(/"/, "", text); return text }
    /^\.Sh / { inside = $2 == "SYNOPSIS" }
    !inside { next }
    /^\.Ft / { type = word(substr($0, 5)); next }
    type ~ /^typedef/ { next }
    /^\.Fn / {
        count = split($0, part, "\"")
        name = part[1]; sub(/^\.Fn /, "", name); arguments = ""
        for (i = 2; i <= count; i += 2) arguments = arguments (i > 2 ? "," : "") part[i]
        print type " " name "(" arguments ")"
    }
    /^\.Fo / { name = $2; arguments = "" }
    /^\.Fa / { arguments = arguments (arguments == "" ? "" : ",") word(substr($0, 5)) }
    /^\.Fc/ { print type " " name "(" arguments ")" }' $function_pages | one_form >man.synopses.tmp
# A page may come before its functions, not the other way round.
wrong=$(LC_ALL=C comm -23 man.headers.tmp man.synopses.tmp)
[ -z "$wrong" ] || complain "in the headers, but so in no SYNOPSIS:
$wrong"
while IFS='(' read -r name _; do
    name=${name##*[ *]}
    [ -e "$build/man/$name.3" ] || complain "no page $name(3)"
done <man.synopses.tmp


# The contract has a row for each function of Windows and for each decision.
contract_page=$build/man/privheap_contract.7
for name in $(sed -n 's/.*[ *]\([GHS][A-Za-z]*\)(.*/\1/p' man.synopses.tmp); do
    grep -qx "\.It Fn $name" "$contract_page" || complain "$name is not in privheap_contract(7)"
done
number=1
while [ $number -le 25 ]; do
    grep -q '^\.It \(\\&\)*D'"$number " "$contract_page" || complain "D$number is not in privheap_contract(7)"
    number=$((number + 1))
done
rm -f man.headers.tmp man.synopses.tmp

# The pages that ours send the reader to exist, where they are ours.
sed -n 's/^\.Xr \([Hh]eap[A-Za-z]*\|Get[A-Za-z]*\|ph_[a-z_]*\|.*privheap[a-z_-]*\) \([1-9]\).*/\1.\2/p' "$build"/man/*.[1-9] |
    sort -u >man.references.tmp
while read -r page; do
    [ -e "$build/man/$page" ] || complain "the pages refer to $page, which does not exist"
done <man.references.tmp
rm -f man.references.tmp

# Each example is a line `.Dl $ COMMAND`; /tmp and the installed object are replaced.
if [ -e "$preload_object" ]; then
    examples=0
    scratch=$(mktemp -d) || exit 99
    trap 'rm -rf "$scratch"' EXIT
    sed -n 's/^\.Dl \$ //p' "$command_page" "$compare_page" "$object_page" "$rules_page" "$build/man/privheap-chaos.1" \
        "$build/man/privheap-stress.1" "$build/man/privheap-explain.1" >"$scratch/examples"
    while IFS= read -r example; do
        runnable=$(echo "$example" | sed "s,/tmp/,$scratch/,; s,/[^ =]*/libprivheap-preload\.so,$preload_object,")
        (cd "$scratch" && PATH=$build:$PATH XDG_CONFIG_HOME=$scratch sh -c "$runnable") </dev/null >"$scratch/out" 2>"$scratch/errors" ||
            complain "the example does not work: $example: $(cat "$scratch/errors")"
        grep -E 'ld\.so|is not an option|is ignored' "$scratch/errors" && complain "the example says that: $example"
        examples=$((examples + 1))
    done <"$scratch/examples"
    [ $examples -ge 6 ] || complain "only $examples examples"
    ls "$scratch"/privheap.*.log >/dev/null 2>&1 || complain 'the example with --log wrote no log'
fi

[ $failed -eq 0 ] || exit 1
command -v mandoc >/dev/null || { echo 'mandoc is not installed: the pages were not linted'; exit 77; }
# What it says of other pages depends on which are installed.  Ours name privheap, write -- in commands, and
# have the sentences of options.def on one line each.
for page in $function_pages "$build"/man/*.[157]; do
    mandoc -T lint -W style "$page" 2>/dev/null | grep -v 'referenced manual not found\|system explicitly specified\|verbatim "--"\|input text line longer' && failed=1
done
exit $failed
