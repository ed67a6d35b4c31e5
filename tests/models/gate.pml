/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* gate.pml -- lib/gate.c with the ends of threads (lib/local.c): the biased critical section of one heap.
 *
 * What is in it: two threads with a local each, which use the heap, end and are replaced; a thread that closes the
 * heap (as a walk does) and one that locks it (HeapLock, a use of its own under it, HeapUnlock).  Bias, stop, the
 * kernel's membarrier, waiting until nobody is busy, bias again, and a local that is left as an orphan under HeapLock.
 *
 * Assumptions, on memory (total store order, as x86-64 has it; nothing weaker):
 *   - Each thread's stores pass through a buffer in order; it drains at any moment, one store at a time.  Loads read
 *     memory, or the thread's own buffer.  Only what matters is buffered: `busy`, and `data`, which stands for all
 *     that an operation writes.  The fast path has no fence.
 *   - Taking and giving a lock is an atomic exchange: the own buffer is empty then.
 *   - membarrier empties the buffer of each other thread at some moment between its beginning and its end (for a
 *     thread that does not run, the switch has done so).
 *   - Where membarrier is refused, each buffer drains within the 10 ms that the stopper waits instead; the heap is
 *     not biased again.  So that the model stays small, either happens in a whole run (the first line of init).
 *   - The delay before a bias is any time, also none.
 * Not in it: leaf locks (fork.pml, handover.pml), several heaps, futex sleeps (waiting is a guard here).
 *
 * Checked: nobody is inside by its bias while the heap is closed or locked by another; what an operation wrote is
 * whole for whoever has closed the heap; under HeapLock no block moves between stacks and pages; no deadlock.
 * What breaks it, each by a macro: see models.sh. */

#define WORKERS 2
#define LOCKER  WORKERS        /* its number as a thread; it has no local */
#define WALKER  (WORKERS + 1)
#define NOBODY  255

#define IS_BUSY 0              /* what a buffered store writes to */
#define IS_DATA 1

byte gate = NOBODY;            /* the gate lock's holder */
byte owner = NOBODY;           /* HeapLock's */
bool biased[WORKERS];
bool busy[WORKERS];            /* as memory has it */
bool data[WORKERS];            /* true: in the middle of an operation */
byte stacked[WORKERS];         /* blocks in the local's stacks */
byte paged = 2;                /* blocks in pages */
bool owned[WORKERS];           /* a thread has the local */
bool no_membarrier, refused;
bool closed;                   /* somebody has stopped the heap and is inside alone */

chan buffer[WORKERS] = [3] of { bit, bool };

/* Stores reach memory. */
active [WORKERS] proctype drain()
{
    bit to; bool value;
end:
    do
    :: atomic { buffer[_pid] ? to, value ->
           if
           :: to == IS_BUSY -> busy[_pid] = value
           :: else -> data[_pid] = value
           fi; to = 0; value = false }
    od
}

inline take_gate(me) { atomic { gate == NOBODY && (me >= WORKERS || empty(buffer[me % WORKERS])) -> gate = me } }
inline give_gate(me) { atomic { (me >= WORKERS || empty(buffer[me % WORKERS])) -> assert(gate == me); gate = NOBODY } }

/* Until nobody else has HeapLock. */
inline take_gate_patiently(me)
{
    do
    :: take_gate(me);
       if
       :: owner == NOBODY || owner == me -> break
       :: else -> give_gate(me); owner == NOBODY || owner == me
       fi
    od
}

/* Inside: a block moves between a stack and a page, and something is written meanwhile. */
inline inside(t)
{
    buffer[t] ! IS_DATA, true;
    assert(owner == NOBODY);
    atomic {
        assert(!closed);
        if
        :: paged > 0 -> paged--; stacked[t]++
        :: stacked[t] > 0 -> stacked[t]--; paged++
        :: else
        fi
    }
    assert(!closed);
    buffer[t] ! IS_DATA, false;
}

inline use(t)
{
#ifdef LOOK_FIRST
    was = biased[t];
    buffer[t] ! IS_BUSY, true;
#else
    buffer[t] ! IS_BUSY, true;
    was = biased[t];
#endif
    if
    :: was ->
#ifdef LEAVE_EARLY
       buffer[t] ! IS_BUSY, false;
       inside(t)
#else
       inside(t);
       buffer[t] ! IS_BUSY, false
#endif
    :: else ->
#ifndef WAIT_BUSY
       buffer[t] ! IS_BUSY, false;
#endif
       take_gate_patiently(t);
       if
       :: owner == NOBODY && !no_membarrier ->
          biased[t] = true; buffer[t] ! IS_BUSY, true; give_gate(t); inside(t); buffer[t] ! IS_BUSY, false
       :: inside(t); give_gate(t) /* the delay is not over, or it may not be biased */
       fi
    fi;
    was = false
}

/* The thread ends: its blocks go to their pages, or stay where they are while another has locked the heap. */
inline detach(t)
{
    take_gate(t);
    biased[t] = false;
    if
#ifndef EXIT_EMPTIES
    :: owner != NOBODY /* an orphan */
    :: owner == NOBODY -> atomic { assert(!closed); paged = paged + stacked[t]; stacked[t] = 0 }
#else
    :: atomic { assert(!closed); paged = paged + stacked[t]; stacked[t] = 0 }
#endif
    fi;
    owned[t] = false;
    give_gate(t)
}

/* Another thread takes the local over, blocks and all. */
inline attach(t)
{
    take_gate(t);
    owned[t] = true;
    if
#ifdef BIAS_UNDER_LOCK
    :: !no_membarrier -> biased[t] = true
#else
    :: owner == NOBODY && !no_membarrier -> biased[t] = true
#endif
    :: true
    fi;
    give_gate(t)
}

proctype worker(byte t)
{
    bool was;
    attach(t);
    use(t);
    use(t);
    detach(t);
    attach(t);
    use(t)
}

/* Every bias taken away, and nobody inside any more.  Held: the gate. */
inline stop(me)
{
    any = false;
    i = 0;
    do
    :: i < WORKERS && biased[i] -> biased[i] = false; any = true; i++
    :: i < WORKERS && !biased[i] -> i++
    :: i == WORKERS -> break
    od;
    if
    :: any ->
#ifndef NO_BARRIER
       if
       :: refused -> no_membarrier = true
       :: else
       fi;
       i = 0;
       do
       :: i < WORKERS -> empty(buffer[i]); i++
       :: i == WORKERS -> break
       od;
#endif
#ifndef NO_WAIT
       i = 0;
       do
       :: i < WORKERS -> !busy[i]; i++
       :: i == WORKERS -> break
       od
#endif
    :: else
    fi;
    i = 0;
    any = false
}

inline look_around()
{
    assert(!data[0] && !data[1]);
    assert(paged + stacked[0] + stacked[1] == 2)
}

/* HeapWalk, HeapCompact: alone inside, and all stacks emptied. */
proctype walker()
{
    byte i; bool any;
    take_gate_patiently(WALKER);
    stop(WALKER);
    closed = true;
    look_around();
    atomic { paged = paged + stacked[0] + stacked[1]; stacked[0] = 0; stacked[1] = 0 }
    look_around();
    closed = false;
    give_gate(WALKER)
}

/* HeapLock, some use, HeapUnlock. */
proctype locker()
{
    byte i, rounds, were; bool any;
    do
    :: rounds < 1 ->
       take_gate_patiently(LOCKER);
       stop(LOCKER);
       owner = LOCKER;
       were = stacked[0];
       give_gate(LOCKER);
       look_around();
       take_gate(LOCKER);
       give_gate(LOCKER);
       assert(stacked[0] == were);
       look_around();
       take_gate(LOCKER);
       owner = NOBODY;
       give_gate(LOCKER);
       rounds++;
       were = 0
    :: rounds == 1 -> break
    od
}

init
{
    if
    :: refused = true
    :: refused = false
    fi;
    atomic { run worker(0); run worker(1); run walker(); run locker() }
}
