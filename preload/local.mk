# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# preload/: the object for LD_PRELOAD, and the command.

if BUILD_PRELOAD
pkglib_LTLIBRARIES += %D%/libprivheap-preload.la
endif
%C%_libprivheap_preload_la_LIBTOOLFLAGS = --tag=disable-static
%C%_libprivheap_preload_la_CFLAGS = $(AM_CFLAGS) $(ENGINE_FLAGS) $(PRELOAD_FLAGS)
%C%_libprivheap_preload_la_SOURCES = \
	%D%/access.h \
	%D%/chaotic.h \
	%D%/family.h \
	%D%/follow.h \
	%D%/foreign.h \
	%D%/finding.h \
	%D%/leak.h \
	%D%/lost.h \
	%D%/reach.h \
	%D%/reachroots.h \
	%D%/reachstop.h \
	%D%/place.h \
	%D%/sweep.h \
	%D%/sweepcall.h \
	%D%/take.h \
	%D%/access.c \
	%D%/chaotic.c \
	%D%/dlopen.c \
	%D%/early.c \
	%D%/finding.c \
	%D%/follow.c \
	%D%/foreign.c \
	%D%/leak.c \
	%D%/lost.c \
	%D%/reach.c \
	%D%/reachroots.c \
	%D%/reachstop.c \
	%D%/place.c \
	%D%/sweep.c \
	%D%/sweepcall.c \
	%D%/malloc.c \
	%D%/new.c \
	%D%/signals.c \
	%D%/win32.c
if HAVE_MALLINFO2
%C%_libprivheap_preload_la_SOURCES += %D%/report.c
endif
%C%_libprivheap_preload_la_LIBADD = lib/libcore.la
if LAYOUT
layout_flags = -Wl,-z,separate-code -Wl,-T,$(top_srcdir)/%D%/layout.ld
else
layout_flags = -Wl,-z,noseparate-code
endif
# nodelete: dlclose of whoever brought us must not unmap a heap.  initfirst: our fork handlers
# must be the first registered.  symbolic-functions, not symbolic: that has the loader look for each name in us first.
%C%_libprivheap_preload_la_LDFLAGS = $(AM_LDFLAGS) \
	-module -avoid-version -shared \
	$(NO_UNDEFINED) \
	-Wl,-z,now \
	$(layout_flags) \
	-Wl,-z,relro \
	-Wl,-z,nodelete \
	-Wl,-z,initfirst \
	-Wl,-Bsymbolic-functions \
	-XCClinker -nostartfiles \
	-XCClinker -static-libgcc \
	-Wl,--version-script=$(top_srcdir)/%D%/preload.map
EXTRA_%C%_libprivheap_preload_la_DEPENDENCIES = %D%/preload.map %D%/layout.ld
EXTRA_DIST += %D%/preload.map %D%/layout.ld

# Beside it, for `privheap stress`: the functions of libc that touch a program's memory.  The compiler must take none of
# them for what it knows, nor libc's headers.
if BUILD_PRELOAD
pkglib_LTLIBRARIES += %D%/libprivheap-check.la
endif
%C%_libprivheap_check_la_LIBTOOLFLAGS = --tag=disable-static
%C%_libprivheap_check_la_CFLAGS = $(AM_CFLAGS) $(ENGINE_FLAGS) -fno-builtin -U_FORTIFY_SOURCE
%C%_libprivheap_check_la_SOURCES = \
	%D%/access.h \
	%D%/checked.h \
	%D%/checkreal.def \
	%D%/checkcall.c \
	%D%/checkmask.c \
	%D%/checkfile.c \
	%D%/checkmemory.c \
	%D%/checkreal.c \
	%D%/checktext.c \
	%D%/checkwide.c
%C%_libprivheap_check_la_LDFLAGS = $(AM_LDFLAGS) \
	-module -avoid-version -shared \
	$(NO_UNDEFINED) \
	-Wl,-z,now \
	-Wl,-z,noseparate-code \
	-Wl,-z,relro \
	-Wl,-z,nodelete \
	-Wl,-Bsymbolic-functions \
	-XCClinker -nostartfiles \
	-XCClinker -static-libgcc

bin_PROGRAMS += privheap
privheap_CPPFLAGS = $(AM_CPPFLAGS) -Ibench -I$(top_srcdir)/%D% -I$(top_srcdir)/bench -DPH_PKGLIBDIR='"$(pkglibdir)"'
privheap_LDADD = lib/libcore.la -lm
# now: compare's children must not touch the loader's pages, which would count into the peak memory that they hand
# on to the program.
privheap_LDFLAGS = $(AM_LDFLAGS) -Wl,-z,now
privheap_SOURCES = \
	%D%/command.h \
	%D%/judge.h \
	%D%/locate.h \
	%D%/rules.h \
	%D%/settings.h \
	%D%/verbs.def \
	%D%/elf.c \
	%D%/judge.c \
	%D%/locate.c \
	%D%/privheap.c \
	%D%/rules.c \
	%D%/ruleschange.c \
	%D%/rulesfile.c \
	%D%/rulesmatch.c \
	%D%/run.c \
	%D%/settings.c \
	bench/chaos.def \
	bench/chaos_compare.c \
	bench/chaos_narrow.c \
	bench/chaos_options.c \
	bench/chaos_report.c \
	bench/chaos_run.c \
	bench/chaos_verb.c \
	bench/chaos_verb.h \
	bench/child.c \
	bench/child.h \
	bench/compare.def \
	bench/compare.h \
	bench/statistics.h \
	bench/compare.c \
	bench/compare_elf.c \
	bench/compare_find.c \
	bench/compare_json.c \
	bench/compare_noise.c \
	bench/compare_options.c \
	bench/compare_plot.c \
	bench/compare_run.c \
	bench/compare_table.c \
	bench/compare_trace.c \
	bench/compare_verdict.c \
	bench/explain.c \
	bench/explain.h \
	bench/json.c \
	bench/json.h \
	bench/oom.def \
	bench/oom.h \
	bench/oom.c \
	bench/oom_class.c \
	bench/oom_json.c \
	bench/oom_options.c \
	bench/oom_replay.c \
	bench/oom_report.c \
	bench/oom_rerun.c \
	bench/oom_run.c \
	bench/oom_start.c \
	bench/statistics.c \
	bench/stress.def \
	bench/stress_finding.c \
	bench/stress_gdb.c \
	bench/stress_json.c \
	bench/stress_options.c \
	bench/stress_report.c \
	bench/stress_run.c \
	bench/stress_sarif.c \
	bench/stress_suppress.c \
	bench/stress_verb.c \
	bench/stress_verb.h \
	bench/symbol.c \
	bench/symbol.h \
	bench/verb_options.c \
	bench/verb_options.h

# What `privheap explain` prints.
bench/explain.inc: bench/explain.awk man/privheap-diagnostics.7.in
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(AWK) -f $(srcdir)/bench/explain.awk $(srcdir)/man/privheap-diagnostics.7.in >$@.new && mv $@.new $@
bench/privheap-explain.$(OBJEXT): bench/explain.inc
CLEANFILES += bench/explain.inc
EXTRA_DIST += bench/explain.awk
