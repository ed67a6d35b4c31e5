# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bench/: programs that measure; built by `make bench`, never by `make` or `make check`.

BENCHES =

EXTRA_PROGRAMS += $(BENCHES)
CLEANFILES += $(BENCHES)

bench: all $(BENCHES)
.PHONY: bench
