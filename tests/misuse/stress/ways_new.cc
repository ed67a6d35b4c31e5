/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * ways_new.cc -- the ways of C++, and the rows of their misuses.  Those that no pair of functions excuses have a way
 * for each wrong function. */
#include "matrix.h"

#include <cstdlib>
#include <new>

namespace {

size_t last_bytes;

void *take_new(size_t bytes)
{
    last_bytes = bytes;
    return ::operator new(bytes);
}

void *take_array(size_t bytes)
{
    last_bytes = bytes;
    return ::operator new[](bytes);
}

void give_new(void *block)
{
    ::operator delete(block);
}

void give_array(void *block)
{
    ::operator delete[](block);
}

void give_sized(void *block)
{
    ::operator delete(block, last_bytes + 8);
}

void give_sized_array(void *block)
{
    ::operator delete[](block, last_bytes * 2);
}

}

const struct way matrix_ways[] = {
    {"new", take_new, give_new, nullptr},
    {"array", take_array, give_array, nullptr},
    {"malloc_delete", std::malloc, std::free, give_new},
    {"malloc_array", std::malloc, std::free, give_array},
    {"new_free", take_new, give_new, std::free},
    {"new_array", take_new, give_new, give_array},
    {"array_delete", take_array, give_array, give_new},
    {"array_free", take_array, give_array, std::free},
    {"new_sized", take_new, give_new, give_sized},
    {"array_sized", take_array, give_array, give_sized_array},
    {nullptr, nullptr, nullptr, nullptr},
};

#define SIZES "1 37 4096 300000"
#define SOME_SIZES "37 4096 300000"
#define WAYS "new array"
#define PLACES "here thread fork"

const struct row matrix_rows[] = {
    {"overflow", misuse_overflow, SIZES, "0 100", WAYS, PLACES},
    {"underflow", misuse_underflow, SIZES, "1", WAYS, PLACES},
    {"over-read", misuse_over_read, SIZES, "100", WAYS, PLACES},
    {"tight-read", misuse_over_read, SIZES, "0", WAYS, PLACES},
    {"under-read", misuse_under_read, SIZES, "1", WAYS, PLACES},
    {"write-after-free", misuse_write_after_free, SIZES, "", WAYS, PLACES},
    {"read-after-free", misuse_read_after_free, SIZES, "", WAYS, PLACES},
    {"double-free", misuse_double_free, SIZES, "", WAYS, PLACES},
    {"interior-free", misuse_interior_free, SOME_SIZES, "16 7", WAYS, PLACES},
    {"free-of-stack", misuse_free_of_stack, "37", "", WAYS, PLACES},
    {"free-of-static", misuse_free_of_static, "37", "", WAYS, PLACES},
    {"free-of-wild", misuse_free_of_wild, "37", "", WAYS, PLACES},
    {"wrong-family", misuse_wrong_give, SIZES, "",
     "malloc_delete malloc_array new_free new_array array_delete array_free", PLACES},
    {"wrong-size", misuse_wrong_give, SIZES, "", "new_sized array_sized", PLACES},
    {"uninitialised", misuse_uninitialised, SOME_SIZES, "", WAYS, PLACES},
    {"leak", misuse_leak, SIZES, "", WAYS, PLACES},
    {nullptr, nullptr, "", "", "", ""},
};
