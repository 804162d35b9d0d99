// Norms of one block: by every instruction set, at every misalignment.
#pragma once

#include <cmath>
#include <cstddef>
#include <set>
#include <vector>

#include "core/order.hpp"
#include "support/memory.hpp"
#include "support/numbers.hpp"
#include "support/settings.hpp"

namespace gradclip::test {

inline constexpr std::size_t kSizes[] = {0,   1,   31,  32,   33,         63,
                                         255, 256, 257, 1000, kBlock - 1, kBlock};
inline constexpr std::size_t kSizesOfPairs[] = {0,   2,   30,  32,   34,         62,
                                                254, 256, 258, 1000, kBlock - 2, kBlock};

inline constexpr Order kOne = Order::of(1.0);
inline constexpr Order kTwo = Order::of(2.0);
inline constexpr Order kMax = Order::of(HUGE_VAL);
inline constexpr Order kOrders[] = {kOne, kTwo, kMax, Order::of(3.0)};

// What a block holds.
enum class Of { kReals, kPairs };

template <class T>
Partial norm_of_block(const KernelTable& table, const std::byte* x, std::size_t n, Order order,
                      Of of = Of::kReals, const std::byte* end = nullptr) {
  Partial sum{-1.0, -1.0, -1.0};
  const DTypeKernels& kernels = table[dtype_of<T>()];
  const auto& by_kind = of == Of::kPairs ? kernels.of_pairs : kernels.of_reals;
  by_kind[index(order.kind)](x, n, order.p, end, &sum);
  return sum;
}

// Of the scalar kernels.
template <class T>
Partial reference(const std::vector<T>& values, Order order, Of of = Of::kReals) {
  const Elements<T> x(values, 0);
  return norm_of_block<T>(scalar::kTable, x.data(), values.size(), order, of);
}

// `lo` says nothing after an infinity, and NaNs may differ.
inline bool same(const Partial& a, const Partial& b) {
  if (std::isnan(a.hi) || std::isinf(a.hi)) {
    return std::isnan(a.hi) ? std::isnan(b.hi) : bits(a.hi) == bits(b.hi);
  }
  return bits(a.hi) == bits(b.hi) && bits(a.lo) == bits(b.lo) && bits(a.unit) == bits(b.unit);
}

// Calls check(partial) for each instruction set and misalignment below `offsets`, and for one that
// is said to come from memory.
template <class T, class Check>
void for_each_placement(const std::vector<T>& values, Order order, Of of, const Check& check,
                        std::size_t offsets = 8) {
  for (std::size_t offset = 0; offset < offsets; ++offset) {
    CAPTURE(offset);
    const Elements<T> x(values, offset);
    for_each_isa([&](const KernelTable& table) {
      CAPTURE(table.name);
      check(norm_of_block<T>(table, x.data(), values.size(), order, of));
      if (offset > 0) return;
      const std::byte* const end = x.data() + values.size() * sizeof(T);
      check(norm_of_block<T>(table, x.data(), values.size(), order, of, end));
    });
  }
}

// Where one special value can hide: the first and last row, the middle, the tail of a row.
inline std::set<std::size_t> places(std::size_t n) {
  std::set<std::size_t> result;
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{31}, n / 3, n / 2,
                              n - n % 32, n - 33, n - 2, n - 1}) {
    if (i < n) result.insert(i);
  }
  return result;
}

}  // namespace gradclip::test
