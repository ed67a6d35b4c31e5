#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# soak_long.sh -- the soak for half an hour (SOAK_SECONDS), then for a tenth of that in secure mode.

here=$(dirname "$0") long=${SOAK_SECONDS-1800}
sh "$here/soak.sh" "$long" && SOAK_SECONDS=$((long / 10 + 1)) PRIVHEAP_MODE=secure sh "$here/soak.sh"
