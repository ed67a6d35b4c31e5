/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preload_thrower.cc -- a C++ library for a host in C: it alone brings the C++ runtime, at run
 * time and unseen by others, and needs bad_alloc from an operator new that is not the runtime's. */
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

namespace {

int calls;

void give_up_later()
{
    if (++calls == 2) std::set_new_handler(nullptr);
}

std::size_t hide(std::size_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

} // namespace

/* How often the handler was called before the bad_alloc that has to follow; -1: none came. */
extern "C" __attribute__((visibility("default"))) int thrower_fails()
{
    calls = 0;
    std::set_new_handler(give_up_later);
    try {
        void *block = ::operator new(hide(PTRDIFF_MAX - 100000));
        ::operator delete(block);
    } catch (const std::bad_alloc &) {
        return calls;
    }
    return -1;
}

/* 1 when aligned, array and nothrow forms fail as they have to. */
extern "C" __attribute__((visibility("default"))) int thrower_fails_in_all_forms()
{
    const std::size_t bytes = hide(PTRDIFF_MAX - 100000);
    int caught = 0;

    try {
        ::operator delete[](::operator new[](bytes));
    } catch (const std::bad_alloc &) {
        caught++;
    }
    try {
        ::operator delete(::operator new(bytes, std::align_val_t{ 64 }), std::align_val_t{ 64 });
    } catch (const std::bad_alloc &) {
        caught++;
    }
    return caught == 2 && ::operator new(bytes, std::nothrow) == nullptr;
}

extern "C" __attribute__((visibility("default"))) int thrower_works()
{
    std::vector<std::string> words;
    for (int i = 0; i < 1000; i++) words.push_back("a word that is too long for the string itself " + std::to_string(i));
    return words[999].size() == 49;
}
