#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# programs_modes.sh -- real programs in every mode (programs.sh runs only the quick ones in all of them).

# Nobody waits for this one, and a busy machine is no failure.
case_seconds=${case_seconds-300} modes='default secure tolerant stress' exec "$top_srcdir/tests/programs.sh"
