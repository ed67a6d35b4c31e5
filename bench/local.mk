# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bench/: programs that measure; built by `make bench`, never by `make` or `make check`.

BENCHES =
BENCHES += %D%/bench_mixed
BENCHES += %D%/bench_one_size
BENCHES += %D%/bench_startup

# Plain programs, on whatever malloc is preloaded; the compiler may not know what malloc is.
%C%_bench_mixed_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_mixed_LDADD =
%C%_bench_mixed_SOURCES = %D%/bench.h %D%/bench_mixed.c
%C%_bench_one_size_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_one_size_LDADD =
%C%_bench_one_size_SOURCES = %D%/bench.h %D%/bench_one_size.c
%C%_bench_startup_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_startup_LDADD =

EXTRA_DIST += %D%/compare.awk
EXTRA_DIST += %D%/compare.sh
EXTRA_DIST += %D%/startup.sh

EXTRA_PROGRAMS += $(BENCHES)
CLEANFILES += $(BENCHES)

bench: all $(BENCHES)
.PHONY: bench
