/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* lost.h -- at the end of a stressed process: one report for each call stack whose blocks nobody points to. */
#ifndef PH_LOST_H
#define PH_LOST_H

#include "reach.h"

void ph_lost_report(uintptr_t here); /* reach.h's */

#endif
