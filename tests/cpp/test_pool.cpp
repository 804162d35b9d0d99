// The pool: every chunk once, whoever calls it, however often and from wherever.
#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/pool.hpp"
#include "support/random.hpp"
#include "support/record.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr std::size_t kChunkCounts[] = {0, 1, 2, 3, 7, 64, 1000};

TEST_CASE("every chunk is run exactly once, by workers below the number of threads") {
  for (const Direction direction : {Direction::kForward, Direction::kMirrored}) {
    for (const std::size_t chunks : kChunkCounts) {
      for (const int threads : kThreadCounts) {
        CAPTURE(chunks);
        CAPTURE(threads);
        Record record(chunks, threads, direction);
        for (int round = 0; round < 20; ++round) CHECK(record.run_is_right());
      }
    }
  }
}

TEST_CASE("workers of a large pass stay out of small passes that follow") {
  Record large(64, 8, Direction::kForward);
  Record small(5, 2, Direction::kMirrored);
  for (int round = 0; round < 1000; ++round) {
    CHECK(large.run_is_right());
    CHECK(small.run_is_right());
  }
}

TEST_CASE("one thread visits chunks in order, or in reverse") {
  for (const Direction direction : {Direction::kForward, Direction::kMirrored}) {
    std::vector<std::size_t> visited;
    const auto body = [](const void* context, std::size_t chunk, int) noexcept {
      (*static_cast<std::vector<std::size_t>* const*>(context))->push_back(chunk);
    };
    auto* const context = &visited;
    run(make_pass(body, &context, 100, 1, direction));
    REQUIRE(visited.size() == 100);
    for (std::size_t i = 0; i < 100; ++i) {
      CHECK(visited[i] == (direction == Direction::kForward ? i : 99 - i));
    }
  }
}

TEST_CASE("far more threads than processors run a pass") {
  Record record(3000, 100, Direction::kForward);
  for (int round = 0; round < 20; ++round) CHECK(record.run_is_right());
}

// Two chunks that wait for each other, so that two threads must be at work.
struct Meeting {
  std::atomic<int> arrived{0};
  std::atomic<bool> late{false};
  std::atomic<bool> worker_takes_signals{false};

  static void body(const void* context, std::size_t, int worker) noexcept {
    auto& meeting = *const_cast<Meeting*>(static_cast<const Meeting*>(context));
    if (worker > 0) {
      sigset_t blocked;
      pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
      if (sigismember(&blocked, SIGINT) == 0) meeting.worker_takes_signals.store(true);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    meeting.arrived.fetch_add(1);
    while (meeting.arrived.load() < 2) {
      if (std::chrono::steady_clock::now() > deadline) return meeting.late.store(true);
      std::this_thread::yield();
    }
  }
};

TEST_CASE("chunks run at the same time, in workers that take no signals") {
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  for (const int pause : {0, 0, 300}) {  // ms; long enough for workers to park
    std::this_thread::sleep_for(std::chrono::milliseconds(pause));
    CAPTURE(pause);
    Meeting meeting;
    run(make_pass(Meeting::body, &meeting, 2, 2));
    CHECK(!meeting.late.load());
    CHECK(!meeting.worker_takes_signals.load());
  }
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  CHECK(sigismember(&before, SIGINT) == sigismember(&after, SIGINT));
}

// Chunk 4 takes until all others are done.
struct HeldUp {
  std::atomic<int> done{0};
  std::atomic<bool> late{false};

  static void body(const void* context, std::size_t chunk, int) noexcept {
    HeldUp& self = **static_cast<HeldUp* const*>(context);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (chunk == 4 && self.done.load() < 7 && !self.late.load()) {
      self.late = std::chrono::steady_clock::now() > limit;
    }
    ++self.done;
  }
};

TEST_CASE("chunks of a worker that is held up are run by the others") {
  for (int round = 0; round < 100; ++round) {
    HeldUp held_up;
    HeldUp* const context = &held_up;
    run(make_pass(HeldUp::body, &context, 8, 2));
    REQUIRE(!held_up.late.load());
  }
}

TEST_CASE("eight threads run passes at once") {
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&wrong, caller] {
      Record record(static_cast<std::size_t>(caller) * 5 + 1, 3, Direction::kForward);
      for (int round = 0; round < 500; ++round) wrong += !record.run_is_right();
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE("a pass inside a pass is run in the chunk's own thread") {
  struct Outer {
    std::atomic<int> right{0};
    static void body(const void* context, std::size_t, int) noexcept {
      Record inner(9, 3, Direction::kMirrored);
      auto& outer = *const_cast<Outer*>(static_cast<const Outer*>(context));
      outer.right += inner.run_is_right();
    }
  };
  for (const int threads : kThreadCounts) {
    Outer outer;
    run(make_pass(Outer::body, &outer, 50, threads));
    CHECK(outer.right.load() == 50);
  }
}

// Workers wait for about 200 µs before they park: pauses fall before, around and after that.
TEST_CASE("thousands of tiny passes, with pauses in which workers park or nearly do") {
  Random random(1);
  int wrong = 0;
  for (const int threads : {2, 3}) {
    Record record(static_cast<std::size_t>(threads), threads, Direction::kForward);
    for (int round = 0; round < 10'000; ++round) {
      wrong += !record.run_is_right();
      if (random.one_in(20)) {
        std::this_thread::sleep_for(std::chrono::microseconds(random.between(0, 500)));
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a thread's limit goes before the process's number, in that thread only") {
  const int before = get_num_threads();
  set_num_threads(5);
  CHECK(get_num_threads() == 5);
  CHECK(set_thread_limit(3) == 0);
  CHECK(get_num_threads() == 3);
  std::thread([] {
    CHECK(get_num_threads() == 5);
    CHECK(set_thread_limit(2) == 0);
    CHECK(get_num_threads() == 2);
  }).join();
  CHECK(get_num_threads() == 3);
  set_num_threads(6);
  CHECK(get_num_threads() == 3);
  CHECK(set_thread_limit(0) == 3);
  CHECK(get_num_threads() == 6);
  set_num_threads(before);
}

}  // namespace
}  // namespace gradclip::test
