// The algorithms, once for all instruction sets. A file per instruction set defines its vectors,
// then includes this inside an anonymous namespace, so that no two of them share a symbol:
//
//   struct Isa {
//     static constexpr std::size_t kWidth;       float64 lanes in a vector
//     using Vector;                              kWidth float64 values
//     load_float32, load_float64, broadcast, add, sub, mul, max,
//     fma(x, y, z) = x·y + z and fms(x, y, z) = x·y − z, rounded once
//     add_square(x, sum) = sum + x·x where x·x is exact, so fused or not is the same
//     abs, sum(vectors) as the fixed tree below
//     template <class T> Row<T>                  how many T a multiplication takes at once
//   };

template <class T>
T load_as(const std::byte* p) {
  T value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

// Vectors in a row of kLanes lanes.
constexpr std::size_t kVectors = kLanes / Isa::kWidth;

using Vector = Isa::Vector;

template <std::size_t kCount>
void fill(Vector (&v)[kCount], Vector value) {
#pragma GCC unroll 32
  for (auto& one : v) one = value;
}

// Calls add_row for each row of kLanes elements, the last one filled up with zeros. One call site:
// with a second one for the tail, GCC keeps the accumulators in memory.
template <class T, class AddRow>
void for_each_row(const std::byte* x, std::size_t n, AddRow add_row) {
  constexpr std::size_t kRow = kLanes * sizeof(T);
  std::byte padded[kRow];
  const std::byte* end = x + n / kLanes * kRow;
  for (std::size_t tail = n % kLanes;; tail = 0) {
    for (; x != end; x += kRow) add_row(x);
    if (tail == 0) return;
    const Vector zero = Isa::broadcast(0.0);  // memset would be a slow `rep stos`
    for (std::size_t i = 0; i < kRow; i += sizeof zero) {
      __builtin_memcpy(padded + i, &zero, sizeof zero);
    }
    __builtin_memcpy(padded, x, tail * sizeof(T));
    x = padded;
    end = padded + kRow;
  }
}

// Adds up the lanes of a row, lane i to lane i + 16, then + 8, + 4, + 2, + 1.
template <std::size_t kCount>
double sum_lanes(Vector (&v)[kCount]) {
  if constexpr (kCount == 1) {
    return Isa::sum(v[0]);
  } else {
    Vector sums[kCount / 2];
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kCount / 2; ++k) sums[k] = Isa::add(v[k], v[k + kCount / 2]);
    return sum_lanes(sums);
  }
}

// ---- float32: squares are exact in float64, so plain sums of 512 of them are good to 2^-44.

void sum_squares_float32(const std::byte* x, std::size_t n, Partial* sum) {
  Vector sums[kVectors];
  fill(sums, Isa::broadcast(0.0));
  for_each_row<float>(x, n, [&sums](const std::byte* row) {
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kVectors; ++k) {
      sums[k] = Isa::add_square(Isa::load_float32(row + k * Isa::kWidth * sizeof(float)), sums[k]);
    }
  });
  sum->hi = sum_lanes(sums);
  sum->lo = 0.0;
  sum->scale = 0;
}

// ---- float64: error-free sums against a bias.
//
// Lanes start from a bias A ≥ Σx², a power of two. Then t = fma(x, x, A) and q = t − A is exact,
// and x·x − q is what t lost; these losses add up in `lo`. What the lanes hold above the bias are
// multiples of ulp(A), at most A in all, so adding up the lanes is exact too. The error is
// that of `lo`: 2^-82·A for a full block.

struct Sums {
  double hi;
  double lo;
};

template <bool kScaled>
Sums biased_sums(const std::byte* x, std::size_t n, double bias, double scale) {
  const Vector biases = Isa::broadcast(bias);
  const Vector scales = Isa::broadcast(scale);
  // Lanes i and i + 16 share a low part: 8 + 4 accumulators leave 4 of 16 registers to AVX2.
  constexpr std::size_t kLows = kVectors / 2;
  Vector high[kVectors];
  Vector low[kLows];
  fill(high, biases);
  fill(low, Isa::broadcast(0.0));
  for_each_row<double>(x, n, [&](const std::byte* row) {
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kVectors; ++k) {
      Vector value = Isa::load_float64(row + k * Isa::kWidth * sizeof(double));
      if constexpr (kScaled) value = Isa::mul(value, scales);
      const Vector t = Isa::fma(value, value, high[k]);
      const Vector q = Isa::sub(t, high[k]);
      high[k] = t;
      low[k % kLows] = Isa::add(low[k % kLows], Isa::fms(value, value, q));
    }
  });
#pragma GCC unroll 32
  for (std::size_t k = 0; k < kVectors; ++k) high[k] = Isa::sub(high[k], biases);
  return {sum_lanes(high), sum_lanes(low)};
}

// Exponents of biases for which neither the sums nor their losses leave the normal range.
constexpr int kLeastBias = -866;
constexpr int kGreatestBias = 975;

double power_of_two(int exponent) {
  return __builtin_bit_cast(double, static_cast<std::uint64_t>(exponent + 1023) << 52);
}

// The e with 2^(e−1) ≤ x < 2^e, for a normal x; 1025 for inf, −1022 for zero and subnormals.
int exponent_above(double x) {
  return static_cast<int>((__builtin_bit_cast(std::uint64_t, x) >> 52) & 0x7ff) - 1022;
}

int log2_above(std::size_t n) {
  return n <= 1 ? 0 : 64 - __builtin_clzll(static_cast<unsigned long long>(n - 1));
}

// A guess at the bias from four of the block's rows: reading all of them first would take half
// as long again. Leaves room for the block to be 2^10 times larger than they say.
int guess_bias(const std::byte* x, std::size_t rows) {
  Vector sums[kVectors];
  fill(sums, Isa::broadcast(0.0));
  for (std::size_t i = 0; i < 4; ++i) {
    const std::byte* row = x + i * rows / 4 * kLanes * sizeof(double);
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kVectors; ++k) {
      const Vector value = Isa::load_float64(row + k * Isa::kWidth * sizeof(double));
      sums[k] = Isa::fma(value, value, sums[k]);
    }
  }
  return exponent_above(sum_lanes(sums)) + log2_above(rows) - 2 + 10;
}

double max_abs(const std::byte* x, std::size_t n) {
  Vector most = Isa::broadcast(0.0);
  for (; n >= Isa::kWidth; n -= Isa::kWidth, x += Isa::kWidth * sizeof(double)) {
    most = Isa::max(Isa::abs(Isa::load_float64(x)), most);
  }
  double lanes[Isa::kWidth];
  __builtin_memcpy(lanes, &most, sizeof lanes);
  double result = 0.0;
  for (const double lane : lanes) result = lane > result ? lane : result;
  for (; n > 0; --n, x += sizeof(double)) {
    const double value = __builtin_fabs(load_as<double>(x));
    result = value > result ? value : result;
  }
  return result;
}

// The sure way, with the bias and the scale from the largest element. NaN is not seen by
// max_abs, but goes through the sums; an infinity makes them inf or NaN whatever the bias.
Partial sum_squares_from_max(const std::byte* x, std::size_t n) {
  const double most = max_abs(x, n);
  const int scale = most > power_of_two(480) ? -1 : most < power_of_two(-440) ? 1 : 0;
  const double power = power_of_two(kScaleStep * scale);
  const double scaled = most * power;
  if (scaled == 0.0 || scaled > power_of_two(1000)) {
    return {biased_sums<false>(x, n, 1.0, 1.0).hi, 0.0, 0};
  }
  const double bias = power_of_two(2 * exponent_above(scaled) + log2_above(n));
  const Sums sums =
      scale == 0 ? biased_sums<false>(x, n, bias, 1.0) : biased_sums<true>(x, n, bias, power);
  return {sums.hi, sums.lo, scale};
}

void sum_squares_float64(const std::byte* x, std::size_t n, Partial* sum) {
  if (n >= kLanes) {
    const int exponent = guess_bias(x, n / kLanes);
    if (kLeastBias <= exponent && exponent <= kGreatestBias) {
      const double bias = power_of_two(exponent);
      const Sums sums = biased_sums<false>(x, n, bias, 1.0);
      // False for NaN. Above the bias a lane may have lost more than `lo` can say; below
      // 2^-24 of it, 2^-82·A is no longer far below half an ulp of the root.
      if (sums.hi <= bias && sums.hi >= bias * 0x1p-24) {
        *sum = {sums.hi, sums.lo, 0};
        return;
      }
    }
  }
  *sum = sum_squares_from_max(x, n);
}

// ---- scaling

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

template <class T>
void scale_by(const std::byte* x, std::byte* out, std::size_t n, Steps factor) {
  using Row = Isa::template Row<T>;
  constexpr std::size_t kStride = Row::kWidth * sizeof(T);
  constexpr std::size_t kUnroll = 4;
  const auto first = static_cast<T>(factor.first);
  const auto second = static_cast<T>(factor.second);
  const auto run = [&](auto multiply_row, auto multiply) {
    const auto run_single = [&](std::size_t count) {
      for (n -= count; count > 0; --count, x += sizeof(T), out += sizeof(T)) {
        const T product = multiply(load_as<T>(x));
        __builtin_memcpy(out, &product, sizeof product);
      }
    };
    if (n >= kWorthAligning) run_single(elements_to_alignment<T>(out, kStride));
    for (; n >= kUnroll * Row::kWidth; n -= kUnroll * Row::kWidth) {
#pragma GCC unroll 4
      for (std::size_t k = 0; k < kUnroll; ++k) {
        Row::store(out + k * kStride, multiply_row(Row::load(x + k * kStride)));
      }
      x += kUnroll * kStride;
      out += kUnroll * kStride;
    }
    run_single(n);
  };
  const auto firsts = Row::broadcast(first);
  const auto seconds = Row::broadcast(second);
  if (factor.second == 1.0) {
    run([&](auto v) { return Row::mul(v, firsts); }, [&](T v) { return v * first; });
  } else {
    run([&](auto v) { return Row::mul(Row::mul(v, firsts), seconds); },
        [&](T v) { return v * first * second; });
  }
}

// In the order of DType.
constexpr DTypeKernels kDTypes[] = {
    {sum_squares_float32, scale_by<float>},
    {sum_squares_float64, scale_by<double>},
};
static_assert(sizeof kDTypes / sizeof kDTypes[0] == kDTypeCount);
