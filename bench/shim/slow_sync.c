// Preloaded into a program, makes each sync of a file take longer by SLOW_SYNC_US microseconds.
//
// So a slower disk can be had on any machine: the program waits as long as such a disk would make it
// wait, and uses no processor meanwhile. What is written is synced as before.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

typedef int (*Sync)(int);

static void wait_longer(void) {
    const char *text = getenv("SLOW_SYNC_US");
    long us = text ? atol(text) : 0;
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (us > 0 && nanosleep(&left, &left) && errno == EINTR) {}
}

static int slowly(const char *name, int file) {
    Sync sync = (Sync)dlsym(RTLD_NEXT, name);
    int result = sync(file), error = errno;
    wait_longer();
    errno = error;
    return result;
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
