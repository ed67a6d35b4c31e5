#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# soak.sh -- everything at once over the preload object: threads, forks, heaps, walks.  SOAK_SECONDS (60); with an
# argument, that many where SOAK_SECONDS is not given.  Nice, because nothing in it is timed, and others beside it are.

[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
LD_PRELOAD=$preload_object exec nice "$top_builddir/tests/soak" "${SOAK_SECONDS-${1-60}}" "${SOAK_SEED-1}"
