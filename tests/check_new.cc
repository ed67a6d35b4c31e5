/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_new.cc -- every operator new and delete of C++17 on the preloaded object.
 *
 * No Check here (its macros are C); one function a promise, a line for each that is broken.
 * Calls go through the operators by name, so that the compiler cannot leave pairs of them out. */
#include "preloaded.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <malloc.h>

namespace {

constexpr std::size_t sizes[] = { 0, 1, 16, 100, 1000, 5000, 20000, 100000, 1000000, 3000000 };

template <class T> T hide(T value)
{
    __asm__ volatile("" : "+r"(value) : : "memory");
    return value;
}

const std::size_t too_big = hide(static_cast<std::size_t>(PTRDIFF_MAX) - 100000);

bool is_aligned(const void *block, std::size_t alignment)
{
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

/* A block that is there, aligned, and writable from end to end. */
bool is_good(void *block, std::size_t bytes, std::size_t alignment = 16)
{
    if (block == nullptr || !is_aligned(block, alignment)) return false;
    std::memset(block, 0x5a, bytes);
    return malloc_usable_size(block) >= bytes;
}

template <class Call> bool throws_bad_alloc(Call call)
{
    try {
        call();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

/* ---- one function a promise ------------------------------------------------------------- */

bool plain_forms_give_and_take()
{
    bool ok = true;
    for (std::size_t bytes : sizes) {
        void *one = ::operator new(hide(bytes)), *many = ::operator new[](hide(bytes));
        ok = ok && is_good(one, bytes) && is_good(many, bytes) && one != many;
        ::operator delete(one);
        ::operator delete[](many);
    }
    ::operator delete(hide<void *>(nullptr));
    ::operator delete[](hide<void *>(nullptr));
    return ok;
}

bool sized_deletes_take()
{
    bool ok = true;
    for (std::size_t bytes : sizes) {
        void *one = ::operator new(hide(bytes)), *many = ::operator new[](hide(bytes));
        ok = ok && is_good(one, bytes) && is_good(many, bytes);
        ::operator delete(one, bytes);
        ::operator delete[](many, bytes);
    }
    ::operator delete(hide<void *>(nullptr), 100);
    return ok;
}

bool a_wrong_size_in_a_sized_delete_is_tolerated()
{
    for (std::size_t bytes : sizes) {
        ::operator delete(hide(::operator new(hide(bytes))), hide(bytes / 2 + 1));
        ::operator delete[](hide(::operator new[](hide(bytes))), hide(bytes * 2 + 1));
    }
    return true;
}

bool nothrow_forms_give_and_take()
{
    bool ok = true;
    for (std::size_t bytes : sizes) {
        void *one = ::operator new(hide(bytes), std::nothrow), *many = ::operator new[](hide(bytes), std::nothrow);
        ok = ok && is_good(one, bytes) && is_good(many, bytes);
        ::operator delete(one, std::nothrow);
        ::operator delete[](many, std::nothrow);
    }
    return ok;
}

bool aligned_forms_give_and_take()
{
    bool ok = true;
    for (std::size_t alignment = 1; alignment <= 1 << 20; alignment *= 2) {
        std::align_val_t align{ alignment };
        for (std::size_t bytes : sizes) {
            void *one = ::operator new(hide(bytes), align), *many = ::operator new[](hide(bytes), align);
            void *quiet = ::operator new(hide(bytes), align, std::nothrow);
            void *quiet_many = ::operator new[](hide(bytes), align, std::nothrow);
            ok = ok && is_good(one, bytes, alignment) && is_good(many, bytes, alignment);
            ok = ok && is_good(quiet, bytes, alignment) && is_good(quiet_many, bytes, alignment);
            ::operator delete(one, align);
            ::operator delete[](many, align);
            ::operator delete(quiet, align, std::nothrow);
            ::operator delete[](quiet_many, align, std::nothrow);
        }
    }
    return ok;
}

bool aligned_sized_deletes_take()
{
    bool ok = true;
    for (std::size_t alignment = 32; alignment <= 65536; alignment *= 4) {
        std::align_val_t align{ alignment };
        for (std::size_t bytes : sizes) {
            void *one = ::operator new(hide(bytes), align), *many = ::operator new[](hide(bytes), align);
            ok = ok && is_good(one, bytes, alignment) && is_good(many, bytes, alignment);
            ::operator delete(one, bytes, align);
            ::operator delete[](many, bytes, align);
        }
    }
    return ok;
}

bool new_of_nothing_gives_distinct_blocks()
{
    std::set<void *> blocks;
    for (int i = 0; i < 1000; i++) blocks.insert(::operator new(hide<std::size_t>(0)));
    bool ok = blocks.size() == 1000 && blocks.count(nullptr) == 0;
    for (void *block : blocks) ::operator delete(block);
    return ok;
}

/* The last one is a small block from libstdc++ 12, whose rounding up overflows. */
bool every_throwing_form_throws_bad_alloc()
{
    std::align_val_t align{ 64 };
    return throws_bad_alloc([] { return ::operator new(too_big); }) && throws_bad_alloc([] { return ::operator new[](too_big); }) &&
           throws_bad_alloc([&] { return ::operator new(too_big, align); }) &&
           throws_bad_alloc([&] { return ::operator new[](too_big, align); }) &&
           throws_bad_alloc([] { return ::operator new(hide(SIZE_MAX)); }) &&
           (!preloaded() || throws_bad_alloc([&] { return ::operator new(hide(SIZE_MAX), align); }));
}

bool every_nothrow_form_gives_null()
{
    std::align_val_t align{ 64 };
    return ::operator new(too_big, std::nothrow) == nullptr && ::operator new[](too_big, std::nothrow) == nullptr &&
           ::operator new(too_big, align, std::nothrow) == nullptr &&
           ::operator new[](too_big, align, std::nothrow) == nullptr;
}

int handler_calls;

void give_up_at_the_third_call()
{
    if (++handler_calls == 3) std::set_new_handler(nullptr);
}

template <class Call> bool handler_is_called_until_it_gives_up(Call call)
{
    handler_calls = 0;
    std::set_new_handler(give_up_at_the_third_call);
    bool thrown = throws_bad_alloc(call);
    std::set_new_handler(nullptr);
    return thrown && handler_calls == 3;
}

bool the_new_handler_is_called_until_it_gives_up()
{
    std::align_val_t align{ 4096 };
    return handler_is_called_until_it_gives_up([] { return ::operator new(too_big); }) &&
           handler_is_called_until_it_gives_up([] { return ::operator new[](too_big); }) &&
           handler_is_called_until_it_gives_up([&] { return ::operator new(too_big, align); }) &&
           handler_is_called_until_it_gives_up([&] { return ::operator new[](too_big, align); });
}

bool the_nothrow_forms_call_the_new_handler_too()
{
    handler_calls = 0;
    std::set_new_handler(give_up_at_the_third_call);
    void *none = ::operator new(too_big, std::nothrow);
    std::set_new_handler(give_up_at_the_third_call);
    handler_calls = none == nullptr && handler_calls == 3 ? 0 : 100;
    none = ::operator new[](too_big, std::align_val_t{ 64 }, std::nothrow);
    std::set_new_handler(nullptr);
    return none == nullptr && handler_calls == 3;
}

void throw_bad_alloc_itself()
{
    throw std::bad_alloc();
}

bool a_handler_that_throws_is_obeyed()
{
    std::set_new_handler(throw_bad_alloc_itself);
    bool thrown = throws_bad_alloc([] { return ::operator new(too_big); });
    bool quiet = ::operator new(too_big, std::nothrow) == nullptr && ::operator new[](too_big, std::nothrow) == nullptr;
    std::set_new_handler(nullptr);
    return thrown && quiet;
}

struct other_error : std::runtime_error {
    other_error() : std::runtime_error("from the handler") {}
};

void throw_other_error()
{
    throw other_error();
}

bool an_exception_of_the_handlers_own_passes_through()
{
    bool caught = false;
    std::set_new_handler(throw_other_error);
    try {
        hide(::operator new(too_big));
    } catch (const other_error &) {
        caught = true;
    }
    std::set_new_handler(nullptr);
    return caught;
}

bool a_vector_too_long_for_memory_throws_and_the_heap_goes_on()
{
    std::vector<char> small(100, 'x');
    bool thrown = throws_bad_alloc([] { return hide(std::vector<char>(too_big - 4096).data()); });
    small.resize(100000, 'y');
    return thrown && small[99] == 'x' && small[99999] == 'y';
}

struct alignas(64) line {
    char bytes[64];
};
struct alignas(4096) page {
    char bytes[5000];
};
struct with_destructor {
    static int alive;
    std::string text = "a text that is too long to stay inside of the string object";
    with_destructor() { alive++; }
    ~with_destructor() { alive--; }
};
int with_destructor::alive;

bool overaligned_types_are_aligned()
{
    bool ok = true;
    for (int i = 0; i < 50; i++) {
        auto one = std::make_unique<line>();
        auto many = std::make_unique<line[]>(static_cast<std::size_t>(i) + 1);
        auto wide = std::make_unique<page>();
        auto wides = std::make_unique<page[]>(3);
        ok = ok && is_aligned(one.get(), 64) && is_aligned(many.get(), 64);
        ok = ok && is_aligned(wide.get(), 4096) && is_aligned(wides.get(), 4096);
    }
    std::vector<line> lines(1000);
    return ok && is_aligned(lines.data(), 64);
}

bool arrays_with_destructors_are_destroyed()
{
    auto *objects = hide(new with_destructor[37]);
    bool made = with_destructor::alive == 37;
    delete[] objects;
    return made && with_destructor::alive == 0;
}

bool malloc_and_new_share_one_heap()
{
    for (std::size_t bytes : sizes) {
        ::operator delete(hide(std::malloc(bytes)));
        std::free(hide(::operator new(bytes)));
        std::free(hide(::operator new(bytes, std::align_val_t{ 256 })));
    }
    return true;
}

bool containers_keep_their_contents()
{
    std::map<std::string, std::vector<int>> table;
    for (int i = 0; i < 20000; i++) table["key number " + std::to_string(i % 3000)].push_back(i);
    for (int i = 0; i < 3000; i += 2) table.erase("key number " + std::to_string(i));
    bool ok = table.size() == 1500;
    for (const auto &entry : table)
        for (int value : entry.second) ok = ok && entry.first == "key number " + std::to_string(value % 3000);
    return ok;
}

bool exceptions_can_be_thrown_in_threads()
{
    int caught[4] = {};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&caught, i] {
            for (int k = 0; k < 500; k++) try {
                    throw std::runtime_error("number " + std::to_string(k));
                } catch (const std::exception &error) {
                    caught[i] += std::strlen(error.what()) > 7;
                }
        });
    for (auto &thread : threads) thread.join();
    return std::all_of(caught, caught + 4, [](int count) { return count == 500; });
}

struct last_words {
    std::vector<std::string> *heard = nullptr;
    ~last_words()
    {
        std::vector<std::string> words(100, "said by a destructor at the end of its thread");
        if (heard != nullptr) *heard = words;
    }
};
thread_local last_words words_of_thread;

bool thread_local_destructors_may_allocate()
{
    std::vector<std::string> heard;
    for (int i = 0; i < 50; i++) {
        heard.clear();
        std::thread([&heard] { words_of_thread.heard = &heard; }).join();
        if (heard.size() != 100) return false;
    }
    return true;
}

struct of_the_program {
    of_the_program() : text(new std::string(1000, 's')) {}
    ~of_the_program() { delete text; }
    std::string *text;
} static_object;

bool static_objects_are_there()
{
    return static_object.text->size() == 1000;
}

struct promise {
    const char *name;
    bool (*holds)();
};

#define PROMISE(function) { #function, function }
const promise promises[] = {
    PROMISE(plain_forms_give_and_take),
    PROMISE(sized_deletes_take),
    PROMISE(a_wrong_size_in_a_sized_delete_is_tolerated),
    PROMISE(nothrow_forms_give_and_take),
    PROMISE(aligned_forms_give_and_take),
    PROMISE(aligned_sized_deletes_take),
    PROMISE(new_of_nothing_gives_distinct_blocks),
    PROMISE(every_throwing_form_throws_bad_alloc),
    PROMISE(every_nothrow_form_gives_null),
    PROMISE(the_new_handler_is_called_until_it_gives_up),
    PROMISE(the_nothrow_forms_call_the_new_handler_too),
    PROMISE(a_handler_that_throws_is_obeyed),
    PROMISE(an_exception_of_the_handlers_own_passes_through),
    PROMISE(a_vector_too_long_for_memory_throws_and_the_heap_goes_on),
    PROMISE(overaligned_types_are_aligned),
    PROMISE(arrays_with_destructors_are_destroyed),
    PROMISE(malloc_and_new_share_one_heap),
    PROMISE(containers_keep_their_contents),
    PROMISE(exceptions_can_be_thrown_in_threads),
    PROMISE(thread_local_destructors_may_allocate),
    PROMISE(static_objects_are_there),
};

} // namespace

int main(int, char **argv)
{
    int passed = 0, failed = 0;

    preloaded_start(argv);
    for (const promise &one : promises) {
        bool holds = one.holds();
        if (!holds) std::printf("check_new: not so: %s\n", one.name);
        (holds ? passed : failed)++;
    }
    std::printf("check_new: %d passed, %d failed\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
