/*
 * Stands between a program and its disk: every change of a file below the directory the program was started in is
 * passed on and written to a log, in the order in which it happened. Nothing is ever really synced; that is noted, too,
 * or refused while a file says that the disk is broken.
 *
 * A record is: kind (1 byte), inode (8), number (8), length (4), that many bytes. Numbers have the machine's order.
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
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char home[PATH_MAX];
static const char *broken;
static int ledger = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWER_CUT_LOG");
    broken = getenv("POWER_CUT_BROKEN");
    if (path == NULL || getcwd(home, sizeof home) == NULL) return;
    ledger = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void put(const void *bytes, size_t length) {
    while (length > 0) {
        ssize_t done = REAL(write)(ledger, bytes, length);
        if (done <= 0) abort();
        bytes = (const char *)bytes + done;
        length -= (size_t)done;
    }
}

static void note(char kind, uint64_t inode, uint64_t number, const void *bytes, uint32_t length) {
    put(&kind, 1);
    put(&inode, 8);
    put(&number, 8);
    put(&length, 4);
    put(bytes, length);
}

/* Below our directory: what follows its name and a slash, or "" for itself. Otherwise NULL. */
static const char *below(const char *path) {
    size_t length = strlen(home);
    if (ledger < 0 || strncmp(path, home, length) != 0) return NULL;
    if (path[length] == 0) return path + length;
    return path[length] == '/' ? path + length + 1 : NULL;
}

/* The same for a path as a program writes it; `whole` has room for it. */
static const char *named(const char *path, char *whole) {
    if (ledger < 0) return NULL;
    int length = path[0] == '/' ? snprintf(whole, PATH_MAX, "%s", path)
                                 : snprintf(whole, PATH_MAX, "%s/%s", home, strncmp(path, "./", 2) == 0 ? path + 2 : path);
    return length < PATH_MAX ? below(whole) : NULL;
}

/* The same for an open file. */
static const char *opened(int fd, char *whole) {
    char link[64];
    if (ledger < 0 || fd == ledger) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, whole, PATH_MAX - 1);
    if (length <= 0) return NULL;
    whole[length] = 0;
    return below(whole);
}

static uint64_t inode_of(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 ? (uint64_t)found.st_ino : 0;
}

static int open_and_note(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    const char *name = at == AT_FDCWD || path[0] == '/' ? named(path, whole) : NULL;
    if (name == NULL || (flags & (O_CREAT | O_TRUNC)) == 0 || (flags & O_TMPFILE) == O_TMPFILE)
        return REAL(openat)(at, path, flags, mode);
    pthread_mutex_lock(&turn);
    int existed = access(whole, F_OK) == 0;
    int fd = REAL(openat)(at, path, flags, mode);
    int error = errno;
    if (fd >= 0 && !existed) note('C', inode_of(fd), 0, name, (uint32_t)strlen(name));
    if (fd >= 0 && existed && (flags & O_TRUNC)) note('T', inode_of(fd), 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    errno = error;
    return fd;
}

#define OPEN(...)                                                                \
    mode_t mode = 0;                                                             \
    if (flags & (O_CREAT | O_TMPFILE)) {                                         \
        va_list rest;                                                            \
        va_start(rest, flags);                                                   \
        mode = va_arg(rest, mode_t);                                             \
        va_end(rest);                                                            \
    }                                                                            \
    return open_and_note(__VA_ARGS__, path, flags, mode)

int open(const char *path, int flags, ...) { OPEN(AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN(AT_FDCWD); }
int openat(int at, const char *path, int flags, ...) { OPEN(at); }
int openat64(int at, const char *path, int flags, ...) { OPEN(at); }

static ssize_t write_at(int fd, const void *bytes, size_t length, off_t offset) {
    char whole[PATH_MAX];
    if (opened(fd, whole) == NULL) return REAL(pwrite)(fd, bytes, length, offset);
    pthread_mutex_lock(&turn);
    ssize_t done = REAL(pwrite)(fd, bytes, length, offset);
    int error = errno;
    if (done > 0) note('W', inode_of(fd), (uint64_t)offset, bytes, (uint32_t)done);
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return write_at(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return write_at(fd, bytes, length, offset); }

/* What the program says on its standard output is noted, too: so it is known what it had acknowledged when. */
ssize_t write(int fd, const void *bytes, size_t length) {
    char whole[PATH_MAX];
    int inside = opened(fd, whole) != NULL;
    int said = fd == 1 && ledger >= 0 && !inside;
    if (!said && !inside) return REAL(write)(fd, bytes, length);
    pthread_mutex_lock(&turn);
    ssize_t done = REAL(write)(fd, bytes, length);
    int error = errno;
    if (done > 0 && said) note('A', 0, 0, bytes, (uint32_t)done);
    if (done > 0 && !said) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        note('W', inode_of(fd), (uint64_t)(end - done), bytes, (uint32_t)done);
    }
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}

/* One part after another: a program must go on after a short write anyway. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    char whole[PATH_MAX];
    if (opened(fd, whole) == NULL && !(fd == 1 && ledger >= 0)) return REAL(writev)(fd, parts, count);
    ssize_t all = 0;
    for (int at = 0; at < count; at++) {
        ssize_t done = write(fd, parts[at].iov_base, parts[at].iov_len);
        if (done < 0) return all > 0 ? all : done;
        all += done;
        if ((size_t)done < parts[at].iov_len) break;
    }
    return all;
}

static int cut_to(int fd, off_t length) {
    char whole[PATH_MAX];
    if (opened(fd, whole) == NULL) return REAL(ftruncate)(fd, length);
    pthread_mutex_lock(&turn);
    int outcome = REAL(ftruncate)(fd, length);
    int error = errno;
    if (outcome == 0) note('T', inode_of(fd), (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&turn);
    errno = error;
    return outcome;
}

int ftruncate(int fd, off_t length) { return cut_to(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut_to(fd, length); }

static int sync_file(int fd) {
    char whole[PATH_MAX];
    struct stat found;
    const char *name = opened(fd, whole);
    if (name == NULL || fstat(fd, &found) != 0) return 0;
    pthread_mutex_lock(&turn);
    int fails = broken != NULL && access(broken, F_OK) == 0;
    int directory = S_ISDIR(found.st_mode);
    if (fails) note('F', (uint64_t)found.st_ino, 0, NULL, 0);
    else if (directory) note('D', 0, 0, name, (uint32_t)strlen(name));
    else note('S', (uint64_t)found.st_ino, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    errno = fails ? EIO : 0;
    return fails ? -1 : 0;
}

int fsync(int fd) { return sync_file(fd); }
int fdatasync(int fd) { return sync_file(fd); }

/* Removes or makes a name. */
static int change(char kind, const char *path, int (*act)(const char *, mode_t), mode_t mode) {
    char whole[PATH_MAX];
    const char *name = named(path, whole);
    if (name == NULL) return act(path, mode);
    pthread_mutex_lock(&turn);
    int outcome = act(path, mode);
    int error = errno;
    if (outcome == 0) note(kind, 0, 0, name, (uint32_t)strlen(name));
    pthread_mutex_unlock(&turn);
    errno = error;
    return outcome;
}

static int remove_it(const char *path, mode_t mode) { (void)mode; return REAL(unlink)(path); }
static int make_it(const char *path, mode_t mode) { return REAL(mkdir)(path, mode); }
int unlink(const char *path) { return change('U', path, remove_it, 0); }
int mkdir(const char *path, mode_t mode) { return change('M', path, make_it, mode); }

/* Gives a file another name, or one more. */
static int change_both(char kind, const char *from, const char *to, int (*act)(const char *, const char *)) {
    char whole[2][PATH_MAX], both[2 * PATH_MAX];
    const char *old = named(from, whole[0]), *new = named(to, whole[1]);
    if (old == NULL || new == NULL) return act(from, to);
    pthread_mutex_lock(&turn);
    int outcome = act(from, to);
    int error = errno;
    int length = snprintf(both, sizeof both, "%s%c%s", old, '\n', new);
    if (outcome == 0) note(kind, 0, 0, both, (uint32_t)length);
    pthread_mutex_unlock(&turn);
    errno = error;
    return outcome;
}

static int rename_it(const char *from, const char *to) { return REAL(rename)(from, to); }
static int link_it(const char *from, const char *to) { return REAL(link)(from, to); }
int rename(const char *from, const char *to) { return change_both('R', from, to, rename_it); }
int link(const char *from, const char *to) { return change_both('L', from, to, link_it); }
int linkat(int old, const char *from, int new, const char *to, int flags) {
    int plain = old == AT_FDCWD && new == AT_FDCWD && flags == 0;
    return plain ? link(from, to) : REAL(linkat)(old, from, new, to, flags);
}
