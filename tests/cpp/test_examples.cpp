// Batches: each example is clipped as a list of its own, and sums do not depend on who adds up.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/examples.hpp"
#include "core/passes.hpp"
#include "support/memory.hpp"
#include "support/random.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr std::size_t kGroup = 16;  // examples that are added up before anything else

// A batch of rows of float32 and of float64 numbers.
struct Rows {
  std::size_t examples;
  std::size_t narrow_size;
  std::size_t wide_size;
  std::vector<float> narrow;
  std::vector<double> wide;

  Rows(std::size_t count, std::size_t of_float32, std::size_t of_float64)
      : examples(count),
        narrow_size(of_float32),
        wide_size(of_float64),
        narrow(count * of_float32),
        wide(count * of_float64) {
    Random random(count);
    for (float& x : narrow) x = static_cast<float>(random.real(-5, 2));
    for (double& x : wide) x = random.real(-5, 2);
  }

  SpanList batch() {
    SpanList spans;
    add(spans, narrow, narrow_size, DType::kFloat32);
    add(spans, wide, wide_size, DType::kFloat64);
    return spans;
  }
  SpanList example(std::size_t i) {
    SpanList spans;
    auto* const a = reinterpret_cast<std::byte*>(narrow.data() + i * narrow_size);
    auto* const b = reinterpret_cast<std::byte*>(wide.data() + i * wide_size);
    spans.add_contiguous(a, a, narrow_size, {DType::kFloat32});
    spans.add_contiguous(b, b, wide_size, {DType::kFloat64});
    return spans;
  }

 private:
  template <class T>
  void add(SpanList& spans, std::vector<T>& numbers, std::size_t size, DType dtype) {
    const auto item = static_cast<std::ptrdiff_t>(sizeof(T));
    const auto row = static_cast<std::ptrdiff_t>(size) * item;
    std::vector<Axis> unit_axes{{examples, row, row}}, axes{{size, item, item}};
    auto* const first = reinterpret_cast<std::byte*>(numbers.data());
    spans.add_units(first, first, unit_axes, axes, {dtype});
  }
};

constexpr double kMaxNorm = 3.0;

// Clips each example as a list of arrays, and returns the norms.
std::vector<double> clip_one_by_one(Rows& rows) {
  std::vector<double> norms;
  for (std::size_t i = 0; i < rows.examples; ++i) {
    const SpanList spans = rows.example(i);
    const Work work(spans);
    Norms measured(work, Order{});
    measured.measure();
    norms.push_back(measured.norm());
    write(work, plan_clip(norms.back(), kMaxNorm, {}, precision(work.contents(), Order{})));
  }
  return norms;
}

std::vector<Rows> all_rows() {
  return {{0, 3, 2},  {1, 5, 0},  {2, 40, 3},        {15, 9, 1},
          {16, 9, 1}, {17, 9, 1}, {100, 300, 200},   {7, kBlock + 3, 2 * kBlock},
          {40, 0, 0}, {33, 1, 1}, {300, 1000, 1000}, {3, 0, 5}};
}

TEST_CASE("examples are clipped as lists of their own, in one pass or two") {
  for (Rows& rows : all_rows()) {
    Rows expected = rows;
    const std::vector<double> expected_norms = clip_one_by_one(expected);
    for_each_setting([&] {
      std::vector<double> norms(rows.examples, -1.0);
      Rows once = rows, twice = rows;
      const SpanList of_once = once.batch(), of_twice = twice.batch();
      Batch(of_once, rows.examples).clip(kMaxNorm, NonFinite::kZero, norms);
      CHECK(norms == expected_norms);
      CHECK(once.narrow == expected.narrow);
      CHECK(once.wide == expected.wide);
      Batch batch(of_twice, rows.examples);
      batch.measure(norms);
      batch.clip_known(kMaxNorm, NonFinite::kRaise, norms);
      CHECK(norms == expected_norms);
      CHECK(twice.narrow == expected.narrow);
      CHECK(twice.wide == expected.wide);
    });
  }
}

// Of column k: the factors times the numbers, rounded once each, by groups.
template <class T>
T sum_of_column(const std::vector<T>& numbers, std::size_t size, std::size_t k,
                const std::vector<ClipPlan>& plans, DType dtype) {
  T total = 0;
  for (std::size_t first = 0; first < plans.size(); first += kGroup) {
    T group = 0;
    for (std::size_t i = first; i < std::min(first + kGroup, plans.size()); ++i) {
      const bool scaled = plans[i].action == ClipPlan::Action::kScale;
      const Steps steps = scaled ? plans[i].steps[index(dtype)] : Steps{};
      group = std::fma(numbers[i * size + k], static_cast<T>(steps.first), group);
    }
    total = total + group;
  }
  return total;
}

TEST_CASE("sums are of groups of examples, in order") {
  for (Rows& rows : all_rows()) {
    Rows clipped = rows;
    const std::vector<double> norms = clip_one_by_one(clipped);
    const SpanList batch_spans = rows.batch();
    const Precision exact = precision(Work(batch_spans).contents(), Order{});
    std::vector<ClipPlan> plans;
    for (const double norm : norms) plans.push_back(plan_clip(norm, kMaxNorm, {}, exact));
    std::vector<float> narrow;
    std::vector<double> wide;
    for (std::size_t k = 0; k < rows.narrow_size; ++k) {
      narrow.push_back(sum_of_column(rows.narrow, rows.narrow_size, k, plans, DType::kFloat32));
    }
    for (std::size_t k = 0; k < rows.wide_size; ++k) {
      wide.push_back(sum_of_column(rows.wide, rows.wide_size, k, plans, DType::kFloat64));
    }
    for_each_setting([&] {
      std::vector<float> narrow_sums(rows.narrow_size, -1.0f);
      std::vector<double> wide_sums(rows.wide_size, -1.0), again(rows.examples);
      SpanList sums;
      auto* const a = reinterpret_cast<std::byte*>(narrow_sums.data());
      auto* const b = reinterpret_cast<std::byte*>(wide_sums.data());
      sums.add_contiguous(a, a, rows.narrow_size, {DType::kFloat32});
      sums.add_contiguous(b, b, rows.wide_size, {DType::kFloat64});
      Batch batch(batch_spans, rows.examples);
      batch.prepare_sums();
      batch.sum(kMaxNorm, NonFinite::kRaise, Work(sums), again);
      CHECK(again == norms);
      CHECK(narrow_sums == narrow);
      CHECK(wide_sums == wide);
    });
  }
}

TEST_CASE("the first span that is not finite is told for each example") {
  Rows rows(20, 50, kBlock + 7);
  rows.narrow[3 * 50 + 49] = std::numeric_limits<float>::infinity();
  rows.wide[8 * (kBlock + 7) + kBlock + 6] = std::nan("");
  const SpanList spans = rows.batch();
  Batch batch(spans, 20);
  CHECK(batch.first_nonfinite(3) == 0);
  CHECK(batch.first_nonfinite(8) == 1);
  CHECK(batch.first_nonfinite(0) == 2);
}

}  // namespace
}  // namespace gradclip::test
