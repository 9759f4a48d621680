/* A pool of worker threads that survives fork().
 *
 * fc_parallel calls work(job, item, worker) once for every item in [0, items), on at most `threads` threads, the
 * caller's among them, and returns when all are done. `worker` is below `threads` and no two calls that run at the
 * same time share it: it picks the scratch. Each thread has a share of the items, and helps the others when it is
 * done, so results must not depend on who does which.
 *
 * Workers are started at the first call that wants them. One parallel call has the pool at a time; a call that finds it
 * taken works alone, which is what many Python threads with a call each want anyway. After fork() the child starts with
 * an empty pool of its own. If threads cannot be started, the caller does more of the work.
 */
#ifndef FASTCONV_THREADS_H
#define FASTCONV_THREADS_H

#include <stddef.h>

typedef void fc_work_fn(void *job, ptrdiff_t item, ptrdiff_t worker);

enum { FC_MAX_THREADS = 256 };

void fc_parallel(fc_work_fn *work, void *job, ptrdiff_t items, ptrdiff_t threads);
void fc_stop_threads(void);

#endif
