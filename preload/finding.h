/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* finding.h -- what `privheap stress` and the programs that it runs have in common: a file in memory, with a record for
 * each report.
 *
 * The command makes the file, zero but for its head, and names it in part findings: of option STRESS.  Every process
 * of the program's maps it before main: a child by fork has it from its parent, one that is another program maps it
 * anew; where the file is not there any more, reports are written as text, as always.  In force no text is written:
 * the command reads the records, while the program lives or when it has died, and knows functions and lines. */
#ifndef PH_FINDING_H
#define PH_FINDING_H

#include <stdint.h>

#include "place.h"
#include "unwind.h"

enum {
    FINDINGS_MAGIC = 0x46505046,
    FINDINGS_VERSION = 1,
    FINDINGS_MOST = 512, /* what comes after is counted only */
    FINDINGS_PROCESSES = 64,
    FINDING_REASONS = 8,
};

struct finding_trace {
    uint32_t thread; /* 0: unknown */
    uint32_t depth;
    uint64_t place[TRACE_DEPTH];
};

struct finding {
    uint32_t state; /* 0 free, 1 being written, 2 whole */
    uint32_t kind;  /* enum diagnostic */
    uint32_t pid, tid;
    uint32_t program; /* number of its module */
    uint32_t has_access, is_write, goes_on, is_process_heap;
    uint64_t block, bytes; /* UINT64_MAX bytes: unknown */
    uint64_t inside;       /* as struct report's; 0: none */
    uint64_t access;
    uint64_t heap;         /* handle; 0: unknown */
    char heap_name[64], caller[48], detail[160];
    struct finding_trace now, allocated, freed;
};

/* Of one process, as of its last report or its end: lib/pageheap.h's. */
struct finding_figures {
    uint32_t pid; /* 0: free */
    uint32_t by_advice; /* flag: guards by madvise, not by mprotect */
    uint64_t guarded, recycled, kept, live_most, bytes_most;
    uint64_t refused[FINDING_REASONS]; /* by enum paged_refusal */
    uint64_t refused_least, refused_most; /* bytes of such blocks */
};

struct findings {
    uint32_t magic, version;
    uint32_t begun;   /* processes that mapped it */
    uint32_t next;    /* records that were begun, with those for which there was no room */
    struct place_module modules[PLACE_MODULES];
    struct finding_figures figures[FINDINGS_PROCESSES];
    struct finding finding[FINDINGS_MOST];
};

/* finding.c -- in the program */
void ph_finding_begin(const char *path); /* NULL: nobody asks for them */
void ph_finding_end(void);               /* the process exits */

#endif
