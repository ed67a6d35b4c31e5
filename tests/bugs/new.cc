/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * new.cc -- bugs of C++ programs: what one pair of functions gave, another pair takes back. */
#include "bugs.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

namespace {

struct thing {
    char text[40];
    virtual ~thing() = default;
};

void *hidden(void *block)
{
    std::memset(block, 'n', 24);
    return bug_hide(block);
}

void *given(const struct bug *b, const std::string &by)
{
    if (by == "malloc") return hidden(std::malloc(b->size));
    if (by == "calloc") return hidden(std::calloc(1, b->size));
    if (by == "memalign") return hidden(memalign(64, b->size));
    if (by == "new") return hidden(::operator new(b->size));
    if (by == "array") return hidden(::operator new[](b->size));
    if (by == "aligned") return hidden(::operator new(b->size, std::align_val_t(64)));
    std::abort();
}

void taken(const struct bug *b, void *block, const std::string &by)
{
    if (by == "free") std::free(block);
    else if (by == "realloc") bug_sink = reinterpret_cast<size_t>(std::realloc(block, b->size * 2));
    else if (by == "delete") ::operator delete(block);
    else if (by == "array") ::operator delete[](block);
    else if (by == "sized") ::operator delete(block, b->size + b->by);
    else if (by == "sizedarray") ::operator delete[](block, b->size + b->by);
    else if (by == "aligned") ::operator delete(block, std::align_val_t(64));
    else std::abort();
}

/* how: GIVEN_TAKEN. */
void mismatch(const struct bug *b)
{
    const std::string how = b->how;
    const size_t line = how.find('_');

    taken(b, given(b, how.substr(0, line)), how.substr(line + 1));
    if (std::strcmp(b->when, "later") == 0) bug_churn(b->size);
}

void delete_twice(const struct bug *b)
{
    const std::string how = b->how;
    const size_t line = how.find('_');
    const std::string by = how.substr(line + 1);
    void *block = given(b, how.substr(0, line)), *other = ::operator new(b->size);

    taken(b, block, by);
    if (std::strcmp(b->when, "between") == 0) ::operator delete(other);
    taken(b, bug_hide(block), by);
}

void delete_inside(const struct bug *b)
{
    char *block = static_cast<char *>(given(b, "new"));

    taken(b, bug_hide(block + b->by), b->how);
}

char in_data[64] __attribute__((aligned(16)));

void delete_elsewhere(const struct bug *b)
{
    char room[64] __attribute__((aligned(16))) = "stack";

    taken(b, bug_hide(std::strcmp(b->when, "data") == 0 ? in_data : room), b->how);
}

/* A reference into a vector, after the vector grew. */
void vector_moved(const struct bug *b)
{
    std::vector<size_t> numbers(b->size / sizeof(size_t));
    size_t *first = static_cast<size_t *>(bug_hide(numbers.data()));

    numbers.resize(b->size * 4);
    if (std::strcmp(b->how, "written") == 0) std::memset(first, 5, 16);
    else bug_sink = *static_cast<volatile size_t *>(first);
    if (std::strcmp(b->when, "next") == 0) bug_churn(b->size);
}

/* The text of a string that is gone. */
void string_gone(const struct bug *b)
{
    const char *text;
    {
        std::string gone(b->size, 's');
        text = static_cast<const char *>(bug_hide(const_cast<char *>(gone.c_str())));
    }
    bug_sink = std::strlen(text);
}

/* A virtual call through an object that was deleted. */
void call_deleted(const struct bug *)
{
    thing *th = new thing;

    th = static_cast<thing *>(bug_hide(th));
    delete th;
    delete static_cast<thing *>(bug_hide(th));
}

void array_overflow(const struct bug *b)
{
    char *block = new char[b->size];

    std::memset(bug_hide(block), 'o', b->size + b->by);
    delete[] block;
}

}

const struct row new_rows[] = {
    {"mismatch", mismatch, "24 1000", "",
     "malloc_delete malloc_array new_free new_array array_free array_delete", ""},
    {"mismatch", mismatch, "20000", "", "malloc_delete new_free array_delete", ""},
    {"mismatch", mismatch, "100", "", "calloc_delete memalign_delete aligned_free new_realloc array_realloc", ""},
    {"wrong-size", mismatch, "24 100 250 1000 20000", "100 400 4000", "new_sized array_sizedarray", ""},
    {"double-free", delete_twice, "24 1000", "", "new_delete array_array new_sized", "directly between"},
    {"bad-free", delete_inside, "100", "8 16", "delete array free", ""},
    {"bad-free", delete_elsewhere, "", "", "delete array", "data stack"},
    {"use-after-free", vector_moved, "64 1000", "", "written read", "exit next"},
    {"use-after-free", string_gone, "100", "", "string", ""},
    {"used-double-free", call_deleted, "", "", "virtual", ""},
    {"overflow", array_overflow, "24 1016", "1 16", "array", ""},
    {nullptr, nullptr, "", "", "", ""},
};
