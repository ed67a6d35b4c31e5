/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fork.pml -- lib/fork.c: what the child of a fork finds, whatever the other threads were doing.
 *
 * What is in it: one heap with its gate, HeapLock, one class lock (for all leaf locks), a stack for each of two
 * threads and a page.  A user refills and flushes, busy, under the class lock.  A stopper closes the heap and waits for whoever is
 * busy; then it has HeapLock for a while.  The forker uses the heap as well, and forks: between two operations, or in a
 * signal handler that interrupted one of its own, inside or outside of its leaf lock.  After the fork each
 * run goes on either as the parent, or as the child: there the other threads have stopped for good.
 *
 * Assumptions: locks are atomic, and memory is in order (the barriers are gate.pml's matter; fork needs none: the
 * kernel copies memory as this thread sees it, and takes the other threads off their processors to do so, which
 * empties their store buffers).  A push or pop of a stack is one step (lib: consistent at every instruction).
 * Not in it: several heaps, the order among leaf locks (tests/lock_order.pl), stdio's lock.
 *
 * Checked: no deadlock, in parent or child; in the child no block is in two places, and none is lost but those that
 * were in a vanished thread's hands; the child can stop, lock and use the heap.  Mutations: see models.sh. */

#define USER    0
#define STOPPER 1
#define FORKER  2
#define BY_FORK 3
#define NOBODY  255
#define BLOCKS  3

byte gate = NOBODY, leaf = NOBODY, heaplock = NOBODY;
bool busy[3], biased[3];
byte stack[3];
byte page = BLOCKS;
byte hand[3];            /* taken from the one place, not yet in the other: only under the leaf lock */
bool child;              /* the other threads are gone */
bool interrupted;
bool took_gate, took_leaf;
byte lost;

#define alive(me) ((me) == FORKER || !child)
#define take(lock, me) atomic { alive(me) && lock == NOBODY -> lock = me }
#define give(lock, me) atomic { alive(me) -> assert(lock == me); lock = NOBODY }
#define step(me) alive(me)

/* Between two steps of the forker's own operation a signal handler may fork. */
#define signal(me) if :: me == FORKER && !forked && !interrupted -> interrupted = true; do_fork(); interrupted = false :: true fi

inline sum() { assert(page + stack[0] + stack[1] + stack[2] + hand[0] + hand[1] + hand[2] + lost == BLOCKS) }

inline prepare()
{
    took_gate = false; took_leaf = false;
    if
#ifdef INTERRUPTED_TAKES_GATE
    :: atomic { gate == NOBODY -> gate = BY_FORK }; took_gate = true
    :: atomic { gate == FORKER -> skip }
#else
    :: interrupted
    :: !interrupted -> atomic { gate == NOBODY -> gate = BY_FORK }; took_gate = true
#endif
    fi;
#ifndef NO_LEAF_LOCK
    if
    :: leaf == FORKER
    :: atomic { leaf == NOBODY -> leaf = BY_FORK }; took_leaf = true
    fi
#endif
}

inline release()
{
    atomic {
        if
        :: took_leaf -> assert(leaf == BY_FORK); leaf = NOBODY
        :: else
        fi;
        if
        :: took_gate -> assert(gate == BY_FORK); gate = NOBODY
        :: else
        fi;
        took_gate = false; took_leaf = false
    }
}

/* What vanished threads held or had. */
inline in_child()
{
    atomic {
#ifndef KEEP_GATE
        if
        :: interrupted && !took_gate && gate != FORKER -> gate = NOBODY
        :: else
        fi;
#endif
#ifndef KEEP_HEAPLOCK
        if
        :: heaplock != FORKER -> heaplock = NOBODY
        :: else
        fi;
#endif
        busy[USER] = false; busy[STOPPER] = false;
        biased[USER] = false; biased[STOPPER] = false;
        assert(hand[USER] == 0 && hand[STOPPER] == 0)
    }
}

inline do_fork()
{
    forked = true;
    prepare();
    if
    :: child = true; in_child(); release() /* we are the child from here on */
    :: release()
    fi
}

/* Refill or flush: busy, and a block on its way under the leaf lock. */
inline move(me)
{
    take(leaf, me);
    signal(me);
    if
    :: atomic { step(me) && page > 0 -> page--; hand[me] = 1 }; signal(me); atomic { step(me) -> hand[me] = 0; stack[me]++ }
    :: atomic { step(me) && stack[me] > 0 -> stack[me]--; hand[me] = 1 }; signal(me); atomic { step(me) -> hand[me] = 0; page++ }
    :: atomic { step(me) && page == 0 && stack[me] == 0 -> skip }
    fi;
    give(leaf, me)
}

inline use(me)
{
    step(me); busy[me] = true;
    signal(me);
    if
    :: step(me) && biased[me] -> move(me); signal(me); atomic { step(me) -> busy[me] = false }
    :: step(me) && !biased[me] ->
       busy[me] = false;
       do
       :: take(gate, me);
          if
          :: heaplock == NOBODY || heaplock == me -> break
          :: else -> give(gate, me); step(me) && (heaplock == NOBODY || heaplock == me)
          fi
       od;
       if
       :: heaplock == NOBODY -> biased[me] = true; busy[me] = true; give(gate, me); move(me); atomic { step(me) -> busy[me] = false }
       :: move(me); give(gate, me)
       fi
    fi
}

proctype user()
{
    bool forked = true; /* it does not fork */
    { use(USER); use(USER) } unless { child }
}

inline close_heap(me)
{
    take(gate, me);
    atomic { step(me) -> biased[0] = false; biased[1] = false; biased[2] = false }
    i = 0;
    do
    :: step(me) && i < 3 -> (i == me || (step(me) && !busy[i])); i++
    :: step(me) && i == 3 -> break
    od
}

proctype stopper()
{
    byte i;
    {
        close_heap(STOPPER);
        atomic { step(STOPPER) -> assert(hand[0] + hand[2] == 0); sum(); heaplock = STOPPER }
        give(gate, STOPPER);
        take(gate, STOPPER);
        atomic { step(STOPPER) -> heaplock = NOBODY }
        give(gate, STOPPER)
    } unless { child }
}

proctype forker()
{
    bool forked; byte i;
    use(FORKER);
    if
    :: !forked -> do_fork()
    :: else
    fi;
    use(FORKER);
    if
    :: child -> /* strays are salvaged: their blocks go to the pages */
       close_heap(FORKER);
       atomic { page = page + stack[USER] + stack[STOPPER] + stack[FORKER]; stack[USER] = 0; stack[STOPPER] = 0; stack[FORKER] = 0 }
       sum();
       assert(page == BLOCKS && leaf == NOBODY && heaplock == NOBODY);
       give(gate, FORKER)
    :: else
    fi
}

init { atomic { biased[USER] = true; biased[FORKER] = true; run user(); run stopper(); run forker() } }
