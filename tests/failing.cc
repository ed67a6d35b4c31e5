// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the privheap authors

// failing.cc -- for fail.sh: operator new in every form, and says in one line which gave nothing, and how.
#include <cstdio>
#include <new>

struct alignas(64) wide { char bytes[128]; };

static void *volatile sink;

template <typename Make> static void asked(const char *way, Make make)
{
    try {
        sink = make();
        if (sink == nullptr) std::printf("%s:null ", way);
    } catch (const std::bad_alloc &) {
        std::printf("%s:thrown ", way);
    }
}

static void forget() { std::set_new_handler(nullptr); std::printf("handler "); }

int main()
{
    static char room[256];
    std::setvbuf(stdout, room, _IOFBF, sizeof room); // or its buffer would be one of those that fail
    asked("new", [] { return static_cast<void *>(new int); });
    asked("new[]", [] { return static_cast<void *>(new char[2000]); });
    asked("new-nothrow", [] { return static_cast<void *>(new (std::nothrow) int); });
    asked("new-aligned", [] { return static_cast<void *>(new wide); });
    asked("new-aligned-nothrow", [] { return static_cast<void *>(new (std::nothrow) wide[3]); });
    std::set_new_handler(forget);
    asked("new-handled", [] { return static_cast<void *>(new int); });
    return 0;
}
