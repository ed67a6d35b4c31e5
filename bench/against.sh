#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# against.sh -- our engine as it is here against the engine of an earlier commit, with what is more than chance.
#
# Only the preload object is built from the earlier commit, in a folder that is gone afterwards; the benches are the
# ones here for both.  `-c` fails when a row is slower by more than chance and by more than 3 percent.
set -eu

usage() {
    cat <<'END'
usage: against.sh [-c] [-d BUILD] [-r ROUNDS] [-b MS] [-l SECONDS] [-w ROWS] REVISION
  -c           exit 1 when a row became slower
  -d BUILD     build folder (here, else ./build)
  -r ROUNDS    rounds at most (10); fewer than 5 cannot show anything
  -b -l -w     as bench.sh has them; -b 60 by default
END
}

die() { echo "against.sh: $1" >&2; exit 2; }

check=0 build='' rounds=10 box=60 limit=780 rows=''
while getopts cd:r:b:l:w:h option; do
    case $option in
    c) check=1 ;;
    d) build=$OPTARG ;;
    r) rounds=$OPTARG ;;
    b) box=$OPTARG ;;
    l) limit=$OPTARG ;;
    w) rows=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# = 1 ] && [ -n "$1" ] || { usage >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")
if [ -z "$build" ]; then
    build=.
    [ -x bench/bench_patterns ] || build=build
fi
build=$(cd "$build" 2>/dev/null && pwd) || die 'no build folder: say -d BUILD'
[ -x "$build/bench/bench_ratio" ] || die "no $build/bench/bench_ratio: make bench-programs first, or say -d BUILD"
revision=$(git -C "$source" rev-parse --verify --quiet "$1^{commit}") || die "there is no commit '$1' here"

earlier=$(mktemp -d)
trap 'rm -rf "$earlier"' EXIT
trap 'exit 130' INT TERM
echo "building $(git -C "$source" log -1 --format='%h, %s' "$revision")" >&2
mkdir "$earlier/source" "$earlier/build"
git -C "$source" archive "$revision" | tar -x -C "$earlier/source"
(
    cd "$earlier/source"
    autoreconf -i
    cd "$earlier/build"
    # with the options that this build was configured with
    eval "set -- $("$build/config.status" --config)"
    "$earlier/source/configure" --quiet "$@"
    make -s preload/libprivheap-preload.la
) >"$earlier/log" 2>&1 || { tail -20 "$earlier/log" >&2; die "$1 cannot be built"; }

folder=$build/bench/results/against
set -- -N -d "$build" -o "$folder" -B before -r "$rounds" -b "$box" -l "$limit"
[ -z "$rows" ] || set -- "$@" -w "$rows"
status=0
"$here/bench.sh" "$@" before="$earlier/build/preload/.libs/libprivheap-preload.so" >/dev/null
"$build/bench/bench_ratio" -m 3 privheap before <"$folder/raw.txt" >"$folder/against.md" || status=$?
cat "$folder/against.md"
[ "$status" != 1 ] || [ "$check" = 1 ] || status=0
exit "$status"
