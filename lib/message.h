/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* message.h -- one line for people, built in place and written with one system call.
 *
 * Never allocates, never locks, leaves errno alone: usable in a signal handler, in the first
 * malloc of a process and while a heap is damaged.  Too long a line is cut, never lost.
 * Bytes that a terminal would obey (control characters) appear as '?'. */
#ifndef PH_MESSAGE_H
#define PH_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

struct message {
    unsigned used;
    char text[504]; /* the last byte is kept for the newline */
};

void ph_message_begin(struct message *m); /* "privheap: " */
void ph_message_text(struct message *m, const char *text);
void ph_message_part(struct message *m, const char *text, size_t count); /* at most count bytes */
void ph_message_dec(struct message *m, uint64_t value);
void ph_message_hex(struct message *m, uint64_t value); /* 0x... */
void ph_message_hex_plain(struct message *m, uint64_t value);

/* Messages at the end of the process reach standard error even after the program closed it, as
 * some do: keeps a descriptor of its own, above those that programs count on. */
void ph_message_keep_stderr(void);

/* Write whole lines to the log file of option LOG, or to standard error, with one system call. */
void ph_message_write(const char *lines, size_t bytes);

/* Add the newline and write the line to the log file of option LOG, or to standard error. */
void ph_message_send(struct message *m);

#endif
