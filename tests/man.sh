#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# man.sh -- the manual pages are complete and well formed, and every example in them works.

build=${top_builddir:-$PWD}
preload_object=${preload_object:-$build/preload/.libs/libprivheap-preload.so}
command_page=$build/man/privheap.1
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
has_sections "$object_page" 'NAME,SYNOPSIS,DESCRIPTION,ENVIRONMENT,FILES,EXAMPLES,DIAGNOSTICS,SEE ALSO,LIMITS'
for code in 125 126 127; do
    grep -qx "\.It $code" "$command_page" || complain "exit code $code is not in privheap.1"
done
for page in "$command_page" "$object_page"; do
    grep '@' "$page" && complain "$page has a place that was not filled in"
done

# Each example is a line `.Dl $ COMMAND`; /tmp and the installed object are replaced.
if [ -e "$preload_object" ]; then
    examples=0
    scratch=$(mktemp -d) || exit 99
    trap 'rm -rf "$scratch"' EXIT
    sed -n 's/^\.Dl \$ //p' "$command_page" "$object_page" >"$scratch/examples"
    while IFS= read -r example; do
        runnable=$(echo "$example" | sed "s,/tmp/,$scratch/,; s,/[^ =]*/libprivheap-preload\.so,$preload_object,")
        (cd "$scratch" && PATH=$build:$PATH sh -c "$runnable") </dev/null >"$scratch/out" 2>"$scratch/errors" ||
            complain "the example does not work: $example: $(cat "$scratch/errors")"
        grep -E 'ld\.so|is not an option|is ignored' "$scratch/errors" && complain "the example says that: $example"
        examples=$((examples + 1))
    done <"$scratch/examples"
    [ $examples -ge 6 ] || complain "only $examples examples"
    ls "$scratch"/privheap.*.log >/dev/null 2>&1 || complain 'the example with --log wrote no log'
fi

[ $failed -eq 0 ] || exit 1
command -v mandoc >/dev/null || { echo 'mandoc is not installed: the pages were not linted'; exit 77; }
for page in "$command_page" "$object_page"; do
    mandoc -T lint -W warning "$page" || failed=1
done
exit $failed
