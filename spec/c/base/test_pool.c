/* The pool: every job once, each worker at most one at a time, and pools of several threads beside each other. */
#include <pthread.h>
#include <string.h>

#include "base/pool.h"
#include "check.h"

enum { JOBS = 1000, ROUNDS = 20, THREADS = 4, POOLS = 2 };

/* Counters without locks: a job owns done[job], a worker busy[worker] and sum[worker]. */
typedef struct work {
  int done[JOBS];
  int busy[THREADS], clashes[THREADS];
  long sum[THREADS];
} work;

static void job(void *context, size_t number, int worker) {
  work *w = context;
  if (w->busy[worker]++) w->clashes[worker]++;
  w->done[number]++;
  w->sum[worker] += (long)number;
  w->busy[worker]--;
}

/* What a run has written is there for whoever has started it; so each job of the next one may read it. */
static void read_all(void *context, size_t number, int worker) {
  work *w = context;
  w->sum[worker] += w->done[(number * 7 + 1) % JOBS];
}

static int run_pool(int threads) {
  espq_error err;
  espq_pool *pool = NULL;
  static _Thread_local work w;
  int bad = 0;
  memset(&w, 0, sizeof w);
  if (espq_pool_new(threads, &pool, &err)) return 1;
  bad += espq_pool_threads(pool) != threads;
  espq_pool_run(pool, 0, job, &w);
  for (int round = 1; round <= ROUNDS; round++) {
    memset(w.sum, 0, sizeof w.sum);
    espq_pool_run(pool, JOBS, job, &w);
    long sum = 0;
    for (int i = 0; i < threads; i++) sum += w.sum[i];
    for (int i = 0; i < JOBS; i++) bad += w.done[i] != round;
    for (int i = 0; i < threads; i++) bad += w.clashes[i];
    bad += sum != (long)JOBS * (JOBS - 1) / 2;
    memset(w.sum, 0, sizeof w.sum);
    espq_pool_run(pool, JOBS, read_all, &w);
    for (int i = 1; i < threads; i++) w.sum[0] += w.sum[i];
    bad += w.sum[0] != (long)JOBS * round;
  }
  espq_pool_free(pool);
  return bad;
}

static void *run(void *bad) {
  for (int threads = 1; threads <= THREADS; threads++) *(int *)bad += run_pool(threads);
  return NULL;
}

/* A race that ThreadSanitizer must report: scripts/soak asks for it. */
static void racy_job(void *context, size_t number, int worker) {
  (void)worker;
  for (int i = 0; i < 10000; i++) *(volatile long *)context += (long)number;
}

static int run_racy(void) {
  espq_error err;
  espq_pool *pool = NULL;
  long sum = 0;
  if (espq_pool_new(THREADS, &pool, &err)) return 1;
  for (int round = 0; round < ROUNDS; round++) espq_pool_run(pool, JOBS, racy_job, &sum);
  espq_pool_free(pool);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "race")) return run_racy();
  int bad[POOLS] = {0};
  pthread_t threads[POOLS];
  for (int i = 0; i < POOLS; i++) CHECK(pthread_create(&threads[i], NULL, run, &bad[i]) == 0);
  for (int i = 0; i < POOLS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(bad[i] == 0);
  }
  espq_pool_free(NULL);
  return check_report();
}
