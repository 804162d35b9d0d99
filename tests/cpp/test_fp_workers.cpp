// Workers compute in the mode that is asked for, and keep their own bit for bit, flags included.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <thread>
#include <vector>

#include "core/work.hpp"
#include "support/fp_state.hpp"
#include "support/record.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

// Where as many threads as there are wait for each other, so that each of them comes.
class Meeting {
 public:
  explicit Meeting(int threads) : threads_(threads) {}

  void wait() noexcept {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    arrived_.fetch_add(1);
    while (arrived_.load() < threads_ && !late_.load()) {
      late_ = std::chrono::steady_clock::now() > limit;
      std::this_thread::yield();
    }
  }
  bool was_complete() const { return !late_.load() && arrived_.load() == threads_; }

 private:
  int threads_;
  std::atomic<int> arrived_{0};
  std::atomic<bool> late_{false};
};

// Calls task(worker) in each of so many threads, the caller's included.
template <class Task>
void in_each_thread(int threads, const Task& task) {
  struct Context {
    Meeting meeting;
    const Task& task;
  };
  Context context{Meeting(threads), task};
  Context* const pointer = &context;
  const auto body = [](const void* p, std::size_t, int worker) noexcept {
    Context& c = **static_cast<Context* const*>(p);
    c.task(worker);
    c.meeting.wait();
  };
  run(make_pass(body, &pointer, static_cast<std::size_t>(threads), threads));
  REQUIRE(context.meeting.was_complete());
}

thread_local State t_given;
thread_local int t_visited_in_round;

// Visits blocks in all threads, in each of which arithmetic raises flags. Tells whether all were
// in the mode of the region.
bool visit_in_each_thread(const Work& work, int threads, Rounding rounding) {
  static int round = 0;
  ++round;
  Meeting meeting(threads);
  std::atomic<int> wrong{0};
  work.for_each_block(Direction::kForward, rounding, [&](const Block&, std::byte*) {
    wrong += !is_mode_of_region(state(), rounding == Rounding::kNearest);
    volatile double inexact = 3.0;
    inexact = 1.0 / inexact;
    volatile double overflow = 1e300;
    overflow = overflow * overflow;
    if (t_visited_in_round == round) return;
    t_visited_in_round = round;
    meeting.wait();
  });
  return meeting.was_complete() && wrong.load() == 0;
}

TEST_CASE("workers compute in the region's mode and keep their own, flags included") {
  const std::vector<float> values(std::size_t{1} << 20);
  SpanList spans;
  auto* const bytes = const_cast<std::byte*>(reinterpret_cast<const std::byte*>(values.data()));
  spans.add_contiguous(bytes, bytes, values.size(), {DType::kFloat32});
  const State before = state();
  for (const int threads : {1, 2, 3, 8}) {
    const Threads limit(threads);
    const Work work(spans);
    for (std::size_t shift = 0; shift < std::size(kStates); ++shift) {
      for (const Rounding rounding : {Rounding::kNearest, Rounding::kTowardZero}) {
        CAPTURE(threads);
        CAPTURE(shift);
        in_each_thread(threads, [shift](int worker) {
          t_given = kStates[(shift + static_cast<std::size_t>(worker)) % std::size(kStates)];
          if (worker > 0) set_state(t_given);
        });
        // Of the caller nothing else runs in its state: it may unmask exceptions.
        const State caller = kStates[shift];
        set_state(caller);
        const bool right = visit_in_each_thread(work, threads, rounding);
        const State after = state();
        set_state(before);
        CHECK(right);
        CHECK(after == caller);
        std::atomic<int> changed{0};
        in_each_thread(threads, [&](int worker) {
          changed += worker > 0 && state() != t_given;
          if (worker > 0) set_state(before);
        });
        CHECK(changed.load() == 0);
      }
    }
  }
}

}  // namespace
}  // namespace gradclip::test
