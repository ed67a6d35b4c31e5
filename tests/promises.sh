#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# promises.sh -- every promise that the code tags (`W32 2.3`: section 2.3 of the Win32 contract)
# must be tagged in a test too.  Prints those that are not.

top=${top_srcdir:-$(dirname "$0")/..}
tags() { grep -rhoE --include='*.[ch]' --include='*.sh' 'W32 [0-9]+(\.[0-9]+)*' "$@" | sort -u; }

tags "$top/tests" >promises.tested.tmp
untested=$(tags "$top/lib" | grep -vxFf promises.tested.tmp)
rm -f promises.tested.tmp
[ -z "$untested" ] && exit 0
echo 'Promises of lib/ that no test names:'
echo "$untested"
exit 1
