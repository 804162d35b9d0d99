// What is written for a block: multiples of its values, or their clamped values.
#pragma once

#include "kernels/rows.inl.hpp"

// Elements before the first address that is a multiple of `alignment`, 0 if there is none.
template <class T>
std::size_t elements_to_alignment(const std::byte* p, std::size_t alignment) {
  const std::size_t bytes = -reinterpret_cast<std::uintptr_t>(p) % alignment;
  return bytes % sizeof(T) == 0 ? bytes / sizeof(T) : 0;
}

// From so many elements on, stores that don't straddle cache lines are worth a loop before them.
// NumPy's memory is often only 16-byte aligned. Zen 5, in L2: 161 GB/s to 200 with AVX-512, 120 to
// 178 with AVX2.
constexpr std::size_t kWorthAligning = 1024;

// Rows that are taken together.
constexpr std::size_t kGroupOfRows = 4;

// Calls visit<kRows>(x, out) for all rows of Row<T>, the last one or two filled up with zeros;
// returns the number of these.
template <class T, class A, class Visit>
std::size_t for_each_group(const std::byte* x, std::byte* out, std::size_t n, const A& ahead,
                           const Visit& visit) {
  using Row = Isa::template Row<T>;
  constexpr std::size_t kStride = Row::kWidth * sizeof(T);
  std::size_t zeros = 0;
  const auto advance = [&](std::size_t count) {
    x += count * sizeof(T);
    out += count * sizeof(T);
    n -= count;
  };
  const auto visit_part_of_row = [&](std::size_t count) {
    if (count == 0) return;
    std::byte row[kStride] = {};
    __builtin_memcpy(row, x, count * sizeof(T));
    visit.template operator()<1>(row, row);
    __builtin_memcpy(out, row, count * sizeof(T));
    zeros += Row::kWidth - count;
    advance(count);
  };
  if (n >= kWorthAligning) visit_part_of_row(elements_to_alignment<T>(out, kStride));
  for (; n >= kGroupOfRows * Row::kWidth; advance(kGroupOfRows * Row::kWidth)) {
    ahead.template fetch<kGroupOfRows * kStride>(x);
    visit.template operator()<kGroupOfRows>(x, out);
  }
  for (; n >= Row::kWidth; advance(Row::kWidth)) visit.template operator()<1>(x, out);
  visit_part_of_row(n);
  return zeros;
}

// out = operation(x), as vectors of Row<T>.
template <class T, class A, class Operation>
void write_rows(const std::byte* x, std::byte* out, std::size_t n, const A& ahead,
                const Operation& operation) {
  using Row = Isa::template Row<T>;
  constexpr std::size_t kStride = Row::kWidth * sizeof(T);
  for_each_group<T>(x, out, n, ahead, [&]<std::size_t kRows>(const std::byte* from, std::byte* to) {
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kRows; ++k) {
      Row::store(to + k * kStride, operation(Row::load(from + k * kStride)));
    }
  });
}

template <class T, class A>
void scale_by(const std::byte* x, std::byte* out, std::size_t n, Steps factor, const A& ahead) {
  using Row = Isa::template Row<T>;
  using Compute = typename Row::Compute;
  const auto firsts = Row::broadcast(static_cast<Compute>(factor.first));
  const auto seconds = Row::broadcast(static_cast<Compute>(factor.second));
  if (factor.second == 1.0) {
    write_rows<T>(x, out, n, ahead, [&](auto v) { return Row::mul(v, firsts); });
  } else {
    write_rows<T>(x, out, n, ahead, [&](auto v) { return Row::mul(Row::mul(v, firsts), seconds); });
  }
}

template <class T>
void scale(const std::byte* x, std::byte* out, std::size_t n, Steps factor, const std::byte* next) {
  if (next == nullptr) return scale_by<T>(x, out, n, factor, Ahead(x, n, sizeof(T)));
  scale_by<T>(x, out, n, factor, HalfOfNext(x, next));
}

// Not for rows that are not in order.
template <class T>
void scale_each(const std::byte* x, std::byte* out, std::size_t n, const std::byte* factors) {
  using Row = Isa::template Row<T>;
  using Compute = typename Row::Compute;
  using Factors = Isa::template Row<Compute>;
  constexpr std::size_t kStride = Row::kWidth * sizeof(T);
  constexpr std::size_t kFactors = Row::kWidth * sizeof(Compute);
  for (; n >= Row::kWidth; n -= Row::kWidth, x += kStride, out += kStride, factors += kFactors) {
    Row::store(out, Row::mul(Row::load(x), Factors::load(factors)));
  }
  if (n == 0) return;
  std::byte row[kStride] = {};
  std::byte last[kFactors] = {};
  __builtin_memcpy(row, x, n * sizeof(T));
  __builtin_memcpy(last, factors, n * sizeof(Compute));
  Row::store(row, Row::mul(Row::load(row), Factors::load(last)));
  __builtin_memcpy(out, row, n * sizeof(T));
}

// A row of values in bounds; NaN keeps its bits, though one that signals becomes quiet on the way
// from float16 to float32 and back.
template <class T, class Bound>
void clamp_row(const std::byte* from, std::byte* to, Bound low, Bound high) {
  using Row = Isa::template Row<T>;
  if constexpr (__is_same(T, Float16)) {
    std::uint16_t bits[Row::kWidth];
    std::uint16_t result[Row::kWidth];
    __builtin_memcpy(bits, from, sizeof bits);
    Row::store(reinterpret_cast<std::byte*>(result),
               Row::min(Row::max(Row::load(from), low), high));
    for (std::size_t i = 0; i < Row::kWidth; ++i) {
      const bool is_nan = (bits[i] & 0x7fff) > 0x7c00;
      result[i] = is_nan ? bits[i] : result[i];
    }
    __builtin_memcpy(to, result, sizeof result);
  } else {
    Row::store(to, Row::min(Row::max(Row::load(from), low), high));
  }
}

// One pass that counts, and writes only groups that change: `bench family` has it near the speed at
// which memory can be rewritten.
template <class T>
std::size_t clamp_to(const std::byte* x, std::byte* out, std::size_t n, double low, double high) {
  using Row = Isa::template Row<T>;
  using Compute = typename Row::Compute;
  constexpr std::size_t kStride = Row::kWidth * sizeof(T);
  const auto least = static_cast<Compute>(low);
  const auto most = static_cast<Compute>(high);
  const auto lows = Row::broadcast(least);
  const auto highs = Row::broadcast(most);
  std::size_t outside = 0;
  const auto clamp_group = [&]<std::size_t kRows>(const std::byte* from, std::byte* to) {
    std::size_t of_group = 0;
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kRows; ++k) {
      of_group += Row::outside(Row::load(from + k * kStride), lows, highs);
    }
    outside += of_group;
    if (of_group == 0 && from == to) return;
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kRows; ++k) {
      clamp_row<T>(from + k * kStride, to + k * kStride, lows, highs);
    }
  };
  const std::size_t zeros = for_each_group<T>(x, out, n, Ahead(x, n, sizeof(T)), clamp_group);
  const bool zero_is_outside = least > 0 || most < 0;
  return zero_is_outside ? outside - zeros : outside;
}
