// Passes, and one that writes down what was run where.
#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "core/pool.hpp"

namespace gradclip::test {

inline Pass make_pass(void (*body)(const void*, std::size_t, int) noexcept, const void* context,
                      std::size_t chunks, int threads, Direction direction = Direction::kForward) {
  Pass pass{};
  pass.body = body;
  pass.context = context;
  pass.chunks = chunks;
  pass.threads = threads;
  pass.direction = direction;
  return pass;
}

// Writes down what was run where.
class Record {
 public:
  Record(std::size_t chunks, int threads, Direction direction)
      : threads_(threads),
        pass_(make_pass(&Record::note, this, chunks, threads, direction)),
        runs_(chunks),
        busy_(static_cast<std::size_t>(threads)) {}

  // Whether each chunk was run exactly once, and by workers below `threads` only, each of which
  // did one thing at a time.
  bool run_is_right() {
    run(pass_);
    bool right = !broken_.load();
    for (auto& count : runs_) right &= count.exchange(0) == 1;
    return right;
  }

 private:
  static void note(const void* context, std::size_t chunk, int worker) noexcept {
    const_cast<Record*>(static_cast<const Record*>(context))->note(chunk, worker);
  }
  void note(std::size_t chunk, int worker) noexcept {
    if (worker < 0 || worker >= threads_ || chunk >= runs_.size()) {
      broken_.store(true);
      return;
    }
    auto& busy = busy_[static_cast<std::size_t>(worker)];
    if (busy.exchange(true)) broken_.store(true);
    runs_[chunk].fetch_add(1);
    if (chunk % 7 == 3) std::this_thread::yield();
    busy.store(false);
  }

  int threads_;
  Pass pass_;
  std::vector<std::atomic<int>> runs_;
  std::vector<std::atomic<bool>> busy_;
  std::atomic<bool> broken_{false};
};

}  // namespace gradclip::test
