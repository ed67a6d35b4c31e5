#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# install.sh -- `make install` under DESTDIR puts there what `make installcheck` wants to see (installed.sh), and
# `make uninstall` leaves nothing.

[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
unset MAKEFLAGS MFLAGS MAKELEVEL TESTS
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
dest=$work/dest
status=0

make -s install DESTDIR="$dest" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
make -s installcheck DESTDIR="$dest" || status=1
make -s uninstall DESTDIR="$dest" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
left=$(find "$dest" ! -type d -o -path '*/lib*/privheap' -o -path '*/include/privheap')
[ -z "$left" ] || { echo "left by make uninstall:
$left"; status=1; }
exit $status
