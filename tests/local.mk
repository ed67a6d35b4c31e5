# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# tests/: a new test is one line in one of the lists below.  A suite of several files gets a
# %C%_check_<room>_SOURCES as well.

# Check programs, each from tests/check_<room>.c, linked with every room of lib/.
CHECK_SUITES =
CHECK_SUITES += %D%/check_block
CHECK_SUITES += %D%/check_damage
CHECK_SUITES += %D%/check_debug
CHECK_SUITES += %D%/check_cores
CHECK_SUITES += %D%/check_depot
CHECK_SUITES += %D%/check_decisions
CHECK_SUITES += %D%/check_contract_blocks
CHECK_SUITES += %D%/check_contract_create
CHECK_SUITES += %D%/check_contract_debug
CHECK_SUITES += %D%/check_contract_execute
CHECK_SUITES += %D%/check_contract_fixed
CHECK_SUITES += %D%/check_contract_handles
CHECK_SUITES += %D%/check_contract_info
CHECK_SUITES += %D%/check_contract_lock
CHECK_SUITES += %D%/check_contract_native
CHECK_SUITES += %D%/check_contract_pointers
CHECK_SUITES += %D%/check_contract_raise
CHECK_SUITES += %D%/check_contract_realloc
CHECK_SUITES += %D%/check_contract_steps
CHECK_SUITES += %D%/check_contract_summary
CHECK_SUITES += %D%/check_contract_values
CHECK_SUITES += %D%/check_contract_walk
CHECK_SUITES += %D%/check_fork
CHECK_SUITES += %D%/check_gate
CHECK_SUITES += %D%/check_guard
CHECK_SUITES += %D%/check_harden
CHECK_SUITES += %D%/check_heap
CHECK_SUITES += %D%/check_heapapi
CHECK_SUITES += %D%/check_heapinfo
CHECK_SUITES += %D%/check_large
CHECK_SUITES += %D%/check_local
CHECK_SUITES += %D%/check_malloc
CHECK_SUITES += %D%/check_map
CHECK_SUITES += %D%/check_message
CHECK_SUITES += %D%/check_meta
CHECK_SUITES += %D%/check_native
CHECK_SUITES += %D%/check_nested
CHECK_SUITES += %D%/check_options
CHECK_SUITES += %D%/check_os
CHECK_SUITES += %D%/check_ospage
CHECK_SUITES += %D%/check_packed
CHECK_SUITES += %D%/check_page
CHECK_SUITES += %D%/check_raise
CHECK_SUITES += %D%/check_region
CHECK_SUITES += %D%/check_report
CHECK_SUITES += %D%/check_runs
CHECK_SUITES += %D%/check_shard
CHECK_SUITES += %D%/check_sizeclass
CHECK_SUITES += %D%/check_sized
CHECK_SUITES += %D%/check_span
CHECK_SUITES += %D%/check_spanguard
CHECK_SUITES += %D%/check_statistics
CHECK_SUITES += %D%/check_stress
CHECK_SUITES += %D%/check_trace
CHECK_SUITES += %D%/check_unwind
CHECK_SUITES += %D%/check_visit
CHECK_SUITES += %D%/check_walk

# Scripts: what the unit tests cannot see.  Exit 77: skipped, the last line says why.
SCRIPT_TESTS =
SCRIPT_TESTS += %D%/baseline.sh
SCRIPT_TESTS += %D%/bench.sh
SCRIPT_TESTS += %D%/bootstrap.sh
SCRIPT_TESTS += %D%/bugs.sh
SCRIPT_TESTS += %D%/chaos.sh
SCRIPT_TESTS += %D%/compare.sh
SCRIPT_TESTS += %D%/diagnostics.sh
SCRIPT_TESTS += %D%/dist.sh
SCRIPT_TESTS += %D%/dlopen.sh
SCRIPT_TESTS += %D%/examples.sh
SCRIPT_TESTS += %D%/fail.sh
SCRIPT_TESTS += %D%/fault.sh
SCRIPT_TESTS += %D%/fuzz.sh
SCRIPT_TESTS += %D%/guard.sh
SCRIPT_TESTS += %D%/headers.sh
SCRIPT_TESTS += %D%/install.sh
SCRIPT_TESTS += %D%/layers.sh
SCRIPT_TESTS += %D%/layout.sh
SCRIPT_TESTS += %D%/limits.sh
SCRIPT_TESTS += %D%/lock_order.pl
SCRIPT_TESTS += %D%/lost.sh
SCRIPT_TESTS += %D%/man.sh
SCRIPT_TESTS += %D%/misuse.sh
SCRIPT_TESTS += %D%/modes_loader.sh
SCRIPT_TESTS += %D%/modes_memory.sh
SCRIPT_TESTS += %D%/modes_system.sh
SCRIPT_TESTS += %D%/oom.sh
SCRIPT_TESTS += %D%/options_documented.sh
SCRIPT_TESTS += %D%/os_pages.sh
SCRIPT_TESTS += %D%/preload.sh
SCRIPT_TESTS += %D%/programs.sh
SCRIPT_TESTS += %D%/promises.sh
SCRIPT_TESTS += %D%/reports.sh
SCRIPT_TESTS += %D%/resident.sh
SCRIPT_TESTS += %D%/rules.sh
SCRIPT_TESTS += %D%/run.sh
SCRIPT_TESTS += %D%/sample.sh
SCRIPT_TESTS += %D%/signals.sh
SCRIPT_TESTS += %D%/stress.sh
SCRIPT_TESTS += %D%/stress_verb.sh
SCRIPT_TESTS += %D%/stress_matrix.sh
SCRIPT_TESTS += %D%/stress_tutorial.sh
SCRIPT_TESTS += %D%/symbols.sh
SCRIPT_TESTS += %D%/thp.sh
SCRIPT_TESTS += %D%/versions.sh
SCRIPT_TESTS += %D%/walk_preload.sh

# Programs that scripts run, each from its one .c file.
HELPERS =
HELPERS += %D%/fault
HELPERS += %D%/fuzz_ops
HELPERS += %D%/fuzz_options
HELPERS += %D%/soak
HELPERS += %D%/guarded
HELPERS += %D%/idle
HELPERS += %D%/limits
HELPERS += %D%/lost
HELPERS += %D%/modes_memory
HELPERS += %D%/modes_seccomp
HELPERS += %D%/modes_system
HELPERS += %D%/resident
HELPERS += %D%/stress_heap
HELPERS += %D%/stress_malloc
HELPERS += %D%/stress_private
HELPERS += %D%/stress_walk
HELPERS += %D%/thp
HELPERS += %D%/walk_preload

# The corpus of heap bugs, run by bugs.sh.
HELPERS += %D%/bugs/bugs
HELPERS += %D%/bugs/right
HELPERS += %D%/bugs/tricks
HELPERS += %D%/bugs/where
if HAVE_CXX
HELPERS += %D%/bugs/bugs_new
HELPERS += %D%/bugs/right_new
endif

# Every misuse in every size, way and place, run by stress_matrix.sh.
HELPERS += %D%/misuse/stress/matrix
if HAVE_CXX
HELPERS += %D%/misuse/stress/matrix_new
endif

# For `make check-long` only: programs or scripts, the quick ones first.
LONG_TESTS =
LONG_TESTS += %D%/malloc_modes.sh
if HAVE_CHECK
LONG_TESTS += %D%/validate_soak.sh
LONG_TESTS += %D%/os_pages_all.sh
endif
LONG_TESTS += %D%/modes_overcommit.sh
LONG_TESTS += %D%/musl.sh
LONG_TESTS += %D%/bench_against.sh
LONG_TESTS += %D%/models.sh
LONG_TESTS += %D%/programs_modes.sh
LONG_TESTS += %D%/aarch64.sh
LONG_TESTS += %D%/fault_all.sh
LONG_TESTS += %D%/fuzz_long.sh
LONG_TESTS += %D%/resident_long.sh
LONG_TESTS += %D%/soak_long.sh

# Programs without Check that start themselves again with the object preloaded.
PRELOADED_TESTS =
PRELOADED_TESTS += %D%/flat
PRELOADED_TESTS += %D%/checked
if HAVE_CXX
PRELOADED_TESTS += %D%/check_new
endif

# Programs without Check, linked to the library as a program of its users is.
LINKED_TESTS =
if HAVE_CXX
LINKED_TESTS += %D%/check_throw
endif

EXTRA_DIST += %D%/aarch64.sh
EXTRA_DIST += %D%/bench_against.sh
EXTRA_DIST += %D%/check_empty_heap.h
EXTRA_DIST += %D%/check_process.h
EXTRA_DIST += %D%/check_room.h
EXTRA_DIST += %D%/dlopen.c
EXTRA_DIST += %D%/chaotic.c
EXTRA_DIST += %D%/driver.sh
EXTRA_DIST += %D%/emulated.h
EXTRA_DIST += %D%/corpus
EXTRA_DIST += %D%/failing.c
EXTRA_DIST += %D%/failing.cc
EXTRA_DIST += %D%/oomed.c
EXTRA_DIST += %D%/oomed_library.c
EXTRA_DIST += %D%/stressed.c
EXTRA_DIST += %D%/fault_all.sh
EXTRA_DIST += %D%/fuzz_long.sh
EXTRA_DIST += %D%/headers_layout.c
EXTRA_DIST += %D%/installed.sh
EXTRA_DIST += %D%/misuse/double_free_after_fork.c
EXTRA_DIST += %D%/misuse/double_free_after_many.c
EXTRA_DIST += %D%/misuse/double_free_after_uses.c
EXTRA_DIST += %D%/misuse/double_free_aligned.c
EXTRA_DIST += %D%/misuse/double_free_at_exit.c
EXTRA_DIST += %D%/misuse/double_free_between_others.c
EXTRA_DIST += %D%/misuse/double_free_by_realloc.c
EXTRA_DIST += %D%/misuse/double_free_large.c
EXTRA_DIST += %D%/misuse/double_free_large_moved.c
EXTRA_DIST += %D%/misuse/double_free_run.c
EXTRA_DIST += %D%/misuse/double_free_small.c
EXTRA_DIST += %D%/misuse/double_free_smallest.c
EXTRA_DIST += %D%/misuse/double_free_thread_exit.c
EXTRA_DIST += %D%/misuse/double_free_two_others.c
EXTRA_DIST += %D%/misuse/double_free_two_threads.c
EXTRA_DIST += %D%/misuse/free_in_large.c
EXTRA_DIST += %D%/misuse/free_in_run.c
EXTRA_DIST += %D%/misuse/free_interior.c
EXTRA_DIST += %D%/misuse/free_interior_of_free.c
EXTRA_DIST += %D%/misuse/free_left_over.c
EXTRA_DIST += %D%/misuse/free_misaligned.c
EXTRA_DIST += %D%/misuse/free_never_given.c
EXTRA_DIST += %D%/misuse/free_on_stack.c
EXTRA_DIST += %D%/misuse/free_pattern.c
EXTRA_DIST += %D%/misuse/free_static.c
EXTRA_DIST += %D%/misuse/free_unmapped.c
EXTRA_DIST += %D%/misuse/misuse.h
EXTRA_DIST += %D%/misuse/nothing.c
EXTRA_DIST += %D%/misuse/realloc_interior.c
EXTRA_DIST += %D%/misuse/realloc_misaligned.c
EXTRA_DIST += %D%/misuse/realloc_twice.c
EXTRA_DIST += %D%/misuse/realloc_twice_after_many.c
EXTRA_DIST += %D%/misuse/write_after_free.c
EXTRA_DIST += %D%/misuse/write_before_heap.c
EXTRA_DIST += %D%/misuse/write_behind_after_many.c
EXTRA_DIST += %D%/modes_audit.c
EXTRA_DIST += %D%/modes_hooks.c
EXTRA_DIST += %D%/modes_host.c
EXTRA_DIST += %D%/modes_late.c
EXTRA_DIST += %D%/modes_overcommit.sh
EXTRA_DIST += %D%/modes_plugin.c
EXTRA_DIST += %D%/modes_second.c
EXTRA_DIST += %D%/models.sh
EXTRA_DIST += %D%/models/fork.pml
EXTRA_DIST += %D%/models/gate.pml
EXTRA_DIST += %D%/models/handover.pml
EXTRA_DIST += %D%/misuse/tutorial/average.c
EXTRA_DIST += %D%/misuse/tutorial/shapes.cc
EXTRA_DIST += %D%/misuse/tutorial/visitors.c
EXTRA_DIST += %D%/misuse/write_fresh.c
EXTRA_DIST += %D%/musl.sh
EXTRA_DIST += %D%/os_pages_all.sh
EXTRA_DIST += %D%/preload_fork.c
EXTRA_DIST += %D%/preload_getlasterror.c
EXTRA_DIST += %D%/preload_host.c
EXTRA_DIST += %D%/preload_library.c
EXTRA_DIST += %D%/preload_life.c
EXTRA_DIST += %D%/preload_second.c
EXTRA_DIST += %D%/preload_thread_end.c
EXTRA_DIST += %D%/preload_thrower.cc
EXTRA_DIST += %D%/malloc_modes.sh
EXTRA_DIST += %D%/programs_modes.sh
EXTRA_DIST += %D%/reports.c
EXTRA_DIST += %D%/sample.c
EXTRA_DIST += %D%/signals/modes.c
EXTRA_DIST += %D%/signals/storm.c
EXTRA_DIST += %D%/signals/storm.h
EXTRA_DIST += %D%/slowest.sh
EXTRA_DIST += %D%/resident_long.sh
EXTRA_DIST += %D%/soak_long.sh
EXTRA_DIST += %D%/symbols.libprivheap-check.expected
EXTRA_DIST += %D%/symbols.libprivheap-preload.expected
EXTRA_DIST += %D%/symbols.libprivheap.expected
EXTRA_DIST += %D%/tally.sh
EXTRA_DIST += %D%/validate_soak.sh
EXTRA_DIST += %D%/verb.inc

# ---- how they are built ---------------------------------------------------------------------

AM_CPPFLAGS += $(CHECK_CFLAGS)
LDADD = lib/libcore.la $(CHECK_LIBS)

%C%_check_damage_SOURCES = %D%/check_damage.h %D%/check_damage.c %D%/check_damage_collect.c
%C%_check_debug_SOURCES = %D%/check_debug.c %D%/check_heapapi.h
# They know the library as a program of its users does.
%C%_check_contract_blocks_SOURCES = %D%/check_contract.h %D%/check_contract_blocks.c
%C%_check_contract_blocks_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_blocks_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_create_SOURCES = %D%/check_contract.h %D%/check_contract_create.c
%C%_check_contract_create_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_create_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_fixed_SOURCES = %D%/check_contract.h %D%/check_contract_fixed.c
%C%_check_contract_fixed_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_fixed_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_realloc_SOURCES = %D%/check_contract.h %D%/check_contract_realloc.c
%C%_check_contract_realloc_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_realloc_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_values_SOURCES = %D%/check_contract.h %D%/check_contract_values.c
%C%_check_contract_values_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_values_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_handles_SOURCES = %D%/check_contract.h %D%/check_contract_handles.c
%C%_check_contract_handles_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_handles_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_pointers_SOURCES = %D%/check_contract.h %D%/check_contract_pointers.c
%C%_check_contract_pointers_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_pointers_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_walk_SOURCES = %D%/check_contract.h %D%/check_contract_walk.c
%C%_check_contract_walk_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_walk_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_steps_SOURCES = %D%/check_contract.h %D%/check_contract_steps.c
%C%_check_contract_steps_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_steps_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_lock_SOURCES = %D%/check_contract.h %D%/check_contract_lock.c
%C%_check_contract_lock_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_lock_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_execute_SOURCES = %D%/check_contract.h %D%/check_contract_execute.c
%C%_check_contract_execute_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_execute_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_info_SOURCES = %D%/check_contract.h %D%/check_contract_info.c
%C%_check_contract_info_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_info_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_raise_SOURCES = %D%/check_contract.h %D%/check_contract_raise.c
%C%_check_contract_raise_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_raise_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_debug_SOURCES = %D%/check_contract.h %D%/check_contract_debug.c
%C%_check_contract_debug_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_debug_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_native_SOURCES = %D%/check_contract.h %D%/check_contract_native.c
%C%_check_contract_native_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_native_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_contract_summary_SOURCES = %D%/check_contract.h %D%/check_contract_summary.c
%C%_check_contract_summary_LDADD = lib/libprivheap.la $(CHECK_LIBS)
%C%_check_contract_summary_LDFLAGS = $(AM_LDFLAGS) -no-install

%C%_check_heapapi_SOURCES = %D%/check_heapapi.h
%C%_check_heapapi_SOURCES += %D%/check_heapapi.c
%C%_check_heapapi_SOURCES += %D%/check_heapapi_bad.c
%C%_check_heapapi_SOURCES += %D%/check_heapapi_blocks.c
%C%_check_heapinfo_SOURCES = %D%/check_heapapi.h %D%/check_heapinfo.h
%C%_check_heapinfo_SOURCES += %D%/check_heapinfo.c
%C%_check_heapinfo_SOURCES += %D%/check_heapinfo_set.c
%C%_check_message_SOURCES = %D%/check_message.c %D%/check_said.h
%C%_check_options_SOURCES = %D%/check_options.c %D%/check_said.h
%C%_check_sized_SOURCES = %D%/check_heapapi.h %D%/check_sized.c
%C%_check_statistics_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bench
%C%_check_statistics_LDADD = $(CHECK_LIBS) -lm
%C%_check_statistics_SOURCES = %D%/check_statistics.c bench/statistics.h bench/statistics.c
%C%_check_walk_SOURCES = %D%/check_heapapi.h %D%/check_walk.c %D%/churn.h %D%/churn.c

# Nothing of ours is linked to these; and the compiler must not leave calls of malloc out.
%C%_check_malloc_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_check_malloc_LDADD = $(CHECK_LIBS)
%C%_check_malloc_SOURCES = %D%/check_malloc.h
%C%_check_malloc_SOURCES += %D%/check_malloc.c
%C%_check_malloc_SOURCES += %D%/check_malloc_aligned.c
%C%_check_malloc_SOURCES += %D%/check_malloc_basic.c
%C%_check_malloc_SOURCES += %D%/check_malloc_names.c
%C%_check_malloc_SOURCES += %D%/check_malloc_processes.c
%C%_check_malloc_SOURCES += %D%/check_malloc_realloc.c
%C%_check_malloc_SOURCES += %D%/check_malloc_shadow.c
%C%_check_malloc_SOURCES += %D%/check_malloc_statistics.c
%C%_check_malloc_SOURCES += %D%/check_malloc_threads.c
%C%_check_malloc_SOURCES += %D%/check_malloc_usable.c
%C%_check_malloc_SOURCES += %D%/preloaded.h
%C%_check_malloc_SOURCES += %D%/preloaded.c
%C%_check_new_CXXFLAGS = $(AM_CXXFLAGS) -fsized-deallocation
%C%_check_new_LDADD =
%C%_check_new_SOURCES = %D%/check_new.cc %D%/preloaded.h %D%/preloaded.c
%C%_flat_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_flat_LDADD =
%C%_flat_SOURCES = %D%/flat.c %D%/preloaded.h %D%/preloaded.c
%C%_checked_CFLAGS = $(AM_CFLAGS) -fno-builtin -U_FORTIFY_SOURCE -Wno-format-security
%C%_checked_LDADD =
%C%_checked_SOURCES = %D%/checked.def %D%/checked_right.h %D%/checked.c %D%/checked_right.c preload/checkreal.def
%C%_guarded_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_guarded_LDADD =
%C%_limits_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_limits_LDADD =
%C%_lost_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_lost_LDADD =
%C%_modes_memory_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_modes_memory_LDADD =
%C%_modes_seccomp_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_modes_seccomp_LDADD =
%C%_modes_system_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_modes_system_LDADD =

# They see nothing of the allocator that serves them, and the compiler nothing of their bugs.
BUG_SOURCES = %D%/bugs/bugs.h %D%/bugs/main.c %D%/bugs/tables.c
BUG_CFLAGS = $(AM_CFLAGS) -fno-builtin -U_FORTIFY_SOURCE
%C%_bugs_bugs_SOURCES = $(BUG_SOURCES) %D%/bugs/write.c %D%/bugs/read.c %D%/bugs/frees.c
%C%_bugs_bugs_CPPFLAGS = $(AM_CPPFLAGS) -DBUG_TABLES=write_rows,read_rows,free_rows,misc_rows
%C%_bugs_bugs_CFLAGS = $(BUG_CFLAGS)
%C%_bugs_bugs_LDADD =
%C%_bugs_right_SOURCES = $(BUG_SOURCES) %D%/bugs/right.c %D%/bugs/right_process.c %D%/bugs/right_pages.c
%C%_bugs_right_CPPFLAGS = $(AM_CPPFLAGS) -DBUG_TABLES=right_rows,right_process_rows,right_pages_rows
%C%_bugs_right_CFLAGS = $(BUG_CFLAGS)
%C%_bugs_right_LDADD =
%C%_bugs_tricks_SOURCES = $(BUG_SOURCES) %D%/bugs/tricks.c
%C%_bugs_tricks_CPPFLAGS = $(AM_CPPFLAGS) -DBUG_TABLES=trick_rows
%C%_bugs_tricks_CFLAGS = $(BUG_CFLAGS)
%C%_bugs_tricks_LDADD =
%C%_bugs_where_SOURCES = $(BUG_SOURCES) %D%/bugs/where.c
%C%_bugs_where_CPPFLAGS = $(AM_CPPFLAGS) -DBUG_TABLES=where_rows
%C%_bugs_where_CFLAGS = $(BUG_CFLAGS)
%C%_bugs_where_LDADD =
%C%_bugs_bugs_new_SOURCES = $(BUG_SOURCES) %D%/bugs/new.cc
%C%_bugs_bugs_new_CPPFLAGS = $(AM_CPPFLAGS) -DBUG_TABLES=new_rows
%C%_bugs_bugs_new_CFLAGS = $(BUG_CFLAGS)
%C%_bugs_bugs_new_CXXFLAGS = $(AM_CXXFLAGS) -fno-builtin -U_FORTIFY_SOURCE -fsized-deallocation
%C%_bugs_bugs_new_LDADD =
%C%_bugs_right_new_SOURCES = $(BUG_SOURCES) %D%/bugs/right_new.cc
%C%_bugs_right_new_CPPFLAGS = $(AM_CPPFLAGS) -DBUG_TABLES=right_new_rows
%C%_bugs_right_new_CFLAGS = $(BUG_CFLAGS)
%C%_bugs_right_new_CXXFLAGS = $(AM_CXXFLAGS) -fno-builtin -U_FORTIFY_SOURCE -fsized-deallocation
%C%_bugs_right_new_LDADD =
MATRIX_SOURCES = $(BUG_SOURCES) %D%/misuse/stress/matrix.h %D%/misuse/stress/matrix.c
%C%_misuse_stress_matrix_SOURCES = $(MATRIX_SOURCES) %D%/misuse/stress/ways.c
%C%_misuse_stress_matrix_CPPFLAGS = $(AM_CPPFLAGS) -DBUG_TABLES=matrix_rows
%C%_misuse_stress_matrix_CFLAGS = $(BUG_CFLAGS)
%C%_misuse_stress_matrix_LDADD = lib/libprivheap.la
%C%_misuse_stress_matrix_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_misuse_stress_matrix_new_SOURCES = $(MATRIX_SOURCES) %D%/misuse/stress/ways_new.cc
%C%_misuse_stress_matrix_new_CPPFLAGS = $(AM_CPPFLAGS) -DBUG_TABLES=matrix_rows
%C%_misuse_stress_matrix_new_CFLAGS = $(BUG_CFLAGS)
%C%_misuse_stress_matrix_new_CXXFLAGS = $(AM_CXXFLAGS) -fno-builtin -U_FORTIFY_SOURCE -fsized-deallocation
%C%_misuse_stress_matrix_new_LDADD =

# Linked to the library as a program of its users is.
%C%_stress_heap_SOURCES = %D%/stress_heap.c %D%/stress_shadow.h %D%/stress_shadow.c
%C%_stress_heap_LDADD = lib/libprivheap.la
%C%_stress_heap_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_fault_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_fault_SOURCES = %D%/fault.h %D%/fault.c %D%/fault_inject.c %D%/fault_work.c
%C%_fault_LDADD = lib/libprivheap.la
%C%_fault_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_fuzz_ops_CFLAGS = $(AM_CFLAGS) -fno-builtin-malloc -fno-builtin-free -fno-builtin-realloc
%C%_fuzz_ops_SOURCES = %D%/fuzz.h %D%/fuzz_shadow.h
%C%_fuzz_ops_SOURCES += %D%/fuzz_ops.c %D%/fuzz_mallocs.c %D%/fuzz_replay.c %D%/fuzz_shadow.c
%C%_fuzz_ops_LDADD = lib/libprivheap.la
%C%_fuzz_ops_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_fuzz_options_SOURCES = %D%/fuzz.h %D%/fuzz_options.c %D%/fuzz_replay.c
%C%_fuzz_options_LDADD = lib/libcore.la
%C%_soak_CFLAGS = $(AM_CFLAGS) -fno-builtin-malloc -fno-builtin-free
%C%_soak_LDADD = lib/libprivheap.la
%C%_soak_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_stress_private_LDADD = lib/libprivheap.la
%C%_stress_private_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_stress_walk_LDADD = lib/libprivheap.la
%C%_stress_walk_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_check_throw_SOURCES = %D%/check_throw.cc
%C%_check_throw_LDADD = lib/libprivheap.la
%C%_check_throw_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_walk_preload_SOURCES = %D%/walk_preload.c %D%/churn.h %D%/churn.c
%C%_walk_preload_LDADD = lib/libprivheap.la
%C%_walk_preload_LDFLAGS = $(AM_LDFLAGS) -no-install

# Plain malloc programs.
%C%_resident_CFLAGS = $(AM_CFLAGS) -fno-builtin-malloc -fno-builtin-free
%C%_resident_LDADD =
%C%_thp_CFLAGS = $(AM_CFLAGS) -fno-builtin-malloc -fno-builtin-free
%C%_thp_LDADD =
%C%_stress_malloc_SOURCES = %D%/stress_malloc.c %D%/stress_shadow.h %D%/stress_shadow.c
%C%_stress_malloc_LDADD =

# First, because it takes a minute, beside the others.
TESTS += %D%/soak.sh
dist_check_SCRIPTS += %D%/soak.sh
check_PROGRAMS += $(HELPERS)
check_PROGRAMS += $(PRELOADED_TESTS)
TESTS += $(PRELOADED_TESTS)
check_PROGRAMS += $(LINKED_TESTS)
TESTS += $(LINKED_TESTS)
if HAVE_CHECK
check_PROGRAMS += $(CHECK_SUITES)
TESTS += $(CHECK_SUITES)
else
check-local:
	@echo 'The Check suites were not built: the unit test library Check is missing.'
endif
TESTS += $(SCRIPT_TESTS)
dist_check_SCRIPTS += $(SCRIPT_TESTS)

# ---- how they are run -----------------------------------------------------------------------

TEST_EXTENSIONS = .pl .sh
LOG_DRIVER = $(SHELL) $(top_srcdir)/%D%/driver.sh
PL_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_DRIVER = $(LOG_DRIVER)

# What every test finds in its environment; all paths are absolute.  It starts in the build folder.
# No rules of the user's: the folder does not exist.
# Under sanitizers: children of a fork start threads, and what Check itself frees must not count as resident.
AM_TESTS_ENVIRONMENT = \
	top_srcdir=`cd $(srcdir) && pwd`; \
	top_builddir='$(abs_top_builddir)'; \
	privheap='$(abs_top_builddir)/privheap'; \
	preload_object='$(abs_top_builddir)/preload/.libs/libprivheap-preload.so'; \
	XDG_CONFIG_HOME='$(abs_top_builddir)/tests/no-rules'; \
	build_flavour='$(CFLAGS) debug $(PH_DEBUG)'; \
	CC='$(CC)'; CXX='$(CXX)'; PKG_CONFIG='$(PKG_CONFIG)'; \
	: "$${CK_DEFAULT_TIMEOUT=60}"; export CK_DEFAULT_TIMEOUT; \
	TSAN_OPTIONS="die_after_fork=0 $$TSAN_OPTIONS"; ASAN_OPTIONS="quarantine_size_mb=1 $$ASAN_OPTIONS"; \
	export top_srcdir top_builddir privheap preload_object XDG_CONFIG_HOME build_flavour CC CXX PKG_CONFIG TSAN_OPTIONS ASAN_OPTIONS;

# The harness's summary has one place for text of ours, in the shell that ends with the summary:
# there we ask that shell to name the slowest tests when it exits, failed tests or not.
AM_TESTSUITE_SUMMARY_HEADER = ' for $(PACKAGE_STRING)'; \
	trap '$(SHELL) $(top_srcdir)/%D%/slowest.sh $$results' 0; printf '%s' ''

# The Check suites alone, for builds whose objects cannot be preloaded.
check-suites: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(CHECK_SUITES)'

# Everything that the tests need, without running one.
check-programs: all $(check_PROGRAMS) $(check_LTLIBRARIES)

# One after the other, each for an hour at most (TEST_SECONDS); what they say is in their logs.
check-long: all $(check_PROGRAMS) $(LONG_TESTS)
	@$(AM_TESTS_ENVIRONMENT) set -- $(LONG_TESTS); number=0; good=0; skipped=0; \
	TEST_SECONDS=$${TEST_SECONDS-3600}; export TEST_SECONDS; \
	for test; do \
	  number=`expr $$number + 1`; echo "== $$number of $$#, `date +%H:%M`: $$test, $$TEST_SECONDS s at most, says it in $$test.log"; \
	  test -e ./$$test && run=./$$test || run=$(srcdir)/$$test; \
	  $(LOG_DRIVER) --test-name $$test --log-file $$test.log --trs-file $$test.trs -- $$run; \
	  case `sed -n 's/^:test-result: //p' $$test.trs` in \
	  PASS) good=`expr $$good + 1` ;; SKIP) skipped=`expr $$skipped + 1` ;; esac; \
	done; \
	echo "== `date +%H:%M`: $$good passed, $$skipped skipped, `expr $$# - $$good - $$skipped` failed"; \
	test `expr $$good + $$skipped` -eq $$#
CLEANFILES += $(LONG_TESTS:=.log)
CLEANFILES += $(LONG_TESTS:=.trs)

# What was installed, here or under a DESTDIR.  A sanitizer's runtime is no part of what users get.
installcheck-local:
if SANITIZED
	@echo 'A sanitized library is not for users: not checked.'
else
	@$(AM_TESTS_ENVIRONMENT) \
	DESTDIR='$(DESTDIR)' bindir='$(bindir)' libdir='$(libdir)' includedir='$(includedir)' mandir='$(mandir)'; \
	export DESTDIR bindir libdir includedir mandir; \
	$(SHELL) $(srcdir)/%D%/installed.sh
endif

.PHONY: check-long check-programs check-suites
