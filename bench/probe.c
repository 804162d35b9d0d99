/* What the memory of this machine allows: plain passes over the arrays, by threads that only meet
 * at the start and at the end. Compiled for this very machine by ceiling.py. */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX__)
#define WIDTH 32
#else
#define WIDTH 16
#endif

/* A register; in memory it may begin at any multiple of 2. */
typedef long long Longs __attribute__((vector_size(WIDTH), aligned(2), may_alias));

enum Kind { kRead, kRewrite };

struct Probe {
  size_t arrays;
  char** starts;
  const size_t* bytes;
  size_t total;
  int threads;
  enum Kind kind;
  int untimed, repeats; /* passes */
  atomic_int ready, done;
};

struct Worker {
  struct Probe* probe;
  int number;
  long long sum; /* so that nothing is optimised away */
};

/* Ask for what is 8 KiB further on, sooner than processors do by themselves: what is in no cache,
 * Sapphire Rapids then reads in three quarters of the time. */
static void fetch(const char* p, size_t bytes) {
  for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + 8192 + line);
}

/* And for what is 32 KiB further on, into the second cache: reading takes another 0 to 7 % less,
 * rewriting as long as without. */
static void fetch_far(const char* p, size_t bytes) {
  for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + 32768 + line, 0, 2);
}

static long long read_all(const char* p, size_t n, int in_cache) {
  Longs sums[8] = {0};
  for (; n >= 8 * WIDTH; n -= 8 * WIDTH, p += 8 * WIDTH) {
    if (!in_cache) fetch_far(p, 8 * WIDTH);
    fetch(p, 8 * WIDTH);
    for (int k = 0; k < 8; ++k) sums[k] += *(const Longs*)(p + WIDTH * k);
  }
  for (; n >= WIDTH; n -= WIDTH, p += WIDTH) sums[0] += *(const Longs*)p;
  for (int k = 1; k < 8; ++k) sums[0] += sums[k];
  long long sum = 0;
  for (size_t i = 0; i < WIDTH / sizeof sum; ++i) sum += sums[0][i];
  return sum;
}

/* Add a zero that the compiler does not know: as quick as a multiplication, and the values stay
 * what they are in every dtype. */
static void rewrite_all(char* p, size_t n) {
  volatile long long zero = 0;
  const Longs addend = (Longs){0} + zero;
  for (; n >= 4 * WIDTH; n -= 4 * WIDTH, p += 4 * WIDTH) {
    fetch(p, 4 * WIDTH);
    for (int k = 0; k < 4; ++k) *(Longs*)(p + WIDTH * k) += addend;
  }
  for (; n >= WIDTH; n -= WIDTH, p += WIDTH) *(Longs*)p += addend;
}

/* One pass over the worker's share of the bytes of all arrays. */
static void pass(struct Worker* worker) {
  const struct Probe* probe = worker->probe;
  const size_t share = (probe->total / (size_t)probe->threads + 63) / 64 * 64;
  size_t skip = share * (size_t)worker->number;
  size_t left = share;
  for (size_t i = 0; i < probe->arrays && left > 0; ++i) {
    if (skip >= probe->bytes[i]) {
      skip -= probe->bytes[i];
      continue;
    }
    const size_t here = probe->bytes[i] - skip < left ? probe->bytes[i] - skip : left;
    char* start = probe->starts[i] + skip;
    if (probe->kind == kRead) worker->sum += read_all(start, here, share <= 2 << 20);
    if (probe->kind == kRewrite) rewrite_all(start, here);
    left -= here;
    skip = 0;
  }
}

static void* work(void* argument) {
  struct Worker* worker = argument;
  struct Probe* probe = worker->probe;
  for (int i = 0; i < probe->untimed; ++i) pass(worker);
  ++probe->ready;
  while (probe->ready < probe->threads) sched_yield();
  for (int i = 0; i < probe->repeats; ++i) pass(worker);
  ++probe->done;
  return NULL;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Seconds per timed pass over these arrays; negative if the threads could not be started. */
double probe(size_t arrays, char** starts, const size_t* bytes, int threads, int kind, int untimed,
             int repeats) {
  struct Probe probe = {arrays, starts, bytes, 0, threads, (enum Kind)kind, untimed, repeats, 0, 0};
  for (size_t i = 0; i < arrays; ++i) probe.total += bytes[i];
  enum { kMostThreads = 256 };
  pthread_t ids[kMostThreads];
  struct Worker workers[kMostThreads];
  if (threads > kMostThreads) return -1.0;
  for (int t = 0; t < threads; ++t) workers[t] = (struct Worker){&probe, t, 0};
  int started = 1;
  while (started < threads && !pthread_create(&ids[started], NULL, work, &workers[started])) {
    ++started;
  }
  if (started < threads) probe.repeats = 0;
  for (int i = 0; i < untimed; ++i) pass(&workers[0]);
  probe.ready += 1 + threads - started;
  while (probe.ready < threads) sched_yield();
  const double start = now();
  for (int i = 0; i < probe.repeats; ++i) pass(&workers[0]);
  probe.done += 1 + threads - started;
  while (probe.done < threads) sched_yield();
  const double seconds = now() - start;
  for (int t = 1; t < started; ++t) pthread_join(ids[t], NULL);
  return started < threads ? -1.0 : seconds / repeats;
}
