/* Faults at files below one folder, for what is started with LD_PRELOAD: whoever changes a file there, be it Python,
 * SQLite or FAISS, calls one of the functions below. Every call is an event; events are counted over all processes,
 * and at the chosen one the process is killed, before it or in the midst of it, or is told that it failed.
 *
 * FAULTS_UNDER    the folder; without it nothing happens
 * FAULTS_CONTROL  a file of at least 16 bytes: how many events there were, and how many faults (two numbers of 64 bits)
 * FAULTS_KINDS    of which kinds: w writes, s syncs, n names (rename, unlink, mkdir, link), c creation and truncation
 * FAULTS_DO       kill, torn (half of a write is done, then kill), or the number of an error: fail
 * FAULTS_AT       at which event, from 1 on; 0 for none
 * FAULTS_TO       with an error: the last event that fails
 * FAULTS_LOG      a file that everything which was done is appended to, with its data: see power_loss.py
 *
 * Constructor or faults_arm() read these; a process that forks workers calls faults_arm() in each of them.
 * Not seen: writes by stdio and through memory maps, of which SQLite's -shm is the only one here. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
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

static struct {
    char under[PATH_MAX], kinds[16];
    size_t length;
    int does, error, log;
    uint64_t at, to;
    volatile uint64_t *control;
} plan = {.log = -1};

enum { NOTHING, KILL, TORN, FAIL };
static pthread_mutex_t in_order = PTHREAD_MUTEX_INITIALIZER;

static const char *said(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

__attribute__((visibility("default"))) void faults_arm(void) {
    const char *under = said("FAULTS_UNDER", NULL);
    plan.length = 0;
    if (!under) return;
    const char *does = said("FAULTS_DO", "");
    snprintf(plan.kinds, sizeof plan.kinds, "%s", said("FAULTS_KINDS", "wsnc"));
    plan.does = !strcmp(does, "kill") ? KILL : !strcmp(does, "torn") ? TORN : *does ? FAIL : NOTHING;
    plan.error = atoi(does);
    plan.at = strtoull(said("FAULTS_AT", "0"), NULL, 10);
    plan.to = strtoull(said("FAULTS_TO", "0"), NULL, 10);
    int control = syscall(SYS_openat, AT_FDCWD, said("FAULTS_CONTROL", "/dev/null"), O_RDWR | O_CLOEXEC, 0);
    if (control < 0) abort();
    void *mapped = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, control, 0);
    syscall(SYS_close, control);
    if (mapped == MAP_FAILED) abort();
    plan.control = mapped;
    const char *log = said("FAULTS_LOG", NULL);
    if (log) {
        plan.log = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (plan.log < 0) abort();
    }
    snprintf(plan.under, sizeof plan.under, "%s", under);
    plan.length = strlen(plan.under);
}

__attribute__((constructor)) static void arm_at_start(void) { faults_arm(); }

static int is_under(const char *path) {
    return plan.length && !strncmp(path, plan.under, plan.length) && (path[plan.length] == '/' || !path[plan.length]);
}

/* Write the whole path of a name into `path`, and tell whether it is watched. */
static int named(int folder, const char *name, char path[PATH_MAX]) {
    if (!plan.length || !name) return 0;
    if (*name == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        char link[64], base[PATH_MAX];
        ssize_t length;
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            if ((length = readlink(link, base, sizeof base - 1)) < 0) return 0;
            base[length] = 0;
        }
        if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) return 0;
    }
    return is_under(path);
}

static int opened(int descriptor, char path[PATH_MAX]) {
    if (!plan.length) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_under(path) && !strstr(path, " (deleted)");
}

static void killed(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

/* Count an event. Return 0, TORN for a write that is to end halfway, or FAIL with errno set. */
static int event(char kind) {
    if (!strchr(plan.kinds, kind)) return 0;
    uint64_t number = __atomic_add_fetch(&plan.control[0], 1, __ATOMIC_SEQ_CST);
    int is_it = plan.at && number >= plan.at && (plan.does == FAIL ? number <= plan.to : number == plan.at);
    if (!is_it || plan.does == NOTHING) return 0;
    __atomic_add_fetch(&plan.control[1], 1, __ATOMIC_SEQ_CST);
    if (plan.does == KILL || (plan.does == TORN && kind != 'w')) killed();
    errno = plan.error;
    return plan.does;
}

struct record {
    char what;
    uint8_t unused;
    uint16_t length, second;
    uint16_t none;
    uint64_t offset, bytes;
};

static void log_it(char what, const char *path, const char *second, uint64_t offset, const void *data, uint64_t bytes) {
    if (plan.log < 0) return;
    int before = errno;
    struct record record = {what, 0, strlen(path), second ? strlen(second) : 0, 0, offset, bytes};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)path, record.length},
                            {(void *)second, record.second}, {(void *)data, data ? bytes : 0}};
    if (syscall(SYS_writev, plan.log, parts, 4) < 0) abort();
    errno = before;
}

#define REAL(type, name, ...)                                          \
    static type (*real)(__VA_ARGS__);                                  \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)
#define BEGIN() if (plan.log >= 0) pthread_mutex_lock(&in_order)
#define END() if (plan.log >= 0) pthread_mutex_unlock(&in_order)

/* Writes */

static int64_t place_of(int descriptor) {
    if (plan.log < 0) return 0;
    int flags = fcntl(descriptor, F_GETFL);
    struct stat found;
    if (flags >= 0 && (flags & O_APPEND) && !fstat(descriptor, &found)) return found.st_size;
    return lseek(descriptor, 0, SEEK_CUR);
}

#define WRITE(descriptor, size, half, whole, place, data)              \
    char path[PATH_MAX];                                               \
    if (!opened(descriptor, path)) return whole;                       \
    int fault = event('w');                                            \
    if (fault == FAIL) return -1;                                      \
    if (fault == TORN) {                                               \
        if ((size) > 1) (void)!(half);                                 \
        killed();                                                      \
    }                                                                  \
    BEGIN();                                                           \
    int64_t at = place;                                                \
    ssize_t done = whole;                                              \
    if (done > 0) log_it('w', path, NULL, at, data, done);             \
    END();                                                             \
    return done

ssize_t write(int descriptor, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    WRITE(descriptor, size, real(descriptor, data, size / 2), real(descriptor, data, size), place_of(descriptor), data);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    WRITE(descriptor, size, real(descriptor, data, size / 2, offset), real(descriptor, data, size, offset), offset, data);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) {
    return pwrite(descriptor, data, size, offset);
}

/* Several pieces are one event, and are written one by one only where they are recorded. */
ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    char path[PATH_MAX];
    if (!opened(descriptor, path)) return real(descriptor, parts, count);
    if (plan.log < 0) {
        int fault = event('w');
        if (fault == FAIL) return -1;
        if (fault == TORN) {
            if (count > 1) (void)!real(descriptor, parts, count / 2);
            killed();
        }
        return real(descriptor, parts, count);
    }
    ssize_t all = 0;
    for (int place = 0; place < count; place++) {
        ssize_t done = write(descriptor, parts[place].iov_base, parts[place].iov_len);
        if (done < 0) return all ? all : -1;
        all += done;
        if ((size_t)done < parts[place].iov_len) break;
    }
    return all;
}

/* Who copies within the kernel is told to write by itself. */
ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
    REAL(ssize_t, sendfile, int, int, off_t *, size_t);
    char path[PATH_MAX];
    if (opened(to, path)) return errno = ENOTSOCK, -1;
    return real(to, from, offset, count);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) { return sendfile(to, from, offset, count); }

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *place, size_t count, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    char path[PATH_MAX];
    if (opened(to, path)) return errno = ENOSYS, -1;
    return real(from, at, to, place, count, flags);
}

/* Everything else: an event, and the call. */

#define CALL(watched, kind, call, log)                                 \
    if (!(watched)) return call;                                       \
    if (event(kind) == FAIL) return -1;                                \
    BEGIN();                                                           \
    int done = call;                                                   \
    if (done >= 0) log;                                                \
    END();                                                             \
    return done

int fsync(int descriptor) {
    REAL(int, fsync, int);
    char path[PATH_MAX];
    CALL(opened(descriptor, path), 's', real(descriptor), log_it('s', path, NULL, 0, NULL, 0));
}

int fdatasync(int descriptor) {
    REAL(int, fdatasync, int);
    char path[PATH_MAX];
    CALL(opened(descriptor, path), 's', real(descriptor), log_it('s', path, NULL, 0, NULL, 0));
}

static int moved(int folder, const char *name, int folder_to, const char *to, unsigned flags) {
    char path[PATH_MAX], target[PATH_MAX];
    int from = named(folder, name, path), into = named(folder_to, to, target);
    CALL(from || into, 'n', syscall(SYS_renameat2, folder, name, folder_to, to, flags), log_it('r', path, target, 0, NULL, 0));
}

int rename(const char *name, const char *to) { return moved(AT_FDCWD, name, AT_FDCWD, to, 0); }
int renameat(int folder, const char *name, int into, const char *to) { return moved(folder, name, into, to, 0); }
int renameat2(int folder, const char *name, int into, const char *to, unsigned flags) {
    return moved(folder, name, into, to, flags);
}

static int removed(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    CALL(named(folder, name, path), 'n', syscall(SYS_unlinkat, folder, name, flags), log_it('u', path, NULL, 0, NULL, 0));
}

int unlink(const char *name) { return removed(AT_FDCWD, name, 0); }
int unlinkat(int folder, const char *name, int flags) { return removed(folder, name, flags); }
int rmdir(const char *name) { return removed(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    CALL(named(folder, name, path), 'n', syscall(SYS_mkdirat, folder, name, mode), log_it('m', path, NULL, 0, NULL, 0));
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int linkat(int folder, const char *name, int into, const char *to, int flags) {
    char path[PATH_MAX], target[PATH_MAX];
    named(folder, name, path);
    CALL(named(into, to, target), 'n', syscall(SYS_linkat, folder, name, into, to, flags),
         log_it('l', path, target, 0, NULL, 0));
}

int link(const char *name, const char *to) { return linkat(AT_FDCWD, name, AT_FDCWD, to, 0); }

int symlinkat(const char *target, int folder, const char *name) {
    char path[PATH_MAX];
    CALL(named(folder, name, path), 'n', syscall(SYS_symlinkat, target, folder, name),
         log_it('y', path, target, 0, NULL, 0));
}

int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }

static int created(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !named(folder, name, path)) return syscall(SYS_openat, folder, name, flags, mode);
    struct stat found;
    int is_there = !fstatat(folder, name, &found, 0);
    if (is_there && (flags & (O_EXCL | O_TRUNC)) == 0) return syscall(SYS_openat, folder, name, flags, mode);
    if (event('c') == FAIL) return -1;
    BEGIN();
    int done = syscall(SYS_openat, folder, name, flags, mode);
    if (done >= 0) log_it('c', path, NULL, flags & O_TRUNC ? 1 : 0, NULL, 0);
    END();
    return done;
}

#define OPEN(name, folder, ...)                                        \
    int name(__VA_ARGS__, int flags, ...) {                            \
        mode_t mode = 0;                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                           \
            va_list more;                                              \
            va_start(more, flags);                                     \
            mode = va_arg(more, mode_t);                               \
            va_end(more);                                              \
        }                                                              \
        return created(folder, path, flags, mode);                     \
    }
OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, folder, int folder, const char *path)
OPEN(openat64, folder, int folder, const char *path)
int creat(const char *path, mode_t mode) { return created(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int ftruncate(int descriptor, off_t size) {
    char path[PATH_MAX];
    CALL(opened(descriptor, path), 'c', syscall(SYS_ftruncate, descriptor, size),
         log_it('t', path, NULL, size, NULL, 0));
}

int ftruncate64(int descriptor, off64_t size) { return ftruncate(descriptor, size); }

int truncate(const char *name, off_t size) {
    char path[PATH_MAX];
    CALL(named(AT_FDCWD, name, path), 'c', syscall(SYS_truncate, name, size), log_it('t', path, NULL, size, NULL, 0));
}

int posix_fallocate(int descriptor, off_t offset, off_t length) {
    REAL(int, posix_fallocate, int, off_t, off_t);
    char path[PATH_MAX];
    if (!opened(descriptor, path)) return real(descriptor, offset, length);
    if (event('c') == FAIL) return plan.error;
    int failed = real(descriptor, offset, length);
    struct stat found;
    if (!failed && !fstat(descriptor, &found)) log_it('t', path, NULL, found.st_size, NULL, 0);
    return failed;
}

int posix_fallocate64(int descriptor, off64_t offset, off64_t length) {
    return posix_fallocate(descriptor, offset, length);
}
