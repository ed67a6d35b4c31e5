/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* checkcall.c -- memory that the kernel reads and writes: read, write, recv, send and their like.
 *
 * Owns:    nothing.  Calls: libc's of the same names.  Locks: none.
 * Why:     the kernel meets a guard without a signal: it says EFAULT, or has done less.  What is asked for may be more
 *          than a block has, where the program knows that less comes; so of what is received, what did come counts.
 *          What is sent must be there, as soon as some of it was taken.  One byte that cannot be sent is how programs
 *          find out whether an address can be read.
 * Source:  read(2), pread(2), readv(2), write(2), recv(2), send(2). */
#include "checked.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Of headers that give what is defined here other names or types. */
off_t lseek(int fd, off_t to, int from);
enum { FROM_HERE = 1 /* SEEK_CUR */, WITH_WHOLE_LENGTH = 0x20 /* MSG_TRUNC */ };

enum {
    PAGE_LEAST_BYTES = 4096,
    MEMORY_DEVICES = 1, /* /dev/zero, /dev/urandom.  Source: null(4), random(4) */
};

/* How a call ended that was asked for more than there is room for. */
struct transfer {
    const void *at;
    size_t bytes, room;
    ssize_t done;
};

static bool is_fault(const struct transfer *tr) { return tr->done < 0 && errno == EFAULT && tr->bytes > 1; }

/* Behind what it gave there is more: of a file, or of a device that never ends.  (Of a pipe or a socket the next message
 * may be another one.) */
static bool has_more(int fd, off_t next)
{
    struct stat file;
    char byte;
    if (fstat(fd, &file) != 0)
        return false;
    if (S_ISREG(file.st_mode))
        return THE_REAL(pread)(fd, &byte, 1, next) == 1;
    return S_ISCHR(file.st_mode) && major(file.st_rdev) == MEMORY_DEVICES;
}

/* It ended where the block does, at a page's start, or did not begin: because of that? */
static bool is_cut(const struct transfer *tr, int fd, off_t next)
{
    const int saved = errno;
    const bool is_at_page = ((uintptr_t)tr->at + tr->room) % PAGE_LEAST_BYTES == 0;
    if (tr->done < 0 || (size_t)tr->done != tr->room || (tr->room > 0 && !is_at_page))
        return false;
    const bool more = has_more(fd, next);
    errno = saved;
    return more;
}

static bool is_received_beyond(const struct transfer *tr)
{
    return is_fault(tr) || (tr->done > 0 && (size_t)tr->done > tr->room);
}

static bool is_sent_beyond(const struct transfer *tr) { return is_fault(tr) || tr->done > 0; }

/* In the function itself: `call` with a room that suffices, as nearly always, else what came of it is looked at. */
#define RECEIVE(call, at, bytes, is_beyond, function)                     \
    do {                                                                  \
        struct transfer tr = {(at), (bytes), room_of(at, true), 0};       \
        if (likely(tr.room >= (bytes)))                                   \
            return call;                                                  \
        tr.done = (ssize_t)call;                                          \
        if (is_beyond)                                                    \
            TELL(at, true, function);                                     \
        return tr.done;                                                   \
    } while (0)

#define SEND(call, at, bytes, function)                                   \
    do {                                                                  \
        struct transfer tr = {(at), (bytes), room_of(at, false), 0};      \
        if (likely(tr.room >= (bytes)))                                   \
            return call;                                                  \
        tr.done = (ssize_t)call;                                          \
        if (is_sent_beyond(&tr))                                          \
            TELL(at, false, function);                                    \
        return tr.done;                                                   \
    } while (0)

CHECKED ssize_t read(int fd, void *to, size_t bytes)
{
    RECEIVE(THE_REAL(read)(fd, to, bytes), to, bytes,
            is_received_beyond(&tr) || is_cut(&tr, fd, lseek(fd, 0, FROM_HERE)), "read");
}

CHECKED ssize_t pread(int fd, void *to, size_t bytes, off_t from)
{
    RECEIVE(THE_REAL(pread)(fd, to, bytes, from), to, bytes,
            is_received_beyond(&tr) || is_cut(&tr, fd, from + tr.done), "pread");
}

CHECKED ssize_t write(int fd, const void *from, size_t bytes)
{
    SEND(THE_REAL(write)(fd, from, bytes), from, bytes, "write");
}

CHECKED ssize_t pwrite(int fd, const void *from, size_t bytes, off_t to)
{
    SEND(THE_REAL(pwrite)(fd, from, bytes, to), from, bytes, "pwrite");
}

/* With MSG_TRUNC it says how much there was, and may have put nothing. */
CHECKED ssize_t recv(int fd, void *to, size_t bytes, int flags)
{
    RECEIVE(THE_REAL(recv)(fd, to, bytes, flags), to, bytes,
            (flags & WITH_WHOLE_LENGTH) == 0 ? is_received_beyond(&tr) : is_fault(&tr), "recv");
}

CHECKED ssize_t recvfrom(int fd, void *to, size_t bytes, int flags, void *peer, unsigned *peer_bytes)
{
    RECEIVE(THE_REAL(recvfrom)(fd, to, bytes, flags, peer, peer_bytes), to, bytes,
            (flags & WITH_WHOLE_LENGTH) == 0 ? is_received_beyond(&tr) : is_fault(&tr), "recvfrom");
}

CHECKED ssize_t send(int fd, const void *from, size_t bytes, int flags)
{
    SEND(THE_REAL(send)(fd, from, bytes, flags), from, bytes, "send");
}

CHECKED ssize_t sendto(int fd, const void *from, size_t bytes, int flags, const void *peer, unsigned peer_bytes)
{
    SEND(THE_REAL(sendto)(fd, from, bytes, flags, peer, peer_bytes), from, bytes, "sendto");
}

/* ---- several pieces ------------------------------------------------------------------------------- */

/* The first of them for which there is no room; NULL: none. */
static const struct iovec *piece_beyond(const struct iovec *pieces, int count, bool is_write)
{
    for (int i = 0; i < count; i++)
        if (room_of(pieces[i].iov_base, is_write) < pieces[i].iov_len)
            return &pieces[i];
    return NULL;
}

/* The first that holds more than there is room for, or where it ended for want of room, when so many bytes came; NULL:
 * none. */
static const struct iovec *piece_overfull(const struct iovec *pieces, int count, size_t bytes, int fd)
{
    for (int i = 0; i < count; i++) {
        const size_t mine = lesser(bytes, pieces[i].iov_len);
        const struct transfer tr = {pieces[i].iov_base, pieces[i].iov_len, room_of(pieces[i].iov_base, true), (ssize_t)mine};
        if (tr.room < mine || (mine < tr.bytes && is_cut(&tr, fd, lseek(fd, 0, FROM_HERE))))
            return &pieces[i];
        if (mine < tr.bytes)
            return NULL;
        bytes -= mine;
    }
    return NULL;
}

CHECKED ssize_t readv(int fd, const struct iovec *pieces, int count)
{
    const struct iovec *beyond = piece_beyond(pieces, count, true);
    const ssize_t done = THE_REAL(readv)(fd, pieces, count);
    if (likely(beyond == NULL))
        return done;
    if (done >= 0)
        beyond = piece_overfull(pieces, count, (size_t)done, fd);
    else if (errno != EFAULT)
        beyond = NULL;
    if (beyond != NULL)
        TELL(beyond->iov_base, true, "readv");
    return done;
}

CHECKED ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    const struct iovec *beyond = piece_beyond(pieces, count, false);
    const ssize_t done = THE_REAL(writev)(fd, pieces, count);
    if (unlikely(beyond != NULL) && (done > 0 || (done < 0 && errno == EFAULT)))
        TELL(beyond->iov_base, false, "writev");
    return done;
}

#ifdef __GLIBC__
CHECKED ssize_t pread64(int fd, void *to, size_t bytes, off_t from)
{
    RECEIVE(THE_REAL(pread64)(fd, to, bytes, from), to, bytes,
            is_received_beyond(&tr) || is_cut(&tr, fd, from + tr.done), "pread");
}

CHECKED ssize_t pwrite64(int fd, const void *from, size_t bytes, off_t to)
{
    SEND(THE_REAL(pwrite64)(fd, from, bytes, to), from, bytes, "pwrite");
}

CHECKED ssize_t __read_chk(int fd, void *to, size_t bytes, size_t known)
{
    RECEIVE(THE_REAL(__read_chk)(fd, to, bytes, known), to, bytes,
            is_received_beyond(&tr) || is_cut(&tr, fd, lseek(fd, 0, FROM_HERE)), "read");
}

CHECKED ssize_t __pread_chk(int fd, void *to, size_t bytes, off_t from, size_t known)
{
    RECEIVE(THE_REAL(__pread_chk)(fd, to, bytes, from, known), to, bytes,
            is_received_beyond(&tr) || is_cut(&tr, fd, from + tr.done), "pread");
}

CHECKED ssize_t __pread64_chk(int fd, void *to, size_t bytes, off_t from, size_t known)
{
    RECEIVE(THE_REAL(__pread64_chk)(fd, to, bytes, from, known), to, bytes,
            is_received_beyond(&tr) || is_cut(&tr, fd, from + tr.done), "pread");
}

CHECKED ssize_t __recv_chk(int fd, void *to, size_t bytes, size_t known, int flags)
{
    RECEIVE(THE_REAL(__recv_chk)(fd, to, bytes, known, flags), to, bytes,
            (flags & WITH_WHOLE_LENGTH) == 0 ? is_received_beyond(&tr) : is_fault(&tr), "recv");
}

CHECKED ssize_t __recvfrom_chk(int fd, void *to, size_t bytes, size_t known, int flags, void *peer, unsigned *peer_bytes)
{
    RECEIVE(THE_REAL(__recvfrom_chk)(fd, to, bytes, known, flags, peer, peer_bytes), to, bytes,
            (flags & WITH_WHOLE_LENGTH) == 0 ? is_received_beyond(&tr) : is_fault(&tr), "recvfrom");
}
#endif
