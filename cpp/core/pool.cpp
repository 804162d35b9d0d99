#include "core/pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "core/affinity.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gradclip {
namespace {

void relax() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Rounds that a worker waits before it parks: about 200 µs, since waking a parked thread costs 5
// to 50 µs and the second pass of a clip follows the first within 10.
constexpr int kRounds = 300;

// A woken thread is there some 30 µs later: too late for work that the caller does in that time,
// unless more of it follows at once, which finds the thread awake. With 4 MB, a burst of 15 clips
// takes 17 % less time if the first one wakes the thread; with 2.4 MB, a norm on its own 30 % more.
// Two passes in quick succession are one clip, three are a burst: a clip on its own, of 0.8 to
// 2.4 MB, takes 9 to 19 % more time if its second pass wakes the thread.
using Clock = std::chrono::steady_clock;
constexpr std::size_t kLeastEffortToWake = std::size_t{3} << 20;
constexpr auto kSoonAfterTheLast = std::chrono::microseconds(100);
constexpr unsigned kLeastPassesOfABurst = 3;

// How long a worker that has done its own chunks leaves those of others to them, where they may lie
// in the other's cache: fetched from there, 250 kB take 40 µs between two L3 caches instead of
// 2.5. A worker that has lost its processor stays away for longer.
constexpr auto kPatience = std::chrono::microseconds(50);

// Waits a moment, 0.5 µs, and lets another thread run if one waits for this processor. Without
// the latter, a worker that shares a processor with its caller spins while the caller can't go on.
void wait_a_round() noexcept {
  for (int i = 0; i < 16; ++i) relax();
  std::this_thread::yield();
}

// How many chunks a range has left, and the pass they belong to. A chunk is claimed by counting
// down, which fails if the pass is over: so a thread that wakes up late, or not at all, can
// neither claim a chunk of another pass nor hold one up.
class Tickets {
 public:
  static std::uint32_t epoch(std::uint64_t value) {
    return static_cast<std::uint32_t>(value >> 32);
  }
  static std::uint32_t left(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

  void publish(std::uint32_t epoch, std::uint32_t count) {
    value_.store(std::uint64_t{epoch} << 32 | count);
  }
  std::uint32_t current_epoch() const { return epoch(value_.load()); }
  bool any_left(std::uint32_t wanted) const {
    const std::uint64_t value = value_.load();
    return epoch(value) == wanted && left(value) > 0;
  }

  // The number left before the claim, or 0 if there is none to claim.
  std::uint32_t claim(std::uint32_t wanted) {
    std::uint64_t value = value_.load();
    while (epoch(value) == wanted && left(value) > 0) {
      if (value_.compare_exchange_weak(value, value - 1)) return left(value);
    }
    return 0;
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// A worker's range of chunks and its bed. Shares no cache line with another.
struct alignas(128) Slot {
  Tickets tickets;
  std::size_t first = 0;
  std::uint32_t count = 0;
  std::atomic<std::uint32_t> begun{0};  // the last pass that the worker itself has begun
  std::atomic<bool> parked{false};
  std::mutex mutex;
  std::condition_variable wake;
  Affinity affinity;  // guarded by the mutex

  // Its worker has begun the pass and has some of it left.
  bool busy_with(std::uint32_t epoch) const {
    return begun.load(std::memory_order_relaxed) == epoch && tickets.any_left(epoch);
  }

  void publish(std::uint32_t epoch, std::size_t range_first, std::uint32_t range_count,
               bool may_wake) {
    first = range_first;
    count = range_count;
    tickets.publish(epoch, range_count);
    if (may_wake && parked.load()) {
      const std::lock_guard lock(mutex);
      if (parked.load()) affinity.avoid_this_processor();  // or it has woken up by itself
      wake.notify_one();
    }
  }

  std::uint32_t wait_for_epoch_after(std::uint32_t seen) {
    for (int i = 0; i < kRounds; ++i) {
      if (tickets.current_epoch() != seen) return tickets.current_epoch();
      wait_a_round();
    }
    std::unique_lock lock(mutex);
    affinity.park();
    parked.store(true);
    wake.wait(lock, [&] { return tickets.current_epoch() != seen; });
    parked.store(false);
    affinity.unpark();
    return tickets.current_epoch();
  }
};

class Pool {
 public:
  bool try_acquire() noexcept { return !busy_.exchange(true, std::memory_order_acquire); }
  void release() noexcept { busy_.store(false, std::memory_order_release); }

  // Only between try_acquire and release.
  void run(const Pass& pass) noexcept {
    const int threads = start(pass.threads);
    pass_ = pass;
    threads_.store(threads, std::memory_order_relaxed);
    remaining_.store(pass.chunks, std::memory_order_relaxed);
    ++epoch_;
    succession_ = Clock::now() - last_end_ < kSoonAfterTheLast ? succession_ + 1 : 1;
    const bool may_wake = pass.effort >= kLeastEffortToWake || succession_ >= kLeastPassesOfABurst;
    const auto workers = static_cast<std::size_t>(threads);
    for (std::size_t w = 0; w < workers; ++w) {
      const std::size_t first = pass.chunks * w / workers;
      const std::size_t last = pass.chunks * (w + 1) / workers;
      slots_[w].publish(epoch_, first, static_cast<std::uint32_t>(last - first), may_wake);
    }
    work(0, epoch_);
    while (remaining_.load(std::memory_order_acquire) > 0) wait_a_round();
    last_end_ = Clock::now();
  }

 private:
  // Takes chunks of the pass, its own first, until none is left to take.
  void work(int worker, std::uint32_t epoch) noexcept {
    slots_[worker].begun.store(epoch, std::memory_order_relaxed);
    take(slots_[worker], worker, epoch);
    const int threads = threads_.load(std::memory_order_relaxed);
    const auto patient_until = Clock::now() + kPatience;
    for (bool waits = true; waits;) {
      const bool patient = Clock::now() < patient_until;
      waits = false;
      for (int i = 1; i < threads; ++i) {
        Slot& other = slots_[(worker + i) % threads];
        if (patient && other.busy_with(epoch)) {
          waits = true;
        } else {
          take(other, worker, epoch);
        }
      }
      if (waits) wait_a_round();
    }
  }

  void take(Slot& slot, int worker, std::uint32_t epoch) noexcept {
    // A claim keeps the pass, and so everything read here, alive until it is counted off: once for
    // all, since the counter travels between processors for 0.05 to 0.4 µs.
    std::size_t done = 0;
    while (const std::uint32_t left = slot.tickets.claim(epoch)) {
      const bool mirrored = pass_.direction == Direction::kMirrored;
      const std::size_t chunk = slot.first + (mirrored ? left - 1 : slot.count - left);
      pass_.body(pass_.context, chunk, worker);
      ++done;
    }
    if (done > 0) remaining_.fetch_sub(done, std::memory_order_acq_rel);
  }

  [[noreturn]] void serve(int worker, std::uint32_t seen) noexcept {
    for (;;) {
      seen = slots_[worker].wait_for_epoch_after(seen);
      work(worker, seen);
    }
  }

  // Starts what is missing of `threads`; returns how many there are, at least the caller.
  int start(int threads) noexcept {
    if (threads > started_) {
      sigset_t all, callers;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &callers);  // signals are for the program's own threads
      try {
        for (; started_ < threads; ++started_) {
          std::thread([this, worker = started_, seen = slots_[started_].tickets.current_epoch()] {
            serve(worker, seen);
          }).detach();
        }
      } catch (const std::exception&) {
        // No more threads or memory: fewer do the same work.
      }
      pthread_sigmask(SIG_SETMASK, &callers, nullptr);
    }
    return std::min(threads, started_);
  }

  std::atomic<bool> busy_{false};
  Pass pass_{};
  std::atomic<int> threads_{0};
  std::atomic<std::size_t> remaining_{0};
  std::uint32_t epoch_ = 0;
  Clock::time_point last_end_{};
  unsigned succession_ = 0;  // passes up to now, each soon after the one before
  int started_ = 1;          // the caller
  Slot slots_[kMaxThreads];
};

// Never destroyed: workers may be parked in it when the process exits.
std::atomic<Pool*> pool{nullptr};

// The child has none of the parent's threads. Whatever they held is left alone.
void forget_pool() { pool.store(nullptr); }
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, forget_pool);

Pool* get_pool() noexcept {
  if (Pool* existing = pool.load(std::memory_order_acquire)) return existing;
  std::unique_ptr<Pool> made(new (std::nothrow) Pool);
  Pool* expected = nullptr;
  if (pool.compare_exchange_strong(expected, made.get())) return made.release();
  return expected;
}

std::atomic<int> process_threads{1};
thread_local int thread_limit = 0;

}  // namespace

int get_num_threads() noexcept {
  return thread_limit > 0 ? thread_limit : process_threads.load(std::memory_order_relaxed);
}

void set_num_threads(int threads) noexcept {
  process_threads.store(threads, std::memory_order_relaxed);
}

int set_thread_limit(int threads) noexcept { return std::exchange(thread_limit, threads); }

void run(const Pass& pass) noexcept {
  if (pass.threads > 1 && pass.chunks > 1) {
    Pool* shared = get_pool();
    if (shared != nullptr && shared->try_acquire()) {
      shared->run(pass);
      shared->release();
      return;
    }
  }
  const bool mirrored = pass.direction == Direction::kMirrored;
  for (std::size_t i = 0; i < pass.chunks; ++i) {
    pass.body(pass.context, mirrored ? pass.chunks - 1 - i : i, 0);
  }
}

}  // namespace gradclip
