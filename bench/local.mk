# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bench/: programs that measure; built by `make bench`, never by `make` or `make check`.

BENCHES =
BENCHES += %D%/bench_heap_lock
BENCHES += %D%/bench_heap_many
BENCHES += %D%/bench_heaps
BENCHES += %D%/bench_heaps_jemalloc
BENCHES += %D%/bench_heaps_mimalloc
BENCHES += %D%/bench_mixed
BENCHES += %D%/bench_one_size
BENCHES += %D%/bench_patterns
BENCHES += %D%/bench_run
BENCHES += %D%/bench_startup

# Plain programs, on whatever malloc is preloaded; the compiler may not know what malloc is.
%C%_bench_mixed_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_mixed_LDADD =
%C%_bench_mixed_SOURCES = %D%/bench.h %D%/bench_mixed.c
%C%_bench_one_size_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_one_size_LDADD =
%C%_bench_one_size_SOURCES = %D%/bench.h %D%/bench_one_size.c
%C%_bench_patterns_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_patterns_LDADD =
%C%_bench_patterns_SOURCES = \
	%D%/bench.h \
	%D%/bench_patterns.c \
	%D%/pattern.h \
	%D%/patterns_large.c \
	%D%/patterns_process.c \
	%D%/patterns_queue.c \
	%D%/patterns_shape.c \
	%D%/patterns_small.c \
	%D%/patterns_threads.c
%C%_bench_run_LDADD =
%C%_bench_startup_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_startup_LDADD =

# Private heaps.  Ours are linked, as a program's would be; the peers' are whatever is preloaded.  Every call
# goes through one pointer, linked or looked up.
HEAPS_CFLAGS = $(AM_CFLAGS) -fno-builtin -fno-plt
%C%_bench_heap_lock_CFLAGS = $(HEAPS_CFLAGS)
%C%_bench_heap_lock_LDADD = lib/libprivheap.la
%C%_bench_heap_lock_SOURCES = %D%/bench.h %D%/bench_heap_lock.c
%C%_bench_heap_many_CFLAGS = $(HEAPS_CFLAGS)
%C%_bench_heap_many_LDADD = lib/libprivheap.la
%C%_bench_heap_many_SOURCES = %D%/bench.h %D%/bench_memory.h %D%/bench_heap_many.c
%C%_bench_heaps_CFLAGS = $(HEAPS_CFLAGS)
%C%_bench_heaps_LDADD = lib/libprivheap.la
%C%_bench_heaps_SOURCES = %D%/bench.h %D%/bench_memory.h %D%/bench_heaps.h %D%/bench_heaps.c
%C%_bench_heaps_jemalloc_CFLAGS = $(HEAPS_CFLAGS)
%C%_bench_heaps_jemalloc_LDADD =
%C%_bench_heaps_jemalloc_SOURCES = \
	%D%/bench.h %D%/bench_memory.h %D%/bench_heaps.h %D%/bench_heaps_jemalloc.c
%C%_bench_heaps_mimalloc_CFLAGS = $(HEAPS_CFLAGS)
%C%_bench_heaps_mimalloc_LDADD =
%C%_bench_heaps_mimalloc_SOURCES = \
	%D%/bench.h %D%/bench_memory.h %D%/bench_heaps.h %D%/bench_heaps_mimalloc.c

EXTRA_DIST += %D%/compare.awk
EXTRA_DIST += %D%/compare.sh
EXTRA_DIST += %D%/heaps.awk
EXTRA_DIST += %D%/heaps.sh
EXTRA_DIST += %D%/modes.sh
EXTRA_DIST += %D%/peers.sh
EXTRA_DIST += %D%/startup.sh

EXTRA_PROGRAMS += $(BENCHES)
CLEANFILES += $(BENCHES)

bench: all $(BENCHES)
.PHONY: bench
