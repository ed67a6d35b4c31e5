# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# options.awk -- fills a manual page in from the option table.
#
#   awk -f options.awk -v version=V -v pkglibdir=DIR options.def PAGE.in > PAGE
#
# A line of the page that is @SWITCHES@ becomes the list of `privheap run` switches, one that is
# @VARIABLES@ the list of environment variables.  @VERSION@ and @PKGLIBDIR@ are words anywhere.

# 1048576 -> 1m: the way a user would write it.
function in_units(bytes,    unit) {
    for (unit = 1; bytes != 0 && bytes % 1024 == 0 && unit < 5; unit++) bytes /= 1024
    return sprintf("%d%s", bytes, substr(" kmgt", unit, 1) == " " ? "" : substr(" kmgt", unit, 1))
}

function amount(i, value) {
    return type[i] == "size" ? in_units(value) : value
}

# For mdoc: a backslash and a control character at the start of a line have a meaning.
function escaped(text) {
    gsub(/\\/, "\\e", text)
    return text ~ /^[.']/ ? "\\&" text : text
}

function value_name(i) {
    if (type[i] == "size") return "size"
    if (type[i] == "ms") return "milliseconds"
    if (type[i] == "bits") return "bits"
    if (type[i] == "number" || type[i] == "mode" || type[i] == "when") return type[i]
    if (type[i] == "fail" || type[i] == "chaos") return "which"
    if (type[i] == "stress") return "how"
    return "file"
}

function switch_name(i,    text) {
    text = tolower(name[i])
    gsub(/_/, "-", text)
    return text
}

function one_of(words, which,    word) {
    split(words, word, " ")
    gsub(/ /, ", ", words)
    return "One of " words "; default " word[which + 1] "."
}

function bounds(i,    text) {
    if (type[i] == "mode") return one_of("default secure tolerant", standard[i])
    if (type[i] == "when") return one_of("auto never always", standard[i])
    if (type[i] == "flag") return "0 or 1; default " standard[i] "."
    if (type[i] == "bits") return "A sum of those values, decimal or as 0x30; default " standard[i] "."
    if (type[i] == "path" || type[i] == "fail" || type[i] == "chaos" || type[i] == "stress") return "Not set by default."
    text = "From " amount(i, least[i]) " to " amount(i, most[i])
    if ((standard[i] == 0 || type[i] == "number") && least[i] > 0) text = text ", or 0"
    return text "; default " amount(i, standard[i]) "."
}

function sentence(i) {
    return toupper(substr(help[i], 1, 1)) substr(help[i], 2) "."
}

function print_switches(    i) {
    for (i = 1; i <= count; i++) {
        if (type[i] == "flag") printf ".It Fl -%s\n", switch_name(i)
        else printf ".It Fl -%s Ns = Ns Ar %s\n", switch_name(i), value_name(i)
        print escaped(sentence(i))
        if (type[i] != "flag") print bounds(i)
    }
}

function print_variables(    i) {
    for (i = 1; i <= count; i++) {
        printf ".It Ev PRIVHEAP_%s\n%s\n%s\n", name[i], escaped(sentence(i)), bounds(i)
    }
}

FNR == 1 { file++ }

file == 1 && /^OPTION\(/ {
    quote = index($0, "\"")
    head = substr($0, 8, quote - 8)
    rest = substr($0, quote + 1)
    sub(/"\)[ \t]*$/, "", rest)
    split(head, part, /, */)
    count++
    name[count] = part[1]
    type[count] = part[2]
    standard[count] = part[3]
    least[count] = part[4]
    most[count] = part[5]
    help[count] = rest
    next
}

file == 1 { next }

$0 == "@SWITCHES@" { print_switches(); next }
$0 == "@VARIABLES@" { print_variables(); next }
{
    gsub(/@VERSION@/, version)
    gsub(/@PKGLIBDIR@/, pkglibdir)
    print
}
