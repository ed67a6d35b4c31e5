/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* access.h -- what the preload object offers to libprivheap-stress.so. */
#ifndef PH_PRELOAD_ACCESS_H
#define PH_PRELOAD_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

/* `function` reads or writes so many bytes from there on; a report, if they are not all inside one live block. */
__attribute__((visibility("default"), weak)) void privheap_access(const void *from, size_t bytes, bool is_write, const char *function);

#endif
