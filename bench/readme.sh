#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# readme.sh -- put the results of bench.sh into README, between its two marks, and the chart beside this file.
set -eu

die() { echo "readme.sh: $1" >&2; exit 2; }
[ $# -le 2 ] || die 'usage: readme.sh [FOLDER [README]]'
here=$(dirname "$0")
folder=${1:-build/bench/results} readme=${2:-$here/../README.md}
for file in readme.md figures.svg; do
    [ -s "$folder/$file" ] || die "no $folder/$file: make bench first, where gnuplot is installed"
done
for mark in begin end; do
    [ "$(grep -c "^<!-- figures: $mark" "$readme")" -eq 1 ] || die "$readme has no line '<!-- figures: $mark ... -->'"
done
new=$(mktemp)
trap 'rm -f "$new"' EXIT
awk -v part="$folder/readme.md" '
    /^<!-- figures: end/ { inside = 0 }
    !inside { print }
    /^<!-- figures: begin/ { inside = 1; while ((getline line < part) > 0) print line }' "$readme" >"$new"
cat "$new" >"$readme"
# gnuplot defines marks that the chart does not use, opens groups for nothing, and says each font again.
tr '\n\t' '  ' <"$folder/figures.svg" |
    sed -e 's/<defs>.*<\/defs>//; s/<desc>[^<]*<\/desc>//; s/ *shape-rendering=.crispEdges.//g; s/\([0-9]\)\.[0-9][0-9]*\([ ,)]\)/\1\2/g' \
        -e 's/<tspan font-family="Arial" *>\([^<]*\)<\/tspan>/\1/g; s/ font-family="Arial" font-size="12.00" */ /g; s/ stroke-line[a-z]*="[a-z]*"//g; s/ stroke-width="1.00"//g; s/<title>Gnuplot<\/title>//; s/viewBox/font-family="Arial" font-size="12" viewBox/' \
        -e ':again; s/<g [^>]*> *<\/g>//g; t again' -e 's/> *</></g; s/   */ /g; s/<\(g\|path\|polygon\)/\n<\1/g' \
        >"$(dirname "$readme")/bench/figures.svg"
