#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# dist.sh -- the distribution has every file of the repository: what a list in some local.mk forgot is
# found here, not by whoever unpacks the release.

command -v git >/dev/null && top=$(git -C "$top_srcdir" rev-parse --show-toplevel 2>/dev/null) &&
    [ "$top" = "$top_srcdir" ] || { echo 'not a git working tree'; exit 77; }

# Of use in the repository only.
not_shipped='.gitignore'

unset MAKEFLAGS MFLAGS MAKELEVEL TESTS
distdir=dist-test.$$
trap 'chmod -R u+w $distdir; rm -rf $distdir dist-test.files' 0
make -s distdir distdir=$distdir || exit 1
(cd "$distdir" && find . -type f) | sed 's|^\./||' | LC_ALL=C sort >dist-test.files
missing=$(git -C "$top_srcdir" ls-files | LC_ALL=C sort | LC_ALL=C comm -23 - dist-test.files |
    grep -vxF "$not_shipped" |
    while read -r file; do [ ! -e "$top_srcdir/$file" ] || echo "$file"; done)
[ -z "$missing" ] && exit 0
echo 'In the repository, but not in the distribution (EXTRA_DIST, dist_..., _SOURCES):'
echo "$missing"
exit 1
