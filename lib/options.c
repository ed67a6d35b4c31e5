/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* options.c -- the run-time options: the table, the values in force, text to value.
 *
 * Owns:    ph_option_rows, the values.
 * Calls:   message.c to complain.  Never: libc (this runs in the first malloc of a process).
 * Locks:   none; values are written once, before a second thread exists.
 * Always:  a value lies within its row's bounds, or is 0 where the default is 0.
 * Why:     paths are copied, because programs write over their first environment
 *          (to change their title), and the log is opened much later. */
#include "options.h"

#include "chaos.h"
#include "stress.h"
#include "fail.h"
#include "message.h"
#include "text.h"

#include "small.h"

enum {
    WORD_BYTES = 48, /* longer words are near to nothing */
    SHOWN_BYTES = 64, /* of a wrong value, in a message */
};

const struct option_row ph_option_rows[OPT_COUNT] = {
#define OPTION(name, type, value, min, max, help) { #name, OPTION_##type, value, min, max, help },
#include "options.def"
#undef OPTION
};

static uint64_t values[OPT_COUNT] = {
#define OPTION(name, type, value, min, max, help) value,
#include "options.def"
#undef OPTION
};

uint32_t ph_mode = MODE_DEFAULT, ph_families;
static const char mode_words[MODE_COUNT][9] = { "default", "secure", "tolerant" };
static const char thp_words[THP_COUNT][9] = { "auto", "never", "always" };

static char paths[OPTION_PATH_BYTES]; /* those given, each behind a NUL and with one */
static unsigned paths_used;
static bool is_default = true;

uint64_t ph_option(enum option_id which)
{
    return values[which];
}

/* The value of a path row is where its text begins in `paths`: 0 when not given. */
const char *ph_option_path(enum option_id which)
{
    return values[which] == 0 ? NULL : paths + values[which];
}

/* ---- text to value ----------------------------------------------------- */

/* Read decimal digits; what follows them, or NULL when there are none.  Stops at 2^64 - 1. */
static const char *parse_digits(const char *text, uint64_t *value)
{
    const char *first = text;
    for (*value = 0; *text >= '0' && *text <= '9'; text++) {
        unsigned digit = (unsigned)(*text - '0');
        bool fits = *value <= (UINT64_MAX - digit) / 10;
        *value = fits ? *value * 10 + digit : UINT64_MAX;
    }
    return text == first ? NULL : text;
}

static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter + 32) : letter;
}

/* "k" is 10, "m" 20, ...; a 'b' or "ib" may follow.  -1 when it is no unit. */
static int parse_unit(const char *text)
{
    static const char letters[] = "kmgt";
    if (*text == '\0') return 0;
    int shift = -1;
    for (int i = 0; letters[i] != '\0'; i++)
        if (lower(*text) == letters[i]) shift = 10 * (i + 1);
    text++;
    if (lower(text[0]) == 'i' && lower(text[1]) == 'b') text++;
    if (lower(text[0]) == 'b') text++;
    return *text == '\0' ? shift : -1;
}

static const char *parse_size(const char *text, uint64_t *value)
{
    const char *rest = parse_digits(text, value);
    int shift = rest == NULL ? -1 : parse_unit(rest);
    if (shift < 0) return "is not a size";
    if (*value > UINT64_MAX >> shift) return "is too large";
    *value <<= shift;
    return NULL;
}

static const char *parse_ms(const char *text, uint64_t *value)
{
    const char *rest = parse_digits(text, value);
    return rest == NULL || *rest != '\0' ? "is not a number of milliseconds" : NULL;
}

static bool is_word(const char *text, const char *word)
{
    while (*word != '\0' && lower(*text) == *word) text++, word++;
    return *word == '\0' && *text == '\0';
}

static const char *parse_number(const char *text, uint64_t *value)
{
    const char *rest = parse_digits(text, value);
    return rest == NULL || *rest != '\0' ? "is not a number" : NULL;
}

static const char *parse_word(const char *text, const char (*words)[9], unsigned count, uint64_t *value, const char *wrong)
{
    for (unsigned i = 0; i < count; i++)
        if (is_word(text, words[i])) {
            *value = i;
            return NULL;
        }
    return wrong;
}

static const char *parse_flag(const char *text, uint64_t *value)
{
    static const char words[][4] = { "0", "1", "off", "on" };
    for (unsigned i = 0; i < 4; i++)
        if (is_word(text, words[i])) {
            *value = i % 2;
            return NULL;
        }
    return "is neither 0 nor 1";
}

static int hex_digit(char letter)
{
    letter = lower(letter);
    return letter >= '0' && letter <= '9' ? letter - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static const char *parse_bits(const char *text, uint64_t *value)
{
    static const char wrong[] = "is no number such as 0x30 or 48";
    if (text[0] != '0' || lower(text[1]) != 'x') {
        const char *rest = parse_digits(text, value);
        return rest == NULL || *rest != '\0' ? wrong : NULL;
    }
    *value = 0;
    for (text += 2; *text != '\0'; text++) {
        if (hex_digit(*text) < 0) return wrong;
        if (*value >> 60 != 0) return "is too large";
        *value = *value << 4 | (uint64_t)hex_digit(*text);
    }
    return text[-1] == 'x' || text[-1] == 'X' ? wrong : NULL;
}

static const char *parse_path(const char *text, uint64_t *value)
{
    *value = text_bytes(text);
    return *value >= OPTION_PATH_BYTES - 1 ? "is too long" : NULL;
}

/* Each has its own grammar; all are texts that are read again when they come into force. */
static const char *parse_parts(enum option_type type, const char *text, uint64_t *value)
{
    struct fail_spec fail;
    struct chaos_spec chaos;
    struct stress_spec stress;
    const char *wrong = parse_path(text, value);
    if (wrong != NULL) return wrong;
    if (type == OPTION_fail) return ph_fail_parse(text, &fail);
    return type == OPTION_chaos ? ph_chaos_parse(text, &chaos) : ph_stress_parse(text, &stress);
}

static const char *parse_typed(enum option_type type, const char *text, uint64_t *value)
{
    if (*text == '\0') return "is empty";
    if (type == OPTION_size) return parse_size(text, value);
    if (type == OPTION_ms) return parse_ms(text, value);
    if (type == OPTION_flag) return parse_flag(text, value);
    if (type == OPTION_bits) return parse_bits(text, value);
    if (type == OPTION_number) return parse_number(text, value);
    if (type == OPTION_mode) return parse_word(text, mode_words, MODE_COUNT, value, "is no mode");
    if (type == OPTION_when) return parse_word(text, thp_words, THP_COUNT, value, "is not auto, never or always");
    return OPTION_IS_PARTS(type) ? parse_parts(type, text, value) : parse_path(text, value);
}

/* 0 means "none" where it is the default, and of numbers. */
static bool is_zero_allowed(const struct option_row *row) { return row->value == 0 || row->type == OPTION_number; }

bool ph_option_parse(enum option_id which, const char *text, uint64_t *value, const char **why)
{
    const struct option_row *row = &ph_option_rows[which];
    uint64_t parsed = 0;
    const char *wrong = parse_typed(row->type, text, &parsed);
    bool has_bounds = !OPTION_IS_TEXT(row->type) && !(parsed == 0 && is_zero_allowed(row));
    if (wrong == NULL && has_bounds && parsed < row->min) wrong = "is too small";
    if (wrong == NULL && has_bounds && parsed > row->max) wrong = "is too large";
    if (wrong != NULL) {
        *why = wrong;
        return false;
    }
    *value = parsed;
    return true;
}

/* ---- what is allowed --------------------------------------------------- */

static void say_bytes(struct message *m, uint64_t bytes)
{
    static const char units[][2] = { "", "k", "m", "g", "t" };
    unsigned unit = 0;
    for (; bytes != 0 && bytes % 1024 == 0 && unit < 4; unit++) bytes /= 1024;
    ph_message_dec(m, bytes);
    ph_message_text(m, units[unit]);
}

static void say_range(struct message *m, const struct option_row *row,
                      void (*say)(struct message *, uint64_t), const char *unit)
{
    ph_message_text(m, unit);
    ph_message_text(m, " from ");
    say(m, row->min);
    ph_message_text(m, " to ");
    say(m, row->max);
}

void ph_option_allowed(struct message *m, enum option_id which)
{
    const struct option_row *row = &ph_option_rows[which];
    if (row->type == OPTION_flag) {
        ph_message_text(m, "0 or 1");
        return;
    }
    if (row->type == OPTION_mode) {
        ph_message_text(m, "default, secure or tolerant");
        return;
    }
    if (row->type == OPTION_when) {
        ph_message_text(m, "auto, never or always");
        return;
    }
    if (row->type == OPTION_path) {
        ph_message_text(m, "a file name of at most ");
        ph_message_dec(m, OPTION_PATH_BYTES - 2);
        ph_message_text(m, " bytes");
        return;
    }
    if (row->type == OPTION_fail) {
        ph_message_text(m, "nth:N, after:N, rate:1/N, seed:S, size:MIN-MAX, module:NAME, stack:HASH.N, with commas between");
        return;
    }
    if (row->type == OPTION_chaos) {
        ph_message_text(m, "seed:N, ways:WAY+WAY, size:MIN-MAX, module:NAME, with commas between; ways are none, fresh, freed, order, late, move, zero, align");
        return;
    }
    if (row->type == OPTION_stress) {
        ph_message_text(m, "on, or side:end, quarantine:BYTES, budget:BYTES, size:MIN-MAX, module:NAME, rate:1/N, seed:N, heap:NAME, stacks:0 to 16, unaligned:1, check:N, slowdown:N, leaks:1, continue:1, with commas between");
        return;
    }
    if (row->type == OPTION_bits) {
        ph_message_text(m, "a number such as 0x30, up to ");
        ph_message_hex(m, row->max);
        return;
    }
    bool is_size = row->type == OPTION_size;
    const char *unit = is_size ? "bytes" : row->type == OPTION_ms ? "milliseconds" : "a number";
    say_range(m, row, is_size ? say_bytes : ph_message_dec, unit);
    if (is_size) ph_message_text(m, " (k, m, g, t for units)");
    if (is_zero_allowed(row) && row->min > 0) ph_message_text(m, ", or 0");
}

void ph_option_default(struct message *m, enum option_id which)
{
    const struct option_row *row = &ph_option_rows[which];
    if (row->type == OPTION_size) say_bytes(m, row->value);
    if (row->type == OPTION_mode) ph_message_text(m, mode_words[row->value]);
    else if (row->type == OPTION_when) ph_message_text(m, thp_words[row->value]);
    else if (row->type != OPTION_size && !OPTION_IS_TEXT(row->type)) ph_message_dec(m, row->value);
}

/* ---- the nearest word -------------------------------------------------- */

static char folded(char letter)
{
    return letter == '-' ? '_' : lower(letter);
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* One line of the table of distances: from `above` (and the line above that) to `row`.
 * Source: the optimal string alignment distance. */
static void distance_row(const unsigned *above2, const unsigned *above, unsigned *row,
                         const char *a, const char *b, unsigned line)
{
    row[0] = line;
    for (unsigned i = 1; b[i - 1] != '\0'; i++) {
        bool is_same = folded(a[line - 1]) == folded(b[i - 1]);
        row[i] = smaller(above[i - 1] + !is_same, smaller(above[i], row[i - 1]) + 1);
        bool is_swap = line > 1 && i > 1 && folded(a[line - 1]) == folded(b[i - 2])
                       && folded(a[line - 2]) == folded(b[i - 1]);
        if (is_swap) row[i] = smaller(row[i], above2[i - 2] + 1);
    }
}

/* Both shorter than WORD_BYTES. */
static unsigned slips(const char *a, const char *b)
{
    unsigned table[3][WORD_BYTES];
    for (unsigned i = 0; i < WORD_BYTES; i++) {
        TEXT_PLAIN_LOOP;
        table[0][i] = i;
    }
    unsigned line = 1;
    for (; a[line - 1] != '\0'; line++)
        distance_row(table[(line + 1) % 3], table[(line + 2) % 3], table[line % 3], a, b, line);
    return table[(line + 2) % 3][text_bytes(b)];
}

/* Does `part`, of at least three letters, stand somewhere in `whole`? */
static bool is_part(const char *part, const char *whole)
{
    if (text_bytes(part) < 3) return false;
    for (; *whole != '\0'; whole++) {
        unsigned i = 0;
        while (part[i] != '\0' && folded(part[i]) == folded(whole[i])) i++;
        if (part[i] == '\0') return true;
    }
    return false;
}

unsigned ph_word_distance(const char *given, const char *known)
{
    size_t given_bytes = text_bytes(given), known_bytes = text_bytes(known);
    if (given_bytes >= WORD_BYTES || known_bytes >= WORD_BYTES) return WORD_FAR;
    size_t longer = given_bytes > known_bytes ? given_bytes : known_bytes;
    unsigned distance = slips(given, known);
    unsigned limit = longer < 6 ? 1 + (longer > 4) : (unsigned)longer / 3;
    bool is_near = distance <= limit;
    return is_near || is_part(given, known) || is_part(known, given) ? distance : WORD_FAR;
}

enum option_id ph_option_nearest(const char *name)
{
    unsigned best = OPT_COUNT, least = WORD_FAR;
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        unsigned distance = ph_word_distance(name, ph_option_rows[i].name);
        if (distance >= least) continue;
        least = distance;
        best = i;
    }
    return (enum option_id)best;
}

/* ---- the environment --------------------------------------------------- */

static const char own_prefix[] = "PRIVHEAP_"; /* by name, for preload/layout.ld */

/* What follows PRIVHEAP_ in an entry; NULL for a variable that is none of ours.  The first
 * letter alone rules out almost every variable: start-up pays for each of them. */
static inline const char *own_part(const char *entry)
{
    return entry[0] == 'P' ? text_after(entry, own_prefix) : NULL;
}

/* The value in NAME=value, "" without '='; *name_bytes is what stands before it. */
static const char *split(const char *part, size_t *name_bytes)
{
    size_t i = 0;
    while (part[i] != '\0' && part[i] != '=') i++;
    *name_bytes = i;
    return part[i] == '=' ? part + i + 1 : part + i;
}

static unsigned row_of(const char *part, size_t name_bytes)
{
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        const char *rest = text_after(part, ph_option_rows[i].name);
        if (rest == part + name_bytes) return i;
    }
    return OPT_COUNT;
}

/* Copy a path behind those already there; where it begins, or 0 when there is no room. */
static unsigned keep_path(const char *text, size_t bytes)
{
    if (bytes + 1 >= sizeof paths - paths_used) return 0;
    unsigned begin = paths_used + 1;
    char *end = text_copy(paths + begin, text, bytes);
    *end = '\0';
    paths_used = (unsigned)(end - paths);
    return begin;
}

/* Put an entry's value in force; NULL, or what is wrong with it. */
static const char *take(unsigned which, const char *text)
{
    uint64_t value;
    const char *why = NULL;
    if (*text == '\0') return NULL;
    if (!ph_option_parse((enum option_id)which, text, &value, &why)) return why;
    if (OPTION_IS_TEXT(ph_option_rows[which].type)) {
        value = keep_path(text, (size_t)value);
        if (value == 0) return "is too long beside the other paths";
    }
    values[which] = value;
    is_default = false;
    return NULL;
}

static void complain_name(const char *part, size_t name_bytes)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, "PRIVHEAP_");
    ph_message_part(&m, part, smaller((unsigned)name_bytes, SHOWN_BYTES));
    ph_message_text(&m, " is not an option");
    char name[WORD_BYTES];
    unsigned nearest = OPT_COUNT;
    if (name_bytes < sizeof name) {
        *text_copy(name, part, name_bytes) = '\0';
        nearest = ph_option_nearest(name);
    }
    ph_message_text(&m, nearest == OPT_COUNT ? "; `privheap help run` lists them"
                                             : "; did you mean PRIVHEAP_");
    if (nearest != OPT_COUNT) {
        ph_message_text(&m, ph_option_rows[nearest].name);
        ph_message_text(&m, "?");
    }
    ph_message_send(&m);
}

static void complain_value(unsigned which, const char *text, const char *why)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, "PRIVHEAP_");
    ph_message_text(&m, ph_option_rows[which].name);
    ph_message_text(&m, " is ignored: \"");
    ph_message_part(&m, text, SHOWN_BYTES);
    ph_message_text(&m, text_bytes(text) > SHOWN_BYTES ? "...\" " : "\" ");
    ph_message_text(&m, why);
    ph_message_text(&m, "; it takes ");
    ph_option_allowed(&m, (enum option_id)which);
    ph_message_send(&m);
}

/* One entry of ours: put it in force, or, the second time, say what is wrong with it. */
static bool read_entry(const char *part, bool complain)
{
    size_t name_bytes;
    const char *text = split(part, &name_bytes);
    unsigned which = row_of(part, name_bytes);
    const char *why = NULL;
    if (which != OPT_COUNT && (why = take(which, text)) == NULL) return true;
    if (complain && which == OPT_COUNT) complain_name(part, name_bytes);
    if (complain && which != OPT_COUNT) complain_value(which, text, why);
    return false;
}

static bool read_all(char *const *environment, bool complain)
{
    bool all_good = true;
    for (; *environment != NULL; environment++) {
        const char *part = own_part(*environment);
        if (part != NULL && !read_entry(part, complain)) all_good = false;
    }
    return all_good;
}

static void forget_all(void)
{
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        TEXT_PLAIN_LOOP;
        values[i] = ph_option_rows[i].value;
    }
    paths_used = 0;
    is_default = true;
}

/* Complaints wait for a second look, so that they reach the log when there is one. */
void ph_options_read(char *const *environment)
{
    if (!is_default) forget_all();
    if (!read_all(environment, false)) {
        paths_used = 0;
        read_all(environment, true);
    }
    ph_mode = (uint32_t)values[OPT_MODE];
    ph_families = (uint32_t)values[OPT_FAMILY_CHECKS];
}
