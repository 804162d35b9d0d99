// Where a parked worker wakes up: not on its caller's processor, if it may run on another one.
#include <doctest/doctest.h>

#include "core/affinity.hpp"

#if defined(__linux__)

#include <algorithm>
#include <atomic>
#include <thread>

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

// A worker with this affinity parks, and a caller on one of its processors sends it elsewhere
// `times` times. Returns the worker's affinity while it slept, and checks that it has its own
// again afterwards.
cpu_set_t affinity_while_parked(cpu_set_t workers, int times) {
  gradclip::Affinity affinity;
  std::atomic<pid_t> parked{0};
  std::atomic<bool> awake{false};
  const int here = sched_getcpu();
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

}  // namespace

TEST_CASE("a parked worker wakes up on another processor than its caller's") {
  const cpu_set_t all = allowed();
  for (const int times : {1, 2, 3}) {  // calls may come before it is awake
    cpu_set_t set = affinity_while_parked(all, times);
    CHECK(CPU_COUNT(&set) == std::max(1, CPU_COUNT(&all) - 1));
  }
}

TEST_CASE("a worker with one processor stays there") {
  const cpu_set_t one = only(sched_getcpu());
  CHECK(equal(affinity_while_parked(one, 1), one));
}

#endif
