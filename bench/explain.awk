# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# explain.awk -- the sections of privheap-diagnostics(7) as rows of C, EXPLANATION(number, "text"), filled to a line's
# width: what `privheap explain` prints.  Reads the page's source, of mdoc(7) as much as that uses.

BEGIN { width = 76 }

function add(text, glue) { line = line (line == "" || glue ? "" : " ") text }

# The words of a macro line, in which other macros may stand: "Ev NAME Ns =1", "Pq Xr read 2 No into it .".
function words(from,    i, end, closing, glue, part, opened) {
    line = closing = ""
    end = count
    while (end > from && word[end] ~ /^[.,;:)]$/) end--
    glue = 0
    for (i = from; i <= end; i++) {
        part = word[i]
        if (part == "Ns") { glue = 1; continue }
        if (part == "Ev" || part == "Dv" || part == "Cm" || part == "Ar" || part == "Pa" || part == "No" || part == "Em" || part == "Nm") continue
        if (part == "Xr") { add(word[i + 1] "(" word[i + 2] ")", glue || opened); i += 2 }
        else if (part == "Fn") { add(word[++i] "()", glue || opened) }
        else if (part == "Fl") { add("-" word[++i], glue || opened) }
        else if (part == "Pq") { add("(", glue); opened = 1; closing = ")" closing; continue }
        else if (part == "Dq") { add("\"", glue); opened = 1; closing = "\"" closing; continue }
        else if (part == "Ql") { add("'", glue); opened = 1; closing = "'" closing; continue }
        else add(part, glue || opened)
        glue = opened = 0
    }
    line = line closing
    for (i = end + 1; i <= count; i++) line = line word[i]
    return line
}

function plain(text) {
    gsub(/\\&/, "", text)
    gsub(/\\-/, "-", text)
    gsub(/\\e/, "\\", text)
    return text
}

function put(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    rows = rows "    \"" text "\\n\"\n"
    lines++
}

# A paragraph that waits, as lines.
function flush(    n, i, piece, out) {
    n = split(waiting, piece, " ")
    for (i = 1; i <= n; i++) {
        if (out != "" && length(out) + 1 + length(piece[i]) > width) { put(out); out = "" }
        out = out (out == "" ? "" : " ") piece[i]
    }
    if (out != "") put(out)
    waiting = ""
}

function end_section() {
    if (number == "") return
    flush()
    sub(/    "\\n"\n$/, "", rows)
    printf "EXPLANATION(%s,\n%s)\n", number, substr(rows, 1, length(rows) - 1)
    number = ""
}

/^\.Ss PH[0-9]+ / { end_section(); number = substr($2, 3); rows = waiting = ""; next }
/^\.S[sh] / { end_section(); next }
number == "" { next }
literal && !/^\.Ed/ { put("    " plain($0)); next }
/^\.Bd/ { flush(); literal = 1; next }
/^\.Ed/ { literal = 0; next }
/^\.Pp/ { flush(); put(""); next }
/^\.\\"/ { next }
/^\.Dl / { flush(); put("    " plain(substr($0, 5))); next }
/^\./ {
    count = 0
    rest = substr($0, 2)
    while (rest != "") {
        if (match(rest, /^"[^"]*"/)) word[++count] = substr(rest, 2, RLENGTH - 2)
        else { match(rest, /^[^ ]+/); word[++count] = substr(rest, 1, RLENGTH) }
        rest = substr(rest, RLENGTH + 1)
        sub(/^ +/, "", rest)
    }
    waiting = waiting " " plain(words(1))
    next
}
{ waiting = waiting " " plain($0) }
END { end_section() }
