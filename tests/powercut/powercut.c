/* Loaded before libc (LD_PRELOAD): writes down, in order, what a program does to the files of one folder.
 *
 * POWERCUT_FOLDER  the folder, as an absolute path without symbolic links
 * POWERCUT_LOG     the file for the record, outside that folder
 *
 * Watched are files ending in .db, -wal and -journal. Not -shm: it is memory that SQLite builds anew after a crash.
 * A sync is written down and not done: the disk is simulated by whoever reads the record, and the test is fast on any disk.
 *
 * The record is a sequence of: operation (1 byte), length of the name (1), nothing (2), length of the data (4),
 * number (8: offset, size, or the sync's number), name, data; integers in the machine's byte order.
 *   C name              created           W name, offset, data   written
 *   U name              removed           T name, size           truncated or extended
 *   R name, new name    renamed           M text                 a mark of the program's own (powercut_mark)
 *   S name, number      a sync began      E name, number         that sync ended; name "." is the folder itself
 *   X what              something that this record cannot express: whoever reads it must give up
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static size_t folder_length;
static int record_fd = -1;
static int64_t syncs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The operation and its line in the record belong together, whichever thread comes next. */
#define LOCKED pthread_mutex_lock(&lock)
#define UNLOCKED pthread_mutex_unlock(&lock)
#define REAL(result, name, ...)                                                                                        \
    static result (*real)(__VA_ARGS__);                                                                                \
    if (!real)                                                                                                         \
        *(void **)&real = dlsym(RTLD_NEXT, #name)

struct entry {
    uint8_t operation, name_length;
    uint16_t nothing;
    uint32_t length;
    int64_t number;
};

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("POWERCUT_FOLDER"), *record = getenv("POWERCUT_LOG");
    if (!where || !record || strlen(where) >= sizeof folder)
        return;
    strcpy(folder, where);
    folder_length = strlen(folder);
    record_fd = open(record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(char operation, const char *name, int64_t number, const void *data, size_t length) {
    struct entry head = {(uint8_t)operation, (uint8_t)strlen(name), 0, (uint32_t)length, number};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)name, head.name_length}, {(void *)data, length}};
    size_t wanted = sizeof head + head.name_length + length;
    if (writev(record_fd, parts, 3) != (ssize_t)wanted) {
        static const char why[] = "powercut: the record cannot be written\n";
        REAL(ssize_t, write, int, const void *, size_t);
        if (real(2, why, sizeof why - 1)) {}
        abort();
    }
}

static int ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}

/* The name within the folder if the path is one of the watched, "." for the folder itself, else NULL. */
static const char *watched(const char *path) {
    if (record_fd < 0 || strncmp(path, folder, folder_length))
        return NULL;
    if (!path[folder_length])
        return ".";
    const char *name = path + folder_length + 1;
    if (path[folder_length] != '/' || strchr(name, '/') || strlen(name) > 200)
        return NULL;
    return ends_with(name, ".db") || ends_with(name, "-wal") || ends_with(name, "-journal") ? name : NULL;
}

static const char *watched_fd(int fd, char *path) {
    char link[40];
    if (record_fd < 0 || fd == record_fd)
        return NULL;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    errno = before;
    if (length < 0)
        return NULL;
    path[length] = 0;
    return watched(path);
}

void powercut_mark(const char *text) {
    if (record_fd < 0)
        return;
    LOCKED;
    note('M', "", 0, text, strlen(text));
    UNLOCKED;
}

#define MODE_OF(flags)                                                                                                 \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = (mode_t)va_arg(rest, int);                                                                              \
        va_end(rest);                                                                                                  \
    }

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    const char *name = watched(path);
    if (!name || !(flags & (O_CREAT | O_TRUNC)))
        return real(path, flags, mode);
    LOCKED;
    int created = access(path, F_OK) != 0;
    int fd = real(path, flags, mode);
    if (fd >= 0 && created)
        note('C', name, 0, "", 0);
    else if (fd >= 0 && flags & O_TRUNC)
        note('T', name, 0, "", 0);
    UNLOCKED;
    return fd;
}

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    REAL(int, open, const char *, int, ...);
    return opened(real, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    REAL(int, open64, const char *, int, ...);
    return opened(real, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    REAL(ssize_t, write, int, const void *, size_t);
    const char *name = watched_fd(fd, path);
    if (!name)
        return real(fd, data, length);
    LOCKED;
    off_t offset = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    ssize_t done = real(fd, data, length);
    if (done > 0)
        note('W', name, offset, data, (size_t)done);
    UNLOCKED;
    return done;
}

static ssize_t written(ssize_t (*real)(int, const void *, size_t, off64_t), int fd, const void *data, size_t length,
                       off64_t offset) {
    char path[PATH_MAX];
    const char *name = watched_fd(fd, path);
    if (!name)
        return real(fd, data, length, offset);
    LOCKED;
    ssize_t done = real(fd, data, length, offset);
    if (done > 0)
        note('W', name, offset, data, (size_t)done);
    UNLOCKED;
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off64_t);
    return written(real, fd, data, length, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    return written(real, fd, data, length, offset);
}

static int truncated(int (*real)(int, off64_t), int fd, off64_t size) {
    char path[PATH_MAX];
    const char *name = watched_fd(fd, path);
    if (!name)
        return real(fd, size);
    LOCKED;
    int result = real(fd, size);
    if (!result)
        note('T', name, size, "", 0);
    UNLOCKED;
    return result;
}

int ftruncate(int fd, off_t size) {
    REAL(int, ftruncate, int, off64_t);
    return truncated(real, fd, size);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, ftruncate64, int, off64_t);
    return truncated(real, fd, size);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    const char *name = watched(path);
    if (!name)
        return real(path);
    LOCKED;
    int result = real(path);
    if (!result)
        note('U', name, 0, "", 0);
    UNLOCKED;
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    const char *name = watched(from), *target = watched(to);
    if (!name && !target)
        return real(from, to);
    LOCKED;
    int result = real(from, to);
    if (!result && name && target)
        note('R', name, 0, target, strlen(target));
    else if (!result)
        note('X', "", 0, "rename", 6);
    UNLOCKED;
    return result;
}

static int synced(int (*real)(int), int fd) {
    char path[PATH_MAX];
    const char *name = watched_fd(fd, path);
    if (!name)
        return real(fd);
    LOCKED;
    int64_t number = ++syncs;
    note('S', name, number, "", 0);
    UNLOCKED;
    /* the other threads go on meanwhile, as they would during a real one */
    sched_yield();
    LOCKED;
    note('E', name, number, "", 0);
    UNLOCKED;
    return 0;
}

int fsync(int fd) {
    REAL(int, fsync, int);
    return synced(real, fd);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return synced(real, fd);
}

/* Ways of writing that SQLite does not use as it is built today. If it does tomorrow, the test must say so. */
static void beyond(const char *what) {
    LOCKED;
    note('X', "", 0, what, strlen(what));
    UNLOCKED;
}

static void check_map(int protection, int flags, int fd) {
    char path[PATH_MAX];
    if (fd >= 0 && protection & PROT_WRITE && flags & MAP_SHARED && watched_fd(fd, path))
        beyond("a shared writable mmap");
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    REAL(void *, mmap, void *, size_t, int, int, int, off_t);
    check_map(protection, flags, fd);
    return real(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    REAL(void *, mmap64, void *, size_t, int, int, int, off64_t);
    check_map(protection, flags, fd);
    return real(address, length, protection, flags, fd, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    char path[PATH_MAX];
    REAL(int, fallocate, int, int, off_t, off_t);
    if (watched_fd(fd, path))
        beyond("fallocate");
    return real(fd, mode, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    char path[PATH_MAX];
    REAL(int, posix_fallocate, int, off_t, off_t);
    if (watched_fd(fd, path))
        beyond("posix_fallocate");
    return real(fd, offset, length);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    char path[PATH_MAX];
    REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
    if (watched_fd(fd, path))
        beyond("pwritev");
    return real(fd, parts, count, offset);
}
