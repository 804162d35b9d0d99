// The caller's floating-point mode and flags: kept bit for bit, and without influence.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "core/clip.hpp"
#include "core/fp_environment.hpp"
#include "core/passes.hpp"
#include "support/arrays.hpp"
#include "support/fp_state.hpp"
#include "support/memory.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

// What a call gives.
using Result = std::vector<std::byte>;

void append(Result& result, const std::vector<double>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  result.insert(result.end(), bytes, bytes + values.size() * sizeof(double));
}

// Large enough for several threads.
Arrays subnormal_and_huge() {
  static const Arrays made = [] {
    Random random(1);
    Arrays arrays;
    arrays.add(random_values(random, 5000, -149, -126), DType::kFloat32);
    arrays.add(random_values(random, 110'000, -1070, -1020), DType::kFloat64);
    arrays.add(random_values(random, 5000, 900, 1000), DType::kFloat64, 1, 3);
    arrays.add(random_values(random, 5000, 100, 120), DType::kFloat32, 2);
    arrays.add(random_values(random, 5000, -24, -10), DType::kFloat16, 2);
    arrays.add(random_values(random, 5000, -133, -120), DType::kBfloat16);
    arrays.add(random_values(random, 5000, -149, -120), kComplex64);
    arrays.add(random_values(random, 5000, -1070, -1000), kComplex128, 1, 3);
    return arrays;
  }();
  return made;
}

// Calls library() with the caller's state `caller`; nothing else runs in that.
template <class Library>
State state_after(State caller, const Library& library) {
  wake_workers();
  const State before = state();
  set_state(caller);
  library();
  const State after = state();
  set_state(before);
  return after;
}

Result norms_in(State caller, Order order) {
  Arrays arrays = subnormal_and_huge();
  const SpanList spans = arrays.spans();
  const Work work(spans);
  Norms norms(work, order);
  std::vector<double> values(3 + arrays.size());
  std::size_t first = 0;
  CHECK(state_after(caller, [&] { norms.measure(); }) == caller);
  CHECK(state_after(caller, [&] { values[0] = norms.norm(); }) == caller);
  CHECK(state_after(caller, [&] { values[1] = norms.norm(0.7); }) == caller);
  CHECK(state_after(caller, [&] { values[2] = norms.norm(1e-310); }) == caller);
  CHECK(state_after(caller, [&] { norms.array_norms(&values[3]); }) == caller);
  CHECK(state_after(caller, [&] { first = norms.first_nonfinite(); }) == caller);
  CHECK(first == arrays.size());
  Result result;
  append(result, values);
  return result;
}

template <class Write>
Result written_in(State caller, const Write& write) {
  Arrays arrays = subnormal_and_huge();
  Arrays targets = arrays;
  const SpanList in_place = arrays.spans();
  const SpanList out_of_place = arrays.spans_into(targets);
  const Work there(out_of_place);
  const Work here(in_place);
  CHECK(state_after(caller, [&] { write(there); }) == caller);
  CHECK(state_after(caller, [&] { write(here); }) == caller);
  Result result = targets.bytes();
  const auto written = arrays.bytes();
  result.insert(result.end(), written.begin(), written.end());
  return result;
}

// call(caller's state) gives the same bits in any state as in the usual one.
template <class Call>
void check_in_every_state(const Call& call) {
  for (const int threads : {1, 3}) {
    const Threads limit(threads);
    const Result expected = call(kStates[0]);
    for (const State caller : kStates) {
      CAPTURE(threads);
      CAPTURE(caller);
      CHECK(same_bytes(call(caller), expected));
    }
  }
}

TEST_CASE("norms") {
  for (const double p : {1.0, 2.0, 3.0, HUGE_VAL}) {
    CAPTURE(p);
    check_in_every_state([p](State caller) { return norms_in(caller, Order::of(p)); });
  }
}

TEST_CASE("write passes") {
  const auto check = [](const auto& write) {
    check_in_every_state([&](State caller) { return written_in(caller, write); });
  };
  check([](const Work& work) { copy(work); });
  check([](const Work& work) { fill(work, 0.0); });
  for (const Rounding rounding : {Rounding::kNearest, Rounding::kTowardZero}) {
    for (const Factor factor : {Factor{0.7, 0}, Factor{0.7, -140}, Factor{0.7, -1030}}) {
      const DTypeSteps both = steps(factor, rounding);
      check([&](const Work& work) { scale(work, both, rounding); });
    }
  }
}

TEST_CASE("clips") {
  const auto check = [](double max_norm, ClipOptions options) {
    check_in_every_state([&](State caller) {
      double factor = 0.0;
      Result result = written_in(caller, [&](const Work& work) {
        const ClipPlan plan =
            plan_clip(1e302, max_norm, options, precision(work.contents(), Order{}));
        factor = plan.factor;
        write(work, plan);
      });
      append(result, {factor});
      return result;
    });
  };
  check(1e303, {});
  check(1e301, {});
  check(1e-20, {.eps = 1e290, .inv_scale = 0.3});
  check(1e-310, {.eps = 1e-320});
  check(0.0, {});
  for (const double norm :
       {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    check_in_every_state([norm](State caller) {
      return written_in(caller, [norm](const Work& work) {
        write(work, plan_nonfinite(norm, NonFinite::kPropagate));
      });
    });
  }
}

TEST_CASE("inside a region the mode is the one asked for, with subnormals and without traps") {
  for (const State caller : kStates) {
    for (const Rounding rounding : {Rounding::kNearest, Rounding::kTowardZero}) {
      State within = 0;
      const State after = state_after(caller, [&] {
        const FpEnvironment environment(rounding);
        within = state();
      });
      CHECK(after == caller);
      CHECK(is_mode_of_region(within, rounding == Rounding::kNearest));
    }
  }
}

}  // namespace
}  // namespace gradclip::test
