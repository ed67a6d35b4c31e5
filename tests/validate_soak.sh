#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# validate_soak.sh -- HeapValidate gives no false alarm in 100,000 calls while two threads use the heap.

VALIDATE_CALLS=100000 CK_RUN_CASE=use exec "${top_builddir:-.}/tests/check_damage"
