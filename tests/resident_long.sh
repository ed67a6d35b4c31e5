#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# resident_long.sh -- resident.sh with larger heaps, and the soak.

exec sh "$(dirname "$0")/resident.sh" long
