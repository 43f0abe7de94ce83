/* Preloaded into a broker (LD_PRELOAD): lets calls on its data file fail, or kills it in the middle of one, and shifts
   its wall clock. What to do stands in a file that both sides map: the words of `struct control`, written by shim.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, META = 2, SYNC = 4, ALLOCATE = 8 };
enum { ERROR = 1, SHORT = 2, KILL = 3 };

struct control {
    int64_t clock;     /* nanoseconds that the wall clock is wrong by */
    int64_t which;     /* the kinds of calls that are meant; 0: none */
    int64_t action;
    int64_t number;    /* the errno of ERROR */
    int64_t after;     /* so many of these calls are let through first */
    int64_t times;     /* so many are hit then; negative: all */
    int64_t half;      /* whether a write that is hit writes its first half */
    int64_t hits;      /* how many were hit */
};

static struct control *control;

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAILING_DISK");
    if (!path) return;
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) abort();
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped == MAP_FAILED) abort();
    control = mapped;
}

static int is_data(int descriptor) {
    static const char name[] = "/data.mdb";
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path);
    ssize_t tail = sizeof name - 1;
    return size >= tail && !memcmp(path + size - tail, name, tail);
}

/* The action for this call, 0 for none. */
static int64_t verdict(int descriptor, int64_t kind) {
    if (!control || !(__atomic_load_n(&control->which, __ATOMIC_ACQUIRE) & kind)) return 0;
    int before = errno;
    int meant = is_data(descriptor);
    errno = before;
    if (!meant) return 0;
    if (__atomic_fetch_sub(&control->after, 1, __ATOMIC_ACQ_REL) > 0) return 0;
    if (control->times == 0) return 0;
    if (control->times > 0) __atomic_fetch_sub(&control->times, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&control->hits, 1, __ATOMIC_ACQ_REL);
    return control->action;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static ssize_t positioned(ssize_t (*real)(int, const void *, size_t, off_t), int descriptor, const void *bytes,
                          size_t size, off_t offset) {
    int64_t kind = offset < 2 * sysconf(_SC_PAGESIZE) ? META : WRITE;
    int64_t action = verdict(descriptor, kind);
    if (!action) return real(descriptor, bytes, size, offset);
    ssize_t written = control->half ? real(descriptor, bytes, size / 2, offset) : 0;
    if (action == KILL) die();
    if (action == SHORT) return written;
    errno = (int)control->number;
    return -1;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    return positioned(next("pwrite"), descriptor, bytes, size, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset) {
    return positioned(next("pwrite64"), descriptor, bytes, size, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    ssize_t (*real)(int, const struct iovec *, int) = next("writev");
    int64_t action = verdict(descriptor, WRITE);
    if (!action) return real(descriptor, parts, count);
    ssize_t written = control->half && count > 1 ? real(descriptor, parts, count / 2) : 0;
    if (action == KILL) die();
    if (action == SHORT) return written;
    errno = (int)control->number;
    return -1;
}

static int synced(int (*real)(int), int descriptor) {
    int64_t action = verdict(descriptor, SYNC);
    if (!action) return real(descriptor);
    if (control->half) real(descriptor);
    if (action == KILL) die();
    errno = (int)control->number;
    return -1;
}

int fsync(int descriptor) { return synced(next("fsync"), descriptor); }

int fdatasync(int descriptor) { return synced(next("fdatasync"), descriptor); }

static int allocated(int (*real)(int, off_t, off_t), int descriptor, off_t offset, off_t size) {
    int64_t action = verdict(descriptor, ALLOCATE);
    if (!action) return real(descriptor, offset, size);
    if (action == KILL) die();
    return (int)control->number;
}

int posix_fallocate(int descriptor, off_t offset, off_t size) {
    return allocated(next("posix_fallocate"), descriptor, offset, size);
}

int posix_fallocate64(int descriptor, off64_t offset, off64_t size) {
    return allocated(next("posix_fallocate64"), descriptor, offset, size);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = next("clock_gettime");
    int result = real(clock, now);
    if (result == 0 && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t whole = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + control->clock;
        now->tv_sec = whole / 1000000000;
        now->tv_nsec = whole % 1000000000;
    }
    return result;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict into, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    into->tv_sec = now.tv_sec;
    into->tv_usec = now.tv_nsec / 1000;
    return 0;
}
