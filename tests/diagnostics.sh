#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# diagnostics.sh -- each number of lib/diagnostics.def has its section in privheap-diagnostics(7), with its words and
# with likely causes and what to do next; no other number has one, and no number stands for two kinds.

top=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
page=${top_builddir:-$PWD}/man/privheap-diagnostics.7
failed=0

complain() { echo "FAILED: $*"; failed=1; }

sed -n 's/^DIAGNOSTIC(\([0-9]*\), [A-Z_]*, "\(.*\)")$/PH\1 \2/p' "$top/lib/diagnostics.def" >diagnostics.listed.tmp
sed -n 's/^\.Ss \(PH[0-9]* .*\)/\1/p' "$page" >diagnostics.told.tmp
[ "$(wc -l <diagnostics.listed.tmp)" -ge 15 ] || complain 'diagnostics.def has hardly any lines'
[ "$(wc -l <diagnostics.listed.tmp)" -eq "$(grep -c '^DIAGNOSTIC(' "$top/lib/diagnostics.def")" ] ||
    complain 'diagnostics.def has a line that cannot be read'
diff diagnostics.listed.tmp diagnostics.told.tmp || complain 'the list (<) and the page (>) differ'
[ -z "$(cut -d ' ' -f 1 diagnostics.listed.tmp | sort | uniq -d)" ] || complain 'a number is there twice'

while read -r number words; do
    awk -v head=".Ss $number " 'index($0, ".Ss ") == 1 || index($0, ".Sh ") == 1 { inside = index($0, head) == 1 } inside' "$page" |
        grep -q '^Likely causes: ' || complain "$number ($words) has no likely causes"
    awk -v head=".Ss $number " 'index($0, ".Ss ") == 1 || index($0, ".Sh ") == 1 { inside = index($0, head) == 1 } inside' "$page" |
        grep -q '^Next: ' || complain "$number ($words) does not say what to do next"
done <diagnostics.told.tmp

# What the page points to exists.
for number in $(grep -o 'PH[0-9][0-9]*' "$page" | sort -u); do
    grep -q "^$number " diagnostics.listed.tmp || complain "the page refers to $number, which does not exist"
done
for variable in $(sed -n 's/^\.Ev PRIVHEAP_\([A-Z_]*\).*/\1/p' "$page" | sort -u); do
    grep -q "^OPTION($variable," "$top/lib/options.def" || complain "the page refers to PRIVHEAP_$variable, which is no option"
done
rm -f diagnostics.listed.tmp diagnostics.told.tmp
exit $failed
