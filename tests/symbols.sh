#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# symbols.sh -- what the objects offer and need, as `nm -D` and `readelf` see it, is what the
# committed lists say.  symbols.sh --update writes the lists anew, from the objects of the folder
# it is called in (a build folder).

srcdir=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}/tests
build=${top_builddir:-.}
preload=$build/preload/.libs/libprivheap-preload.so
library=$build/lib/.libs/libprivheap.so
check=$build/preload/.libs/libprivheap-check.so
most_tls_bytes=63

[ -e "$preload" ] || { echo 'there is no preload object in this build'; exit 77; }
for tool in nm readelf; do
    command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done

# What is asked of libc depends on the compiler's options: compared in the default build only.
case ${build_flavour-default} in
default | '-g -O2 debug 0' | '-O2 -g debug 0') asked='^' ;;
*) asked='^[^a]' ;; # all but the lines `asks for`
esac

# Names offered, names asked for, libraries asked for, flags.  Versions of libc's symbols are left
# out: they differ from one machine to the next.  So are the weak names of the library, the compiler's hooks; what is
# preloaded has none of those, which cost every process that starts.
describe() {
    LC_ALL=C nm -D --defined-only "$1" | awk '$2 != "A" { print "offers", $2, $3 }' | LC_ALL=C sort
    LC_ALL=C nm -D --undefined-only "$1" | awk '$1 == "U" { sub(/@.*/, "", $2); print "asks for", $2 }' |
        LC_ALL=C sort
    [ "$1" = "$library" ] || LC_ALL=C nm -D --undefined-only "$1" | awk '$1 ~ /^[vw]$/ { sub(/@.*/, "", $2); print "asks for, if there is,", $2 }' |
        LC_ALL=C sort
    LC_ALL=C readelf -dW "$1" | awk '
        $2 == "(NEEDED)" || $2 == "(SONAME)" { gsub(/[][]/, "", $NF); print tolower(substr($2, 2, length($2) - 2)), $NF }
        $2 == "(FLAGS)" { for (i = 3; i <= NF; i++) print "flag", $i }
        $2 == "(FLAGS_1)" { for (i = 4; i <= NF; i++) print "flag", $i }
        $2 == "(TEXTREL)" || $2 == "(RPATH)" || $2 == "(RUNPATH)" { print "must not be:", $0 }'
    LC_ALL=C readelf -lW "$1" | awk '$1 == "GNU_RELRO" { print "relro" } $1 == "GNU_STACK" { print "stack", $7 }'
}

status=0
for object in "$preload" "$check" "$library"; do
    name=$(basename "$object" .so)
    list=$srcdir/symbols.$name.expected
    if [ "$1" = --update ]; then
        describe "$object" >"$list"
        continue
    fi
    describe "$object" | grep "$asked" >"symbols.$name.now"
    grep "$asked" "$list" | diff -u --label "$list" - "symbols.$name.now" || status=1
    rm -f "symbols.$name.now"
    tls=$(LC_ALL=C readelf -lW "$object" | awk '$1 == "TLS" { print $6 }')
    [ $((${tls:-0})) -le $most_tls_bytes ] && continue
    echo "$name takes $((tls)) bytes of static TLS; at most $most_tls_bytes"
    status=1
done

[ $status -eq 0 ] || echo 'If the change is meant: tests/symbols.sh --update, in the build folder.'
exit $status
