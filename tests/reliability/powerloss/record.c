/* Records what a process does to the files below one directory, in the order in which it happens.
 *
 * To be loaded with LD_PRELOAD. POWERLOSS_DIR is the directory (its real path), POWERLOSS_LOG the file to append to.
 * POWERLOSS_SKIP=N/M is a lie for tests: of the syncs of data.mdb, the Nth and every Mth after it do not happen, though
 * they are said to (M = 0: only the Nth).
 *
 * A record is a header, a path (relative to the directory), and data. A write and its record are one step under a
 * mutex, so that a sync never begins between them. A sync, and a write that is to be durable when it returns, have two
 * records: what happened between them was not yet promised. Other processes may append records of their own, each in
 * one write.
 *
 * What this cannot follow (a shared writable map, copies within the kernel) is recorded as such, for the reader to judge.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPENED = 1, WRITE, DURABLE, SIZE, SYNC_BEGIN, SYNC_END, MKDIR, UNLINK, RENAME, LINK, MAPPED, BEYOND, LIE };
enum { CREATED = 1, TRUNCATED = 2, SYNCED = 4, PARTIAL = 8 };

struct header {
    uint32_t magic;
    uint8_t operation, flags;
    uint16_t path_length;
    uint32_t thread, data_length;
    uint64_t inode;
    int64_t offset, length;
};

#define MAGIC 0x52574f50u
#define MOST_FILES 65536

struct watched {
    uint64_t inode;
    char *path;
    int synced, append;
};

static struct watched files[MOST_FILES];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int log_file = -1;
static long syncs, first_skipped, skipped_step;
static __thread int inside;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "record.c: there is no %s\n", name);
        abort();
    }
    return found;
}

static void fail(const char *what) {
    perror(what);
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *directory = getenv("POWERLOSS_DIR"), *log = getenv("POWERLOSS_LOG"), *skip = getenv("POWERLOSS_SKIP");
    if (!directory || !log)
        return;
    snprintf(root, sizeof root, "%s/", directory);
    root_length = strlen(root);
    if (skip)
        sscanf(skip, "%ld/%ld", &first_skipped, &skipped_step);
    int opened = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        fail("record.c: cannot open the log");
    /* Out of the way of those that the program counts on. */
    log_file = syscall(SYS_fcntl, opened, F_DUPFD_CLOEXEC, 900);
    if (log_file < 0)
        fail("record.c: cannot move the log");
    syscall(SYS_close, opened);
}

static void append(int operation, int flags, uint64_t inode, int64_t offset, int64_t length, const char *path,
                   const struct iovec *data, int count, size_t data_length) {
    struct header header = {MAGIC, operation, flags, strlen(path), syscall(SYS_gettid), data_length, inode, offset, length};
    size_t total = sizeof header + header.path_length + data_length;
    char *whole = malloc(total), *at = whole;
    if (!whole)
        fail("record.c: no memory");
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    memcpy(at, path, header.path_length);
    at += header.path_length;
    for (int i = 0; i < count && data_length; i++) {
        size_t part = data[i].iov_len < data_length ? data[i].iov_len : data_length;
        memcpy(at, data[i].iov_base, part);
        at += part;
        data_length -= part;
    }
    if (syscall(SYS_write, log_file, whole, total) != (long)total)
        fail("record.c: the log is incomplete");
    free(whole);
}

static void note(int operation, int flags, uint64_t inode, int64_t offset, int64_t length, const char *path) {
    append(operation, flags, inode, offset, length, path, NULL, 0, 0);
}

/* The absolute path of what a call names, if it is below the directory; the result is to be freed. */
static char *below(int at, const char *path) {
    char whole[2 * PATH_MAX], folder[PATH_MAX], resolved[PATH_MAX];
    if (log_file < 0 || inside || !path)
        return NULL;
    if (path[0] == '/' || at == AT_FDCWD) {
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, folder, sizeof folder - 1);
        if (length < 0)
            return NULL;
        folder[length] = 0;
        snprintf(whole, sizeof whole, "%s/%s", folder, path);
    }
    size_t end = strlen(whole);
    while (end > 1 && whole[end - 1] == '/')
        whole[--end] = 0;
    /* The last part need not be there. */
    char *slash = strrchr(whole, '/');
    const char *name = slash ? slash + 1 : whole;
    const char *parent = slash == whole ? "/" : slash ? whole : ".";
    if (slash)
        *slash = 0;
    inside = 1;
    char *found = realpath(parent, resolved);
    inside = 0;
    if (!found)
        return NULL;
    char result[2 * PATH_MAX];
    snprintf(result, sizeof result, "%s/%s", strcmp(resolved, "/") ? resolved : "", name);
    /* The directory itself, for syncs of it. */
    if (strlen(result) == root_length - 1 && !strncmp(result, root, root_length - 1))
        return strdup("");
    return strncmp(result, root, root_length) ? NULL : strdup(result + root_length);
}

static struct watched *file(int fd) {
    if (log_file < 0 || inside || fd < 0 || fd >= MOST_FILES || !files[fd].path)
        return NULL;
    struct stat found;
    if (fstat(fd, &found) < 0 || found.st_ino != files[fd].inode) {
        files[fd].path = NULL;
        return NULL;
    }
    return &files[fd];
}

static int64_t size_of(int fd) {
    struct stat found;
    return fstat(fd, &found) < 0 ? -1 : found.st_size;
}

/* -- opening */

static int opening(int at, const char *path, int flags, mode_t mode) {
    char *watched = below(at, path);
    if (!watched)
        return syscall(SYS_openat, at, path, flags, mode);
    if ((flags & O_TMPFILE) == O_TMPFILE)
        note(BEYOND, 0, 0, 0, 0, "a file without a name");
    pthread_mutex_lock(&mutex);
    struct stat before;
    int missing = fstatat(at, path, &before, 0) < 0;
    int fd = syscall(SYS_openat, at, path, flags, mode);
    int error = errno;
    struct stat after;
    if (fd >= 0 && (fd >= MOST_FILES || fstat(fd, &after) < 0))
        fail("record.c: cannot watch a file");
    if (fd >= 0) {
        files[fd] = (struct watched){after.st_ino, watched, !!(flags & O_DSYNC), !!(flags & O_APPEND)};
        int how = (missing ? CREATED : 0) | (!missing && flags & O_TRUNC ? TRUNCATED : 0);
        note(OPENED, how | (flags & O_DSYNC ? SYNCED : 0), after.st_ino, 0, S_ISDIR(after.st_mode), watched);
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return fd;
}

#define OPEN_MODE                                                                                                      \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...) { OPEN_MODE return opening(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPEN_MODE return opening(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { OPEN_MODE return opening(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { OPEN_MODE return opening(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opening(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

static FILE *beyond_stream(FILE *stream, const char *path, const char *mode) {
    int error = errno;
    char *watched = stream && strpbrk(mode, "wa+") ? below(AT_FDCWD, path) : NULL;
    if (watched)
        note(BEYOND, 0, 0, 0, 0, "fopen");
    free(watched);
    errno = error;
    return stream;
}

FILE *fopen(const char *path, const char *mode) { return beyond_stream(REAL(fopen)(path, mode), path, mode); }
FILE *fopen64(const char *path, const char *mode) { return beyond_stream(REAL(fopen64)(path, mode), path, mode); }

int close(int fd) {
    pthread_mutex_lock(&mutex);
    if (fd >= 0 && fd < MOST_FILES)
        files[fd].path = NULL;
    int result = fd == log_file && log_file >= 0 ? 0 : REAL(close)(fd);
    pthread_mutex_unlock(&mutex);
    return result;
}

static int copied(int from, int to) {
    if (to >= 0 && to < MOST_FILES && from >= 0 && from < MOST_FILES)
        files[to] = files[from];
    return to;
}

int dup(int fd) { return copied(fd, REAL(dup)(fd)); }
int dup2(int fd, int to) { return copied(fd, REAL(dup2)(fd, to)); }
int dup3(int fd, int to, int flags) { return copied(fd, REAL(dup3)(fd, to, flags)); }

static int control(int fd, int command, void *argument) {
    int result = syscall(SYS_fcntl, fd, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return copied(fd, result);
    if (command == F_SETFL && file(fd) && (intptr_t)argument & (O_DSYNC | O_APPEND))
        note(BEYOND, 0, 0, 0, 0, "fcntl F_SETFL");
    return result;
}

#define CONTROL_ARGUMENT                                                                                               \
    va_list rest;                                                                                                      \
    va_start(rest, command);                                                                                           \
    void *argument = va_arg(rest, void *);                                                                             \
    va_end(rest);

int fcntl(int fd, int command, ...) { CONTROL_ARGUMENT return control(fd, command, argument); }
int fcntl64(int fd, int command, ...) { CONTROL_ARGUMENT return control(fd, command, argument); }

/* -- writing */

static ssize_t writing(struct watched *to, int fd, const struct iovec *data, int count, off_t offset) {
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += data[i].iov_len;
    pthread_mutex_lock(&mutex);
    if (to->append)
        offset = size_of(fd);
    if (to->synced)
        append(WRITE, SYNCED, to->inode, offset, total, to->path, data, count, total);
    inside = 1;
    ssize_t result = REAL(pwritev)(fd, data, count, offset);
    inside = 0;
    int error = errno;
    if (to->synced && result != (ssize_t)total)
        note(DURABLE, PARTIAL, to->inode, offset, result, to->path);
    else if (to->synced)
        note(DURABLE, 0, to->inode, offset, total, to->path);
    else if (result > 0)
        append(WRITE, 0, to->inode, offset, result, to->path, data, count, result);
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

static ssize_t writing_on(struct watched *to, int fd, const struct iovec *data, int count) {
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t result = writing(to, fd, data, count, offset);
    if (result > 0)
        lseek(fd, to->append ? 0 : offset + result, to->append ? SEEK_END : SEEK_SET);
    return result;
}

ssize_t write(int fd, const void *data, size_t length) {
    struct watched *to = file(fd);
    return to ? writing_on(to, fd, &(struct iovec){(void *)data, length}, 1) : REAL(write)(fd, data, length);
}

ssize_t writev(int fd, const struct iovec *data, int count) {
    struct watched *to = file(fd);
    return to ? writing_on(to, fd, data, count) : REAL(writev)(fd, data, count);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    struct watched *to = file(fd);
    return to ? writing(to, fd, &(struct iovec){(void *)data, length}, 1, offset) : REAL(pwrite)(fd, data, length, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return pwrite(fd, data, length, offset); }

ssize_t pwritev(int fd, const struct iovec *data, int count, off_t offset) {
    struct watched *to = file(fd);
    return to ? writing(to, fd, data, count, offset) : REAL(pwritev)(fd, data, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *data, int count, off64_t offset) { return pwritev(fd, data, count, offset); }

ssize_t pwritev2(int fd, const struct iovec *data, int count, off_t offset, int flags) {
    struct watched *to = file(fd);
    if (!to)
        return REAL(pwritev2)(fd, data, count, offset, flags);
    /* Flags may ask for a sync, which is not counted on; or for appending, which would write elsewhere. */
    if (flags)
        note(BEYOND, 0, 0, 0, 0, "pwritev2 with flags");
    return offset == -1 ? writing_on(to, fd, data, count) : writing(to, fd, data, count, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec *data, int count, off64_t offset, int flags) {
    return pwritev2(fd, data, count, offset, flags);
}

static void sized(struct watched *of, int fd, int64_t before) {
    int64_t now = size_of(fd);
    if (now != before)
        note(SIZE, 0, of->inode, before, now, of->path);
}

int ftruncate(int fd, off_t length) {
    struct watched *of = file(fd);
    pthread_mutex_lock(&mutex);
    int64_t before = of ? size_of(fd) : 0;
    int result = REAL(ftruncate)(fd, length);
    if (of && result == 0)
        sized(of, fd, before);
    pthread_mutex_unlock(&mutex);
    return result;
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    struct watched *of = file(fd);
    pthread_mutex_lock(&mutex);
    int64_t before = of ? size_of(fd) : 0;
    int result = REAL(fallocate)(fd, mode, offset, length);
    if (of && result == 0) {
        if (mode)
            note(BEYOND, 0, 0, 0, 0, "fallocate with a mode");
        sized(of, fd, before);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }

int posix_fallocate(int fd, off_t offset, off_t length) {
    struct watched *of = file(fd);
    pthread_mutex_lock(&mutex);
    int64_t before = of ? size_of(fd) : 0;
    int result = REAL(posix_fallocate)(fd, offset, length);
    if (of && result == 0)
        sized(of, fd, before);
    pthread_mutex_unlock(&mutex);
    return result;
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

/* -- syncing */

static int skipped(const struct watched *of) {
    const char *name = strrchr(of->path, '/');
    if (!first_skipped || strcmp(name ? name + 1 : of->path, "data.mdb"))
        return 0;
    long number = ++syncs;
    return skipped_step ? number >= first_skipped && (number - first_skipped) % skipped_step == 0
                        : number == first_skipped;
}

static int syncing(int fd, int (*sync)(int)) {
    struct watched *of = file(fd);
    if (!of)
        return sync(fd);
    pthread_mutex_lock(&mutex);
    int lie = skipped(of);
    note(lie ? LIE : SYNC_BEGIN, 0, of->inode, 0, 0, of->path);
    pthread_mutex_unlock(&mutex);
    if (lie)
        return 0;
    int result = sync(fd), error = errno;
    /* The record of a sync that has failed is not written: it has promised nothing. */
    if (result == 0)
        note(SYNC_END, 0, of->inode, 0, 0, of->path);
    errno = error;
    return result;
}

int fsync(int fd) { return syncing(fd, REAL(fsync)); }
int fdatasync(int fd) { return syncing(fd, REAL(fdatasync)); }

/* These are not counted on: what they sync stays unsynced here. */

/* -- maps, and what happens within the kernel */

static void *mapping(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    struct watched *of = file(fd);
    if (of && (flags & MAP_TYPE) != MAP_PRIVATE && protection & PROT_WRITE)
        note(MAPPED, 0, of->inode, offset, length, of->path);
    return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    return mapping(at, length, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mapping(at, length, protection, flags, fd, offset);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
    if (file(to))
        note(BEYOND, 0, 0, 0, 0, "copy_file_range");
    return REAL(copy_file_range)(from, from_at, to, to_at, length, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t length) {
    if (file(to))
        note(BEYOND, 0, 0, 0, 0, "sendfile");
    return REAL(sendfile)(to, from, offset, length);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) { return sendfile(to, from, offset, length); }

int truncate(const char *path, off_t length) {
    if (below(AT_FDCWD, path))
        note(BEYOND, 0, 0, 0, 0, "truncate");
    return REAL(truncate)(path, length);
}

int truncate64(const char *path, off64_t length) { return truncate(path, length); }

/* -- directories */

int mkdirat(int at, const char *path, mode_t mode) {
    char *watched = below(at, path);
    pthread_mutex_lock(&mutex);
    int result = syscall(SYS_mkdirat, at, path, mode), error = errno;
    struct stat found;
    if (watched && result == 0 && fstatat(at, path, &found, 0) == 0)
        note(MKDIR, 0, found.st_ino, 0, 0, watched);
    pthread_mutex_unlock(&mutex);
    free(watched);
    errno = error;
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int unlinkat(int at, const char *path, int flags) {
    char *watched = below(at, path);
    pthread_mutex_lock(&mutex);
    int result = syscall(SYS_unlinkat, at, path, flags), error = errno;
    if (watched && result == 0)
        note(UNLINK, 0, 0, 0, 0, watched);
    pthread_mutex_unlock(&mutex);
    free(watched);
    errno = error;
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    struct stat found;
    int folder = lstat(path, &found) == 0 && S_ISDIR(found.st_mode);
    return folder ? rmdir(path) : unlink(path);
}

static void two(int operation, const char *from, const char *to) {
    struct iovec target = {(void *)to, strlen(to)};
    append(operation, 0, 0, 0, 0, from, &target, 1, target.iov_len);
}

static int paired(int operation, long call, int from_at, const char *from, int to_at, const char *to, int flags) {
    char *one = below(from_at, from), *other = below(to_at, to);
    pthread_mutex_lock(&mutex);
    int result = syscall(call, from_at, from, to_at, to, flags), error = errno;
    if (result == 0 && one && other)
        two(operation, one, other);
    else if (result == 0 && (one || other))
        note(BEYOND, 0, 0, 0, 0, "a rename or link across the directory's border");
    pthread_mutex_unlock(&mutex);
    free(one);
    free(other);
    errno = error;
    return result;
}

int rename(const char *from, const char *to) { return paired(RENAME, SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_at, const char *from, int to_at, const char *to) {
    return paired(RENAME, SYS_renameat2, from_at, from, to_at, to, 0);
}
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    if (flags & ~RENAME_NOREPLACE && below(from_at, from))
        note(BEYOND, 0, 0, 0, 0, "renameat2 with flags");
    return paired(RENAME, SYS_renameat2, from_at, from, to_at, to, flags);
}
int link(const char *from, const char *to) { return paired(LINK, SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    return paired(LINK, SYS_linkat, from_at, from, to_at, to, flags);
}
int symlink(const char *target, const char *path) {
    if (below(AT_FDCWD, path))
        note(BEYOND, 0, 0, 0, 0, "symlink");
    return REAL(symlink)(target, path);
}
