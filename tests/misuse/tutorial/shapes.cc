/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * shapes.cc -- the area of a polygon; with a bug for the README's tutorial. */
#include <cmath>
#include <cstdio>

struct point {
    double x, y;
};

static point *regular(unsigned corners)
{
    point *polygon = new point[corners];

    for (unsigned i = 0; i < corners; i++) {
        const double angle = 2 * M_PI * i / corners;
        polygon[i] = {std::cos(angle), std::sin(angle)};
    }
    return polygon;
}

static double area(const point *polygon, unsigned corners)
{
    double sum = 0;

    for (unsigned i = 0; i < corners; i++) {
        const point &here = polygon[i], &next = polygon[(i + 1) % corners];
        sum += here.x * next.y - next.x * here.y;
    }
    return sum / 2;
}

int main()
{
    point *polygon = regular(6);

    std::printf("%g\n", area(polygon, 6));
    delete polygon; /* the bug: it came from new[] */
    return 0;
}
