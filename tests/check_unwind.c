/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_unwind.c -- who called: through plain calls, callbacks, signals, odd frames and damaged stacks. */
#include "unwind.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "check_room.h"
#include "cfi.h"

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define AFTER __asm__ volatile("" : : : "memory") /* no call is the last thing that a function does */

static struct trace got;

#if defined(__x86_64__)

/* libc's own unwinder says the same, from the caller of both on. */
static NOINLINE void compare_with_libc(void)
{
    void *theirs[64];
    const int count = backtrace(theirs, 64);
    ph_trace_here(&got, NULL);
    int first_ours = 0;
    while (first_ours < got.depth && got.pc[first_ours] + 1 != (uintptr_t)theirs[1]) first_ours++;
    ck_assert_int_lt(first_ours, 3); /* the suite is linked with our rooms: those are not left out */
    int same = 0;
    while (first_ours + same < got.depth && 1 + same < count &&
           got.pc[first_ours + same] + 1 == (uintptr_t)theirs[1 + same]) same++;
    const int wanted = count - 1 < TRACE_DEPTH - first_ours ? count - 1 : TRACE_DEPTH - first_ours;
    ck_assert_msg(same >= wanted - 1, "%d of %d frames are the same", same, wanted); /* they end at _start, or before */
    ck_assert_uint_eq(got.thread, ph_os_tid());
}

static NOINLINE void call_deep(int depth)
{
    if (depth > 0)
        call_deep(depth - 1);
    else
        compare_with_libc();
    AFTER;
}

START_TEST(plain_calls) { call_deep(_i * 6); }
END_TEST

static unsigned wanted_depth;

static NOINLINE void take_so_many(int depth)
{
    if (depth > 0)
        take_so_many(depth - 1);
    else
        ph_trace_deep(&got, wanted_depth);
    AFTER;
}

/* Of each the first two frames are the unwinder's own function and where that was called. */
START_TEST(as_many_as_were_asked_for)
{
    take_so_many((int)(wanted_depth = TRACE_DEPTH));
    const struct trace whole = got;
    ck_assert_uint_eq(whole.depth, TRACE_DEPTH);
    for (unsigned depth = 0; depth <= TRACE_DEPTH + 1; depth++) {
        wanted_depth = depth;
        take_so_many(TRACE_DEPTH);
        ck_assert_uint_eq(got.depth, depth < TRACE_DEPTH ? depth : TRACE_DEPTH);
        ck_assert_int_eq(memcmp(got.pc, whole.pc, got.depth * sizeof *got.pc), 0);
        ck_assert_uint_eq(got.thread, ph_os_tid());
    }
}
END_TEST

static struct stack_copy kept;

static NOINLINE void keep_deep(int depth)
{
    if (depth > 0) {
        keep_deep(depth - 1);
    } else {
        ph_trace_here(&got, NULL);
        ph_stack_copy(&kept);
    }
    AFTER;
}

static NOINLINE void use_much_stack(void)
{
    volatile char much[8192];
    memset((char *)(uintptr_t)much, 0x55, sizeof much);
    AFTER;
}

/* Of each the first is the unwinder's own function, the second where that was called. */
START_TEST(copied_stack_tells_the_same_later)
{
    enum { DEPTH = 5, SKIP = 2 };
    struct trace later;
    keep_deep(DEPTH);
    use_much_stack();
    ph_trace_of(&later, &kept);
    ck_assert_uint_eq(later.thread, ph_os_tid());
    ck_assert_int_ge(later.depth, SKIP + DEPTH);
    for (int i = SKIP; i < SKIP + DEPTH; i++)
        ck_assert_uint_eq(later.pc[i], got.pc[i]);
}
END_TEST

/* Nothing is read beyond it. */
START_TEST(short_copy_ends_early)
{
    struct trace all, some;
    keep_deep(5);
    ph_trace_of(&all, &kept);
    while (kept.bytes > 0) {
        kept.bytes -= 8;
        ph_trace_of(&some, &kept);
        ck_assert_int_le(some.depth, all.depth);
        for (int i = 0; i < some.depth; i++)
            ck_assert_uint_eq(some.pc[i], all.pc[i]);
    }
    ck_assert_int_eq(some.depth, 1);
}
END_TEST

static int compared;
static int compare_once(const void *left, const void *right)
{
    if (compared++ == 0)
        compare_with_libc();
    return *(const int *)left - *(const int *)right;
}

START_TEST(callback_of_libc)
{
    int numbers[] = {3, 1, 2};
    compared = 0;
    qsort(numbers, 3, sizeof *numbers, compare_once);
    ck_assert_int_gt(compared, 0);
}
END_TEST

/* The compiler aligns the stack, and tells the frame's address by an expression. */
static NOINLINE void call_aligned(int bytes)
{
    __attribute__((aligned(256))) volatile char here[256];
    volatile char *there = __builtin_alloca((size_t)bytes);
    there[0] = 0;
    __asm__ volatile("" : : "r"(here) : "memory");
    compare_with_libc();
    __asm__ volatile("" : : "r"(here), "r"(there) : "memory");
}

/* The caller has a frame pointer, which the aligned frame has saved in an unusual place. */
static NOINLINE void call_framed(int bytes)
{
    volatile char *there = __builtin_alloca((size_t)bytes);
    there[0] = 0;
    call_aligned(bytes);
    __asm__ volatile("" : : "r"(there) : "memory");
}

START_TEST(aligned_frame) { call_framed(100 + _i); }
END_TEST

static sigjmp_buf back;

static NOINLINE __attribute__((noreturn)) void trace_and_leave(void)
{
    ph_trace_here(&got, NULL);
    siglongjmp(back, 1);
}

/* Its last instruction is the call: what it would return to is another function's. */
static NOINLINE __attribute__((noreturn)) void call_what_leaves(void)
{
    char room[200] = "";
    __asm__ volatile("" : : "r"(room) : "memory");
    trace_and_leave();
}

static NOINLINE void call_them(void)
{
    call_what_leaves();
}

static NOINLINE void call_them_all(void)
{
    if (sigsetjmp(back, 1) == 0)
        call_them();
    AFTER;
}

static NOINLINE void call_with_many(long a, long b, long c, long d, long e, long f, long g, long h)
{
    ck_assert_int_eq(a + b + c + d + e + f + g + h, 36);
    compare_with_libc();
    AFTER;
}

START_TEST(arguments_on_the_stack) { call_with_many(1, 2, 3, 4, 5, 6, 7, 8); }
END_TEST

static void *thread_compares(void *unused)
{
    call_deep(2);
    return unused;
}

START_TEST(another_thread_and_a_small_stack)
{
    pthread_t thread;
    pthread_attr_t attributes;
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, 128 << 10), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, thread_compares, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* ---- signals ---- */

static struct trace interrupted;

static void handle(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    ph_trace_here(&interrupted, context);
    ph_trace_here(&got, NULL);
    AFTER;
}

static void set_handler(int number, int flags)
{
    static char room[64 << 10];
    const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    const struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | flags};
    ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
    ck_assert_int_eq(sigaction(number, &action, NULL), 0);
}

static NOINLINE void raise_here(void)
{
    raise(SIGUSR1);
    AFTER;
}

static bool has_between(const struct trace *trace, uintptr_t from, uintptr_t to)
{
    for (unsigned i = 0; i < trace->depth; i++)
        if (trace->pc[i] >= from && trace->pc[i] < to)
            return true;
    return false;
}

static bool has_function(const struct trace *trace, const void *function)
{
    return has_between(trace, (uintptr_t)function, (uintptr_t)function + 200);
}

START_TEST(call_at_the_end_of_a_function)
{
    call_them_all();
    ck_assert(has_between(&got, (uintptr_t)&call_what_leaves, (uintptr_t)&call_what_leaves + 200));
    ck_assert(has_function(&got, (const void *)call_them_all));
}
END_TEST

START_TEST(signal_is_passed_through)
{
    set_handler(SIGUSR1, _i ? SA_ONSTACK : 0);
    raise_here();
    ck_assert(has_function(&interrupted, (const void *)raise_here));
    ck_assert(has_function(&got, (const void *)handle));
    ck_assert(has_function(&got, (const void *)raise_here));
}
END_TEST

static void handle_and_leave(int number, siginfo_t *info, void *context)
{
    handle(number, info, context);
    siglongjmp(back, 1);
}

static void (*volatile wild)(void);
static NOINLINE void call_wild(void)
{
    wild();
    AFTER;
}

START_TEST(call_to_nowhere_names_its_caller)
{
    const struct sigaction action = {.sa_sigaction = handle_and_leave, .sa_flags = SA_SIGINFO | SA_NODEFER};
    ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
    wild = _i ? (void (*)(void))(uintptr_t)0x12345670 : NULL;
    if (sigsetjmp(back, 1) == 0)
        call_wild();
    ck_assert_uint_gt(interrupted.depth, 1);
    ck_assert_uint_eq(interrupted.pc[0], (uintptr_t)wild);
    ck_assert(has_function(&interrupted, (const void *)call_wild));
}
END_TEST

/* ---- code and stacks without sense ---- */

/* Made at run time: without tables, with a frame pointer or with a value in its place. */
static void (*made(bool with_frame, uintptr_t in_bp))(void (*)(void))
{
    static const unsigned char framed[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
    unsigned char wrong[] = {0x55, 0x48, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xd7, 0x5d, 0xc3};
    memcpy(wrong + 3, &in_bp, sizeof in_bp);
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(code, MAP_FAILED);
    if (with_frame)
        memcpy(code, framed, sizeof framed);
    else
        memcpy(code, wrong, sizeof wrong);
    return (void (*)(void (*)(void)))(uintptr_t)code;
}

static NOINLINE void trace_from_made(void)
{
    ph_trace_here(&got, NULL);
    AFTER;
}

static NOINLINE void call_made(void (*code)(void (*)(void)))
{
    code(trace_from_made);
    AFTER;
}

START_TEST(code_without_tables_is_passed_by_its_frame_pointer)
{
    void (*code)(void (*)(void)) = made(true, 0);
    call_made(code);
    ck_assert(has_function(&got, (const void *)trace_from_made));
    ck_assert(has_between(&got, (uintptr_t)code, (uintptr_t)code + 16));
    ck_assert(has_function(&got, (const void *)call_made));
}
END_TEST

START_TEST(frame_pointer_without_sense_ends_the_trace)
{
    char above;
    const uintptr_t wrong[] = {0, 1, 8, 0x4141414141414141, (uintptr_t)&above, ((uintptr_t)&above & ~(uintptr_t)15) - (1 << 20),
                               ((uintptr_t)&above & ~(uintptr_t)15) + (4 << 20), (uintptr_t)-16, 0x7fffffffeff0};
    void (*code)(void (*)(void)) = made(false, wrong[_i]);
    call_made(code);
    ck_assert(has_between(&got, (uintptr_t)code, (uintptr_t)code + 16));
    ck_assert_uint_le(got.depth, TRACE_DEPTH);
}
END_TEST

/* A stack that the program made, between pages that cannot be read. */
static ucontext_t outside, inside;
static void run_inside(void)
{
    ph_trace_here(&got, NULL);
    AFTER;
    swapcontext(&inside, &outside);
}

START_TEST(stack_of_ones_own_is_read_to_its_end_only)
{
    enum { BYTES = 65536 };
    char *room = mmap(NULL, BYTES + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(room, MAP_FAILED);
    ck_assert_int_eq(mprotect(room + 4096, BYTES, PROT_READ | PROT_WRITE), 0);
    ck_assert_int_eq(getcontext(&inside), 0);
    inside.uc_stack = (stack_t){.ss_sp = room + 4096, .ss_size = BYTES};
    makecontext(&inside, run_inside, 0);
    ck_assert_int_eq(swapcontext(&outside, &inside), 0);
    ck_assert(has_function(&got, (const void *)run_inside));
    munmap(room, BYTES + 2 * 4096);
}
END_TEST

/* Every place in our own code has a rule; those of one function agree with its start. */
START_TEST(rule_of_a_functions_start_is_what_the_machine_does)
{
    const struct cfi_rule rule = ph_cfi_rule((uintptr_t)&ph_trace_here);
    ck_assert_int_eq(rule.base, CFI_SP);
    ck_assert_int_eq(rule.offset, 8);
    ck_assert_int_eq(rule.bp, 0);
    ck_assert_int_eq(rule.bx, 0);
}
END_TEST

/* The lazy binding table of this program; NULL: it has none. */
static const char *find_plt(size_t *bytes)
{
    static char image[1 << 22];
    FILE *file = fopen("/proc/self/exe", "rb");
    struct module in;
    ck_assert_ptr_nonnull(file);
    const size_t bytes_read = fread(image, 1, sizeof image, file);
    fclose(file);
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)(const void *)image;
    if (bytes_read == sizeof image || !ph_module_of((uintptr_t)&find_plt, &in))
        return NULL;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(const void *)(image + head->e_shoff);
    for (unsigned i = 0; i < head->e_shnum; i++)
        if (strcmp(image + sections[head->e_shstrndx].sh_offset + sections[i].sh_name, ".plt") == 0) {
            *bytes = sections[i].sh_size;
            return (const char *)(in.bias + sections[i].sh_addr);
        }
    return NULL;
}

START_TEST(lazy_binding_entries_have_a_word_more_after_their_push)
{
    size_t bytes = 0;
    const char *plt = find_plt(&bytes);
    for (size_t at = 16; at < bytes; at += 16) {
        const struct cfi_rule first = ph_cfi_rule((uintptr_t)plt + at), last = ph_cfi_rule((uintptr_t)plt + at + 11);
        ck_assert_int_eq(first.base, CFI_SP);
        ck_assert_int_eq(first.offset, 8);
        ck_assert_int_eq(last.base, CFI_SP);
        ck_assert_int_eq(last.offset, 16);
    }
}
END_TEST

START_TEST(address_without_code_has_no_rule)
{
    static const char text[] = "no code";
    ck_assert_int_eq(ph_cfi_rule((uintptr_t)text).base, CFI_NONE);
    ck_assert_int_eq(ph_cfi_rule(0).base, CFI_NONE);
    ck_assert_int_eq(ph_cfi_rule((uintptr_t)&got).base, CFI_NONE);
    ck_assert_int_eq(ph_cfi_rule((uintptr_t)&text + ((uintptr_t)1 << 46)).base, CFI_NONE);
}
END_TEST

#endif

/* ---- on every machine ---- */

static NOINLINE void trace_in_the_middle(void)
{
    ph_trace_here(&got, NULL);
    AFTER;
}

static NOINLINE void *trace_thread(void *unused)
{
    trace_in_the_middle();
    AFTER;
    return unused;
}

START_TEST(callers_stand_in_order)
{
    trace_thread(NULL);
    ck_assert_uint_ge(got.depth, 3);
    unsigned at = 0;
    while (at < got.depth && got.pc[at] - (uintptr_t)&trace_in_the_middle >= 100) at++;
    ck_assert_uint_lt(at, 2);
    ck_assert_uint_lt(got.pc[at + 1] - (uintptr_t)&trace_thread, 100);
}
END_TEST

START_TEST(child_of_fork_has_its_own_number)
{
    trace_in_the_middle();
    const uint32_t ours = got.thread;
    const pid_t child = fork();
    if (child == 0) {
        ph_trace_fork_child();
        trace_in_the_middle();
        _exit(got.thread == (uint32_t)getpid() && got.thread != ours ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(module_is_told_with_its_bias)
{
    struct module in;
    Dl_info told;
    ck_assert(ph_module_of((uintptr_t)&qsort, &in));
    ck_assert_int_ne(dladdr((const void *)&qsort, &told), 0);
    ck_assert_str_eq(in.path, told.dli_fname);
    ck_assert_uint_eq(in.bias, (uintptr_t)told.dli_fbase);
    ck_assert(ph_module_of((uintptr_t)&trace_thread, &in));
    ck_assert_str_eq(in.path, "");
    ck_assert(!ph_module_of((uintptr_t)&in, &in));
    ck_assert(!ph_module_of(0, &in));
}
END_TEST

static void *thread_asks(void *others)
{
    char mine[1024] = "";
    char *volatile heap = malloc(16);
    const bool right = ph_stack_has(mine) && ph_stack_has(mine + 1000) && !ph_stack_has(heap) && !ph_stack_has(others);
    free(heap);
    return right ? others : NULL;
}

START_TEST(stack_has_what_lies_on_it)
{
    pthread_t thread;
    char mine = 0;
    void *right = NULL;
    ck_assert(ph_stack_has(&mine));
    ck_assert(ph_stack_has(getenv("PATH")));
    ck_assert(!ph_stack_has(&got));
    ck_assert(!ph_stack_has(NULL));
    ck_assert_int_eq(pthread_create(&thread, NULL, thread_asks, &mine), 0);
    ck_assert_int_eq(pthread_join(thread, &right), 0);
    ck_assert_ptr_eq(right, &mine);
}
END_TEST

START_TEST(readable_is_what_can_be_read)
{
    char *pages = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);
    ck_assert_int_eq(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    ck_assert_int_eq(munmap(pages + 2 * 4096, 4096), 0);
    ck_assert(ph_os_is_readable(pages));
    ck_assert(ph_os_is_readable(pages + 4088));
    ck_assert(!ph_os_is_readable(pages + 4096));
    ck_assert(!ph_os_is_readable(pages + 2 * 4096));
    ck_assert(!ph_os_is_readable(NULL));
    ck_assert(!ph_os_is_readable((const void *)0x8000000000000000));
    munmap(pages, 2 * 4096);
}
END_TEST

#ifdef __SANITIZE_ADDRESS__
enum { IS_SANITIZED = 1 }; /* there libc's backtrace is another, with a frame more */
#else
enum { IS_SANITIZED = 0 };
#endif

int main(void)
{
    ph_os_begin(); /* as the process heap does: where the first stack ends */
    Suite *suite = suite_create("unwind");
    TCase *all = tcase_create("everywhere");
    tcase_add_test(all, callers_stand_in_order);
    tcase_add_test(all, child_of_fork_has_its_own_number);
    tcase_add_test(all, module_is_told_with_its_bias);
    tcase_add_test(all, stack_has_what_lies_on_it);
    tcase_add_test(all, readable_is_what_can_be_read);
    suite_add_tcase(suite, all);
#if defined(__x86_64__)
    TCase *tables = tcase_create("by tables");
    if (!IS_SANITIZED)
        tcase_add_loop_test(tables, plain_calls, 0, 4);
    tcase_add_test(tables, as_many_as_were_asked_for);
    if (!IS_SANITIZED)
        tcase_add_test(tables, copied_stack_tells_the_same_later);
    tcase_add_test(tables, short_copy_ends_early);
    if (!IS_SANITIZED)
        tcase_add_test(tables, callback_of_libc);
    if (!IS_SANITIZED)
        tcase_add_loop_test(tables, aligned_frame, 0, 2);
    if (!IS_SANITIZED)
        tcase_add_test(tables, arguments_on_the_stack);
    if (!IS_SANITIZED)
        tcase_add_test(tables, call_at_the_end_of_a_function);
    if (!IS_SANITIZED)
        tcase_add_test(tables, another_thread_and_a_small_stack);
    if (!IS_SANITIZED)
        tcase_add_test(tables, rule_of_a_functions_start_is_what_the_machine_does);
    if (!IS_SANITIZED)
        tcase_add_test(tables, lazy_binding_entries_have_a_word_more_after_their_push);
    if (!IS_SANITIZED)
        tcase_add_test(tables, address_without_code_has_no_rule);
    suite_add_tcase(suite, tables);
    TCase *odd = tcase_create("odd");
    tcase_add_loop_test(odd, signal_is_passed_through, 0, 2);
    tcase_add_loop_test(odd, call_to_nowhere_names_its_caller, 0, 2);
    tcase_add_test(odd, code_without_tables_is_passed_by_its_frame_pointer);
    tcase_add_loop_test(odd, frame_pointer_without_sense_ends_the_trace, 0, 9);
    tcase_add_test(odd, stack_of_ones_own_is_read_to_its_end_only);
    suite_add_tcase(suite, odd);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
