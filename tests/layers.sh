#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# layers.sh -- holds lib/ to its map: calls go down only, the system is asked in os.c and osproc.c only, and
# nothing grows too large to be read.  (Locks: lock_order.pl.)
#
# A function belongs to the room (file) that defines it.

# The rooms, top first.  A room may call those on lower lines; rooms joined by = may call each other.
rooms='
    entrance=heapapi=heapinfo=native=raise=visit
    stats fork cancel
    walk=valid inspect
    block=find
    alloc
    heap
    debug=harden
    local=gate=sized=late=nested=runs=settle
    stack
    emergency shard=back=mend=depot
    large=kept=fence=guard=guardslot=guardfault=pageheap=pagelook=pagewants=pageslot=pagefault packed=packedcheck
    page
    span=spanguard=purge=forget=spancheck
    region
    map sizeclass
    meta
    os=osproc=clock
'
# Any room may call these; they call only each other and os.
services='options message invariant report unwind cfi site trace parts pattern fail chaos stress text lock bytes'

# Calls up that have a reason: the first malloc of a process finds out on local's slow path that there is
# no heap yet; a report says in which heap its block lies.
excused='local:ph_heap_process report:ph_heap_at report:ph_heap_around'

# Asked for in os.c and osproc.c only.
system='mmap mmap64 munmap mremap madvise mprotect membarrier prctl sysconf syscall'

most_lines_of_file=500 # but the map: all of it in one place
most_lines_of_map=900
most_lines_of_function=60

cd "${top_srcdir:-$(dirname "$0")/..}" || exit 99
engine='preload/malloc.c preload/new.c preload/early.c preload/win32.c'
sources=$(ls lib/*.[ch] preload/*.[ch] bench/*.[ch] 2>/dev/null)

findings() {
    awk -v rooms="$rooms" -v services="$services" -v system_calls="$system" \
        -v file_wall=$most_lines_of_file -v map_wall=$most_lines_of_map -v function_wall=$most_lines_of_function \
        -v engine="$engine" -v excused="$excused" '
    BEGIN {
        lines = split(rooms, line, "\n")
        for (i = 1; i <= lines; i++) {
            n = split(line[i], word, " ")
            for (j = 1; j <= n; j++) {
                m = split(word[j], joined, "=")
                for (k = 1; k <= m; k++) {
                    rank[joined[k]] = lines - i
                    beside[joined[k]] = word[j]
                }
            }
        }
        n = split(services, word, " ")
        for (i = 1; i <= n; i++) is_service[word[i]] = 1
        n = split(system_calls, word, " ")
        for (i = 1; i <= n; i++) is_system[word[i]] = 1
        n = split(excused, word, " ")
        for (i = 1; i <= n; i++) is_excused[word[i]] = 1
        n = split(engine, word, " ")
        for (i = 1; i <= n; i++) is_engine[word[i]] = 1
    }
    function wall_of(file) { return file == "lib/internal.h" ? map_wall : file_wall }
    function room_of(file) { sub(/.*\//, "", file); sub(/\.[ch]$/, "", file); return file }

    FNR == 1 {
        if (previous_lines > wall_of(previous)) print previous ": " previous_lines " lines, the wall is " wall_of(previous)
        in_comment = opened = 0
        is_room = FILENAME ~ /^lib\/.*\.c$/
        room = room_of(FILENAME)
        if (is_room && !(room in rank) && !(room in is_service))
            print FILENAME ": layers.sh does not know this room"
    }
    { previous = FILENAME; previous_lines = FNR; text = $0 }

    # Comments and strings are no calls.
    {
        gsub(/\\"/, "", text)
        gsub(/"[^"]*"/, "\"\"", text)
        if (in_comment) {
            if (!match(text, /\*\//)) next
            text = substr(text, RSTART + 2)
            in_comment = 0
        }
        gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", text)
        sub(/\/\/.*/, "", text)
        if (match(text, /\/\*/)) {
            text = substr(text, 1, RSTART - 1)
            in_comment = 1
        }
    }

    # Functions begin at the left margin and end with a brace there.
    text ~ /^[A-Za-z_].*\(/ && text !~ /;[ \t]*$/ {
        head = text
        name = head
        sub(/\(.*/, "", name)
        sub(/.*[^A-Za-z0-9_]/, "", name)
        if (is_room && name ~ /^ph_/) owner[name] = room
    }
    text ~ /^\{/ || text ~ /^[A-Za-z_].*\)[ \t]*\{[ \t]*$/ { opened = FNR }
    text ~ /^\}/ {
        if (opened && FNR - opened > function_wall)
            print FILENAME ":" opened ": " FNR - opened " lines, the wall is " function_wall ": " head
        opened = 0
    }

    is_room || FILENAME in is_engine {
        rest = text
        while (match(rest, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
            name = substr(rest, RSTART, RLENGTH - 1)
            sub(/[ \t]+$/, "", name)
            rest = substr(rest, RSTART + RLENGTH)
            at = FILENAME ":" FNR
            if (is_room && name ~ /^ph_/) call[++calls] = room SUBSEP name SUBSEP at
            if (name in is_system && room != "os" && room != "osproc") print at ": " name "() outside os.c"
        }
    }

    END {
        if (previous_lines > wall_of(previous)) print previous ": " previous_lines " lines, the wall is " wall_of(previous)
        for (i = 1; i <= calls; i++) {
            split(call[i], part, SUBSEP)
            from = part[1]; to = owner[part[2]]
            if (to == "" || to == from || to == "os" || to == "osproc" || to in is_service) continue
            if ((from ":" part[2]) in is_excused) continue
            if (from in is_service || (rank[to] >= rank[from] && beside[to] != beside[from]))
                print part[3] ": " from " calls up to " to ": " part[2] "()"
        }
    }' $sources
}

found=$(findings)
[ -z "$found" ] && exit 0
echo "$found"
exit 1
