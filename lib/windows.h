/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* windows.h -- for sources that say `#include <windows.h>`: the heap functions, and nothing else of Windows.
 */
#ifndef PRIVHEAP_WINDOWS_H
#define PRIVHEAP_WINDOWS_H

#include "heapapi.h"

#endif
