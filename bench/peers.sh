# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# peers.sh -- the other allocators at hand; read by the scripts here, not run.

# library NAME: its file where the loader looks, or where clang keeps its runtime; empty when it is not installed.  One
# for another machine's programs is none.
library() {
    for dir in $(/sbin/ldconfig -v -N 2>/dev/null | sed -n 's/^\(\/[^:]*\):.*/\1/p') /usr/lib/*-linux-gnu /usr/lib \
        /usr/lib/llvm-*/lib/clang/*/lib/*; do
        [ -e "$dir/$1" ] || continue
        case $(LD_PRELOAD=$dir/$1 /bin/true 2>&1 >/dev/null) in *"cannot be preloaded"*) continue ;; esac
        echo "$dir/$1"
        return
    done
}

# loads NAME FILE: an object that cannot be loaded would silently measure something else, as the loader only
# warns.
loads() {
    warning=$(LD_PRELOAD=$2 /bin/true 2>&1 >/dev/null) || die "$1: /bin/true fails under $2"
    case $warning in *"cannot be preloaded"*) die "$1: $warning" ;; esac
}

# What the figures were taken on.
machine() {
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
    echo "machine   $model, $(getconf _NPROCESSORS_ONLN) cpus, Linux $(uname -r)"
}
