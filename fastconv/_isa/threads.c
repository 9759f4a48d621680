/* The worker pool of threads.h, on POSIX threads. */
#include "fastconv/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#define FENCE() __builtin_ia32_sfence() /* after stores past the caches, which are not ordered with the others */
#else
#define PAUSE() ((void)0)
#define FENCE() ((void)0)
#endif

/* Workers look for the next call this many times before they sleep: a wake-up through the kernel costs 5 to 50 us, as
 * much as a small layer; a pause is 40 to 140 cycles, so they spin for some 20 to 100 us. */
enum { SPINS = 2000 };

/* Each thread has a share of the items, [next, end), and helps the others when its own is done. A thread so meets the
 * same items in every call of a layer, whose pixels and weights its own cache still has: `mobilenet_1x1_32-64@112` on
 * two threads 0.236 to 0.140 ms. Apart by two cache lines, which processors fetch together. */
typedef struct {
    _Alignas(128) atomic_ptrdiff_t next;
    ptrdiff_t end;
} share;

static share shares[FC_MAX_THREADS];

static struct {
    pthread_mutex_t taken; /* held by the call that has the pool */
    pthread_mutex_t lock;  /* guards `started`, `quit` and the sleep of workers */
    pthread_cond_t wake;
    pthread_t thread[FC_MAX_THREADS];
    int started;
    int sleeping;
    int quit;
    int hooked;

    fc_work_fn *work; /* the call, published by `generation` */
    void *job;
    int wanted;
    atomic_uint generation;
    atomic_int busy; /* workers that have not finished the call */
} pool = {.taken = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void share_items(ptrdiff_t items, ptrdiff_t threads) {
    ptrdiff_t first = 0;
    for (ptrdiff_t i = 0; i < threads; i++) {
        atomic_store(&shares[i].next, first);
        first += items / threads + (i < items % threads);
        shares[i].end = first;
    }
}

static void take_items(ptrdiff_t worker) {
    for (int i = 0; i < pool.wanted; i++) {
        share *s = &shares[(worker + i) % pool.wanted];
        for (ptrdiff_t item; (item = atomic_fetch_add(&s->next, 1)) < s->end;) pool.work(pool.job, item, worker);
    }
    FENCE();
}

static void sleep_until(unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool.generation) != seen) return;
        PAUSE();
    }
    pthread_mutex_lock(&pool.lock);
    pool.sleeping++;
    while (atomic_load(&pool.generation) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
    pool.sleeping--;
    pthread_mutex_unlock(&pool.lock);
}

/* A worker is number 1, 2, ...; the caller is 0. Its argument carries its number and the generation it starts after. */
typedef struct {
    ptrdiff_t number;
    unsigned seen;
} start;

static start starts[FC_MAX_THREADS];

static void *run_worker(void *argument) {
    const start *s = argument;
    const ptrdiff_t number = s->number;
    unsigned seen = s->seen;
    for (;;) {
        sleep_until(seen);
        seen = atomic_load(&pool.generation);
        if (pool.quit) return NULL;
        if (number < pool.wanted) take_items(number);
        atomic_fetch_sub(&pool.busy, 1);
    }
}

/* New call for all workers. Those beyond `wanted` only report back. */
static void publish(void) {
    atomic_store(&pool.busy, pool.started);
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.generation, 1);
    if (pool.sleeping) pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
}

static void in_child(void) {
    pthread_mutex_init(&pool.taken, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.started = pool.sleeping = pool.quit = 0;
    atomic_store(&pool.busy, 0);
}

static void start_workers(int wanted) {
    if (!pool.hooked) pool.hooked = pthread_atfork(NULL, NULL, in_child) == 0;
    if (!pool.hooked) return;
    while (pool.started < wanted - 1) {
        start *s = &starts[pool.started];
        s->number = pool.started + 1;
        s->seen = atomic_load(&pool.generation);
        if (pthread_create(&pool.thread[pool.started], NULL, run_worker, s)) return;
        pool.started++;
    }
}

void fc_parallel(fc_work_fn *work, void *job, ptrdiff_t items, ptrdiff_t threads) {
    if (threads > items) threads = items;
    if (threads > FC_MAX_THREADS) threads = FC_MAX_THREADS;
    if (threads <= 1 || pthread_mutex_trylock(&pool.taken)) {
        for (ptrdiff_t item = 0; item < items; item++) work(job, item, 0);
        FENCE();
        return;
    }
    start_workers((int)threads);
    pool.work = work;
    pool.job = job;
    pool.wanted = (int)threads;
    share_items(items, threads);
    publish();
    take_items(0);
    while (atomic_load(&pool.busy)) PAUSE();
    pthread_mutex_unlock(&pool.taken);
}

void fc_stop_threads(void) {
    pthread_mutex_lock(&pool.taken);
    pool.quit = 1;
    publish();
    for (int i = 0; i < pool.started; i++) pthread_join(pool.thread[i], NULL);
    pool.started = pool.quit = 0;
    pthread_mutex_unlock(&pool.taken);
}
