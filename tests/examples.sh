#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# examples.sh -- every program in the manual pages and in README compiles without a warning as C99 and as C++17, and
# prints what stands below it, alone and under the preload object.
#
# In a page a program is a literal display (.Bd -literal) of its section EXAMPLES with a main, the next literal
# display what it prints.  In README the same are blocks fenced as c and as text.

library=$top_builddir/lib/.libs
[ -e "$library/libprivheap.so" ] || { echo 'there is no shared library in this build'; exit 77; }
[ -e "$preload_object" ] || { echo 'a sanitizer needs its runtime in every program'; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0 programs=0
complain() { echo "FAILED: $*"; failed=1; }
for variable in $(env | sed -n 's/^\(PRIVHEAP_[A-Z_]*\)=.*/\1/p'); do unset "$variable"; done

# extract FILE NAME: $work/NAME-N.c and $work/NAME-N.expected for its programs.
extract() {
    awk -v out="$work/$2" -v readme="${1##*.}" '
        function flush() {
            if (block ~ /(^|\n)int main\(/) { file = out "-" ++count; printf "%s", block >(file ".c") }
            else if (file != "") { printf "%s", block >(file ".expected"); file = "" }
            inside = 0
        }
        readme == "md" && !inside && /^```(c|text)$/ { inside = 1; block = ""; next }
        readme == "md" && inside && /^```$/ { flush(); next }
        readme != "md" && /^\.Sh / { examples = $2 == "EXAMPLES" }
        readme != "md" && examples && /^\.Bd -literal/ { inside = 1; block = ""; next }
        readme != "md" && inside && /^\.Ed/ { flush(); next }
        inside {
            if (readme != "md") { gsub(/\\e/, "\\"); gsub(/\\&/, ""); gsub(/\\-/, "-") }
            block = block $0 "\n"
        }' "$1"
}
for page in "$top_builddir"/man/*.[1-9]; do
    extract "$page" "$(basename "$page")"
done
extract "$top_srcdir/README.md" README

# runs WHAT PROGRAM EXPECTED
runs() {
    for object in '' "$preload_object"; do
        [ -z "$object" ] || [ -e "$object" ] || continue
        LD_PRELOAD=$object "$2" >"$work/said" 2>&1 || complain "$1 under \"$object\": exit status $?"
        diff -u --label 'on the page' --label 'printed' "$3" "$work/said" || complain "$1 under \"$object\""
    done
}

warnings='-Wall -Wextra -pedantic -Werror'
flags="-I$top_srcdir/lib -L$library -lprivheap -Wl,-rpath,$library -pthread"
for source in "$work"/*.c; do
    name=$(basename "$source" .c)
    expected=${source%.c}.expected
    [ -e "$expected" ] || { complain "$name: the page does not say what it prints"; continue; }
    programs=$((programs + 1))
    # shellcheck disable=SC2086
    if $CC -std=c99 $warnings -o "$work/program" "$source" $flags; then
        runs "$name, C" "$work/program" "$expected"
    else
        complain "$name does not compile as C"
    fi
    command -v "${CXX%% *}" >/dev/null || continue
    # shellcheck disable=SC2086
    if $CXX -std=c++17 -x c++ $warnings -o "$work/program" "$source" -x none $flags; then
        runs "$name, C++" "$work/program" "$expected"
    else
        complain "$name does not compile as C++"
    fi
done

[ $programs -ge 14 ] || complain "only $programs programs"
for page in "$top_builddir"/man/*.3; do
    grep -q '^\.so ' "$page" || [ -e "$work/$(basename "$page")-1.c" ] || complain "$(basename "$page") has no program"
done
echo "$programs programs"
exit $failed
