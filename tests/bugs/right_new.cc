/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * right_new.cc -- correct C++: every pair that belongs together, containers, what the language allows. */
#include "bugs.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct base {
    virtual ~base() = default;
    int value = 1;
};
struct second {
    virtual ~second() = default;
    char text[100] = "second";
};
struct derived : base, second {
    std::vector<int> numbers = std::vector<int>(50, 3);
};
struct alignas(128) wide {
    char bytes[300];
};
struct counted { /* an array of these has a count in front */
    std::string text = "a text that is too long for the string itself";
    ~counted() { bug_sink = text.size(); }
};

/* A class with its own operators on malloc; one of them in the middle of a block of its own. */
struct own {
    char bytes[40];
    static void *operator new(size_t bytes) { return static_cast<char *>(std::malloc(bytes + 16)) + 16; }
    static void operator delete(void *block) { std::free(static_cast<char *>(block) - 16); }
};

void pairs(const struct bug *b)
{
    ::operator delete(bug_hide(::operator new(b->size)));
    ::operator delete(bug_hide(::operator new(b->size)), b->size);
    ::operator delete[](bug_hide(::operator new[](b->size)));
    ::operator delete[](bug_hide(::operator new[](b->size)), b->size);
    ::operator delete(bug_hide(::operator new(b->size, std::nothrow)), std::nothrow);
    ::operator delete[](bug_hide(::operator new[](b->size, std::nothrow)), std::nothrow);
    ::operator delete(nullptr);
    ::operator delete(nullptr, b->size);
}

void aligned_pairs(const struct bug *b)
{
    const auto align = std::align_val_t(b->by);
    void *block = bug_hide(::operator new(b->size, align));

    bug_need(reinterpret_cast<uintptr_t>(block) % b->by == 0);
    std::memset(block, 1, b->size);
    ::operator delete(block, align);
    ::operator delete(bug_hide(::operator new(b->size, align)), b->size, align);
    ::operator delete[](bug_hide(::operator new[](b->size, align)), align);
    ::operator delete[](bug_hide(::operator new[](b->size, align)), b->size, align);
}

void objects(const struct bug *)
{
    base *one = new derived;
    second *other = new derived; /* not where its block begins */

    delete static_cast<base *>(bug_hide(one));
    delete static_cast<second *>(bug_hide(other));
    delete[] static_cast<counted *>(bug_hide(new counted[7]));
    delete[] static_cast<counted *>(bug_hide(new counted[0]));
    delete static_cast<wide *>(bug_hide(new wide));
    delete[] static_cast<wide *>(bug_hide(new wide[3]));
    delete static_cast<own *>(bug_hide(new own));
}

void placed(const struct bug *b)
{
    void *room = bug_hide(std::malloc(sizeof(derived) + b->size));
    derived *de = new (room) derived;

    de->~derived();
    std::free(room);
}

void vectors(const struct bug *b)
{
    std::vector<std::string> texts;

    for (size_t i = 0; i < b->size; i++) texts.emplace_back(i % 60, 't');
    texts.erase(texts.begin(), texts.begin() + static_cast<long>(b->size / 2));
    texts.shrink_to_fit();
    std::vector<std::string> moved = std::move(texts);
    texts = moved;
    bug_need(texts == moved);
}

void maps(const struct bug *b)
{
    std::map<std::string, std::vector<int>> tree;
    std::unordered_map<size_t, std::unique_ptr<derived>> table;
    std::list<std::string> chain;
    std::deque<wide> queue;

    for (size_t i = 0; i < b->size; i++) {
        tree[std::to_string(i * 7)].assign(i % 20, 1);
        table[i] = std::make_unique<derived>();
        chain.push_front(std::string(i % 50, 'c'));
        queue.emplace_back();
        if (i % 3 == 0) chain.pop_back();
        if (i % 5 == 0) queue.pop_front();
    }
    chain.sort();
}

void shared(const struct bug *b)
{
    auto one = std::make_shared<derived>();
    std::weak_ptr<derived> weak = one;
    std::vector<std::thread> threads;

    for (size_t i = 0; i < b->size; i++) threads.emplace_back([copy = one] { bug_sink = copy->numbers.size(); });
    for (auto &thread : threads) thread.join();
    one.reset();
    bug_need(weak.expired());
}

void thrown(const struct bug *b)
{
    for (size_t i = 0; i < b->size; i++) try {
            throw std::runtime_error(std::string(i, 'e'));
        } catch (const std::exception &error) {
            bug_need(std::strlen(error.what()) == i);
        }
    try {
        bug_sink = reinterpret_cast<size_t>(::operator new(PTRDIFF_MAX));
        bug_need(false);
    } catch (const std::bad_alloc &) {
    }
    bug_need(::operator new(PTRDIFF_MAX, std::nothrow) == nullptr);
}

void streams(const struct bug *b)
{
    std::ostringstream out;

    for (size_t i = 0; i < b->size; i++) out << i << ' ';
    std::istringstream in(out.str());
    size_t last = 0, count = 0;
    while (in >> last) count++;
    bug_need(count == b->size);
}

struct at_end {
    std::vector<std::string> texts;
    ~at_end() { texts.clear(); }
};
at_end global;
thread_local at_end per_thread;

void ends(const struct bug *b)
{
    for (size_t i = 0; i < b->size; i++) global.texts.emplace_back(100, 'g');
    std::thread([b] {
        for (size_t i = 0; i < b->size; i++) per_thread.texts.emplace_back(100, 'p');
    }).join();
    per_thread.texts.emplace_back(100, 'm');
}

void functions(const struct bug *b)
{
    std::vector<std::function<size_t()>> calls;

    for (size_t i = 0; i < b->size; i++)
        calls.emplace_back([text = std::string(80, 'f'), i] { return text.size() + i; });
    std::reverse(calls.begin(), calls.end());
    for (auto &call : calls) bug_sink = call();
}

}

const struct row right_new_rows[] = {
    {"new", pairs, "0 1 8 24 100 1000 5000 20000 200000 2000000", "", "pairs", ""},
    {"new", aligned_pairs, "1 100 5000 200000", "8 32 64 128 4096", "aligned", ""},
    {"new", objects, "", "", "objects", ""},
    {"new", placed, "8 1000", "", "placed", ""},
    {"std", vectors, "10 1000", "", "vectors", ""},
    {"std", maps, "10 500", "", "maps", ""},
    {"std", shared, "1 6", "", "shared", ""},
    {"std", thrown, "10 100", "", "thrown", ""},
    {"std", streams, "100 5000", "", "streams", ""},
    {"std", ends, "1 100", "", "ends", ""},
    {"std", functions, "1 200", "", "functions", ""},
    {nullptr, nullptr, "", "", "", ""},
};
