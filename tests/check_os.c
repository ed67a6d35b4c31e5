/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_os.c -- what the operating system gives: memory in its states, waiting, time, bytes out. */
#include "check_room.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

enum { BYTES = 1 << 20 };

static char *area; /* what the test mapped */
static size_t page;

static void setup_page(void) { page = ph_os_page_bytes(); }

static bool is_zero(const char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (at[i] != 0) return false;
    return true;
}

static void read_byte(void *at) { (void)*(volatile char *)at; }
static void write_byte(void *at) { *(volatile char *)at = 1; }

/* ---- memory ---- */

START_TEST(page_is_the_one_of_the_hardware)
{
    const char *said = getenv("PRIVHEAP_OS_PAGE");
    ck_assert_uint_eq(page, said != NULL ? strtoul(said, NULL, 10) : (size_t)sysconf(_SC_PAGESIZE));
}
END_TEST

START_TEST(addresses_have_the_alignment_asked_for)
{
    void *(*const make[])(size_t, size_t) = {ph_os_map, ph_os_reserve, ph_os_reserve_readable, ph_os_reserve_no_huge};
    for (int i = 0; i < COUNT(make); i++)
        for (size_t align = page; align <= 64 << 20; align *= 4) {
            area = make[i](3 * page, align);
            ck_assert_ptr_nonnull(area);
            ck_assert_uint_eq((uintptr_t)area % align, 0);
            ck_assert((is_emulated() && (make[i] == ph_os_reserve || make[i] == ph_os_reserve_no_huge)) || (room_is_mapped(area, page) && room_is_mapped(area + 2 * page, page)));
            ph_os_unmap(area, 3 * page);
            ck_assert(!room_is_mapped(area, page));
        }
}
END_TEST

static unsigned long mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

START_TEST(alignment_leaves_no_spare_mapping_behind)
{
    const unsigned long before = mapped_bytes();
    char *made[20];
    for (int i = 0; i < 20; i++)
        made[i] = ph_os_reserve(BYTES, 16 << 20);
    ck_assert_uint_lt(mapped_bytes() - before, 20 * BYTES + (8 << 20));
    for (int i = 0; i < 20; i++)
        ph_os_unmap(made[i], BYTES);
}
END_TEST

START_TEST(impossible_size_gives_null)
{
    ck_assert_ptr_null(ph_os_map((size_t)1 << 62, page));
    ck_assert_ptr_null(ph_os_reserve((size_t)1 << 62, page));
    ck_assert_ptr_null(ph_os_reserve(SIZE_MAX - page + 1, 1 << 20));
}
END_TEST

START_TEST(map_is_zero_and_writable)
{
    area = ph_os_map(BYTES, page);
    ck_assert(is_zero(area, BYTES));
    memset(area, 1, BYTES);
    ph_os_unmap(area, BYTES);
}
END_TEST

START_TEST(reserve_cannot_be_touched_before_commit)
{
    area = ph_os_reserve(BYTES, page);
    room_faults(read_byte, area);
    ck_assert_int_eq(ph_os_commit(area, page, false), 0);
    memset(area, 1, page);
    room_faults(read_byte, area + page);
    ph_os_unmap(area, BYTES);
}
END_TEST

START_TEST(readable_reserve_gives_zeros_and_takes_nothing)
{
    area = ph_os_reserve_readable(BYTES, page);
    ck_assert(is_zero(area, BYTES));
    room_faults(write_byte, area);
    ck_assert_int_eq(ph_os_commit(area, BYTES, false), 0);
    memset(area, 1, BYTES);
    ph_os_unmap(area, BYTES);
}
END_TEST

#if defined(__x86_64__)
START_TEST(executable_commit_can_be_executed)
{
    static const unsigned char give_42[] = {0xb8, 42, 0, 0, 0, 0xc3};
    int (*function)(void);
    area = ph_os_reserve(page, page);
    ck_assert_int_eq(ph_os_commit(area, page, true), 0);
    char *code = area + 64;
    memcpy(code, give_42, sizeof give_42);
    memcpy(&function, &code, sizeof function);
    ck_assert_int_eq(function(), 42);
    ph_os_unmap(area, page);
}
END_TEST
#endif

START_TEST(commit_of_no_memory_says_why)
{
    area = ph_os_map(page, page);
    ph_os_unmap(area, page);
    ck_assert_int_eq(ph_os_commit(area, page, false), ENOMEM);
}
END_TEST

START_TEST(purged_memory_is_zero_and_stays_writable)
{
    area = ph_os_map(BYTES, page);
    memset(area, 1, BYTES);
    ck_assert_int_eq(ph_os_purge(area + page, BYTES - 2 * page), 0);
    ck_assert(is_zero(area + page, BYTES - 2 * page));
    ck_assert_int_eq(area[0], 1);
    ck_assert_int_eq(area[BYTES - 1], 1);
    memset(area, 2, BYTES);
    ph_os_unmap(area, BYTES);
}
END_TEST

/* ---- mappings that change ---- */

START_TEST(remap_shrinks_and_grows_in_place)
{
    area = ph_os_reserve(4 * page, page);
    ck_assert_int_eq(ph_os_commit(area, 4 * page, false), 0);
    memset(area, 7, page);
    ck_assert(ph_os_remap(area, 4 * page, page));
    ck_assert(!room_is_mapped(area + page, page));
    ck_assert(ph_os_remap(area, page, 3 * page));
    ck_assert_int_eq(area[page - 1], 7);
    ck_assert(is_zero(area + page, 2 * page));
    ph_os_unmap(area, 3 * page);
}
END_TEST

START_TEST(remap_in_place_is_refused_where_something_stands_behind)
{
    area = ph_os_map(4 * page, page);
    memset(area, 7, 4 * page);
    ck_assert_int_eq(ph_os_commit(area + page, page, true), 0); /* a mapping of its own now */
    ck_assert(!ph_os_remap(area, page, 2 * page));
    ck_assert_int_eq(area[0] + area[page], 14);
    ph_os_unmap(area, 4 * page);
}
END_TEST

START_TEST(remap_to_moves_contents_onto_the_reservation)
{
    area = ph_os_map(2 * page, page);
    char *target = ph_os_reserve(4 * page, page);
    memset(area, 7, 2 * page);
    ck_assert(ph_os_remap_to(area, 2 * page, target, 4 * page));
    ck_assert(!room_is_mapped(area, 2 * page));
    ck_assert_int_eq(target[0] + target[2 * page - 1], 14);
    if (!room_is_under_valgrind()) /* which takes the new part for memory that nobody mapped */
        ck_assert(is_zero(target + 2 * page, 2 * page));
    ph_os_unmap(target, 4 * page);
}
END_TEST

START_TEST(is_readable_sees_holes_and_protection)
{
    area = ph_os_map(4 * page, page);
    ph_os_unmap(area + 2 * page, page);
    ck_assert_int_eq(mprotect(area + page, page, PROT_NONE), 0);
    ck_assert(ph_os_is_readable(area));
    ck_assert(ph_os_is_readable(area + page - 8));
    ck_assert(!ph_os_is_readable(area + page));
    ck_assert(!ph_os_is_readable(area + 2 * page));
    ck_assert(ph_os_is_readable(area + 3 * page));
    ck_assert_int_eq(mprotect(area, page, PROT_READ), 0);
    ck_assert(ph_os_is_readable(area));
    ck_assert(!ph_os_is_readable(NULL));
    ph_os_unmap(area, 4 * page);
}
END_TEST

/* " nh", or " hg", in the line VmFlags of that mapping; -1: this system does not say. */
static int is_advised(const void *at, const char *advice)
{
    char line[512], flags[512] = "";
    unsigned long first, last;
    bool here = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
            here = first <= (uintptr_t)at && (uintptr_t)at < last;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            strcpy(flags, line);
    }
    if (maps != NULL)
        fclose(maps);
    return flags[0] == '\0' ? -1 : strstr(flags, advice) != NULL;
}

START_TEST(what_grows_from_the_seed_is_advised)
{
    enum { TIMES = 20 };
    char *got[TIMES];
    ph_os_seed(true);
    area = ph_os_reserve(page, page);
    ph_os_no_huge(area, page);
    const int expected = is_advised(area, " nh");
    for (size_t i = 0; i < TIMES; i++) {
        const size_t align = i % 3 == 0 ? page : 65536;
        got[i] = ph_os_reserve_no_huge((i + 1) * 5 * page, align);
        ck_assert_ptr_nonnull(got[i]);
        ck_assert_uint_eq((uintptr_t)got[i] % align, 0);
        ck_assert_int_eq(is_advised(got[i], " nh"), expected);
        ck_assert_int_eq(ph_os_commit(got[i], (i + 1) * 5 * page, false), 0);
        memset(got[i], (int)i, (i + 1) * 5 * page);
        ck_assert_int_eq(is_advised(got[i] + (i + 1) * 5 * page - 1, " nh"), expected);
    }
    for (size_t i = 0; i < TIMES; i++) {
        ck_assert_int_eq(got[i][0], i);
        ck_assert_mem_eq(got[i], got[i] + 1, (i + 1) * 5 * page - 1);
        ph_os_unmap(got[i], (i + 1) * 5 * page);
    }
    ph_os_unmap(area, page);
}
END_TEST

START_TEST(what_grows_from_the_other_seed_asks_for_huge_pages)
{
    ph_os_seed(true);
    area = ph_os_reserve(page, page);
    ph_os_huge(area, page);
    const int expected = is_advised(area, " hg");
    char *first = ph_os_reserve_huge(2 * OS_HUGE_BYTES, OS_HUGE_BYTES), *second = ph_os_reserve_huge(page, page);
    ck_assert_uint_eq((uintptr_t)first % OS_HUGE_BYTES, 0);
    ck_assert_int_eq(is_advised(first, " hg"), expected);
    ck_assert_int_eq(is_advised(second, " hg"), expected);
    ph_os_unmap(first, 2 * OS_HUGE_BYTES);
    ph_os_unmap(second, page);
    ph_os_unmap(area, page);
}
END_TEST

START_TEST(a_pinned_page_is_zero_and_stands_alone)
{
    ph_os_seed(true);
    char *at = ph_os_reserve_huge(4 * page, page);
    ck_assert_int_eq(ph_os_commit(at, 4 * page, false), 0);
    memset(at, 7, 4 * page);
    if (!ph_os_pin(at + page)) {
        ph_os_unmap(at, 4 * page); /* where mappings cannot be moved */
        return;
    }
    ck_assert_int_eq(at[page - 1], 7);
    for (size_t i = 0; i < page; i++)
        ck_assert_int_eq(at[page + i], 0);
    ck_assert_int_eq(at[2 * page], 7);
    at[page] = 1; /* and can be written */
    if (is_advised(at, " hg") == 1) {
        ck_assert_int_eq(is_advised(at + page, " nh"), 1);
        ck_assert_int_eq(is_advised(at + 2 * page, " hg"), 1);
    }
    ph_os_unmap(at, 4 * page);
}
END_TEST

/* ---- threads ---- */

START_TEST(membarrier_answers_the_same_each_time)
{
    const bool first = ph_os_membarrier();
    ck_assert_int_eq(ph_os_membarrier(), first);
}
END_TEST

static uint32_t word, woken;

static void *wait_for_word(void *nothing)
{
    (void)nothing;
    while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 1)
        ph_os_wait(&word, 1, 0);
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

START_TEST(wake_ends_the_wait_of_all)
{
    pthread_t thread[3];
    word = 1;
    woken = 0;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, wait_for_word, NULL), 0);
    for (int i = 0; i < 20; i++)
        ph_os_yield();
    ck_assert_uint_eq(__atomic_load_n(&woken, __ATOMIC_SEQ_CST), 0);
    __atomic_store_n(&word, 2, __ATOMIC_SEQ_CST);
    ph_os_wake(&word, 100);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    ck_assert_uint_eq(woken, 3);
}
END_TEST

START_TEST(wait_returns_where_the_word_differs_already)
{
    word = 5;
    ph_os_wait(&word, 6, 0);
}
END_TEST

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

START_TEST(bounded_wait_and_sleep_take_at_least_their_time)
{
    const uint64_t before = nanoseconds();
    word = 5;
    ph_os_wait(&word, 5, 1000000);
    const uint64_t between = nanoseconds();
    ph_os_sleep(1000000);
    ck_assert_uint_ge(between - before, 1000000);
    ck_assert_uint_ge(nanoseconds() - between, 1000000);
}
END_TEST

START_TEST(identity_is_the_kernels)
{
    ck_assert_uint_eq(ph_os_pid(), (uint32_t)getpid());
    ck_assert_uint_eq(ph_os_tid(), (uint32_t)getpid());
}
END_TEST

/* ---- time and chance ---- */

START_TEST(clock_never_goes_back_and_keeps_up)
{
    const uint64_t first = ph_os_clock_ms();
    uint64_t before = first;
    for (int i = 0; i < 20000; i++) {
        const uint64_t now = ph_os_clock_ms();
        ck_assert_uint_ge(now, before);
        before = now;
    }
    const uint64_t fine = nanoseconds() / 1000000;
    ck_assert_uint_le(ph_os_clock_ms(), fine + 1);
    ck_assert_uint_ge(ph_os_clock_ms() + 50, fine);
}
END_TEST

START_TEST(random_words_differ_in_every_bit)
{
    uint64_t ones = 0, zeros = 0;
    for (int i = 0; i < 200; i++) {
        const uint64_t random = ph_os_random();
        ones |= random;
        zeros |= ~random;
    }
    ck_assert_uint_eq(ones & zeros, UINT64_MAX);
}
END_TEST

/* ---- text out ---- */

enum { TEXT_BYTES = 200000 }; /* more than a pipe holds */

static int pipe_ends[2];

static void *write_much(void *text)
{
    ph_os_write(pipe_ends[1], text, TEXT_BYTES);
    close(pipe_ends[1]);
    return NULL;
}

static void interrupt(int signal) { (void)signal; }

START_TEST(write_writes_all_of_it_though_signals_cut_it_short)
{
    static char text[TEXT_BYTES], got[TEXT_BYTES];
    pthread_t thread;
    size_t used = 0;
    for (int i = 0; i < TEXT_BYTES; i++)
        text[i] = (char)(i * 7);
    const struct sigaction cut = {.sa_handler = interrupt}; /* no restart */
    sigaction(SIGUSR1, &cut, NULL);
    ck_assert_int_eq(pipe(pipe_ends), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, write_much, text), 0);
    for (ssize_t part = 1; part > 0; used += (size_t)part) {
        ph_os_sleep(100000); /* the pipe is full by then */
        pthread_kill(thread, SIGUSR1);
        const size_t room = TEXT_BYTES - used < 20000 ? TEXT_BYTES - used : 20000;
        part = room > 0 ? read(pipe_ends[0], got + used, room) : 0;
    }
    pthread_join(thread, NULL);
    close(pipe_ends[0]);
    ck_assert_uint_eq(used, TEXT_BYTES);
    ck_assert_mem_eq(got, text, TEXT_BYTES);
}
END_TEST

START_TEST(write_to_no_descriptor_is_ignored) { ph_os_write(-1, "x", 1); }
END_TEST

START_TEST(log_is_appended_to_and_closed_on_exec)
{
    char path[64], got[16] = "";
    snprintf(path, sizeof path, "/tmp/check_os.%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        const int fd = ph_os_open_append(path);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        ph_os_write(fd, i ? "two" : "one", 3);
        ph_os_close(fd);
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    }
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(got, sizeof got, file));
    fclose(file);
    unlink(path);
    ck_assert_str_eq(got, "onetwo");
    ck_assert_int_eq(ph_os_open_append("/nonexistent/x"), -1);
}
END_TEST

/* ---- the end ---- */

static void refuse_to_die(int signal) { (void)signal; }

static void abort_against_a_handler(void *nothing)
{
    (void)nothing;
    (void)signal(SIGABRT, refuse_to_die);
    ph_os_abort();
}

static void abort_while_blocked(void *nothing)
{
    sigset_t all;
    (void)nothing;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    ph_os_abort();
}

static void abort_while_ignored(void *nothing)
{
    (void)nothing;
    (void)signal(SIGABRT, SIG_IGN);
    ph_os_abort();
}

START_TEST(abort_ends_the_process_whatever_was_agreed)
{
    static void (*const acts[])(void *) = {abort_against_a_handler, abort_while_blocked, abort_while_ignored};
    room_aborts(acts[_i], NULL, "");
}
END_TEST

/* ---- all of them ---- */

START_TEST(errno_is_untouched)
{
    errno = 77;
    area = ph_os_map(page, page);
    ck_assert(!ph_os_remap(area, page, (size_t)1 << 60));
    ph_os_unmap(area, page);
    (void)ph_os_commit(area, page, false);
    (void)ph_os_purge(area, page);
    (void)ph_os_map((size_t)1 << 62, page);
    (void)ph_os_is_readable(area);
    ph_os_no_huge(area, page);
    (void)ph_os_membarrier();
    word = 5;
    ph_os_wait(&word, 6, 0);
    (void)ph_os_random();
    (void)ph_os_clock_ms();
    ph_os_write(-1, "x", 1);
    (void)ph_os_open_append("/nonexistent/x");
    ph_os_close(-1);
    ck_assert_int_eq(errno, 77);
}
END_TEST

static void add_memory(Suite *suite)
{
    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(memory, setup_page, NULL);
    tcase_add_test(memory, page_is_the_one_of_the_hardware);
    tcase_add_test(memory, addresses_have_the_alignment_asked_for);
    tcase_add_test(memory, alignment_leaves_no_spare_mapping_behind);
    tcase_add_test(memory, impossible_size_gives_null);
    tcase_add_test(memory, map_is_zero_and_writable);
    tcase_add_test(memory, reserve_cannot_be_touched_before_commit);
    tcase_add_test(memory, readable_reserve_gives_zeros_and_takes_nothing);
#if defined(__x86_64__)
    tcase_add_test(memory, executable_commit_can_be_executed);
#endif
    tcase_add_test(memory, commit_of_no_memory_says_why);
    tcase_add_test(memory, purged_memory_is_zero_and_stays_writable);
    tcase_add_test(memory, remap_shrinks_and_grows_in_place);
    tcase_add_test(memory, remap_in_place_is_refused_where_something_stands_behind);
    tcase_add_test(memory, remap_to_moves_contents_onto_the_reservation);
    tcase_add_test(memory, is_readable_sees_holes_and_protection);
    tcase_add_test(memory, what_grows_from_the_seed_is_advised);
    tcase_add_test(memory, what_grows_from_the_other_seed_asks_for_huge_pages);
    tcase_add_test(memory, a_pinned_page_is_zero_and_stands_alone);
    tcase_add_test(memory, errno_is_untouched);
    suite_add_tcase(suite, memory);
}

int main(void)
{
    Suite *suite = suite_create("os");
    add_memory(suite);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, membarrier_answers_the_same_each_time);
    tcase_add_test(threads, wake_ends_the_wait_of_all);
    tcase_add_test(threads, wait_returns_where_the_word_differs_already);
    tcase_add_test(threads, bounded_wait_and_sleep_take_at_least_their_time);
    tcase_add_test(threads, identity_is_the_kernels);
    tcase_add_test(threads, clock_never_goes_back_and_keeps_up);
    tcase_add_test(threads, random_words_differ_in_every_bit);
    suite_add_tcase(suite, threads);
    TCase *text = tcase_create("text");
    tcase_add_test(text, write_writes_all_of_it_though_signals_cut_it_short);
    tcase_add_test(text, write_to_no_descriptor_is_ignored);
    tcase_add_test(text, log_is_appended_to_and_closed_on_exec);
    tcase_add_loop_test(text, abort_ends_the_process_whatever_was_agreed, 0, 3);
    suite_add_tcase(suite, text);
    return room_run(suite);
}
