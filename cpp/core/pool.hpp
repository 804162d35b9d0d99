// A fork-join pool for passes over chunks of memory.
//
// Why not OpenMP or TBB: libgomp hangs after fork (GCC bug 60035), OpenMP runtimes collide with
// those of other libraries, TBB hangs at exit.
#pragma once

#include <cstddef>

namespace gradclip {

inline constexpr int kMaxThreads = 1024;

// The number of threads for passes: the limit of this thread if it has one, else the process's.
int get_num_threads() noexcept;
void set_num_threads(int threads) noexcept;
// Sets the calling thread's own limit, 0 for none. Returns the previous one.
int set_thread_limit(int threads) noexcept;

// kMirrored: each worker visits its own chunks last to first, so that what it touched last in the
// pass before, and still has in its cache, comes first.
enum class Direction { kForward, kMirrored };

// One pass: body(context, chunk, worker) for every chunk, on workers 0 … threads − 1.
struct Pass {
  void (*body)(const void* context, std::size_t chunk, int worker) noexcept;
  const void* context;
  std::size_t chunks;
  int threads;
  Direction direction;
  // What it has to do, in bytes that are only read. Small passes do not wake threads that are
  // parked, unless they are a burst.
  std::size_t effort = ~std::size_t{0};
};

// Runs a pass and returns when every chunk is done. The caller is worker 0. Each worker has its
// own range of chunks and, when that is done, takes from those of workers that have not begun, and
// after 50 µs from the others' too. Runs in the caller alone when the pool is busy with another
// caller's pass or when no thread can be started. Safe after fork in the child, which starts
// threads of its own.
void run(const Pass& pass) noexcept;

}  // namespace gradclip
