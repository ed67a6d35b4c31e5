# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# lib/: the rooms, once, as a convenience library; and the library for programs.

# Position-independent objects only: they serve the static library as well.
noinst_LTLIBRARIES += %D%/libcore.la
%C%_libcore_la_LIBTOOLFLAGS = --tag=disable-static
%C%_libcore_la_CFLAGS = $(AM_CFLAGS) $(ENGINE_FLAGS)
%C%_libcore_la_SOURCES = \
	%D%/small.h \
	%D%/api.h \
	%D%/bytes.h \
	%D%/chaos.h \
	%D%/pageheap.h \
	%D%/pattern.h \
	%D%/stress.h \
	%D%/trace.h \
	%D%/fail.h \
	%D%/parts.h \
	%D%/guard.h \
	%D%/site.h \
	%D%/heapapi.h \
	%D%/harden.h \
	%D%/late.h \
	%D%/hot.h \
	%D%/cfi.h \
	%D%/depot.h \
	%D%/internal.h \
	%D%/invariant.h \
	%D%/lock.h \
	%D%/message.h \
	%D%/diagnostics.def \
	%D%/options.def \
	%D%/options.h \
	%D%/os.h \
	%D%/oscall.h \
	%D%/privheap.h \
	%D%/report.h \
	%D%/shadow.h \
	%D%/stack.h \
	%D%/text.h \
	%D%/unwind.h \
	%D%/valid.h \
	%D%/windows.h \
	%D%/alloc.c \
	%D%/back.c \
	%D%/block.c \
	%D%/bytes.c \
	%D%/clock.c \
	%D%/cfi.c \
	%D%/debug.c \
	%D%/emergency.c \
	%D%/chaos.c \
	%D%/pagefault.c \
	%D%/pageheap.c \
	%D%/pagelook.c \
	%D%/pagewants.c \
	%D%/pageslot.c \
	%D%/pattern.c \
	%D%/stress.c \
	%D%/trace.c \
	%D%/fail.c \
	%D%/parts.c \
	%D%/site.c \
	%D%/entrance.c \
	%D%/find.c \
	%D%/fence.c \
	%D%/forget.c \
	%D%/cancel.c \
	%D%/fork.c \
	%D%/gate.c \
	%D%/guard.c \
	%D%/guardfault.c \
	%D%/guardslot.c \
	%D%/harden.c \
	%D%/heap.c \
	%D%/heapapi.c \
	%D%/heapinfo.c \
	%D%/inspect.c \
	%D%/invariant.c \
	%D%/kept.c \
	%D%/large.c \
	%D%/late.c \
	%D%/local.c \
	%D%/stack.c \
	%D%/lock.c \
	%D%/map.c \
	%D%/depot.c \
	%D%/mend.c \
	%D%/message.c \
	%D%/meta.c \
	%D%/native.c \
	%D%/nested.c \
	%D%/options.c \
	%D%/os.c \
	%D%/osproc.c \
	%D%/packed.c \
	%D%/packedcheck.c \
	%D%/page.c \
	%D%/purge.c \
	%D%/raise.c \
	%D%/region.c \
	%D%/report.c \
	%D%/runs.c \
	%D%/settle.c \
	%D%/shard.c \
	%D%/sizeclass.c \
	%D%/sized.c \
	%D%/span.c \
	%D%/spancheck.c \
	%D%/spanguard.c \
	%D%/stats.c \
	%D%/unwind.c \
	%D%/valid.c \
	%D%/visit.c \
	%D%/walk.c

pkginclude_HEADERS = \
	%D%/heapapi.h \
	%D%/privheap.h \
	%D%/windows.h

lib_LTLIBRARIES += %D%/libprivheap.la
%C%_libprivheap_la_SOURCES =
%C%_libprivheap_la_LIBADD = %D%/libcore.la
%C%_libprivheap_la_LDFLAGS = $(AM_LDFLAGS) \
	-version-info 0:0:0 \
	-no-undefined $(NO_UNDEFINED) \
	-Wl,-z,nodelete \
	-Wl,--version-script=$(top_srcdir)/%D%/privheap.map
EXTRA_%C%_libprivheap_la_DEPENDENCIES = %D%/privheap.map
EXTRA_DIST += %D%/privheap.map

pkgconfigdir = $(libdir)/pkgconfig
nodist_pkgconfig_DATA = %D%/privheap.pc
