/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* cfi.c -- what the tables of a module say about a place in its code: which module, which caller.
 *
 * Owns:    nothing.
 * Calls:   libc's _dl_find_object, which neither locks nor allocates; without it nothing is known.
 * Locks:   none.
 * Always:  reads nothing but the tables that the dynamic linker names, within their lengths.
 * Why:     the usual subset, for the registers that a frame address is told by: a function that needs more is
 *          CFI_NONE, and unwind.c tries frame pointers.
 * Source:  DWARF 5, section 6.4; Linux Standard Base, .eh_frame; System V ABI for x86-64, figure 3.36. */
#include "internal.h"
#include "cfi.h"

/* As libc's <dlfcn.h> has it since 2.35. */
struct found_object {
    unsigned long long flags;
    void *start, *end;
    struct link_map *map;
    void *eh_frame;
    unsigned long long reserved[8];
};
extern int find_object(void *address, struct found_object *out) __asm__("_dl_find_object") __attribute__((weak));

bool ph_cfi_module(uintptr_t address, struct cfi_module *out)
{
    struct found_object found;
    if (find_object == NULL || find_object((void *)address, &found) != 0 || found.map == NULL)
        return false;
    *out = (struct cfi_module){(uintptr_t)found.start, (uintptr_t)found.end, found.map, found.eh_frame};
    return true;
}

#if defined(__x86_64__)

enum { REG_BX = 3, REG_BP = 6, REG_SP = 7, REG_RA = 16, REG_NO = 255, KEPT_MOST = 8 };

struct row { /* what holds at one place */
    uint64_t reg;         /* of the frame address */
    int64_t offset;
    bool is_deref;
    bool is_end;          /* no return address */
    bool is_strange;      /* nothing that we understand */
    int64_t saved[2];     /* bytes from the frame address: bp, bx; 0: in the register */
    bool bp_at_bp;
};

struct reader {
    const uint8_t *at, *end; /* at > end: it ran over */
};

struct program {
    struct reader in;
    uintptr_t place, target;
    uint64_t code_unit;
    int64_t data_unit;
    uint8_t pointers;     /* their encoding */
    bool is_signal, has_length;
    struct row row, first, kept[KEPT_MOST];
    unsigned kept_count;
};

/* ---- reading -------------------------------------------------------------------------------- */

static uint64_t read_bytes(struct reader *in, unsigned count)
{
    uint64_t value = 0;
    if ((size_t)(in->end - in->at) < count) {
        in->at = in->end;
        return 0;
    }
    for (unsigned i = 0; i < count; i++)
        value |= (uint64_t)in->at[i] << (8 * i);
    in->at += count;
    return value;
}

static uint64_t read_unsigned(struct reader *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; in->at < in->end; shift += 7) {
        const uint8_t byte = *in->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    return value;
}

static int64_t read_signed(struct reader *in)
{
    const uint8_t *from = in->at;
    const uint64_t value = read_unsigned(in);
    const unsigned bits = 7 * (unsigned)(in->at - from);
    return bits < 64 && (value >> (bits - 1) & 1) ? (int64_t)(value | ~0ull << bits) : (int64_t)value;
}

/* Source: LSB, DW_EH_PE: 0 and 4 have eight bytes, 2 two, 3 four; 8 more: signed; 0x10: from where it stands. */
static uintptr_t read_pointer(struct reader *in, unsigned encoding)
{
    const uint8_t *from = in->at;
    const unsigned form = encoding & 7;
    uint64_t value = read_bytes(in, form == 2 ? 2 : form == 3 ? 4 : 8);
    if (encoding & 8)
        value = form == 2 ? (uint64_t)(int16_t)value : form == 3 ? (uint64_t)(int32_t)value : value;
    return (encoding & 0x70) == 0x10 && value != 0 ? (uintptr_t)from + value : value;
}

/* ---- expressions: the three that compilers and linkers write ---------------------------------- */

enum { OP_DEREF = 0x06, OP_PLUS_CONST = 0x23, OP_BREG0 = 0x70, OP_BREG_RA = OP_BREG0 + REG_RA, OP_LIT0 = 0x30, OP_GE = 0x2a };

/* A lazy binding entry's: 8 more on the stack from its byte number n on. */
static bool is_of_plt(struct program *pg, const struct reader *in, int64_t *offset)
{
    const uint8_t *op = in->at;
    if (in->end - op < 9 || op[0] != OP_BREG_RA || op[1] != 0 || op[2] != OP_LIT0 + 15 || op[5] != OP_GE)
        return false;
    *offset += (pg->target & 15) >= (uintptr_t)(op[4] - OP_LIT0) ? 8 : 0;
    return true;
}

/* reg + offset, or what stands there. */
static bool read_expression(struct program *pg, uint64_t *reg, int64_t *offset, bool *is_deref)
{
    const uint64_t length = read_unsigned(&pg->in);
    struct reader in = pg->in;
    if (length > (uint64_t)(in.end - in.at))
        return false;
    in.end = in.at + length;
    pg->in.at += length;
    const uint64_t op = read_bytes(&in, 1);
    *reg = op - OP_BREG0;
    *is_deref = false;
    if (*reg > REG_RA)
        return false;
    *offset = read_signed(&in);
    if (in.at < in.end && *in.at == OP_DEREF) {
        *is_deref = true;
        in.at++;
    } else if (in.at < in.end && *in.at == OP_PLUS_CONST) {
        in.at++;
        *offset += (int64_t)read_unsigned(&in);
    }
    return in.at == in.end || is_of_plt(pg, &in, offset);
}

/* ---- the program of a function: rows by place -------------------------------------------------- */

static void set_saved(struct program *pg, uint64_t reg, int64_t offset)
{
    if (reg == REG_BP) {
        pg->row.saved[0] = offset;
        pg->row.bp_at_bp = false;
    } else if (reg == REG_BX) {
        pg->row.saved[1] = offset;
    } else if (reg == REG_RA && offset != -8) {
        pg->row.is_strange = true;
    }
}

static void set_restored(struct program *pg, uint64_t reg)
{
    if (reg == REG_BP) {
        pg->row.saved[0] = pg->first.saved[0];
        pg->row.bp_at_bp = pg->first.bp_at_bp;
    } else if (reg == REG_BX) {
        pg->row.saved[1] = pg->first.saved[1];
    } else if (reg == REG_RA) {
        pg->row.is_end = pg->first.is_end;
    }
}

static void set_by_expression(struct program *pg)
{
    uint64_t reg = read_unsigned(&pg->in), base;
    int64_t offset;
    bool is_deref;
    const bool known = read_expression(pg, &base, &offset, &is_deref);
    if (reg == REG_BP && known && base == REG_BP && offset == 0 && !is_deref)
        pg->row.bp_at_bp = true;
    else if (reg == REG_BP || reg == REG_RA)
        pg->row.is_strange = true;
}

static void set_frame_by_expression(struct program *pg)
{
    if (!read_expression(pg, &pg->row.reg, &pg->row.offset, &pg->row.is_deref))
        pg->row.reg = REG_NO;
}

static void set_frame(struct program *pg, uint64_t reg, int64_t offset)
{
    pg->row.reg = reg;
    pg->row.offset = offset;
    pg->row.is_deref = false;
}

static void keep(struct program *pg)
{
    if (pg->kept_count < KEPT_MOST)
        pg->kept[pg->kept_count] = pg->row;
    pg->kept_count++;
}

static void unkeep(struct program *pg)
{
    if (pg->kept_count > 0 && --pg->kept_count < KEPT_MOST)
        pg->row = pg->kept[pg->kept_count];
    else
        pg->row.is_strange = true;
}

/* The instructions with an operation in the low six bits.  Source: DWARF 5, table 7.29; GNU's from 0x2d. */
static void execute_plain(struct program *pg, unsigned op)
{
    struct reader *in = &pg->in;
    uint64_t reg;
    switch (op) {
    case 0x00: break;
    case 0x01: pg->place = read_pointer(in, pg->pointers); break;
    case 0x02: pg->place += read_bytes(in, 1) * pg->code_unit; break;
    case 0x03: pg->place += read_bytes(in, 2) * pg->code_unit; break;
    case 0x04: pg->place += read_bytes(in, 4) * pg->code_unit; break;
    case 0x05: reg = read_unsigned(in); set_saved(pg, reg, (int64_t)read_unsigned(in) * pg->data_unit); break;
    case 0x06: set_restored(pg, read_unsigned(in)); break;
    case 0x07: if (read_unsigned(in) == REG_RA) pg->row.is_end = true; break;
    case 0x08: set_saved(pg, read_unsigned(in), 0); break;
    case 0x09: if (read_unsigned(in) == REG_RA) pg->row.is_strange = true; (void)read_unsigned(in); break;
    case 0x0a: keep(pg); break;
    case 0x0b: unkeep(pg); break;
    case 0x0c: reg = read_unsigned(in); set_frame(pg, reg, (int64_t)read_unsigned(in)); break;
    case 0x0d: set_frame(pg, read_unsigned(in), pg->row.offset); break;
    case 0x0e: pg->row.offset = (int64_t)read_unsigned(in); break;
    case 0x0f: set_frame_by_expression(pg); break;
    case 0x10: set_by_expression(pg); break;
    case 0x11: reg = read_unsigned(in); set_saved(pg, reg, read_signed(in) * pg->data_unit); break;
    case 0x12: reg = read_unsigned(in); set_frame(pg, reg, read_signed(in) * pg->data_unit); break;
    case 0x13: pg->row.offset = read_signed(in) * pg->data_unit; break;
    case 0x2e: (void)read_unsigned(in); break; /* bytes of arguments */
    default: /* a register's value told instead of its place, and what nobody writes */
        pg->row.is_strange = true;
        in->at = in->end;
    }
}

enum { ADVANCE = 1, OFFSET = 2, RESTORE = 3 };

static void execute(struct program *pg)
{
    while (pg->in.at < pg->in.end && pg->place <= pg->target) {
        const unsigned op = (unsigned)read_bytes(&pg->in, 1), low = op & 0x3f;
        if (op >> 6 == ADVANCE)
            pg->place += low * pg->code_unit;
        else if (op >> 6 == OFFSET)
            set_saved(pg, low, (int64_t)read_unsigned(&pg->in) * pg->data_unit);
        else if (op >> 6 == RESTORE)
            set_restored(pg, low);
        else
            execute_plain(pg, op);
    }
}

/* ---- finding it ------------------------------------------------------------------------------ */

/* One record: behind its length, to its end. */
static struct reader record_at(const uint8_t *at)
{
    struct reader in = {at, at + 4};
    const uint64_t length = read_bytes(&in, 4);
    in.end = length < 0xfffffff0 ? in.at + length : in.at; /* nobody has 4 GB of one function's */
    return in;
}

/* The common part; its instructions give the first row.  False: nothing that we understand. */
static bool read_common(struct program *pg, const uint8_t *at)
{
    struct reader in = record_at(at);
    if (read_bytes(&in, 4) != 0)
        return false;
    const uint64_t version = read_bytes(&in, 1);
    const char *letters = (const char *)in.at;
    while (in.at < in.end && *in.at != 0)
        in.at++;
    in.at++;
    if ((version != 1 && version != 3) || in.at >= in.end)
        return false;
    pg->code_unit = read_unsigned(&in);
    pg->data_unit = read_signed(&in);
    if ((version == 1 ? read_bytes(&in, 1) : read_unsigned(&in)) != REG_RA || (*letters != 'z' && *letters != '\0'))
        return false;
    pg->has_length = *letters == 'z';
    const uint64_t length = pg->has_length ? read_unsigned(&in) : 0;
    if (length > (uint64_t)(in.end - in.at))
        return false;
    const uint8_t *instructions = in.at + length;
    for (; *letters != '\0'; letters++) {
        if (*letters == 'R')
            pg->pointers = (uint8_t)read_bytes(&in, 1);
        else if (*letters == 'S')
            pg->is_signal = true;
        else if (*letters == 'L')
            (void)read_bytes(&in, 1);
        else if (*letters == 'P')
            (void)read_pointer(&in, (unsigned)read_bytes(&in, 1));
        else if (*letters != 'z' && *letters != 'B')
            return false;
    }
    pg->in = (struct reader){instructions, in.end};
    pg->place = pg->target;
    execute(pg);
    pg->first = pg->row;
    return true;
}

/* The part of one function: whether the place lies in it, and the row there. */
static bool read_function(struct program *pg, const uint8_t *at)
{
    struct reader in = record_at(at);
    const uint8_t *here = in.at;
    const uint64_t back = read_bytes(&in, 4);
    if (back == 0 || !read_common(pg, here - back))
        return false;
    const uintptr_t start = read_pointer(&in, pg->pointers);
    const uintptr_t bytes = read_pointer(&in, pg->pointers & 0xf);
    if (pg->target - start >= bytes)
        return false;
    if (pg->has_length) {
        const uint64_t length = read_unsigned(&in);
        in.at += length < (uint64_t)(in.end - in.at) ? length : (uint64_t)(in.end - in.at);
    }
    pg->in = in;
    pg->place = start;
    execute(pg);
    return true;
}

struct entry {
    int32_t place, function; /* from the table's start */
};

/* The last function that starts at or before the place. */
static const uint8_t *function_of(const uint8_t *table, uintptr_t place)
{
    enum { VERSION_AND_FORMS = 0x3b031b01, HEAD_BYTES = 12 }; /* the forms that every linker writes */
    uint32_t head[3];
    if (table == NULL)
        return NULL;
    __builtin_memcpy(head, table, sizeof head);
    const struct entry *entries = (const struct entry *)(const void *)(table + HEAD_BYTES);
    const intptr_t wanted = (intptr_t)(place - (uintptr_t)table);
    if (head[0] != VERSION_AND_FORMS || head[2] == 0 || wanted < entries[0].place)
        return NULL;
    size_t low = 0, high = head[2];
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (entries[middle].place <= wanted)
            low = middle;
        else
            high = middle;
    }
    return table + entries[low].function;
}

static bool fits(int64_t value, int64_t bound) { return value > -bound && value < bound; }

static struct cfi_rule rule_of_row(const struct row *row)
{
    struct cfi_rule rule = {.base = CFI_NONE};
    if (row->is_end)
        rule.base = CFI_END;
    else if (row->is_strange || !fits(row->offset, 1 << 30) || !fits(row->saved[0] / 8, 16384) || !fits(row->saved[1] / 8, 16384))
        return rule;
    else if (row->is_deref)
        rule.base = row->reg == REG_BP ? CFI_AT_BP : CFI_NONE;
    else
        rule.base = row->reg == REG_SP ? CFI_SP : row->reg == REG_BP ? CFI_BP : row->reg == REG_BX ? CFI_BX : CFI_NONE;
    rule.offset = row->offset;
    rule.bp = row->bp_at_bp ? CFI_SLOT_AT_BP : row->saved[0] / 8;
    rule.bx = row->saved[1] / 8;
    return rule;
}

struct cfi_rule ph_cfi_rule(uintptr_t place)
{
    struct cfi_module in;
    struct program pg = {.target = place, .row = {.reg = REG_NO}};
    const uint8_t *function = ph_cfi_module(place, &in) ? function_of(in.table, place) : NULL;
    if (function == NULL || !read_function(&pg, function))
        return (struct cfi_rule){.base = CFI_NONE};
    if (pg.is_signal)
        return (struct cfi_rule){.base = CFI_SIGNAL};
    return rule_of_row(&pg.row);
}

#endif
