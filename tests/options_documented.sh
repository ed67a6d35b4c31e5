#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# options_documented.sh -- every option of lib/options.def is taken by `privheap run`, and stands
# in its help and in both manual pages, with its sentence; and no other option stands there.

top=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
build=${top_builddir:-$PWD}
privheap=${privheap:-$build/privheap}
[ -x "$privheap" ] || { echo 'the command was not built'; exit 77; }
failed=0

complain() { echo "FAILED: $*"; failed=1; }
own='no-rules' # switches of run that are no options of the heap

# section PAGE NAME: that section's source.
section() { awk -v name="$2" '/^\.Sh / { inside = $0 == ".Sh " name } inside' "$1"; }

command_page=$build/man/privheap.1
object_page=$build/man/libprivheap-preload.7
"$privheap" help run >options.help.tmp || exit 1
tr '\n' ' ' <options.help.tmp >options.words.tmp
help=$(sed 's/  */ /g' options.words.tmp)

names=$(sed -n 's/^OPTION(\([A-Z_]*\),.*/\1/p' "$top/lib/options.def")
[ "$(echo "$names" | wc -l)" -ge 6 ] || complain 'options.def has hardly any options'
[ "$(echo "$names" | wc -l)" = "$(grep -c '^OPTION(' "$top/lib/options.def")" ] ||
    complain 'options.def has a line that cannot be read'

for name in $names; do
    switch=$(echo "$name" | tr A-Z_ a-z-)
    sentence=$(sed -n "s/^OPTION($name,.*\"\(.*\)\").*/\1/p" "$top/lib/options.def")
    rest=${sentence#?}

    grep -q "^  --$switch\(=[A-Z]*\)\{0,1\}\$" options.help.tmp || complain "--$switch is not in the help"
    case $help in *" $sentence PRIVHEAP_$name: "*) ;; *) complain "the help does not say: $sentence" ;; esac

    section "$command_page" OPTIONS | grep -q "^\.It Fl -$switch\( \|\$\)" || complain "--$switch is not in privheap.1"
    section "$command_page" OPTIONS | grep -qF "$rest." || complain "privheap.1 does not say: $sentence"
    for page in "$command_page" "$object_page"; do
        section "$page" ENVIRONMENT | grep -qx "\.It Ev PRIVHEAP_$name" || complain "PRIVHEAP_$name is not in $page"
        section "$page" ENVIRONMENT | grep -qF "$rest." || complain "$page does not say: $sentence"
    done

    said=$("$privheap" run "--$switch=" true 2>&1)
    case $said in "privheap run: --$switch: \"\" is empty; "*) ;; *) complain "--$switch is not taken: $said" ;; esac
done

for name in $(grep -oh 'PRIVHEAP_[A-Z_]*[A-Z]' options.help.tmp "$command_page" "$object_page" | sort -u); do
    echo "$names" | grep -qx "${name#PRIVHEAP_}" || complain "$name is documented, but no option"
done
for switch in $(sed -n 's/^  --\([a-z-]*\).*/\1/p' options.help.tmp) \
    $(section "$command_page" OPTIONS | sed -n 's/^\.It Fl -\([a-z-]*\).*/\1/p'); do
    echo "$names $own" | tr 'A-Z_ ' 'a-z-\n' | grep -qx -e "$switch" || complain "--$switch is documented, but no option"
done
for switch in $own; do
    grep -qx "  --$switch" options.help.tmp || complain "--$switch is not in the help"
    section "$command_page" OPTIONS | grep -q "^\.It Fl -$switch\$" || complain "--$switch is not in privheap.1"
done
rm -f options.help.tmp options.words.tmp
exit $failed
