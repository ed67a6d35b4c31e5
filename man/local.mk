# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# man/: the manual pages, made from <page>.in and the option table.

MAN_PAGES = \
	%D%/libprivheap-preload.7 \
	%D%/privheap.1
man_MANS += $(MAN_PAGES)
CLEANFILES += $(MAN_PAGES)
EXTRA_DIST += \
	%D%/libprivheap-preload.7.in \
	%D%/options.awk \
	%D%/privheap.1.in

MAN_INPUTS = %D%/options.awk lib/options.def Makefile
MAN_FILL = $(MKDIR_P) %D% && $(AWK) -f $(srcdir)/%D%/options.awk \
	-v version='$(PACKAGE_VERSION)' -v pkglibdir='$(pkglibdir)' $(srcdir)/lib/options.def

%D%/libprivheap-preload.7: %D%/libprivheap-preload.7.in $(MAN_INPUTS)
	$(AM_V_GEN)$(MAN_FILL) $(srcdir)/$@.in > $@.new && mv $@.new $@
%D%/privheap.1: %D%/privheap.1.in $(MAN_INPUTS)
	$(AM_V_GEN)$(MAN_FILL) $(srcdir)/$@.in > $@.new && mv $@.new $@
