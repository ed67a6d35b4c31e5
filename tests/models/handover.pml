/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* handover.pml -- lib/shard.c and lib/page.c: blocks that one thread takes and another gives.
 *
 * There are no depots and no foreign buffers today: a block that thread A took and thread B gave lies in B's stack and
 * goes back to its page when that is flushed; A finds it there at a refill.  That is what is modelled: two pages of
 * two blocks, a producer that takes and hands over, a consumer that gives, refill and flush under the class lock, the page
 * that is given away when all of its blocks are free, and a trim that empties both stacks in a closed heap.
 *
 * Assumptions: memory in order under the lock (lock.c: acquire, release).  A page's bitmap is read and written in two
 * steps, so that a missing lock shows.  The hand-over itself is the program's (a channel here), and in order.
 * Not in it: who may be inside (gate.pml).
 *
 * Checked: no block is in two places at once; a page is given away only when nothing of it is in a stack or in use;
 * in the end every block is free.  Mutations: see models.sh. */

#define PAGES  2
#define EACH   2
#define BLOCKS 4
#define NOBODY 255
#define PRODUCER 0
#define CONSUMER 1

#define IN_PAGE  0
#define IN_STACK 1             /* + whose: 1, 2 */
#define IN_USE   3

byte class_lock = NOBODY;
byte place[BLOCKS];            /* the truth */
byte free_bits[PAGES] = 3;     /* what the page says */
bool there[PAGES] = true;      /* the page exists; else its memory is somebody else's */
bool closed;                   /* trim is inside alone */
byte busy;
chan handed = [2] of { byte };

#define page_of(b) ((b) / EACH)
#define bit_of(b) (1 << ((b) % EACH))

inline lock(me)
{
#ifndef NO_CLASS_LOCK
    atomic { class_lock == NOBODY -> class_lock = me }
#else
    skip
#endif
}

inline unlock(me)
{
#ifndef NO_CLASS_LOCK
    class_lock = NOBODY
#else
    skip
#endif
}

inline enter() { atomic { !closed -> busy++ } }
inline leave() { busy-- }

/* A free block of some page into a stack. */
inline refill(me)
{
    lock(me);
    b = 0;
    do
    :: b < BLOCKS && there[page_of(b)] && (free_bits[page_of(b)] & bit_of(b)) ->
       bits = free_bits[page_of(b)];
       atomic {
           free_bits[page_of(b)] = bits & (3 - bit_of(b));
           assert(place[b] == IN_PAGE);
           place[b] = IN_STACK + me
       }
       break
    :: b < BLOCKS && !(there[page_of(b)] && (free_bits[page_of(b)] & bit_of(b))) -> b++
    :: b == BLOCKS -> /* another page */
       if
       :: !there[0] -> atomic { there[0] = true; free_bits[0] = 3; b = 0 }
       :: !there[1] -> atomic { there[1] = true; free_bits[1] = 3; b = 0 }
       :: else -> break
       fi
    od;
    unlock(me);
    bits = 0
}

/* A block of a stack into its page; a page that is all free may be given away. */
inline flush(me, blk)
{
    lock(me);
    bits = free_bits[page_of(blk)];
    assert(there[page_of(blk)]);
    assert(place[blk] == IN_STACK + me);
    atomic { free_bits[page_of(blk)] = bits | bit_of(blk); place[blk] = IN_PAGE }
    give_away(page_of(blk));
    unlock(me);
    bits = 0
}

inline give_away(pg)
{
    if
#ifdef FORGET_STACKS
    :: place[pg * EACH] != IN_USE && place[pg * EACH + 1] != IN_USE ->
#else
    :: free_bits[pg] == 3 ->
#endif
       atomic { assert(place[pg * EACH] == IN_PAGE && place[pg * EACH + 1] == IN_PAGE); there[pg] = false; free_bits[pg] = 0 }
    :: true
    fi
}

proctype producer()
{
    byte b, bits, rounds;
    do
    :: rounds < 3 ->
       enter();
       refill(PRODUCER);
       if
       :: b < BLOCKS -> assert(place[b] == IN_STACK + PRODUCER); place[b] = IN_USE; leave(); handed ! b
       :: b == BLOCKS -> leave()
       fi;
       rounds++;
       b = 0
    :: rounds == 3 -> break
    od;
    handed ! BLOCKS
}

inline flush_mine()
{
    i = 0;
    do
    :: i < BLOCKS && place[i] == IN_STACK + CONSUMER -> flush(CONSUMER, i); i++
    :: i < BLOCKS && place[i] != IN_STACK + CONSUMER -> i++
    :: i == BLOCKS -> break
    od;
    i = 0
}

proctype consumer()
{
    byte b, bits, i;
    do
    :: handed ? b ->
       if
       :: b == BLOCKS -> break
       :: else
       fi;
       enter();
       assert(place[b] == IN_USE && there[page_of(b)]);
       place[b] = IN_STACK + CONSUMER;
       if
       :: flush_mine()
       :: true
       fi;
       leave()
    od;
    enter();
    flush_mine();
    leave()
}

/* Alone inside: both stacks emptied, empty pages given away. */
proctype trim()
{
    byte i, bits;
#ifndef TRIM_WHILE_BUSY
    closed = true;
    busy == 0;
#endif
    do
    :: i < BLOCKS && (place[i] == IN_STACK || place[i] == IN_STACK + CONSUMER) ->
       bits = free_bits[page_of(i)];
       atomic { assert(there[page_of(i)]); free_bits[page_of(i)] = bits | bit_of(i); place[i] = IN_PAGE }
       i++
    :: i < BLOCKS && !(place[i] == IN_STACK || place[i] == IN_STACK + CONSUMER) -> i++
    :: i == BLOCKS -> break
    od;
    give_away(0);
    give_away(1);
    closed = false
}

init
{
    byte i;
    atomic { run producer(); run consumer(); run trim() }
    _nr_pr == 1;
    do
    :: i < BLOCKS -> assert(place[i] == IN_PAGE && (!there[page_of(i)] || (free_bits[page_of(i)] & bit_of(i)))); i++
    :: i == BLOCKS -> break
    od
}
