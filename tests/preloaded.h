/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preloaded.h -- a test program that runs itself again with the object under test preloaded.
 *
 * The variable preload_object names the object (without it: the one of the build folder); "none"
 * runs the test on the system's malloc, which is how each test shows that it asks for nothing
 * but what a program can have from glibc. */
#ifndef PH_TESTS_PRELOADED_H
#define PH_TESTS_PRELOADED_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Come back with the object in place, else do not come back: 77 (skip) in a build with a
 * sanitizer, whose own malloc would win, 99 (hard error) where the object is not to be had. */
void preloaded_start(char **argv);

/* True when malloc is the object's, false when the test was asked to run on "none". */
bool preloaded(void);

#ifdef __cplusplus
}
#endif
#endif
