// Records what a power loss would undo, and loses the power. README.md says what is modelled.
//
// Preloaded into the process under test. A seccomp filter traps each system call that changes files, from
// wherever it is made (libc, or the system call instruction itself); the handler writes to the journal what
// is about to be overwritten, then makes the call. Only calls made by `raw` below pass the filter.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

// --- system calls ---

long power_loss_raw(long number, long a, long b, long c, long d, long e, long f);
extern const char power_loss_after_syscall[];

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
__asm__(".text\n"
        ".hidden power_loss_raw\n.globl power_loss_raw\n.type power_loss_raw,@function\n"
        ".hidden power_loss_after_syscall\n.globl power_loss_after_syscall\n"
        "power_loss_raw:\n"
        "mov %rdi,%rax\nmov %rsi,%rdi\nmov %rdx,%rsi\nmov %rcx,%rdx\nmov %r8,%r10\nmov %r9,%r8\n"
        "mov 8(%rsp),%r9\nsyscall\n"
        "power_loss_after_syscall:\nret\n");
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
__asm__(".text\n"
        ".hidden power_loss_raw\n.globl power_loss_raw\n.type power_loss_raw,%function\n"
        ".hidden power_loss_after_syscall\n.globl power_loss_after_syscall\n"
        "power_loss_raw:\n"
        "mov x8,x0\nmov x0,x1\nmov x1,x2\nmov x2,x3\nmov x3,x4\nmov x4,x5\nmov x5,x6\nsvc #0\n"
        "power_loss_after_syscall:\nret\n");
#else
#error "the system call instruction of this architecture is not known here"
#endif

#define RAW6(n, a, b, c, d, e, f, ...) \
    power_loss_raw((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define raw(...) RAW6(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

static long pass(long number, const long a[6]) {
    return power_loss_raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// --- the journal ---

// The reader is journal.rs: change both.
enum kind {
    WRITE = 1,
    TRUNCATE = 2,
    SYNC_BEGIN = 3,
    SYNC_END = 4,
    SYNC_FILE_RANGE = 5,
    CREATE = 6,
    UNLINK = 7,
    RENAME = 8,
    MKDIR = 9,
    RMDIR = 10,
    CANCEL = 11,
    CRASH = 12,
};

struct record {
    uint32_t magic;
    uint32_t kind;
    // Position in the journal, from 1. Of SYNC_END and CANCEL `offset` names another record's.
    uint64_t sequence;
    uint64_t inode;
    uint64_t offset;
    uint64_t length;
    uint64_t old_size;
    uint64_t new_size;
    uint64_t directory;
    uint64_t directory2;
    // Where the file that lost this name is kept: a number in the graveyard, or 0.
    uint64_t buried;
    uint32_t name_length;
    uint32_t name2_length;
    uint64_t data_length;
    // Then name, name2 and data.
};

#define MAGIC 0x504c4a31u

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char tracked_directory[PATH_MAX];
static size_t tracked_length;
static int journal_fd = -1;
static int graveyard_fd = -1;
static uint64_t sequence;
static uint64_t graves;
static uint64_t operations;
static uint64_t crash_at;
static uint64_t random_state;
static uint64_t sync_us_max = 200;
static int ignore_fdatasync;
static char buffer[1 << 18];

static void lock(void) { pthread_mutex_lock(&mutex); }
static void unlock(void) { pthread_mutex_unlock(&mutex); }

static void __attribute__((noreturn)) end(int signal) {
    raw(SYS_kill, raw(SYS_getpid), signal);
    for (;;) raw(SYS_exit_group, 134);
}

// For what is not modelled: a test that went on would prove nothing.
static void __attribute__((noreturn)) refuse(const char *what) {
    static const char prefix[] = "power_loss: ";
    raw(SYS_write, 2, prefix, sizeof prefix - 1);
    raw(SYS_write, 2, what, strlen(what));
    raw(SYS_write, 2, "\n", 1);
    end(SIGABRT);
}

static uint64_t draw(uint64_t below) {
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

static void journal_bytes(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        long written = raw(SYS_write, journal_fd, at, length);
        if (written == -EINTR) continue;
        if (written <= 0) refuse("the journal can't be written");
        at += written;
        length -= written;
    }
}

// Writes a record; `fd` gives the old bytes at `offset` when there are any.
static uint64_t journal(struct record *r, const char *name, const char *name2, int fd) {
    r->magic = MAGIC;
    r->sequence = ++sequence;
    r->name_length = name ? strlen(name) : 0;
    r->name2_length = name2 ? strlen(name2) : 0;
    journal_bytes(r, sizeof *r);
    journal_bytes(name, r->name_length);
    journal_bytes(name2, r->name2_length);
    if (r->data_length == 0) return r->sequence;
    // The process may have opened the file for writing only.
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    long source = raw(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (source < 0) refuse("a tracked file can't be read");
    uint64_t at = r->offset, left = r->data_length;
    while (left > 0) {
        long got = raw(SYS_pread64, source, buffer, left < sizeof buffer ? left : sizeof buffer, at);
        if (got == -EINTR) continue;
        if (got <= 0) refuse("a tracked file ended while it was read");
        journal_bytes(buffer, got);
        at += got;
        left -= got;
    }
    raw(SYS_close, source);
    return r->sequence;
}

static void cancel(uint64_t which) {
    struct record r = {.kind = CANCEL, .offset = which};
    journal(&r, NULL, NULL, -1);
}

// --- the crash ---

static int strikes(void) { return ++operations == crash_at; }

static void __attribute__((noreturn)) crash(void) {
    struct record r = {.kind = CRASH, .offset = operations};
    journal(&r, NULL, NULL, -1);
    end(SIGKILL);
}

// An operation that is done or not done: loses the power just before it, or lets it be done first.
static int strikes_after(void) {
    if (!strikes()) return 0;
    if (draw(2)) crash();
    return 1;
}

// --- what is tracked ---

static int below(const char *path) {
    return strncmp(path, tracked_directory, tracked_length) == 0 &&
           (path[tracked_length] == '/' || path[tracked_length] == 0);
}

static int fd_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = raw(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below(path);
}

static int status(int fd, struct stat *st) {
    return raw(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH) == 0;
}

static int tracked(int fd, struct stat *st) {
    return fd >= 0 && status(fd, st) && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) && fd_below(fd);
}

static int tracked_file(int fd, struct stat *st) { return tracked(fd, st) && S_ISREG(st->st_mode); }

// A name in a directory.
struct place {
    int fd;
    uint64_t directory;
    char name[256];
};

// Whether the path names something below the tracked directory, and what. `close_place` after a 1.
static int find(int dirfd, const char *path, struct place *place) {
    char parent[PATH_MAX];
    size_t length = strnlen(path, sizeof parent);
    if (length == 0 || length >= sizeof parent) return 0;
    memcpy(parent, path, length + 1);
    while (length > 1 && parent[length - 1] == '/') parent[--length] = 0;
    char *slash = strrchr(parent, '/');
    const char *name = slash ? slash + 1 : parent;
    if (strlen(name) >= sizeof place->name) return 0;
    strcpy(place->name, name);
    const char *directory = slash == parent ? "/" : slash ? parent : ".";
    if (slash) *slash = 0;
    if (slash == parent) directory = "/";
    place->fd = raw(SYS_openat, dirfd, directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place->fd < 0) return 0;
    struct stat st;
    if (!fd_below(place->fd) || !status(place->fd, &st)) {
        raw(SYS_close, place->fd);
        return 0;
    }
    if (!strcmp(name, ".") || !strcmp(name, "..")) refuse("a path that ends in dots");
    place->directory = st.st_ino;
    return 1;
}

static void close_place(struct place *place) { raw(SYS_close, place->fd); }

static int look(struct place *place, struct stat *st) {
    if (raw(SYS_newfstatat, place->fd, place->name, st, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    if (S_ISLNK(st->st_mode)) refuse("symbolic links are not modelled");
    return 1;
}

// Keeps a file that is about to lose this name, so that the loss can be undone. It also keeps the inode's
// number from being used again.
static uint64_t bury(struct place *place) {
    char grave[24];
    snprintf(grave, sizeof grave, "%llu", (unsigned long long)++graves);
    if (raw(SYS_linkat, place->fd, place->name, graveyard_fd, grave, 0) != 0)
        refuse("a file can't be linked into the graveyard");
    return graves;
}

// --- content ---

static uint64_t overlap(uint64_t size, uint64_t offset, uint64_t length) {
    if (offset >= size) return 0;
    return size - offset < length ? size - offset : length;
}

static long on_write(long number, const long a[6]) {
    int fd = a[0];
    struct stat st;
    if (!tracked_file(fd, &st)) return pass(number, a);
    struct iovec one = {(void *)a[1], (size_t)a[2]};
    const struct iovec *pieces = &one;
    long count = 1;
    if (number != SYS_write && number != SYS_pwrite64) {
        pieces = (const struct iovec *)a[1];
        count = a[2];
    }
    if (number == SYS_pwritev2 && a[5] != 0) refuse("flags of pwritev2 are not modelled");
    uint64_t length = 0;
    for (long i = 0; i < count; i++) length += pieces[i].iov_len;

    lock();
    status(fd, &st);
    long flags = raw(SYS_fcntl, fd, F_GETFL);
    if (flags & O_DSYNC) refuse("O_SYNC and O_DSYNC are not modelled");
    if (flags & O_DIRECT) refuse("O_DIRECT is not modelled");
    uint64_t offset;
    if (flags & O_APPEND)
        offset = st.st_size;
    else if (number == SYS_write || number == SYS_writev || (number == SYS_pwritev2 && a[3] == -1))
        offset = raw(SYS_lseek, fd, 0, SEEK_CUR);
    else
        offset = a[3];

    int struck = strikes();
    if (struck) {
        uint64_t how = draw(4);
        length = how == 0 ? 0 : how == 1 ? length : draw(length + 1);
    }
    uint64_t size = st.st_size;
    struct record r = {.kind = WRITE, .inode = st.st_ino, .offset = offset, .length = length, .old_size = size};
    r.new_size = length > 0 && offset + length > size ? offset + length : size;
    r.data_length = overlap(size, offset, length);
    if (length > 0) journal(&r, NULL, NULL, fd);
    if (struck) {
        for (long i = 0; i < count && length > 0; i++) {
            uint64_t part = pieces[i].iov_len < length ? pieces[i].iov_len : length;
            if (raw(SYS_pwrite64, fd, pieces[i].iov_base, part, offset) != (long)part) break;
            offset += part;
            length -= part;
        }
        crash();
    }
    long result = pass(number, a);
    unlock();
    return result;
}

// With the lock held.
static long set_size(int fd, struct stat *st, uint64_t size) {
    int struck = strikes_after();
    uint64_t old = st->st_size;
    struct record r = {.kind = TRUNCATE, .inode = st->st_ino, .offset = size, .old_size = old, .new_size = size};
    if (size < old) r.length = r.data_length = old - size;
    uint64_t at = journal(&r, NULL, NULL, fd);
    long result = raw(SYS_ftruncate, fd, size);
    if (result != 0) cancel(at);
    if (struck) crash();
    return result;
}

static long on_ftruncate(long number, const long a[6]) {
    struct stat st;
    if (!tracked_file(a[0], &st)) return pass(number, a);
    lock();
    status(a[0], &st);
    long result = set_size(a[0], &st, a[1]);
    unlock();
    return result;
}

static long on_fallocate(long number, const long a[6]) {
    struct stat st;
    int fd = a[0], mode = a[1];
    if (!tracked_file(fd, &st)) return pass(number, a);
    int zeroes = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        refuse("this mode of fallocate is not modelled");
    lock();
    status(fd, &st);
    int struck = strikes_after();
    uint64_t size = st.st_size, offset = a[2], length = a[3];
    struct record r = {.kind = WRITE, .inode = st.st_ino, .offset = offset, .old_size = size, .new_size = size};
    if (zeroes) {
        r.length = length;
        r.data_length = overlap(size, offset, length);
    }
    if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + length > size) r.new_size = offset + length;
    uint64_t at = journal(&r, NULL, NULL, fd);
    long result = pass(number, a);
    if (result != 0) cancel(at);
    if (struck) crash();
    unlock();
    return result;
}

// --- syncs ---

static long on_sync(long number, const long a[6]) {
    struct stat st;
    int fd = a[0];
    if (!tracked(fd, &st)) return pass(number, a);
    lock();
    int struck = strikes_after();
    struct record begin = {.kind = SYNC_BEGIN, .inode = st.st_ino};
    uint64_t from = journal(&begin, NULL, NULL, -1);
    uint64_t pause_us = sync_us_max / 2 + draw(sync_us_max / 2 + 1);
    unlock();

    // Nothing goes to the disk: what the kernel holds survives the kill. But it takes its time, without
    // the lock, and what others write meanwhile is not part of it.
    struct timespec pause = {pause_us / 1000000, pause_us % 1000000 * 1000};
    raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);

    int counts = !(ignore_fdatasync && number == SYS_fdatasync && S_ISREG(st.st_mode));
    lock();
    if (counts) {
        struct record done = {.kind = SYNC_END, .inode = st.st_ino, .offset = from};
        journal(&done, NULL, NULL, -1);
    }
    if (struck) crash();
    unlock();
    return 0;
}

static long on_sync_file_range(long number, const long a[6]) {
    struct stat st;
    if (!tracked_file(a[0], &st)) return pass(number, a);
    lock();
    struct record r = {.kind = SYNC_FILE_RANGE, .inode = st.st_ino};
    journal(&r, NULL, NULL, -1);
    unlock();
    return 0;
}

// --- names ---

static long on_open(int dirfd, const char *path, int flags, int mode) {
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        long fd = raw(SYS_openat, dirfd, path, flags, mode);
        if (fd >= 0 && fd_below(fd)) refuse("O_TMPFILE is not modelled");
        return fd;
    }
    struct place place;
    struct stat st;
    if (!find(dirfd, path, &place)) return raw(SYS_openat, dirfd, path, flags, mode);
    lock();
    long result;
    if (look(&place, &st)) {
        result = raw(SYS_openat, place.fd, place.name, flags & ~O_TRUNC, mode);
        if (result >= 0 && flags & O_TRUNC && S_ISREG(st.st_mode) && st.st_size > 0) {
            status(result, &st);
            set_size(result, &st, 0);
        }
    } else if (flags & O_CREAT) {
        int struck = strikes_after();
        struct record r = {.kind = CREATE, .directory = place.directory};
        uint64_t at = journal(&r, place.name, NULL, -1);
        result = raw(SYS_openat, place.fd, place.name, flags, mode);
        if (result < 0) cancel(at);
        if (struck) crash();
    } else {
        result = -ENOENT;
    }
    unlock();
    close_place(&place);
    return result;
}

static long on_mkdir(int dirfd, const char *path, int mode) {
    struct place place;
    struct stat st;
    if (!find(dirfd, path, &place)) return raw(SYS_mkdirat, dirfd, path, mode);
    lock();
    long result = -EEXIST;
    if (!look(&place, &st)) {
        int struck = strikes_after();
        struct record r = {.kind = MKDIR, .directory = place.directory};
        uint64_t at = journal(&r, place.name, NULL, -1);
        result = raw(SYS_mkdirat, place.fd, place.name, mode);
        if (result != 0) cancel(at);
        if (struck) crash();
    }
    unlock();
    close_place(&place);
    return result;
}

static long on_unlink(int dirfd, const char *path, int flags) {
    struct place place;
    struct stat st;
    if (!find(dirfd, path, &place)) return raw(SYS_unlinkat, dirfd, path, flags);
    lock();
    long result = -ENOENT;
    if (look(&place, &st)) {
        int struck = strikes_after();
        struct record r = {.kind = UNLINK, .directory = place.directory, .inode = st.st_ino};
        if (S_ISDIR(st.st_mode)) {
            r.kind = RMDIR;
            // Never closed: keeps the inode's number from being used again.
            raw(SYS_openat, place.fd, place.name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        } else {
            r.buried = bury(&place);
        }
        uint64_t at = journal(&r, place.name, NULL, -1);
        result = raw(SYS_unlinkat, place.fd, place.name, flags);
        if (result != 0) cancel(at);
        if (struck) crash();
    }
    unlock();
    close_place(&place);
    return result;
}

static long on_rename(int dirfd, const char *path, int dirfd2, const char *path2, unsigned flags) {
    struct place from, to;
    int from_below = find(dirfd, path, &from), to_below = find(dirfd2, path2, &to);
    if (!from_below && !to_below) return raw(SYS_renameat2, dirfd, path, dirfd2, path2, flags);
    if (!from_below || !to_below) refuse("a rename into or out of the tracked directory is not modelled");
    if (flags & ~RENAME_NOREPLACE) refuse("this flag of rename is not modelled");
    lock();
    struct stat st, replaced;
    long result;
    int exists = look(&to, &replaced);
    if (!look(&from, &st)) {
        result = -ENOENT;
    } else if (exists && replaced.st_ino == st.st_ino) {
        result = raw(SYS_renameat2, from.fd, from.name, to.fd, to.name, flags);
    } else {
        if (exists && S_ISDIR(replaced.st_mode)) refuse("a rename over a directory is not modelled");
        int struck = strikes_after();
        struct record r = {
            .kind = RENAME, .inode = st.st_ino, .directory = from.directory, .directory2 = to.directory};
        if (exists && !(flags & RENAME_NOREPLACE)) r.buried = bury(&to);
        uint64_t at = journal(&r, from.name, to.name, -1);
        result = raw(SYS_renameat2, from.fd, from.name, to.fd, to.name, flags);
        if (result != 0) cancel(at);
        if (struck) crash();
    }
    unlock();
    close_place(&from);
    close_place(&to);
    return result;
}

static long on_link(int dirfd, const char *path, int dirfd2, const char *path2, int flags) {
    struct place from, to;
    if (!find(dirfd2, path2, &to)) return raw(SYS_linkat, dirfd, path, dirfd2, path2, flags);
    if (!find(dirfd, path, &from)) refuse("a link into the tracked directory is not modelled");
    lock();
    int struck = strikes_after();
    struct record r = {.kind = CREATE, .directory = to.directory};
    uint64_t at = journal(&r, to.name, NULL, -1);
    long result = raw(SYS_linkat, from.fd, from.name, to.fd, to.name, flags);
    if (result != 0) cancel(at);
    if (struck) crash();
    unlock();
    close_place(&from);
    close_place(&to);
    return result;
}

// --- the trap ---

static void refuse_place(int dirfd, const char *path, const char *what) {
    struct place place;
    if (!find(dirfd, path, &place)) return;
    refuse(what);
}

static void refuse_file(int fd, const char *what) {
    struct stat st;
    if (tracked_file(fd, &st)) refuse(what);
}

static long handle(long number, const long a[6]) {
    switch (number) {
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_pwritev2: return on_write(number, a);
    case SYS_ftruncate: return on_ftruncate(number, a);
    case SYS_fallocate: return on_fallocate(number, a);
    case SYS_fsync:
    case SYS_fdatasync: return on_sync(number, a);
    case SYS_sync_file_range: return on_sync_file_range(number, a);
    case SYS_openat: return on_open(a[0], (const char *)a[1], a[2], a[3]);
    case SYS_mkdirat: return on_mkdir(a[0], (const char *)a[1], a[2]);
    case SYS_unlinkat: return on_unlink(a[0], (const char *)a[1], a[2]);
    case SYS_renameat2: return on_rename(a[0], (const char *)a[1], a[2], (const char *)a[3], a[4]);
    case SYS_renameat: return on_rename(a[0], (const char *)a[1], a[2], (const char *)a[3], 0);
    case SYS_linkat: return on_link(a[0], (const char *)a[1], a[2], (const char *)a[3], a[4]);
#ifdef SYS_open
    case SYS_open: return on_open(AT_FDCWD, (const char *)a[0], a[1], a[2]);
    case SYS_creat: return on_open(AT_FDCWD, (const char *)a[0], O_CREAT | O_WRONLY | O_TRUNC, a[1]);
    case SYS_mkdir: return on_mkdir(AT_FDCWD, (const char *)a[0], a[1]);
    case SYS_unlink: return on_unlink(AT_FDCWD, (const char *)a[0], 0);
    case SYS_rmdir: return on_unlink(AT_FDCWD, (const char *)a[0], AT_REMOVEDIR);
    case SYS_rename: return on_rename(AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1], 0);
    case SYS_link: return on_link(AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1], 0);
    case SYS_symlink: refuse_place(AT_FDCWD, (const char *)a[1], "symbolic links are not modelled"); break;
    case SYS_mknod: refuse_place(AT_FDCWD, (const char *)a[0], "mknod is not modelled"); break;
#endif
    case SYS_truncate: refuse_place(AT_FDCWD, (const char *)a[0], "truncate by path is not modelled"); break;
    case SYS_openat2: refuse_place(a[0], (const char *)a[1], "openat2 is not modelled"); break;
    case SYS_symlinkat: refuse_place(a[1], (const char *)a[2], "symbolic links are not modelled"); break;
    case SYS_mknodat: refuse_place(a[0], (const char *)a[1], "mknod is not modelled"); break;
    case SYS_copy_file_range: refuse_file(a[2], "copy_file_range is not modelled"); break;
    case SYS_splice: refuse_file(a[2], "splice is not modelled"); break;
    case SYS_sendfile: refuse_file(a[0], "sendfile is not modelled"); break;
    case SYS_mmap:
        if ((raw(SYS_fcntl, a[4], F_GETFL) & O_ACCMODE) != O_RDONLY)
            refuse_file(a[4], "a shared mapping that can be written is not modelled");
        break;
    case SYS_ioctl: refuse_file(a[0], "a clone of a range is not modelled"); break;
    case SYS_sync:
    case SYS_syncfs: refuse("sync and syncfs are not modelled");
    case SYS_io_uring_setup:
    case SYS_io_setup: refuse("asynchronous IO of the kernel is not modelled");
    default: refuse("a system call was trapped that has no handler");
    }
    return pass(number, a);
}

static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)signal;
    ucontext_t *user = context;
#if defined(__x86_64__)
    greg_t *g = user->uc_mcontext.gregs;
    long a[6] = {g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10], g[REG_R8], g[REG_R9]};
    g[REG_RAX] = handle(info->si_syscall, a);
#else
    unsigned long long *g = user->uc_mcontext.regs;
    long a[6] = {g[0], g[1], g[2], g[3], g[4], g[5]};
    g[0] = handle(info->si_syscall, a);
#endif
}

// --- start ---

static struct sock_filter program[256];
static unsigned short program_length;

static void add(struct sock_filter step) { program[program_length++] = step; }
static void load(size_t offset) { add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)); }
static void answer(uint32_t how) { add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, how)); }
static void unless_equal_skip(uint32_t value, uint8_t skip) {
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip));
}
static void trap(long number) {
    unless_equal_skip(number, 1);
    answer(SECCOMP_RET_TRAP);
}
// Traps the call when one of the bits is set in the argument; little-endian.
static void trap_bits(long number, int argument, uint32_t bits) {
    unless_equal_skip(number, 4);
    load(offsetof(struct seccomp_data, args) + 8 * argument);
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
    answer(SECCOMP_RET_TRAP);
    answer(SECCOMP_RET_ALLOW);
}

static void install_filter(void) {
    uint64_t ours = (uint64_t)power_loss_after_syscall;
    load(offsetof(struct seccomp_data, arch));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    answer(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(struct seccomp_data, instruction_pointer));
    unless_equal_skip((uint32_t)ours, 3);
    load(offsetof(struct seccomp_data, instruction_pointer) + 4);
    unless_equal_skip((uint32_t)(ours >> 32), 1);
    answer(SECCOMP_RET_ALLOW);
    load(offsetof(struct seccomp_data, nr));
    static const long all[] = {
        SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_ftruncate, SYS_truncate,
        SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_mkdirat, SYS_unlinkat,
        SYS_renameat2, SYS_renameat, SYS_linkat, SYS_openat2, SYS_symlinkat, SYS_mknodat,
        SYS_copy_file_range, SYS_splice, SYS_sendfile, SYS_sync, SYS_syncfs, SYS_io_uring_setup, SYS_io_setup,
#ifdef SYS_open
        SYS_creat, SYS_mkdir, SYS_unlink, SYS_rmdir, SYS_rename, SYS_link, SYS_symlink, SYS_mknod,
#endif
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) trap(all[i]);
    // O_TMPFILE has a bit of its own beside O_DIRECTORY's.
    uint32_t opens = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    trap_bits(SYS_openat, 2, opens);
#ifdef SYS_open
    trap_bits(SYS_open, 1, opens);
#endif
    // FICLONE and FICLONERANGE, and no other.
    unless_equal_skip(SYS_ioctl, 6);
    load(offsetof(struct seccomp_data, args) + 8);
    unless_equal_skip(0x40049409, 1);
    answer(SECCOMP_RET_TRAP);
    unless_equal_skip(0x4020940d, 1);
    answer(SECCOMP_RET_TRAP);
    answer(SECCOMP_RET_ALLOW);
    unless_equal_skip(SYS_mmap, 3);
    load(offsetof(struct seccomp_data, args) + 8 * 4);
    unless_equal_skip(0xffffffff, 1);
    answer(SECCOMP_RET_ALLOW);
    load(offsetof(struct seccomp_data, nr));
    trap_bits(SYS_mmap, 3, MAP_SHARED);
    answer(SECCOMP_RET_ALLOW);

    struct sock_fprog filter = {program_length, program};
    if (raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
        refuse("the kernel refuses the seccomp filter");
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void) {
    const char *directory = getenv("POWER_LOSS_DIRECTORY"), *journals = getenv("POWER_LOSS_JOURNAL");
    if (!directory) return;
    if (!journals || !realpath(directory, tracked_directory)) refuse("the directories are not there");
    tracked_length = strlen(tracked_directory);
    crash_at = number_of("POWER_LOSS_CRASH_AT", 0);
    random_state = number_of("POWER_LOSS_DRAWS", 0);
    sync_us_max = number_of("POWER_LOSS_SYNC_US_MAX", sync_us_max);
    ignore_fdatasync = number_of("POWER_LOSS_IGNORE_FDATASYNC", 0);

    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/journal", journals);
    long fd = raw(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    // A high number, out of the way of those that the process counts on.
    journal_fd = raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
    raw(SYS_close, fd);
    snprintf(path, sizeof path, "%s/graveyard", journals);
    fd = raw(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    graveyard_fd = raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
    raw(SYS_close, fd);
    if (journal_fd < 0 || graveyard_fd < 0) refuse("the journal can't be opened");

    struct sigaction action = {.sa_flags = SA_SIGINFO, .sa_sigaction = on_trap};
    // A handler of another signal that writes would be trapped within the trap.
    sigfillset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL) != 0) refuse("SIGSYS can't be handled");
    install_filter();
}
