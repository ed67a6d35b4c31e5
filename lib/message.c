/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* message.c -- one line for people: text and numbers put together, then written.
 *
 * Owns:    struct message, all fields.
 * Calls:   os.c; options.c for the name of the log file.  Never: libc.
 * Locks:   none; a line is one write(2), so lines of several threads do not mix.
 * Always:  used < sizeof text, so that the newline has room.
 * Why:     the log is opened anew for each line: no descriptor of ours stays open for the
 *          program to close, to count or to hand to its children. */
#include "message.h"

#include "options.h"
#include "os.h"
#include "text.h"

#include "small.h"

enum {
    MESSAGE_DIGITS_MAX = 20, /* of 2^64 - 1 in decimal */
    MESSAGE_STDERR = 2,
    MESSAGE_PID_ROOM = 32, /* that %p may take beyond its own two letters */
};

/* ---- building ---------------------------------------------------------- */

static void message_byte(struct message *m, char byte)
{
    if (m->used + 1 >= sizeof m->text) return;
    bool printable = (unsigned char)byte >= ' ' && byte != 0x7f;
    m->text[m->used++] = printable ? byte : '?';
}

static void message_number(struct message *m, uint64_t value, unsigned base)
{
    char digits[MESSAGE_DIGITS_MAX];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) message_byte(m, digits[--count]);
}

void ph_message_begin(struct message *m)
{
    m->used = 0;
    ph_message_text(m, "privheap: ");
}

void ph_message_text(struct message *m, const char *text)
{
    ph_message_part(m, text, SIZE_MAX);
}

void ph_message_part(struct message *m, const char *text, size_t count)
{
    for (; count > 0 && *text != '\0'; count--) message_byte(m, *text++);
}

void ph_message_dec(struct message *m, uint64_t value)
{
    message_number(m, value, 10);
}

void ph_message_hex_plain(struct message *m, uint64_t value)
{
    message_number(m, value, 16);
}

void ph_message_hex(struct message *m, uint64_t value)
{
    ph_message_text(m, "0x");
    ph_message_hex_plain(m, value);
}

/* ---- writing ----------------------------------------------------------- */

/* The log's name with each %p replaced by the process id, into `path`; false when too long. */
static bool log_name(char *path, size_t bytes, const char *pattern)
{
    struct message pid;
    pid.used = 0;
    ph_message_dec(&pid, ph_os_pid());
    size_t used = 0;
    while (*pattern != '\0') {
        bool is_pid = pattern[0] == '%' && pattern[1] == 'p';
        size_t count = is_pid ? pid.used : 1;
        if (used + count >= bytes) return false;
        text_copy(path + used, is_pid ? pid.text : pattern, count);
        used += count;
        pattern += is_pid ? 2 : 1;
    }
    path[used] = '\0';
    return true;
}

static int log_open(void)
{
    const char *pattern = ph_option_path(OPT_LOG);
    char path[OPTION_PATH_BYTES + MESSAGE_PID_ROOM];
    if (pattern == NULL || !log_name(path, sizeof path, pattern)) return -1;
    return ph_os_open_append(path);
}

static int stderr_kept = MESSAGE_STDERR;

void ph_message_keep_stderr(void)
{
    int kept = ph_os_dup(MESSAGE_STDERR);
    if (kept >= 0) stderr_kept = kept;
}

void ph_message_write(const char *lines, size_t bytes)
{
    int log = log_open();
    ph_os_write(log >= 0 ? log : stderr_kept, lines, bytes);
    if (log >= 0) ph_os_close(log);
}

void ph_message_send(struct message *m)
{
    m->text[m->used++] = '\n';
    ph_message_write(m->text, m->used);
    m->used--;
}
