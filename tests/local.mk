# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# tests/: a new test is one line in one of the lists below.

# Check programs, each from tests/check_<room>.c, linked with every room of lib/.
CHECK_SUITES =

# Scripts: what the unit tests cannot see.  Exit 77: skipped, with a line that says why.
SCRIPT_TESTS =

# Programs that scripts run, each from its one .c file.
HELPERS =

# Soaks, for `make check-long` only.
LONG_TESTS =

# ---- how they are built and run -------------------------------------------------------------

AM_CPPFLAGS += $(CHECK_CFLAGS)
LDADD = lib/libcore.la $(CHECK_LIBS)

check_PROGRAMS += $(HELPERS)
if HAVE_CHECK
check_PROGRAMS += $(CHECK_SUITES)
TESTS += $(CHECK_SUITES)
else
check-local: check-is-missing
check-is-missing:
	@echo 'The Check suites were not built: the unit test library Check is missing.'
endif
TESTS += $(SCRIPT_TESTS)
dist_check_SCRIPTS += $(SCRIPT_TESTS)
