// Passes in forked processes, which have none of the parent's threads.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "support/record.hpp"

namespace gradclip::test {
namespace {

bool passes_are_right() {
  Record forward(7, 3, Direction::kForward);
  Record mirrored(64, 8, Direction::kMirrored);
  bool right = true;
  for (int round = 0; round < 20; ++round) {
    right &= forward.run_is_right();
    right &= mirrored.run_is_right();
  }
  return right;
}

// Two chunks that wait for each other, so that it takes two threads to end.
bool passes_are_parallel() {
  const auto body = [](const void* context, std::size_t, int) noexcept {
    auto& arrived = *static_cast<std::atomic<int>* const*>(context);
    arrived->fetch_add(1);
    while (arrived->load() < 2) std::this_thread::yield();
  };
  std::atomic<int> arrived{0};
  auto* const context = &arrived;
  run(make_pass(body, &context, 2, 2));
  return true;
}

// Whether `test` is true in a forked process. One that hangs is ended by its alarm.
template <class Test>
bool in_child(const Test& test) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(test() ? 0 : 1);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

TEST_CASE("a child forked before the first pass runs passes") { CHECK(in_child(passes_are_right)); }

TEST_CASE("a child and its child run passes, and their parents go on") {
  CHECK(passes_are_right());
  CHECK(in_child(
      [] { return passes_are_right() && in_child(passes_are_right) && passes_are_right(); }));
  CHECK(passes_are_right());
}

TEST_CASE("a child starts threads of its own") {
  CHECK(passes_are_parallel());
  CHECK(in_child(passes_are_parallel));
  CHECK(in_child([] { return in_child(passes_are_parallel) && passes_are_parallel(); }));
}

TEST_CASE("a child that runs none leaves the parent's pool as it is") {
  CHECK(in_child([] { return true; }));
  CHECK(passes_are_right());
}

TEST_CASE("a child forked while another thread runs a pass does not wait for it") {
  std::atomic<bool> done{false};
  std::atomic<bool> right{true};
  std::atomic<int> rounds{0};
  std::thread busy([&] {
    Record record(64, 3, Direction::kForward);  // once: a sanitizer's malloc is not safe to fork in
    for (; !done.load(); ++rounds) {
      if (!record.run_is_right()) right.store(false);
    }
  });
  for (int round = 0; round < 20; ++round) {
    for (const int seen = rounds.load(); rounds.load() <= seen + 2;) std::this_thread::yield();
    CHECK(in_child(passes_are_right));
  }
  done.store(true);
  busy.join();
  CHECK(right.load());
}

}  // namespace
}  // namespace gradclip::test
