/* What a disk would still hold after a power loss: whenever a file in the folder DISK_IS is told to be on the disk
   (fsync, fdatasync), it is copied to DISK_HOLDS. What was renamed is there once the folder itself was told so; of
   those only the file .home beside the database is looked after. Loaded before the C library's own (LD_PRELOAD). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* One at a time: who read an older state must not put it in the place of a newer one. */
static int one_at_a_time(const char *holds) {
    char path[1100];
    snprintf(path, sizeof path, "%s/.lock", holds);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock >= 0) flock(lock, LOCK_EX);
    return lock;
}

static void keep(const char *path, const char *holds) {
    char part[2200], whole[2100], buffer[65536];
    snprintf(whole, sizeof whole, "%s/%s", holds, strrchr(path, '/') + 1);
    snprintf(part, sizeof part, "%s.%d.%lx.part", whole, getpid(), (unsigned long)&part);
    int from = open(path, O_RDONLY), to = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t got, done = 0;
    while (from >= 0 && to >= 0 && (got = read(from, buffer, sizeof buffer)) > 0 && done >= 0)
        done = write(to, buffer, got) == got ? done + got : -1;
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    if (done >= 0) rename(part, whole);
}

static void copy(int fd) {
    char link[64], path[1024], home[1100];
    const char *is = getenv("DISK_IS"), *holds = getenv("DISK_HOLDS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!is || !holds || length < 0) return;
    path[length] = 0;
    snprintf(home, sizeof home, "%s/db.sqlite3.home", is);
    if (strncmp(path, is, strlen(is))) return;
    int lock = one_at_a_time(holds);
    if (!path[strlen(is)] && !access(home, R_OK)) keep(home, holds);
    if (path[strlen(is)] == '/') keep(path, holds);
    if (lock >= 0) close(lock);
}

#define SYNC(name)                                            \
    int name(int fd) {                                        \
        int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name); \
        int failed = real(fd);                                \
        if (!failed) copy(fd);                                \
        return failed;                                        \
    }
SYNC(fsync)
SYNC(fdatasync)
