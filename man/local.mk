# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# man/: the manual pages, made from <page>.in and the option table.  A function that shares its page with others
# has a page of its own name that leads there.

MAN_PAGES =
MAN_PAGES += %D%/GetLastError.3
MAN_PAGES += %D%/HeapAlloc.3
MAN_PAGES += %D%/HeapCreate.3
MAN_PAGES += %D%/HeapLock.3
MAN_PAGES += %D%/HeapQueryInformation.3
MAN_PAGES += %D%/HeapWalk.3
MAN_PAGES += %D%/libprivheap-preload.7
MAN_PAGES += %D%/ph_heap_aligned_alloc.3
MAN_PAGES += %D%/ph_heap_set_name.3
MAN_PAGES += %D%/ph_heap_stats.3
MAN_PAGES += %D%/ph_set_exception_handler.3
MAN_PAGES += %D%/ph_version.3
MAN_PAGES += %D%/privheap-chaos.1
MAN_PAGES += %D%/privheap-compare.1
MAN_PAGES += %D%/privheap-diagnostics.7
MAN_PAGES += %D%/privheap-explain.1
MAN_PAGES += %D%/privheap-oom.1
MAN_PAGES += %D%/privheap-rules.5
MAN_PAGES += %D%/privheap-stress.1
MAN_PAGES += %D%/privheap.1
MAN_PAGES += %D%/privheap_contract.7
MAN_PAGES += %D%/privheap_heaps.7

MAN_ALIASES =
MAN_ALIASES += %D%/GetProcessHeap.3
MAN_ALIASES += %D%/GetProcessHeaps.3
MAN_ALIASES += %D%/HeapCompact.3
MAN_ALIASES += %D%/HeapDestroy.3
MAN_ALIASES += %D%/HeapFree.3
MAN_ALIASES += %D%/HeapReAlloc.3
MAN_ALIASES += %D%/HeapSetInformation.3
MAN_ALIASES += %D%/HeapSize.3
MAN_ALIASES += %D%/HeapSummary.3
MAN_ALIASES += %D%/HeapUnlock.3
MAN_ALIASES += %D%/HeapValidate.3
MAN_ALIASES += %D%/SetLastError.3
MAN_ALIASES += %D%/ph_debug_flags.3
MAN_ALIASES += %D%/ph_heap_name.3
MAN_ALIASES += %D%/ph_heap_visit.3

man_MANS += $(MAN_PAGES) $(MAN_ALIASES)
CLEANFILES += $(MAN_PAGES) $(MAN_ALIASES)
EXTRA_DIST += $(MAN_PAGES:=.in)
EXTRA_DIST += %D%/options.awk

SUFFIXES = .1.in .3.in .5.in .7.in .1 .3 .5 .7
MAN_FILL = $(AM_V_GEN)$(MKDIR_P) $(@D) && $(AWK) -f $(srcdir)/%D%/options.awk \
	-v version='$(PACKAGE_VERSION)' -v pkglibdir='$(pkglibdir)' $(srcdir)/lib/options.def $< > $@.new && \
	mv $@.new $@
.1.in.1:
	$(MAN_FILL)
.3.in.3:
	$(MAN_FILL)
.5.in.5:
	$(MAN_FILL)
.7.in.7:
	$(MAN_FILL)
$(MAN_PAGES): %D%/options.awk lib/options.def Makefile

# The page whose NAME section has the alias.
$(MAN_ALIASES): $(MAN_PAGES:=.in)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && alias=`basename $@ .3` && \
	page=`cd $(srcdir)/%D% && grep -l "^\.Nm $$alias\( ,\)*$$" *.3.in` && \
	echo ".so man3/$${page%.in}" > $@.new && mv $@.new $@
