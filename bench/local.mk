# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bench/: programs that measure.  Built by `make bench-programs`, never by `make`; those of the goals below by
# `make check` too, as tests/bench.sh tries them.
#
#     make bench                 patterns and real programs under every allocator at hand, under 15 minutes
#     make bench-quick           the same, rough, under 2 minutes
#     make bench-readme          the last of these results into README, with its chart
#     make bench-against REV=x   this engine against that of commit x
#
# PEERS='NAME=FILE ...' adds allocators, BENCHFLAGS options of bench.sh (or against.sh).  Results: bench/results/.

BENCHES =
BENCHES += %D%/bench_heap_lock
BENCHES += %D%/bench_heap_many
BENCHES += %D%/bench_heaps
BENCHES += %D%/bench_heaps_jemalloc
BENCHES += %D%/bench_heaps_mimalloc
BENCHES += %D%/bench_startup

# What the goals need.
BENCHES_OF_GOALS =
BENCHES_OF_GOALS += %D%/bench_lines
BENCHES_OF_GOALS += %D%/bench_patterns
BENCHES_OF_GOALS += %D%/bench_ratio
BENCHES_OF_GOALS += %D%/bench_run

# Plain programs, on whatever malloc is preloaded; the compiler may not know what malloc is.
%C%_bench_lines_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_lines_LDADD =
%C%_bench_lines_SOURCES = %D%/bench.h %D%/bench_lines.c
%C%_bench_patterns_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_bench_patterns_LDADD =
%C%_bench_patterns_SOURCES = \
	%D%/bench.h \
	%D%/bench_memory.h \
	%D%/bench_patterns.c \
	%D%/pattern.h \
	%D%/patterns_large.c \
	%D%/patterns_process.c \
	%D%/patterns_queue.c \
	%D%/patterns_shape.c \
	%D%/patterns_small.c \
	%D%/patterns_threads.c
%C%_bench_ratio_LDADD = -lm
%C%_bench_ratio_SOURCES = %D%/bench_ratio.c %D%/statistics.c %D%/statistics.h
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

EXTRA_DIST += %D%/SCALING.md
EXTRA_DIST += %D%/against.sh
EXTRA_DIST += %D%/behind.txt
EXTRA_DIST += %D%/bench.sh
EXTRA_DIST += %D%/charts.awk
EXTRA_DIST += %D%/figures.svg
EXTRA_DIST += %D%/heaps.awk
EXTRA_DIST += %D%/heaps.sh
EXTRA_DIST += %D%/json.awk
EXTRA_DIST += %D%/modes.sh
EXTRA_DIST += %D%/peers.sh
EXTRA_DIST += %D%/programs.sh
EXTRA_DIST += %D%/readme.awk
EXTRA_DIST += %D%/readme.sh
EXTRA_DIST += %D%/results.awk
EXTRA_DIST += %D%/scaling.awk
EXTRA_DIST += %D%/scaling.sh
EXTRA_DIST += %D%/startup.sh
EXTRA_DIST += %D%/table.awk

EXTRA_PROGRAMS += $(BENCHES)
check_PROGRAMS += $(BENCHES_OF_GOALS)
CLEANFILES += $(BENCHES)

bench-programs: all $(BENCHES) $(BENCHES_OF_GOALS)
bench: bench-programs
	PEERS='$(PEERS)' $(SHELL) $(srcdir)/%D%/bench.sh -d . $(BENCHFLAGS)
bench-quick: bench-programs
	PEERS='$(PEERS)' $(SHELL) $(srcdir)/%D%/bench.sh -q -d . $(BENCHFLAGS)
bench-against: bench-programs
	@test -n '$(REV)' || { echo 'say which commit: make bench-against REV=HEAD~1' >&2; exit 2; }
	$(SHELL) $(srcdir)/%D%/against.sh -d . $(BENCHFLAGS) '$(REV)'
bench-readme:
	$(SHELL) $(srcdir)/%D%/readme.sh %D%/results
clean-bench:
	-rm -rf %D%/results
clean-local: clean-bench
.PHONY: bench bench-against bench-programs bench-quick bench-readme clean-bench
