/* pool.h - a fixed set of worker threads that take numbered jobs.
 *
 * Jobs 0..n-1 are handed out in order; which worker takes which is up to chance, so a job must write only
 * what belongs to its number or its worker. One run at a time.
 *
 *   espq_pool *pool;
 *   espq_pool_new(2, &pool, err);
 *   espq_pool_run(pool, chunks, one_chunk, &context);   -- returns when all are done
 */
#ifndef ESPQ_BASE_POOL_H
#define ESPQ_BASE_POOL_H

#include <stddef.h>

#include "base/error.h"

enum { ESPQ_POOL_MAX = 256 };

typedef struct espq_pool espq_pool;
typedef void espq_job(void *context, size_t job, int worker);

/* threads 0: as many as the process may use; at most ESPQ_POOL_MAX. */
espq_status espq_pool_new(int threads, espq_pool **out, espq_error *err);
void espq_pool_free(espq_pool *pool); /* NULL is allowed */
int espq_pool_threads(const espq_pool *pool);
void espq_pool_run(espq_pool *pool, size_t jobs, espq_job *job, void *context);

#endif
