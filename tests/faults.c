/* Allocations that fail on demand: preloaded before a process, for the calls that come from a range of addresses.
 *
 * The n-th allocation, or start of a thread, that the watched code makes fails as it would without memory. What it
 * allocated and did not free is counted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

static const char *low, *high;
static atomic_long countdown = -1, outstanding, failed;

void faults_watch(const char *from, const char *to) {
    low = from;
    high = to;
}

/* The n-th call from now fails, or none if n is 0. */
void faults_at(long n) {
    countdown = n ? n : -1;
    failed = 0;
}

long faults_outstanding(void) { return outstanding; }

long faults_failed(void) { return failed; }

static int watched(const char *caller) { return caller >= low && caller < high; }

static int fails(void) {
    if (countdown < 0 || atomic_fetch_sub(&countdown, 1) != 1) return 0;
    failed++;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CALLER ((const char *)__builtin_return_address(0))

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), __libc_free(void *);

void *malloc(size_t size) {
    if (!watched(CALLER)) return __libc_malloc(size);
    if (fails()) return NULL;
    outstanding++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    if (!watched(CALLER)) return __libc_calloc(count, size);
    if (fails()) return NULL;
    outstanding++;
    return __libc_calloc(count, size);
}

int posix_memalign(void **to, size_t alignment, size_t size) {
    static int (*next)(void **, size_t, size_t);
    if (!next) next = NEXT(posix_memalign);
    if (watched(CALLER)) {
        if (fails()) return ENOMEM;
        outstanding++;
    }
    return next(to, alignment, size);
}

void free(void *memory) {
    if (memory && watched(CALLER)) outstanding--;
    __libc_free(memory);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with) {
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!next) next = NEXT(pthread_create);
    if (watched(CALLER) && fails()) return EAGAIN;
    return next(thread, how, run, with);
}
