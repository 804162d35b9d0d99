// Where a parked worker wakes up: not on its caller's processor, if it may run on another one.
#include <doctest/doctest.h>

#include "core/affinity.hpp"

#if defined(__linux__)

#include <atomic>
#include <chrono>
#include <thread>

#include "support/record.hpp"

namespace {

cpu_set_t allowed(pid_t thread = 0) {
  cpu_set_t set;
  REQUIRE(sched_getaffinity(thread, sizeof set, &set) == 0);
  return set;
}

void allow(const cpu_set_t& set) { REQUIRE(sched_setaffinity(0, sizeof set, &set) == 0); }

cpu_set_t only(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(processor), &set);
  return set;
}

bool equal(cpu_set_t a, cpu_set_t b) { return CPU_EQUAL(&a, &b); }

// A worker with this affinity parks, and a caller on processor `here` sends it elsewhere `times`
// times. Returns the worker's affinity while it slept, and checks that it has its own again
// afterwards.
cpu_set_t affinity_while_parked(cpu_set_t workers, int here, int times,
                                gradclip::Affinity& affinity) {
  std::atomic<pid_t> parked{0};
  std::atomic<bool> awake{false};
  std::thread worker([&] {
    allow(workers);
    affinity.park();
    parked = gettid();
    parked.notify_one();
    awake.wait(false);
    affinity.unpark();
    CHECK(equal(allowed(), workers));
  });
  parked.wait(0);
  cpu_set_t result;
  std::thread caller([&] {
    allow(only(here));
    for (int i = 0; i < times; ++i) affinity.avoid_this_processor();
    result = allowed(parked);
  });
  caller.join();
  awake = true;
  awake.notify_one();
  worker.join();
  return result;
}

cpu_set_t affinity_while_parked(cpu_set_t workers, int here, int times) {
  gradclip::Affinity affinity;
  return affinity_while_parked(workers, here, times, affinity);
}

cpu_set_t without(cpu_set_t set, int processor) {
  CPU_CLR(static_cast<std::size_t>(processor), &set);
  return set;
}

}  // namespace

TEST_CASE("a parked worker wakes up on another processor than its caller's") {
  const cpu_set_t all = allowed();
  const int here = sched_getcpu();
  const cpu_set_t others = without(all, here);
  for (const int times : {1, 2, 3}) {  // calls may come before it is awake
    const bool alone = CPU_COUNT(&others) == 0;
    CHECK(equal(affinity_while_parked(all, here, times), alone ? all : others));
  }
}

TEST_CASE("a worker with one processor stays there") {
  const int here = sched_getcpu();
  CHECK(equal(affinity_while_parked(only(here), here, 1), only(here)));
}

TEST_CASE("a worker that may not run on its caller's processor is left alone") {
  const int here = sched_getcpu();
  const cpu_set_t others = without(allowed(), here);
  if (CPU_COUNT(&others) > 0) CHECK(equal(affinity_while_parked(others, here, 1), others));
}

TEST_CASE("a worker that may run elsewhere than before gets that back") {
  const cpu_set_t all = allowed();
  const int here = sched_getcpu();
  gradclip::Affinity affinity;
  affinity_while_parked(all, here, 1, affinity);
  CHECK(equal(affinity_while_parked(only(here), here, 1, affinity), only(here)));
}

TEST_CASE("workers run with the affinity of the process, asleep before or not") {
  struct Masks {
    cpu_set_t expected;
    std::atomic<int> wrong{0};
    std::atomic<int> arrived{0};

    static void body(const void* context, std::size_t, int) noexcept {
      Masks& self = **static_cast<Masks* const*>(context);
      self.wrong += equal(allowed(), self.expected) ? 0 : 1;
      for (++self.arrived; self.arrived.load() < 2;) std::this_thread::yield();  // in two threads
    }
  };
  Masks masks{allowed(), {}, {}};
  Masks* const context = &masks;
  for (const int pause : {0, 0, 20, 20, 0, 20}) {  // ms; long enough for workers to park
    std::this_thread::sleep_for(std::chrono::milliseconds(pause));
    masks.arrived = 0;
    gradclip::run(gradclip::test::make_pass(Masks::body, &context, 2, 2));
  }
  CHECK(masks.wrong.load() == 0);
}

#endif
