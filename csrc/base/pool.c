#define _GNU_SOURCE /* sched_getaffinity */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

#include "base/alloc.h"

typedef struct worker {
  espq_pool *pool;
  int index;
  pthread_t thread;
} worker;

struct espq_pool {
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  int threads;
  bool stop;
  espq_job *job;
  void *context;
  size_t next, jobs, finished;
  worker workers[];
};

static void *work(void *argument) {
  worker *w = argument;
  espq_pool *p = w->pool;
  pthread_mutex_lock(&p->lock);
  for (;;) {
    while (!p->stop && p->next >= p->jobs) pthread_cond_wait(&p->work, &p->lock);
    if (p->stop) break;
    size_t job = p->next++;
    pthread_mutex_unlock(&p->lock);
    p->job(p->context, job, w->index);
    pthread_mutex_lock(&p->lock);
    if (++p->finished == p->jobs) pthread_cond_signal(&p->done);
  }
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

static int usable_cpus(void) {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
  return n < 1 ? 1 : n;
}

espq_status espq_pool_new(int threads, espq_pool **out, espq_error *err) {
  if (threads <= 0) threads = usable_cpus();
  if (threads > ESPQ_POOL_MAX) threads = ESPQ_POOL_MAX;
  espq_pool *p = espq_calloc(1, sizeof *p + (size_t)threads * sizeof *p->workers);
  if (!p) return espq_fail_memory(err);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  pthread_cond_init(&p->done, NULL);
  for (; p->threads < threads; p->threads++) {
    worker *w = &p->workers[p->threads];
    *w = (worker){.pool = p, .index = p->threads};
    if (pthread_create(&w->thread, NULL, work, w)) break;
  }
  if (p->threads == 0) {
    espq_pool_free(p);
    return espq_fail(err, ESPQ_EMEMORY, "cannot start a thread");
  }
  *out = p;
  return ESPQ_OK;
}

void espq_pool_free(espq_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->lock);
  pool->stop = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < pool->threads; i++) pthread_join(pool->workers[i].thread, NULL);
  pthread_mutex_destroy(&pool->lock);
  pthread_cond_destroy(&pool->work);
  pthread_cond_destroy(&pool->done);
  espq_free(pool);
}

int espq_pool_threads(const espq_pool *pool) { return pool->threads; }

void espq_pool_run(espq_pool *pool, size_t jobs, espq_job *job, void *context) {
  if (!jobs) return;
  pthread_mutex_lock(&pool->lock);
  pool->job = job;
  pool->context = context;
  pool->next = pool->finished = 0;
  pool->jobs = jobs;
  pthread_cond_broadcast(&pool->work);
  while (pool->finished < pool->jobs) pthread_cond_wait(&pool->done, &pool->lock);
  pool->jobs = pool->next = 0;
  pthread_mutex_unlock(&pool->lock);
}
