/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* internal.h -- THE MAP, all in one place: words, drawing, every struct, every shared prototype by room, lock order.
 *
 * Words (each has one meaning)
 *   block       what a caller holds              page    equal-size blocks, their descriptor elsewhere
 *   size class  index of a rounded block size    span    run of 4 KB units, cut into pages or given whole
 *   stack       one thread's free blocks of      region  address range reserved from the OS in one call;
 *               one class                                belongs to one heap
 *   heap        what HeapCreate makes            shard   a share of a heap's pages, with its own locks
 *   local       one thread's stacks for a heap   run     a span given whole (16 KB to 1 MB)
 *   unit        4096 bytes, on every machine     large   a block with a mapping of its own
 *   fresh       a block that nobody ever held    OS page the hardware's unit, always two words
 *   key         secret ^ address, in the second word of each free block that was used before; its
 *               complement while the block lies in a page and not in a stack
 *   pass        the right to be inside a heap: by being busy, or by holding the gate lock
 *   packed      memory where blocks of all sizes stand side by side, in granules of 16 bytes
 *   plain/sized a block, page, class or local of malloc's / one that remembers its exact size
 *   code        a block's exact size, out of line: 3 * (class bytes - size + 1); 0 while it is free
 *   hard        the process heap in secure or tolerant mode: every block has an exact size and a tail
 *   tail        bytes behind a block that say whether somebody wrote there
 *   late        a freed block that waits before it may be taken again
 *   slot        OS pages of one block's own, between inaccessible ones (and, in a stack, the place of one entry)
 *   paged       a block in a slot of the page heap, which serves stressed processes; `guarded` is one in a slot of guard.c's
 *   warm        a dead heap that keeps its first region for the next HeapCreate
 *   seal        a check value over fields that rarely change (valid.h)
 *
 * Direction: calls go down only, news goes up as return values.
 *
 *   entrance, heapapi, heapinfo, native, raise, visit      preload
 *            |
 *       stats, fork, cancel
 *            |
 *     walk, valid, inspect   a heap from outside: one step, all of it, what stands in its free memory
 *            |
 *        block=find, alloc   one block from outside; routes a size to its kind
 *            |
 *          heap              one heap; registry of live heaps
 *            |
 *     debug, harden          what stands in free memory and behind blocks: debug flags; secure, tolerant mode
 *            |
 *     local, sized, late, runs, stack, settle -- gate   one thread's stacks for a heap, freed blocks that wait; who may be inside
 *            |   (nested, emergency: what a signal handler may do that interrupted us)
 *            |
 *        shard, depot, back, mend  class locks; which page serves, batches, free pages; after a fork past us
 *            |
 *   packed   large, kept, guard, pageheap    blocks side by side; one mapping, or slot, for one block
 *            |      (packedcheck; fence, guardslot, guardfault; pagewants, pagelook, pageslot, pagefault)
 *          page              equal-size blocks
 *            |
 *   span, spanguard, purge, forget, spancheck  units cut from regions and joined again; dirty memory goes back by age
 *            |
 *     region   map, sizeclass    address ranges; what stands at an address, whose it is
 *            |
 *          meta              memory for descriptors, never given back
 *            |
 *      os, osproc, clock     (services that any room may call: lock, options, message, text, bytes, invariant,
 *                            report, unwind, cfi, site, trace, parts, pattern, fail, chaos, stress)
 *
 * Which way serves a block.  The process heap: pages to 16 KB, runs to 1 MB, then mappings.  A heap that HeapCreate
 * made without a bound: its first region begins with 64 KB of packed memory, which serves the first 16 blocks of each
 * class; then the class has pages, and a thread that comes here often has stacks.  A bounded heap, or one with debug
 * flags, is packed memory and nothing else.  With option STRESS the page heap comes first, but for bounded and
 * executable heaps; the process heap is hard then, others have debug flags, and that is where the rest goes.
 *
 * HeapAlloc and HeapFree: a thread finds its sized local by the handle (one comparison), the entry on top of the
 * class's stack says where the block and its code are, and `code == lo->check` (0) is the one test; the block itself is
 * never touched.  HeapFree finds the page's cell through the page map, and in it the page's end and its class's magic:
 * the product proves the start and gives the code's place.
 *
 * One operation:  malloc pops from local->stack[class]; free asks the page map which class, heap and shard stand at the
 * address, proves by a multiplication that it is the start of a block, and pushes.  The one test of each fails for
 * everything unusual: malloc's that the key of the youngest entry is right (the stack is empty, so that its entry is
 * the block that is none; the heap is stopped; nothing is set up; somebody wrote to a free block), free's that
 * `entry - tag < 64` (stopped, other heap, other kind).  Pointers, not counts: a store and the load that meets it again
 * are matched by the processor when both address as register plus constant (8.2 ns a pair with an index, not 2.2).
 *
 * What a page-map entry says (8 bytes for each unit):
 *   bits 0-7 kind, 8-23 heap, 24-31 shard, 32-57 span descriptor, 58-63 units to the page's end; of a sized page 32-63
 *   where its struct size_cell is: 16 bits into the chunk, 16 bits which chunk
 *   kinds: 0 nothing; 1-64 page of plain class 0-63; 65-128 page of its sized twin; then KIND_RUN, KIND_LARGE, KIND_FREE,
 *   KIND_GUARD.  Pages fill all their units; a run, a free span and a guard their first and last; a large block its
 *   first; all other entries are 0, packed memory's too.  Whose region an address lies in stands beside: a heap's number
 *   for each 64 KB, of all but the process heap.
 *
 * The three states of a free span: virgin (never handed out, zero), purged (given back to the system since, zero
 * again), dirty.  A page in dirty memory writes a key into each of its blocks when it is made, so that every block that
 * leaves it can be checked; in the other two the second word of a block that nobody ever held must still be zero.
 *
 * Lock order (a thread may take only what stands below what it holds; all but the first three are
 * leaf locks, held for microseconds, and may be taken while busy):
 *   LOCK 1  registry  heap.c    the table of heaps
 *   LOCK 2  heaplock  gate.c    HeapLock: owner and depth, held as long as the program likes
 *   LOCK 3  gate      gate.c    one heap: who stops it, which locals it has.  Never while busy.
 *   LOCK 4  thread    sized.c   process: which thread has which sized locals; spare ones.  Never while busy.
 *   LOCK 5  class     shard.c   one shard and class: its pages
 *   LOCK 6  span      span.c    one heap: its free spans, regions, large blocks; the process heap's: all slots, too
 *   LOCK 7  map       map.c     process: leaves of the page map
 *   LOCK 8  cache     region.c  process: address ranges kept for later heaps; mappings kept by kept.c and fence.c
 *   LOCK 9  meta      meta.c    process: cells for descriptors
 *
 * Signals.  A handler that the program set by libc's names is called by ours (preload/signals.c).  While its thread
 * holds a lock the signal waits until the last one is given back; in the middle of a usual malloc or free the handler has
 * no stacks (nested.c), and an operation that it leaves by a jump is put in order.  Handlers that nobody told us of, and
 * those of faults, may come while a lock is held: then they get memory that needs none (emergency.c), and what they
 * free waits.
 *
 * Locks know their holder, because fork may be called in a signal handler that interrupted us: then its prepare leaves
 * alone what its own thread holds (the interrupted operation goes on, in parent and child), and takes no gate lock, for
 * whose holder may be waiting for this very thread.
 *
 * The gate: an operation says `busy = frame`, then looks at check or tag; whoever needs the whole heap holds the gate
 * lock, sets check and tag of every local to values that fail both tests, issues one membarrier and waits until each
 * busy is 0.  The stop is sticky: the local's owner takes the gate lock at its next operation and sets them right
 * again, later and later (up to 50 ms) while stops keep coming. */
#ifndef PH_INTERNAL_H
#define PH_INTERNAL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "invariant.h"
#include "lock.h"
#include "os.h"

enum {
    UNIT_BITS = 12,
    UNIT_BYTES = 1 << UNIT_BITS,
    CLASS_COUNT = 64,
    SMALL_BYTES = 1024,        /* the fast path of malloc: one look-up */
    CLASS_BYTES = 16384,       /* largest block of a page */
    PAGE_UNITS = 16,           /* largest page */
    PAGE_BLOCKS = 256,         /* bits in a descriptor */
    STACK_SLOTS = 96, STACK_BYTES = 98304, /* most of one stack: batches of 1,000 mixed blocks 5.4-5.7 ns; with 64 and 64 KB 6.3-8.2 */
    DEEP_SLOTS = 1024, DEEP_BYTES = 65536, /* of one that overflows and runs dry in turn: 1,000 of 64 bytes 4.9 ns, not 7.6 */
    SLOTS_FIRST = 8,           /* a stack's first room; a wide one costs memory of its own */
    DEEP_START = CLASS_COUNT * (SLOTS_FIRST + 1) + 4013 + CLASS_COUNT, LOCAL_SLOTS = DEEP_START + 11002, /* see check_local */
    HEAP_COUNT = 65535,
    HEAP_ALIGN = 65536,        /* handles have 16 low zero bits */
    BIN_COUNT = 64, HEAP_NAME_BYTES = 64, /* with the final NUL */
};
#define LARGE_BYTES ((size_t)1 << 20) /* from here on a mapping each */
#define MOST_BYTES ((size_t)1 << 48)  /* no process has so much address space that asks for none of it by name */
#define SPAN_NONE 0u                  /* no descriptor: cell 0 is never given */
#define FLAG_SET UINT32_MAX           /* flags that no flip of one bit sets or clears: see valid.h */

enum kind {
    KIND_NONE = 0,
    KIND_PLAIN = 1,                          /* + class: pages whose blocks have the class's size */
    KIND_SIZED = KIND_PLAIN + CLASS_COUNT,   /* + class: pages that know each block's exact size */
    KIND_RUN = KIND_SIZED + CLASS_COUNT,
    KIND_LARGE,
    KIND_FREE,
    KIND_GUARD,                              /* inaccessible: see spanguard.c */
    KIND_PACKED,                             /* in no entry: what ph_heap_look says */
    KIND_EMERGENCY,                          /* likewise */
};

/* ---- span.c: a run of units; also the descriptor of the page, run or large block in it ------ */

enum span_state { SPAN_DIRTY = 0, SPAN_PURGED = 3, SPAN_VIRGIN = 5 }; /* a flip of one bit makes none of another */

struct span {
    uint64_t start : 40; /* address / UNIT_BYTES */
    uint64_t units : 24; /* 0 for a large block: see mapped_bytes */
    uint32_t tag;        /* low half of its map entries: kind, heap, shard */
    uint32_t next : 26;  /* descriptors: list of a class, a bin, or the large blocks; else 0 */
    uint32_t state : 3;  /* enum span_state: of the memory when taken, or now if free */
    uint32_t listed : 1; /* page: in the list of its class */
    uint32_t odd : 1;    /* plain page: parity of carved */
    uint32_t none : 1;
    uint32_t prev;
    uint16_t free_count; /* page: set bits */
    uint16_t carved;     /* page: blocks below were handed out at least once, or have a key; run: 0, or RUN_KEPT */
    /* In a page the rest stays as it is: who frees a block reads it without a lock. */
    uint64_t self : 26;     /* its own number */
    uint64_t cell : 26;     /* sized page: its struct size_cell */
    uint64_t capacity : 9;  /* page: blocks in all */
    uint64_t sized : 1;     /* run, large: HeapSize is `wanted`, not the capacity */
    uint64_t fenced : 1;    /* large: of a hard heap, see fence.c */
    uint64_t nought : 1;
    union {
        uint64_t bits[PAGE_BLOCKS / 64]; /* page: 1 = free */
        struct {
            size_t wanted;       /* run, large: bytes asked for */
            size_t mapped_bytes; /* large: bytes of its mapping */
            uint32_t freed_ms;   /* free span: when */
            union {
                struct { uint32_t dirty_first, dirty_count; }; /* dirty free span: the units that are, from its start */
                struct { uint32_t offset, slot; }; /* large, guarded: where it stands in its first unit, and its slot's number */
            };
            uint32_t seal;       /* of these, and of the bits above but for the state */
        };
    };
};
static_assert(sizeof(struct span) == 64, "a descriptor is a cache line");

/* ---- region.c ------------------------------------------------------------------------------- */

struct region {
    char *base;
    uint32_t units;     /* reserved */
    uint32_t committed; /* units from base that can be touched */
    uint32_t top;       /* units from base that were ever handed out: virgin above */
    uint32_t first;     /* the first unit that may hold spans: before it the handle's, or packed memory */
    uint32_t index;     /* running number in its heap */
    uint32_t dirty;     /* units from base that a dead heap wrote to, when it became a region of this one */
    uint32_t huge;      /* flag: the system was asked for huge pages */
    struct packed *packed; /* blocks side by side in the units before `first`; NULL: none */
    struct region *next;
    uint64_t seal;
    uint64_t pinned[8]; /* of the first 1 GB; bit: those 2 MB have an OS page that keeps huge pages away */
};

/* ---- packed.c: blocks of all sizes side by side; the gate lock guards it ---------------------- */

enum {
    GRANULE_BITS = 4,
    PACKED_BINS = 32,
    PACKED_FIRST_UNITS = 16, /* of a growable private heap */
    USES_STEP = 3,           /* no flip of one bit makes a multiple of another */
    PACKED_USES = 16,        /* blocks of one class; from then on it has pages */
};
struct packed {
    uint8_t *shadow;    /* a byte for each granule: see packed.c */
    size_t granules;    /* of 16 bytes, in all */
    size_t shadowed;    /* granules that have a shadow byte by now */
    size_t top;         /* from here on nothing is live: virgin again */
    size_t high;        /* from here on nobody ever wrote, if the region was new */
    size_t high_not;    /* its complement */
    uint32_t cell;      /* of the shadow, while it is that small */
    uint32_t self;      /* own cell */
    uint32_t card_bits; /* log2 granules of a card */
    uint32_t bins;      /* bit: some card may have free blocks of that bin */
    uint64_t cards[PACKED_BINS]; /* bit: that card, or that group of 64 cards, may */
    uint64_t *grouped;  /* [bin][group]: a bit for each card; NULL while 64 cards are enough */
    size_t mapped_bytes; /* of shadow and groups, when they have a mapping */
    uint64_t seal;
    uint64_t card_sum;  /* exclusive or of the words that have a bit for each card */
};

/* ---- shard.c -------------------------------------------------------------------------------- */

struct shard_class {
    ph_lock lock;
    uint32_t pages;  /* descriptors: pages with free blocks, the one in use first */
    uint32_t empty;  /* wholly free pages kept back, linked by next */
    uint32_t units;  /* of all its pages */
    void **depot;    /* plain: free blocks in no stack and in no page; NULL: none yet */
    uint32_t depot_count, depot_most;
    uint32_t depot_thrice; /* the count, once more */
    uint32_t depot_low; /* the fewest that were there since the last look: nobody missed those */
    uint32_t kept, kept_most, kept_low; /* units of pages kept back; likewise */
    bool flushed, dropped; /* blocks went to pages since the last refill from there; likewise, pages to the heap */
    uint8_t drain;         /* how often blocks went to pages */
} __attribute__((aligned(64)));
static_assert(sizeof(struct shard_class) == 64, "what two classes write is no line of both");

struct shard { /* no word that every refill writes: there are cores that use different classes */
    uint32_t idle; /* flag: some class has, or had, more than it uses */
    uint64_t idle_ms; /* when that was last looked at */
    struct shard_class class[2 * CLASS_COUNT]; /* plain, then sized: kind - KIND_PLAIN */
};

/* ---- runs.c --------------------------------------------------------------------------------- */

enum {
    RUN_KEEP_UNITS = 64, /* the largest run that a thread keeps for itself: 256 KB */
    RUN_BINS = 33,
    RUN_KEPT = 0x5aa5,   /* carved of a run that a thread keeps: it is free */
};
struct runs {
    uint64_t used;           /* bit: that bin has some */
    uint32_t head[RUN_BINS]; /* descriptors, by units, linked by next */
    uint32_t hand;           /* the one that is being taken or given */
    uint32_t units, most;    /* of all; how many may be here */
    uint32_t takes;          /* asked for, since there were too many or the clock was looked at */
    uint32_t turn;           /* the bin that was emptied last */
};

/* ---- local.c -------------------------------------------------------------------------------- */

struct stack {
    void **top;      /* one past the youngest entry; each entry's second word is its key */
    void **limit;    /* top may come so far */
    char *fresh;     /* blocks side by side that nobody ever held: taken when no entry is left */
    uint16_t fresh_count;
    uint16_t bottom; /* the first entry: slot of the local; the one before is ph_no_block.  0: no room yet */
    uint16_t wide;   /* where it is once it outgrew its first room */
    uint16_t cap_max;
};
static_assert(sizeof(struct stack) == 32, "found by a shift");

enum local_state {
    LOCAL_POOLED,
    LOCAL_OWNED,
    LOCAL_ORPHAN, /* its thread left it under HeapLock: whole, blocks and all */
    LOCAL_STRAY,  /* its thread is gone in the child of a fork: maybe in the middle of something */
    LOCAL_DEAD,   /* sized: its heap is gone, its thread may use it for another */
};

struct local {
    uint64_t check;      /* ph_secret, or CHECK_STOPPED: the key of every block differs; sized: 0, or SIZED_STOPPED */
    uint32_t tag;        /* map entry of class 0, or TAG_STOPPED: free's test fails */
    uint32_t biased;     /* flag: neither is stopped */
    uintptr_t busy;      /* frame address of the operation inside, else 0 */
    struct heap *heap;   /* NULL: not set up (ph_local_none) */
    void *owner;         /* thread pointer */
    struct local *next;  /* all locals that the heap ever had */
    uint16_t state;      /* enum local_state */
    uint16_t stride;     /* words of an entry: 1; 2 in a sized local */
    uint32_t cap_bytes;  /* of blocks that the stacks may hold beyond their first room */
    uint16_t refills;    /* now and then the slow path looks at the clock */
    uint16_t left;       /* an operation was left in the middle, by siglongjmp or cancellation */
    uint32_t slots_used; /* by first rooms, in the order in which classes were used */
    uint32_t seal;
    uint32_t found_at;   /* sized: the slot where its thread finds it; THREAD_SLOTS: none */
    struct local *sibling, *elder; /* sized: the next and the previous of the same thread; the next in the pool */
    struct late *late;   /* of a hard heap; NULL: none yet */
    uint64_t flushed, deep, moved; /* bits of classes: overflowed since it ran dry; has a deep stack; did either since the clock */
    struct stack stack[CLASS_COUNT];
    uint64_t watch_ms; /* the first of what `watched` counts; 0: none yet */
    uint32_t watch, watched; /* flag: its mallocs go the slow way, to be looked at, and how many there were */
    struct runs runs;
    void *slot[]; /* the first rooms close together, the wide ones; the deep ones of a plain local; none in ph_local_none */
};
enum {
    LOCAL_WHOLE_BYTES = sizeof(struct local) + LOCAL_SLOTS * sizeof(void *),
    SIZED_WHOLE_BYTES = sizeof(struct local) + 2 * DEEP_START * sizeof(void *),
};
extern char ph_first_local[LOCAL_WHOLE_BYTES];

/* Freed blocks of a hard heap, the oldest first: they are free by their code, but in no stack. */
enum { LATE_BLOCKS = 256, LATE_BYTES = 512 * 1024 };
struct late {
    uint32_t first, count;
    size_t bytes;
    struct late_block {
        uint64_t what; /* late_what */
        uint16_t *place;
    } entry[LATE_BLOCKS];
    uint64_t sum[LATE_BLOCKS]; /* tolerant: of what it held */
};
enum { LATE_CLASS_SHIFT = 56 }; /* addresses end below */
static inline uint64_t late_what(const void *block, unsigned class)
{
    return (uintptr_t)block | (uint64_t)class << LATE_CLASS_SHIFT;
}
static inline unsigned late_class(uint64_t what) { return (unsigned)(what >> LATE_CLASS_SHIFT); }
static inline void *late_block(uint64_t what) { return (void *)(uintptr_t)(what & (((uint64_t)1 << LATE_CLASS_SHIFT) - 1)); }

/* What HeapFree asks of a sized page, and the code of each block's size, the last block's first. */
struct size_cell {
    char *end;      /* of the page */
    uint64_t magic; /* of its class */
    uint32_t span;  /* its descriptor */
    uint16_t code[];
};

/* Sized locals are found by their heap's handle, which is never read from a stale one: a heap that
 * ends stops its locals, and a local serves another heap only after its owner forgot the old. */
enum { THREAD_SLOTS_LOG = 7, THREAD_SLOTS = 1 << THREAD_SLOTS_LOG };
#define SLOT_EMPTY(slot) ((slot) == 0 ? 1u : 0u) /* no key that is looked for there: 0 belongs to slot 0, 1 does not */
struct thread {
    uintptr_t key[THREAD_SLOTS];       /* handle, or SLOT_EMPTY */
    struct local *found[THREAD_SLOTS];
    uintptr_t candidate[THREAD_SLOTS]; /* handle of a heap without a local of this thread, */
    uint8_t uses[THREAD_SLOTS];        /* and its slow operations on the way to one */
    struct local *mine;         /* sized locals, whatever their heap */
    struct local *hard;         /* the one of a hard process heap, if freed blocks wait there; NULL: none */
    struct local *none;         /* its own ph_local_none, once it had a hard one; NULL: not yet */
    void *owner;                /* thread pointer; NULL: free */
    struct thread *next;        /* of all that were ever made */
};
#define TAG_STOPPED 0x00ffff00u /* heap 65535 does not exist */
#define CHECK_STOPPED (ph_secret ^ 0x5555555555555555) /* no key, and nothing that a program may have written */
#define SIZED_STOPPED 0xffffull /* no place in a sized stack says so: those of free blocks are 0 */

/* ---- heap.c --------------------------------------------------------------------------------- */

struct gate {
    ph_lock lock;
    uint32_t stops;          /* how often the heap was stopped */
    uint32_t backoff_ms;     /* after a stop, bias nobody for so long */
    uint64_t rebias_ms;      /* until then; 0: at once */
    void *owner;             /* of HeapLock: thread pointer */
    uint32_t depth;          /* of HeapLock */
    uint32_t waiters;        /* threads that wait for HeapLock */
    uint32_t turn;           /* they sleep on this: changes at each last unlock */
    uint32_t no_membarrier;  /* flag: refused once, this heap stays on its lock */
    uint32_t emptied;        /* flag: all stacks are empty, and nobody was biased since */
    uint64_t stopped_ms;     /* the last stop that had somebody to stop */
    uint64_t seal;           /* of owner and depth */
};

struct heap {
    char *handle;            /* base of the first region; NULL while the descriptor is free */
    uint32_t id;
    uint32_t tag;            /* id << 8 */
    uint32_t flags;          /* enum heap_flag */
    uint32_t bound_units;    /* one region of so many units and no large blocks; 0: grows */
    struct heap *next_free;  /* while free */
    struct heap *next_live, *previous_live; /* creation order */
    uint32_t debug;          /* bits of contract 2.8: every block packed, filled and checked */
    uint32_t packed_only;    /* bounded or debug: no pages, no runs */
    uint32_t hard;           /* enum mode: of the process heap; MODE_DEFAULT of all others */
    uint8_t fails, chaos, stress, none; /* flags: each call asks fail.c, or goes to preload/chaotic.c, or to pageheap.c */
    uint64_t seal;           /* of what stays while the heap lives */
    uint8_t uses[CLASS_COUNT]; /* of packed memory, by class; USES_STEP for each */
    uint32_t fork_held;      /* flag: fork_prepare has its locks */
    uint32_t lost;           /* flag: a thread that fork left behind may have had blocks in its hands */
    struct gate gate __attribute__((aligned(64)));
    struct local *locals;    /* gate lock */
    uint32_t local_count;
    uint64_t locals_seal;
    ph_lock span_lock __attribute__((aligned(64)));
    struct region *regions, *last_region;
    uint64_t reserved_units, live_units; /* live: in pages, runs, guards between them */
    uint64_t dirty_units;    /* free, and a purge would give them back */
    uint64_t guard_count;    /* inaccessible OS pages between spans, */
    uint64_t guard_next;     /* and how many units are live when the next is made; 0: none */
    uint64_t low_units, low_ms, peak_units; /* the fewest that were live lately, and when; the most since then, */
    uint64_t swing_units, shed_units; /* and how many came back; given back too, and not taken since: purge.c */
    uint32_t spares, spare_count; /* descriptors at hand */
    uint64_t bins_used;
    uint64_t purge_ms, settle_ms; /* the last sweep by age; a thread was looked at, and was busy: settle.c */
    uint32_t gives, sheds, long_credit; /* spans given since; flag: ph_purge_sheds; units of long ones that the program shows it comes back for */
    uint32_t large;          /* descriptors: list of large blocks */
    uint64_t large_bytes, large_count, large_most, large_most_bytes; /* the most there ever were: malloc_stats */
    uint32_t bin[BIN_COUNT]; /* free spans by units */
    struct shard *shard;     /* NULL until the first page */
    uint64_t regions_seal;   /* and of the shard */
    uint32_t compatibility;     /* flag: HeapQueryInformation says 2, not 0 */
    char name[HEAP_NAME_BYTES]; /* for people, zeros behind it; "": none.  Gate and span lock */
    uint64_t name_seal;
};

enum heap_flag {
    HEAPF_NO_SERIALIZE = 1,
    HEAPF_EXCEPTIONS = 4,
    HEAPF_EXECUTE = 8,
    HEAPF_PAGED = 16, /* no packed memory; the process heap, and tests */
};

/* ================================ prototypes, top room first ================================= */

/* heap.c -- one heap: create, destroy, the registry, the choice of page / run / large */
extern struct heap ph_process_heap;
void ph_heap_begin(char *const *environment); /* read the options, once; NULL: libc's environment */
struct heap *ph_heap_process(void); /* the heap behind malloc, made at the first call; NULL: no memory */
enum { HEAP_MOST_UNITS = 1 << 24 }; /* initial or bound: 64 GB, what one span can be */
struct heap *ph_heap_create(unsigned flags, size_t initial_bytes, size_t max_bytes);
bool ph_heap_destroy(struct heap *hp); /* false: it has ended already */
struct heap *ph_heap_of_handle(const void *handle); /* live heap, or NULL; never touches the address */
unsigned ph_heap_list(void **handles, unsigned room); /* count of live heaps, process heap first */
void ph_heap_registry_fork_lock(void), ph_heap_registry_fork_unlock(void);

enum enter {
    ENTER_PATIENTLY, /* wait while another thread owns HeapLock */
    ENTER_UNLOCKED,  /* HEAP_NO_SERIALIZE on the call: do not */
    ENTER_NOT,       /* the caller is inside already */
};

struct request {          /* what a caller wants of a new block */
    size_t bytes;
    size_t align;         /* power of two; 16 or less: none */
    bool zero;
    bool sized;           /* remember `bytes` exactly */
    enum enter enter;
    const void *caller;   /* of malloc, as far as known */
    size_t pad;           /* room behind them; ph_heap_alloc knows */
    enum family { FAMILY_ANY, FAMILY_MALLOC, FAMILY_NEW, FAMILY_ARRAY, FAMILY_COUNT } family; /* who asks */
};
struct region *ph_heap_grow_packed(struct heap *hp, size_t bytes); /* held: gate lock; NULL: not in this heap */

/* alloc.c -- which way of keeping blocks serves a request */
void *ph_heap_alloc(struct heap *hp, const struct request *rq); /* NULL: no memory or over the bound */
void *ph_heap_guarded(struct heap *hp, const struct request *rq); /* between guards; NULL: not this one */
bool ph_heap_trim(struct heap *hp); /* stacks emptied, free memory given back; true: there was some */
void ph_heap_trim_plainly(struct heap *hp); /* the same with the system calls of malloc only: where memory ends */
void ph_heap_trim_all(void); /* each heap that no other thread has locked */
struct heap *ph_heap_around(const void *address); /* whose region it lies in; NULL: nobody's */
struct heap *ph_heap_at(uint32_t id); /* descriptor of that number, live or not; NULL: beyond the last */

/* block.c -- one block from outside: what is it, free it, resize it */
enum block_verdict { BLOCK_OK, BLOCK_NOT_OURS, BLOCK_BAD, BLOCK_TWICE };
enum block_verdict ph_heap_free(struct heap *hp, void *block, enum enter enter);
/* The same for a hard heap.  Reports a block that `family` did not give, or of another size than `bytes`
 * (SIZE_MAX: not said), where options ask for that. */
enum block_verdict ph_heap_free_hard(struct heap *hp, void *block, enum enter enter, enum family family, size_t bytes);
void ph_heap_free_later(void); /* what handlers gave back while they must not wait */

struct block_info {
    struct heap *heap;
    struct span *span;
    struct region *region; /* of a packed block */
    unsigned kind;   /* KIND_PLAIN/KIND_SIZED (without class), KIND_RUN, KIND_LARGE, KIND_PACKED */
    unsigned class;
    size_t capacity; /* bytes that can be used */
    size_t wanted;   /* exact size if sized, else capacity */
    bool sized;
};
/* What lives at an address, in whichever heap; plain blocks in some stack count as live. */
enum block_verdict ph_heap_look(const void *block, struct block_info *out);
/* find.c -- the block around an address */
bool ph_heap_is_inside_large(const void *address);
struct report;
/* Say of rp->block which sin it is to free it: kind, bytes, inside, heap, detail.  Takes locks. */
void ph_heap_judge(struct report *rp, enum block_verdict verdict, const struct block_info *bi);

/* Resize, moved if need be and not `in_place`; NULL: the block is as it was. */
void *ph_heap_realloc(struct heap *hp, const struct block_info *bi, void *block, const struct request *rq,
                      bool in_place);

/* local.c -- one thread's stacks for one heap */
extern struct local ph_local_none;
extern __thread struct local *ph_local __attribute__((tls_model("initial-exec")));
extern uint64_t ph_secret;   /* odd */
extern uint64_t ph_no_block[2]; /* what an empty stack ends in: its key is never right */
/* Both: busy on entry.  *fresh (if asked): nobody ever wrote to the block, it is zero. */
void *ph_local_take_slow(struct local *lo, unsigned class, bool *fresh); /* NULL: no memory */
bool ph_local_give_slow(struct local *lo, void *block); /* false: not a plain block of this heap */
struct local *ph_local_attach(struct heap *hp); /* this thread's local, made if need be; may be none */
bool ph_local_detach(struct local *lo); /* false: its heap has ended, and it is still the caller's */
void ph_local_expire(struct local *lo); /* now and then: what dead heaps and large blocks left, and runs that nobody asks for, go by age */
void ph_local_empty(struct local *lo);      /* held: gate lock, heap stopped (or the local is ours) */
void ph_local_empty_all(struct heap *hp);   /* held: gate lock, heap stopped */
void ph_local_forget_others(struct heap *hp); /* child of fork: other threads' locals become orphans */
void ph_local_without(bool wish); /* this thread may be cancelled at any moment */
void ph_local_thread_key(void);             /* make the key whose destructor detaches; without it nobody has stacks */

/* runs.c -- freed runs that one thread keeps for itself */
uint32_t ph_runs_round(uint32_t units);
struct span *ph_runs_take(struct local *lo, uint32_t units, size_t wanted, bool sized); /* busy on entry */
void *ph_runs_malloc(struct local *lo, size_t bytes);
bool ph_runs_give(struct local *lo, struct span *sp, const void *block); /* busy on entry; false: not kept, or freed before */
bool ph_runs_free(struct local *lo, uint64_t entry, const void *block);  /* the same where only the entry is known */
void ph_runs_want(struct local *lo, struct span *sp, size_t wanted, bool sized); /* busy on entry */
void ph_runs_empty(struct local *lo, uint32_t units); /* down to so many; held: gate lock, heap stopped (or the local is ours) */
void ph_runs_none(struct local *lo);
void ph_runs_settle(struct local *lo);
void ph_runs_salvage(struct local *lo);
bool ph_runs_are_valid(const struct local *lo, uint64_t *count);

/* settle.c -- a program that freed much and does little since */
bool ph_settle_overflow(struct local *lo, struct stack *st, unsigned class); /* busy on entry; true: much is freed */
void ph_settle_watch(struct local *lo), ph_settle_look(struct local *lo); /* not busy; busy on entry, and on return */

/* sized.c -- locals of private heaps, and how a thread finds them */
extern const struct thread ph_thread_none;
extern __thread struct thread *ph_thread __attribute__((tls_model("initial-exec")));
struct local *ph_sized_local(struct heap *hp);  /* this thread's, or NULL */
struct local *ph_sized_earned(struct heap *hp); /* the same, made after some operations */
void *ph_sized_take(struct local *lo, unsigned class, size_t wanted); /* NULL: no memory, or not biased */
bool ph_sized_give(struct local *lo, void *block); /* false: nothing done, ask block.c */

/* late.c -- malloc and free of a hard heap, what is less usual than late.h; freed blocks that wait */
void *ph_hard_malloc(size_t bytes, enum family family); /* NULL: ask alloc.c */
bool ph_hard_free(void *block, enum family family);     /* false: nothing done, ask block.c */
/* Where it stands.  False: it must move; *had: what it holds, SIZE_MAX: ask block.c. */
bool ph_hard_resize(void *block, size_t bytes, enum family family, size_t *had);
void ph_late_enter(struct local *lo, void *block, uint16_t *place, unsigned class);
void ph_late_empty(struct local *lo); /* held: gate lock, heap stopped (or the local is ours) */
void ph_sized_forget(struct heap *hp); /* the heap ends.  Held: gate lock */
void ph_sized_detach_all(void);        /* this thread ends */
void ph_sized_fork_child(void);
void ph_sized_fork_lock(void), ph_sized_fork_unlock(void);

struct thread *ph_sized_thread_of(const void *owner); /* NULL: none */

/* nested.c -- signal handlers that interrupted this thread here */
struct nest { /* in the frame of whoever calls the handler */
    struct local *local;
    struct thread *thread;
    uintptr_t before;
};
#define PH_NO_THREAD ((struct thread *)(uintptr_t)&ph_thread_none)
extern __thread uintptr_t ph_nest __attribute__((tls_model("initial-exec")));
extern bool ph_nested_ever; /* some handler interrupted an operation of ours */
bool ph_nested_begin(struct nest *ne); /* true: it interrupted an operation; then end it */
void ph_nested_end(const struct nest *ne);
void ph_nested_jump(uintptr_t target);
bool ph_nested_still(void);
void ph_nested_abandon(struct local *lo, const struct thread *th); /* the thread ends in the middle of an operation */
bool ph_nested_is_inside(const struct heap *hp); /* leaf locks may be taken: the interrupted operation holds a stop off */
/* This call came in the middle of another of the same thread: it must wait for nobody. */
static inline bool ph_is_nested(void) { return unlikely((ph_nest | ph_locks_held) != 0) && ph_nested_still(); }

/* harden.c -- tails and free memory of a hard heap */
struct hard_block {
    char *block;
    size_t wanted, capacity;
    size_t head;    /* bytes before a fenced block that are its own */
    unsigned class; /* CLASS_COUNT: a run or a large block */
};
enum hard_verdict { HARD_GOOD, HARD_OVERFLOW, HARD_UNDERFLOW, HARD_BEFORE }; /* UNDERFLOW: of the block behind */
enum { HARD_HEAD_BYTES = 64 };
struct hard_block ph_hard_large(const struct span *sp); /* as its descriptor says */
size_t ph_hard_pad(const struct heap *hp);
void ph_hard_taken(const struct heap *hp, const struct hard_block *hb, enum family family, bool *zero);
void ph_hard_retail(const struct hard_block *hb, enum family family);
bool ph_hard_stands(const struct hard_block *hb, enum family family); /* the tail, and it is of that family */
void ph_hard_resized(const struct heap *hp, const struct hard_block *hb, size_t had, enum family family);
void ph_hard_released(const struct heap *hp, const struct hard_block *hb);
enum family ph_hard_family(const struct hard_block *hb);
enum hard_verdict ph_hard_look(const struct hard_block *hb);
void ph_hard_report(const struct hard_block *hb, enum hard_verdict verdict);
void ph_hard_changed(const struct hard_block *hb); /* while it was free */

/* debug.c -- fills and tails of heaps with debug flags */
enum { DEBUG_TAIL = 0x10, DEBUG_FREE = 0x20, DEBUG_PARAMETERS = 0x40, DEBUG_ALL = 0x80, DEBUG_NO_JOIN = 0x200000 };
size_t ph_debug_tail_bytes(const struct heap *hp);
bool ph_debug_taken(const struct heap *hp, void *block, size_t bytes, bool zero); /* true: it is zero now */
void ph_debug_freed(const struct heap *hp, void *memory, size_t bytes);
void ph_debug_resized(const struct heap *hp, void *block, size_t old_bytes, size_t bytes);
bool ph_debug_tail_is_good(const struct heap *hp, const void *block, size_t bytes);
bool ph_debug_free_is_good(const struct heap *hp, const struct region *rg);

/* gate.c -- the biased critical section */
struct pass {
    struct local *lo; /* busy, or NULL: the gate lock is held */
    bool none;        /* neither: an unserialised heap, or the caller is inside already */
};
struct pass ph_gate_enter(struct heap *hp, enum enter enter); /* be inside, the cheap way if possible */
struct pass ph_gate_enter_locked(struct heap *hp, enum enter enter); /* under the gate lock: packed memory */
void ph_gate_wait(struct heap *hp); /* while another thread owns HeapLock */
void ph_gate_rebias(struct local *lo, enum enter enter);
void ph_gate_leave(struct heap *hp, struct pass ps);
void ph_gate_close(struct heap *hp, enum enter enter); /* gate lock held and nobody inside */
void ph_gate_close_plainly(struct heap *hp); /* without membarrier: a program's filter may kill for it */
bool ph_gate_close_alone(struct heap *hp); /* where nobody has to be stopped; false: not closed */
void ph_gate_open(struct heap *hp);
void ph_gate_stop(struct heap *hp); /* nobody is inside any more.  Held: gate lock */
bool ph_gate_bias(struct local *lo);                /* held: gate lock; false: not yet */
void ph_gate_unbias(struct local *lo);
void ph_gate_heap_lock(struct heap *hp);
bool ph_gate_heap_unlock(struct heap *hp);          /* false: not the owner */
void ph_gate_reset(struct heap *hp);               /* the heap ends; held: gate lock */
void ph_gate_fork_child(struct heap *hp, bool interrupted);

/* emergency.c -- blocks without any lock.  Heaps are said by number. */
void *ph_emergency_take(uint32_t heap, const struct request *rq);
uint32_t ph_emergency_look(const void *block, size_t *wanted, size_t *capacity, bool *sized);
bool ph_emergency_give(const void *block);
const char *ph_emergency_memory(size_t *bytes); /* where most of them lie */
bool ph_emergency_resize(const void *block, size_t bytes, bool sized);
void ph_emergency_forget(uint32_t heap);
extern uint32_t ph_later_count;
void ph_later_add(uint32_t heap, void *block);
uint32_t ph_later_take(void **block);

/* shard.c -- class locks, and which page serves */
bool ph_shard_ready(struct heap *hp); /* false: no memory */
void ph_shard_forget(struct heap *hp);
void ph_shard_refill_sized(struct heap *hp, unsigned kind, struct stack *st, unsigned want);
void ph_shard_flush_sized(struct heap *hp, unsigned kind, struct stack *st, void **bottom, unsigned count);
struct sized_entry;
void ph_shard_sweep(struct heap *hp);
void ph_shard_salvage_sized(struct heap *hp, unsigned kind, const struct sized_entry *entry);
void ph_shard_refill(struct heap *hp, unsigned kind, struct stack *st, unsigned want);
enum flush { FLUSH_TO_PAGES, FLUSH_TO_DEPOT, FLUSH_DRAIN };
void ph_shard_flush(struct heap *hp, unsigned kind, struct stack *st, void **bottom, unsigned count, enum flush where);
void ph_shard_empty_depots(struct heap *hp);
void ph_shard_age(struct heap *hp); /* what nobody missed goes */
void *ph_shard_take(struct heap *hp, unsigned kind, size_t wanted, bool *fresh);
bool ph_shard_give(struct heap *hp, unsigned kind, struct span *pg, void *block); /* false: already free */
bool ph_shard_salvage(struct heap *hp, unsigned kind, void *block); /* give it, if it is a free block in no page */
void ph_shard_unfresh(struct heap *hp, unsigned kind, struct stack *st); /* give a stack's fresh blocks back */
void ph_shard_trim(struct heap *hp);
void ph_shard_mend(struct heap *hp);
void ph_shard_fork_lock(struct heap *hp), ph_shard_fork_unlock(struct heap *hp);

/* depot.c, back.c -- what a class keeps between stacks and pages, and of pages: see depot.h */
bool ph_depot_look(struct heap *hp); /* no lock needed: is it time to ask what nobody missed? */

/* page.c -- equal-size blocks in one page; held: its class lock */
struct span *ph_page_new(struct heap *hp, unsigned kind, unsigned units);
unsigned ph_page_take(struct span *pg, void **out, unsigned want);
unsigned ph_page_carve(struct span *pg, unsigned want, char **first);
bool ph_page_give(struct span *pg, unsigned index);
bool ph_page_is_free(const struct span *pg, unsigned index);
unsigned ph_page_index(const struct span *pg, const void *block); /* or PAGE_BLOCKS: no block starts there */
char *ph_page_block(const struct span *pg, unsigned index);       /* its address; blocks stand against the page's end */
static inline size_t ph_size_cell_bytes(size_t capacity) { return sizeof(struct size_cell) + capacity * sizeof(uint16_t); }
uint16_t *ph_page_size_place(const struct span *pg, unsigned index);
void ph_page_set_wanted(struct span *pg, unsigned index, size_t wanted);
size_t ph_page_wanted(const struct span *pg, unsigned index); /* SIZE_MAX: sized and not live */
void ph_page_drop(struct heap *hp, struct span *pg);
bool ph_page_is_valid(const struct span *pg);

/* sizeclass.c -- the size table and its look-ups */
extern const uint8_t ph_class_small[SMALL_BYTES / 16 + 1];
extern const uint8_t ph_class_medium[CLASS_BYTES / 128 + 1];
extern const uint16_t ph_class_bytes[CLASS_COUNT];
extern const uint64_t ph_class_magic[CLASS_COUNT]; /* ceil(2^64 / bytes) */
extern const uint16_t ph_class_code[CLASS_COUNT];  /* of size 0: 3 * (bytes + 1) */
unsigned ph_class_aligned(size_t bytes, size_t align); /* CLASS_COUNT: none, take a run */
unsigned ph_class_page_units(unsigned class, unsigned wish);

/* packed.c -- blocks side by side in the first units of a region; held: the gate lock */
bool ph_packed_add(struct region *rg, uint32_t units); /* false: no memory */
void ph_packed_drop(struct region *rg);
void ph_packed_reset(struct region *rg); /* every block is gone */
void *ph_packed_take(struct heap *hp, struct region *rg, size_t bytes, size_t align, bool *zero);
bool ph_packed_give(struct region *rg, void *block, bool join); /* false: no live block starts there */
bool ph_packed_look(const struct region *rg, const void *block, size_t *wanted, size_t *capacity);
bool ph_packed_resize(struct heap *hp, struct region *rg, void *block, size_t bytes, bool join);
void ph_packed_join(struct region *rg);
void ph_packed_purge(struct region *rg); /* free memory goes back to the system */
struct packed_part {
    char *at;
    size_t bytes, wanted;
    bool live;
};
bool ph_packed_part(const struct region *rg, const void *address, struct packed_part *out);
bool ph_packed_is_valid(const struct region *rg);
size_t ph_packed_control_bytes(void);

/* large.c -- one mapping for one block; held on entry: nothing */
struct span *ph_large_take(struct heap *hp, size_t bytes, size_t align, bool *zero);
bool ph_large_give(struct heap *hp, void *block); /* false: it is gone already */
void ph_large_link(struct heap *hp, struct span *sp); /* into its heap's books */
bool ph_large_was(const void *block, size_t *bytes); /* one of the last that went; not NULL */
void ph_large_forget(struct heap *hp);            /* destroy: all large blocks of a heap */
bool ph_large_resize(struct heap *hp, struct span *sp, size_t bytes, size_t wanted, bool sized, bool may_move);
bool ph_large_trim(void); /* kept mappings and fenced ones that wait go; true: there were some */
void ph_large_fork_lock(void), ph_large_fork_unlock(void);

/* kept.c -- mappings of freed large blocks */
char *ph_kept_take(size_t bytes, size_t align, size_t *got_bytes); /* dirty; NULL: none */
bool ph_kept_behind(const char *end, size_t bytes); /* they belong to the block that ends there now */
void ph_kept_give(char *base, size_t bytes, size_t live_bytes), ph_kept_expire(void);
bool ph_kept_trim(void); /* true: there were some */
void ph_kept_fork_lock(void), ph_kept_fork_unlock(void);

/* span.c -- units cut out of regions, joined again.  Locks itself. */
struct span *ph_span_take_for(struct heap *hp, unsigned kind, uint32_t units, uint32_t align_units, size_t wanted, bool sized);
struct span *ph_span_take_locked(struct heap *hp, unsigned kind, uint32_t units, uint32_t align_units, size_t wanted, bool sized);
struct span *ph_span_free_locked(struct heap *hp, struct span *sp);
static inline struct span *ph_span_take(struct heap *hp, unsigned kind, uint32_t units, uint32_t align_units)
{
    return ph_span_take_for(hp, kind, units, align_units, 0, false);
}
void ph_span_give(struct heap *hp, struct span *sp);
void ph_span_give_held(struct heap *hp, struct span *sp); /* its entries but the first are clear; held: span lock */
bool ph_span_give_run(struct heap *hp, void *block); /* false: no run starts there (any more) */
bool ph_span_grow(struct heap *hp, struct span *sp, uint32_t units);
void ph_span_shrink(struct heap *hp, struct span *sp, uint32_t units);
struct span *ph_span_containing(struct heap *hp, const void *address); /* run, page or free span; NULL */
static inline size_t ph_round_up(size_t bytes, size_t align) { return (bytes + align - 1) & ~(align - 1); }
/* A bit field of 40 bits must be widened before it is shifted. */
static inline void *ph_unit_address(uint64_t unit) { return (void *)(uintptr_t)(unit << UNIT_BITS); }
static inline void *ph_span_start(const struct span *sp) { return ph_unit_address(sp->start); }
static inline size_t ph_span_bytes(const struct span *sp) { return (size_t)sp->units << UNIT_BITS; }
static inline char *ph_large_block(const struct span *sp) { return (char *)ph_span_start(sp) + sp->offset; }
struct span *ph_span_new(void);      /* a descriptor */
void ph_span_drop(struct span *sp);
void ph_span_want(struct heap *hp, struct span *sp, size_t wanted, bool sized); /* locks itself */
struct span *ph_span_descriptor(struct heap *hp); /* one of its spares, if there is; held: span lock */
uint32_t ph_span_limit(void); /* numbers of descriptors are below */
struct span *ph_span_known(uint32_t index); /* NULL where no descriptor can be */
bool ph_span_is_valid(const struct heap *hp, const struct span *sp);
void ph_span_file_used(struct heap *hp, struct region *rg);
bool ph_span_release(struct heap *hp); /* regions in which nothing is in use, back to the system; some were? */
bool ph_span_retreat(struct heap *hp, uint64_t units); /* ends of regions, likewise, for a request of so many */
void ph_span_discard(struct heap *hp, struct span *sp); /* of a region that goes; held: span lock */
void ph_span_keep(struct heap *hp, struct span *sp, uint32_t units); /* of a free one, its first units; held: span lock */
void ph_span_forget(struct heap *hp); /* destroy: drop the descriptors of all its spans */

/* spanguard.c -- inaccessible OS pages between the spans of a secure heap; held, but for the last: span lock */
struct span *ph_spanguard_take(struct heap *hp, unsigned kind, uint32_t units, uint32_t align_units, size_t wanted, bool sized); /* NULL: not this one */
struct span *ph_spanguard_lift(struct heap *hp, struct span *sp); /* those next to a free span that are of no use now; what it is part of then */
void ph_spanguard_forget(struct heap *hp, const struct span *sp); /* its region goes */
void ph_spanguard_begin(struct heap *hp); /* nobody has it yet */
bool ph_spanguard_end(struct heap *hp);   /* memory is out: none from now on; true: there were some */

/* purge.c -- dirty free memory goes back to the system */
enum {
    PURGE_LEAST_UNITS = 16,                /* 64 KB: what is worth a system call at once */
    DIRTY_UNITS = (2 << 20) / UNIT_BYTES, /* dirty memory that may stay, at least */
};
void ph_purge_as_due(struct heap *hp); /* held: span lock */
void ph_purge_long(struct heap *hp, struct span *sp, uint32_t units); /* likewise */
void ph_purge_taken(struct heap *hp, const struct span *sp); /* likewise */
bool ph_purge_sheds(const struct heap *hp); /* most of the heap is given back; no lock needed */
uint32_t ph_purge_units(const struct span *sp, uint32_t *first); /* of a dirty free span: what can be given back */
void ph_purge_all(struct heap *hp);

/* region.c -- reserves, commits, caches address ranges; knows nothing of blocks */
struct region *ph_region_add(struct heap *hp, size_t bytes, size_t least_bytes);
char *ph_region_unit(const struct region *rg, uint32_t unit); /* its address */
bool ph_region_commit(struct region *rg, uint32_t units, bool executable);
void ph_region_name(const struct region *rg, const char *name); /* NULL: none any more */
struct region *ph_region_of(const struct heap *hp, const void *address);
void ph_region_drop_all(struct heap *hp);
void ph_region_drop_next(struct heap *hp, struct region *before);
void ph_region_drop_rest(struct heap *hp); /* all but the first */
void ph_region_cut(struct heap *hp, struct region *rg, uint32_t units);
void ph_region_purged(struct heap *hp, const char *from, size_t bytes);
void ph_region_trim(void), ph_region_expire(void); /* all that was kept; what was kept long enough */
void ph_region_fork_lock(void), ph_region_fork_unlock(void);

/* map.c -- what stands at an address */
bool ph_map_prepare(const void *base, size_t bytes); /* entries of that range can be written */
struct span *ph_map_span(uint64_t entry); /* that it names; NULL: none, or one that says otherwise */
void ph_map_fill(struct span *sp);   /* every unit */
void ph_map_ends(struct span *sp);   /* first and last unit */
void ph_map_first(struct span *sp);
void ph_map_clear(const struct span *sp);       /* every unit */
void ph_map_clear_range(const void *base, uint32_t units);
void ph_map_clear_inner(const struct span *sp); /* all but the first */
void ph_map_clear_first(const struct span *sp);
void ph_map_clear_last(const struct span *sp);  /* if it is not the first too */
void ph_map_clear_ends(const struct span *sp);
bool ph_map_own(const void *base, size_t bytes, uint32_t heap);
void ph_map_disown(const void *base, size_t bytes);
uint32_t ph_map_owner(const void *at);
void ph_map_fork_lock(void), ph_map_fork_unlock(void);

/* meta.c -- memory for descriptors: cells found by number, never unmapped */
enum {
    CELL_BITS = 6, /* a number counts 64 bytes */
    CELL_CHUNK_BYTES = 65536,
    CELLS_LOG = 16 - CELL_BITS,
    CELL_CHUNKS = 1 << (26 - CELLS_LOG), /* a page-map entry has 26 bits for a descriptor */
    POOL_COUNT = 12,
};
struct pool {
    ph_lock lock;
    uint32_t cells;     /* 64-byte cells that one of these is */
    uint32_t free;      /* first free cell; its first word says the next */
    uint32_t next, end; /* cells of the newest chunk that were never given */
};
enum { META_FIRST_BYTES = 256 * 1024 };
extern char ph_meta_first[META_FIRST_BYTES];
extern struct pool ph_pool_spans;
extern char *ph_cell_chunk[CELL_CHUNKS];
void *ph_meta_take(size_t bytes); /* zeroed, aligned to 64; NULL: no memory */
struct pool *ph_pool_number(unsigned number); /* in the order of their cells' bytes */
struct pool *ph_pool_of(size_t bytes); /* that has cells so large, to 4 KB; NULL: none */
uint32_t ph_pool_take(struct pool *po); /* 0: no memory; the cell's content is what was there */
void ph_pool_give(struct pool *po, uint32_t cell);
void ph_pool_give_row(struct pool *po, uint32_t first, uint32_t last);
static inline void *ph_cell_at(uint32_t cell)
{
    return ph_cell_chunk[cell >> CELLS_LOG] + ((size_t)(cell & ((1u << CELLS_LOG) - 1)) << CELL_BITS);
}
static inline struct span *ph_span_at(uint32_t index) { return ph_cell_at(index); }
void ph_meta_fork_lock(void), ph_meta_fork_unlock(void);

/* walk.c, valid.c -- read a heap from outside */
struct walk_entry {
    char *at;
    size_t bytes;
    unsigned overhead;
    unsigned region;
    enum walk_what { WALK_REGION, WALK_BUSY, WALK_FREE, WALK_UNCOMMITTED } what;
    const struct region *rg; /* WALK_REGION */
    char *first;             /* WALK_REGION: where its elements begin */
    bool large;
};
enum walk_result { WALK_ENTRY, WALK_END, WALK_BAD };
/* The entry after *we (at == NULL: the first), into *we.  Closes the gate for the step. */
enum walk_result ph_walk_next(struct heap *hp, struct walk_entry *we, enum enter enter);
void ph_walk_close(struct heap *hp, enum enter enter); /* gate closed, all stacks emptied into their pages */
bool ph_walk_validate(struct heap *hp, const void *block, enum enter enter); /* block NULL: all of it */

struct heap_sums {
    uint64_t live_blocks, live_bytes; /* exact where the size is, else what can be used */
    uint64_t free_blocks;             /* runs of free memory of any length */
    uint64_t committed_bytes, reserved_bytes;
    uint64_t large_blocks, large_bytes, large_live_bytes; /* with mappings of their own; in all three above */
    uint64_t large_most, large_most_bytes; /* the most there ever were */
    uint64_t dirty_bytes;             /* free, and a purge would give them back */
    uint64_t largest_free;            /* bytes of the largest free element, committed */
};
void ph_walk_sums(struct heap *hp, struct heap_sums *out);
typedef void ph_walk_visit(char *at, size_t bytes, void *with); /* it takes no block */
void ph_walk_live(struct heap *hp, ph_walk_visit *block, ph_walk_visit *region, void *with); /* held: closed, as above */

/* inspect.c -- what stands in free memory and behind blocks; reports what should not */
void ph_inspect(struct heap *hp);
void ph_inspect_own(void); /* empty this thread's stacks, checking each block */

/* stats.c -- figures as text */
void ph_stats_print(struct heap *hp);

/* cancel.c -- before a thread is cancelled; its thread pointer */
void ph_cancel_begin(const void *thread_pointer);

/* fork.c -- what must hold across fork() */
void ph_fork_register(void);
bool ph_fork_is_brief(void); /* the child of a fork, some moments old */

#endif
