#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# os_pages_all.sh -- os_pages.sh with every suite.

exec "$top_srcdir/tests/os_pages.sh" all
