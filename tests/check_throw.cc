/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_throw.cc -- a C++ exception leaves the handler of HEAP_GENERATE_EXCEPTIONS through HeapAlloc and HeapReAlloc
 * (W32 2.6), and the heap is whole behind it; linked to the library as a program of its users is.
 *
 * No Check here (its macros are C); a line for each promise that is broken. */
#include <windows.h>
#include <privheap.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

namespace {

struct raised {
    DWORD code;
    HANDLE heap;
    SIZE_T bytes;
};

int failed = 0;

void promise(bool holds, const char *what)
{
    if (holds) return;
    std::printf("check_throw: not so: %s\n", what);
    failed++;
}

struct counted { // its destructor must run on the way out
    static int alive;
    counted() { alive++; }
    ~counted() { alive--; }
};
int counted::alive = 0;

[[noreturn]] void throw_it(DWORD code, HANDLE heap, SIZE_T bytes) { throw raised{code, heap, bytes}; }
[[noreturn]] void throw_bad_alloc(DWORD, HANDLE, SIZE_T) { throw std::bad_alloc(); }

template <class Call> bool throws(DWORD code, HANDLE heap, SIZE_T bytes, Call call)
{
    counted here;
    try {
        counted inside;
        call();
    } catch (const raised &what) {
        return what.code == code && what.heap == heap && what.bytes == bytes && counted::alive == 1;
    }
    return false;
}

void all_of(DWORD flags)
{
    HANDLE heap = HeapCreate(HEAP_GENERATE_EXCEPTIONS | flags, 0, 1 << 20);
    char *block = static_cast<char *>(HeapAlloc(heap, 0, 3000));
    promise(throws(STATUS_NO_MEMORY, heap, 50000, [=] { while (HeapAlloc(heap, 0, 50000)) {} }), "HeapAlloc throws");
    promise(throws(STATUS_NO_MEMORY, heap, 900000, [=] { HeapReAlloc(heap, 0, block, 900000); }), "HeapReAlloc throws");
    promise(throws(STATUS_ACCESS_VIOLATION, heap, 1, [=] { HeapReAlloc(heap, 0, block + 16, 1); }), "a bad block throws");
    promise(throws(STATUS_NO_MEMORY, heap, 90000, [=] { while (ph_heap_aligned_alloc(heap, 0, 4096, 90000)) {} }),
            "ph_heap_aligned_alloc throws");
    promise(HeapSize(heap, 0, block) == 3000 && HeapValidate(heap, 0, nullptr), "the heap is whole");
    bool other = false; // another thread is not kept out by what was left behind
    std::thread([&] { other = HeapFree(heap, 0, block); }).join();
    promise(other && HeapDestroy(heap), "the heap is free");
}

} // namespace

int main()
{
    promise(ph_set_exception_handler(throw_it) == nullptr, "no handler at first");
    all_of(0);
    all_of(HEAP_NO_SERIALIZE);
    promise(throws(STATUS_ACCESS_VIOLATION, nullptr, 10, [] { HeapAlloc(nullptr, HEAP_GENERATE_EXCEPTIONS, 10); }),
            "a bad handle throws");
    promise(ph_set_exception_handler(throw_bad_alloc) == throw_it, "the handler before");
    bool caught = false;
    try {
        HeapAlloc(GetProcessHeap(), HEAP_GENERATE_EXCEPTIONS, static_cast<SIZE_T>(-1));
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    promise(caught, "a handler makes std::bad_alloc of it");
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
