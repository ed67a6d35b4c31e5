/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* json.c -- texts as JSON has them.
 *
 * Owns:    nothing.  Calls: nothing.  Locks: none.
 * Why:     arguments and output of programs are bytes, in no known encoding. */
#include "json.h"

#include <string.h>

void ph_json_text(FILE *out, const char *text, size_t bytes)
{
    fputc('"', out);
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < ' ' || byte > '~')
            fprintf(out, "\\u%04x", byte);
        else
            fputc(byte, out);
    }
    fputc('"', out);
}

void ph_json_pair(FILE *out, const char *key, const char *text)
{
    fprintf(out, "\"%s\": ", key);
    if (text != NULL)
        ph_json_text(out, text, strlen(text));
    else
        fputs("null", out);
}
