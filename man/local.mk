# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# man/: the manual pages, made from <page>.in and the option table.
