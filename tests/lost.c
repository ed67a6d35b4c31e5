/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* lost.c -- for lost.sh: a program at whose end a block of 1234 bytes is pointed to from nowhere, or from one odd place. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heapapi.h"

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

enum { BYTES = 1234, MANY = 20000 };
#define MASK ((uintptr_t)0x5a5a5a5a5a5a5a5a)

static void *volatile held;
static volatile uintptr_t disguised;
static __thread void *volatile own;
static pthread_barrier_t together;
static volatile int has_register;

static NOINLINE void *block(size_t bytes)
{
    void *volatile made = malloc(bytes);
    if (made == NULL) exit(99);
    memset(made, 0, bytes);
    return made;
}

static NOINLINE void lost(void) { (void)block(BYTES); }

static NOINLINE void three(void)
{
    for (volatile int i = 0; i < 3; i++)
        (void)block(BYTES);
}

static NOINLINE void circle(void)
{
    void **one = block(BYTES), **other = block(48);
    one[3] = other;
    other[2] = one;
}

static NOINLINE void itself(void)
{
    void **one = block(BYTES);
    one[7] = one;
}

static NOINLINE void chain(void)
{
    void **head = block(BYTES);
    for (int i = 0; i < 10; i++, head = head[0])
        head[0] = block(48);
}

/* Only a block that was freed points to it. */
static NOINLINE void freed(void)
{
    void **one = block(200);
    one[2] = block(BYTES);
    free(one);
}

static NOINLINE void freed_small(void)
{
    for (int i = 0; i < 100; i++) {
        void **one = block(64);
        one[4] = i == 50 ? block(BYTES) : NULL;
        free(one);
    }
}

static NOINLINE void freed_large(void)
{
    void **one = block(300000);
    one[20000] = block(BYTES);
    free(one);
}

static NOINLINE void large(void)
{
    void **one = block(300000);
    one[20000] = block(BYTES);
}

static NOINLINE void disguise(void) { disguised = (uintptr_t)block(BYTES) ^ MASK; }

/* From a heap that is still there at the end; of the object that is loaded before this program. */
static NOINLINE void *block_of_private_heap(size_t bytes)
{
    HANDLE (*create)(DWORD, SIZE_T, SIZE_T);
    LPVOID (*alloc)(HANDLE, DWORD, SIZE_T);
    *(void **)&create = dlvsym(RTLD_DEFAULT, "HeapCreate", "PRIVHEAP_1.0");
    *(void **)&alloc = dlvsym(RTLD_DEFAULT, "HeapAlloc", "PRIVHEAP_1.0");
    HANDLE heap = create != NULL && alloc != NULL ? create(0, 0, 0) : NULL;
    void *made = heap != NULL ? alloc(heap, HEAP_ZERO_MEMORY, bytes) : NULL;
    if (made == NULL) exit(99);
    return made;
}

static NOINLINE void of_private_heap(void) { (void)block_of_private_heap(BYTES); }

/* ---- what is not lost ---- */

static NOINLINE void plain(void) { held = block(BYTES); }
static NOINLINE void inside(void) { held = (char *)block(BYTES) + 700; }
static NOINLINE void behind(void) { held = (char *)block(BYTES) + BYTES; }
static NOINLINE void thread_local_one(void) { own = block(BYTES); }

static NOINLINE void many(void)
{
    void **head = held = block(BYTES);
    for (int i = 0; i < MANY; i++, head = head[0])
        head[0] = block(24);
}

static NOINLINE void mapped(int flags, int protection)
{
    void **page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) exit(99);
    page[3000] = block(BYTES);
    if (mprotect(page, 1 << 20, protection) != 0) exit(99);
}

/* What a program puts into a large block that it hardly uses. */
static NOINLINE void in_large(void)
{
    held = malloc(64 << 20);
    if (held == NULL) exit(99);
    ((void **)held)[5000000] = block(BYTES);
}

static NOINLINE void by_private_heap(void)
{
    held = block_of_private_heap(100);
    ((void **)held)[4] = block(BYTES);
}

static NOINLINE void in_buffer(void)
{
    (void)setvbuf(stderr, block(BYTES), _IOFBF, BYTES);
    fputs(" ", stderr);
}

static NOINLINE void by_atexit(void) { free(held); }

static void *wait_with_stack(void *unused)
{
    void *volatile here = block(BYTES);
    (void)unused;
    (void)pthread_barrier_wait(&together);
    for (;;) pause();
    return here;
}

static NOINLINE void scrub(void)
{
    volatile char much[32768];
    memset((char *)(uintptr_t)much, 0x55, sizeof much);
    __asm__ volatile("" : : : "memory");
}

#if defined(__x86_64__)
/* Nothing on the stack, not even what calls left there; it waits in a system call. */
static void *wait_with_register(void *unused)
{
    (void)unused;
    disguise();
    scrub();
    __asm__ volatile("mov %1, %%r12\n\txor %2, %%r12\n\txor %1, %1\n\tmovl $1, %0\n1:\tmov $34, %%eax\n\tsyscall\n\tjmp 1b"
                     : "=m"(has_register) : "r"(disguised), "r"(MASK) : "r12", "rax", "rcx", "r11", "memory");
    return NULL;
}

static NOINLINE void by_register(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_with_register, NULL) != 0) exit(99);
    while (!has_register) usleep(1000);
}
#endif

/* The only pointer moves from block to block. */
static void *move_it(void *bytes)
{
    void **volatile now = block((uintptr_t)bytes);
    *now = block(BYTES);
    (void)pthread_barrier_wait(&together);
    for (;;) {
        void **volatile next = block((uintptr_t)bytes), **old = now;
        *next = *old;
        *old = NULL;
        now = next;
        free(old);
    }
    return now;
}

static void *wait_with_local(void *unused)
{
    own = block(BYTES);
    (void)unused;
    (void)pthread_barrier_wait(&together);
    for (;;) pause();
    return NULL;
}

static NOINLINE void by_thread_with(void *(*act)(void *), uintptr_t with)
{
    pthread_t thread;
    if (pthread_barrier_init(&together, NULL, 2) != 0 || pthread_create(&thread, NULL, act, (void *)with) != 0) exit(99);
    (void)pthread_barrier_wait(&together);
}

static NOINLINE void by_thread(void *(*act)(void *)) { by_thread_with(act, 0); }

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    printf("%s\n", what);
    if (strcmp(what, "lost") == 0) lost();
    else if (strcmp(what, "three") == 0) three();
    else if (strcmp(what, "circle") == 0) circle();
    else if (strcmp(what, "itself") == 0) itself();
    else if (strcmp(what, "chain") == 0) chain();
    else if (strcmp(what, "freed") == 0) freed();
    else if (strcmp(what, "freed-small") == 0) freed_small();
    else if (strcmp(what, "freed-large") == 0) freed_large();
    else if (strcmp(what, "large") == 0) large();
    else if (strcmp(what, "disguise") == 0) disguise();
    else if (strcmp(what, "of-private-heap") == 0) of_private_heap();
    else if (strcmp(what, "plain") == 0) plain();
    else if (strcmp(what, "inside") == 0) inside();
    else if (strcmp(what, "behind") == 0) behind();
    else if (strcmp(what, "thread-local") == 0) thread_local_one();
    else if (strcmp(what, "many") == 0) many();
    else if (strcmp(what, "mapped") == 0) mapped(MAP_PRIVATE, PROT_READ | PROT_WRITE);
    else if (strcmp(what, "shared") == 0) mapped(MAP_SHARED, PROT_READ | PROT_WRITE);
    else if (strcmp(what, "sealed") == 0) mapped(MAP_PRIVATE, PROT_READ);
    else if (strcmp(what, "in-large") == 0) in_large();
    else if (strcmp(what, "by-private-heap") == 0) by_private_heap();
    else if (strcmp(what, "in-buffer") == 0) in_buffer();
    else if (strcmp(what, "at-exit") == 0) plain(), (void)atexit(by_atexit);
    else if (strcmp(what, "thread-stack") == 0) by_thread(wait_with_stack);
#if defined(__x86_64__)
    else if (strcmp(what, "thread-register") == 0) by_register();
#endif
    else if (strcmp(what, "thread-moves") == 0) by_thread_with(move_it, 24);
    else if (strcmp(what, "thread-moves-large") == 0) by_thread_with(move_it, 3000000);
    else if (strcmp(what, "thread-thread-local") == 0) by_thread(wait_with_local);
    else return 98;
    scrub();
    return 7;
}
