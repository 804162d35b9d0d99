// Lists of arrays of both dtypes, at odd addresses, some with gaps between their elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/span.hpp"
#include "support/exact.hpp"
#include "support/memory.hpp"
#include "support/random.hpp"

namespace gradclip::test {

using Values = std::vector<double>;

class Arrays {
 public:
  // The first element begins `offset` bytes after an aligned address, and `gap` bytes follow each.
  void add(const Values& values, DType dtype, std::size_t offset = 0, std::size_t gap = 0) {
    const std::size_t stride = item_size(dtype) + gap;
    arrays_.push_back({dtype, values.size(), stride, offset + kGuards, {}});
    Array& array = arrays_.back();
    array.memory.assign(array.first + values.size() * stride + kGuards, kGuard);
    array.write(values);
  }

  SpanList spans() { return spans_into(*this); }
  SpanList spans_into(Arrays& targets) {
    SpanList spans;
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      Array& from = arrays_[i];
      Array& to = targets.arrays_[i];
      std::vector<Axis> axes{{from.size, static_cast<std::ptrdiff_t>(from.stride),
                              static_cast<std::ptrdiff_t>(to.stride)}};
      spans.add_strided(from.element(0), to.element(0), axes, from.dtype);
    }
    return spans;
  }

  std::size_t size() const { return arrays_.size(); }
  DType dtype(std::size_t i) const { return arrays_[i].dtype; }
  Values read(std::size_t i) const {
    const Array& array = arrays_[i];
    Values values;
    values.reserve(array.size);
    for (std::size_t k = 0; k < array.size; ++k) {
      values.push_back(array.dtype == DType::kFloat32 ? array.read<float>(k)
                                                      : array.read<double>(k));
    }
    return values;
  }

  // Every byte, the elements' and those beside and between them.
  bool same_bytes(const Arrays& other) const {
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      if (!test::same_bytes(arrays_[i].memory, other.arrays_[i].memory)) return false;
    }
    return true;
  }
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> all;
    for (const Array& array : arrays_) {
      all.insert(all.end(), array.memory.begin(), array.memory.end());
    }
    return all;
  }

  // Every element x becomes value(x, dtype).
  template <class Value>
  void transform(const Value& value) {
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      Values values = read(i);
      for (double& x : values) x = value(x, arrays_[i].dtype);
      arrays_[i].write(values);
    }
  }

  Exact sum_of_squares() const {
    Exact sum = 0;
    for (std::size_t i = 0; i < size(); ++i) sum += sum_of_squares(i);
    return sum;
  }
  Exact sum_of_squares(std::size_t i) const {
    return exact_sum_of_squares(std::span<const double>(read(i)));
  }

 private:
  static constexpr std::byte kGuard{0xa5};
  static constexpr std::size_t kGuards = 64;

  struct Array {
    DType dtype;
    std::size_t size;
    std::size_t stride;
    std::size_t first;
    std::vector<std::byte> memory;

    std::byte* element(std::size_t i) { return memory.data() + first + i * stride; }
    void write(const Values& values) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto narrow = static_cast<float>(values[i]);
        const void* value =
            dtype == DType::kFloat32 ? static_cast<const void*>(&narrow) : &values[i];
        std::memcpy(element(i), value, item_size(dtype));
      }
    }
    template <class T>
    double read(std::size_t i) const {
      T value;
      std::memcpy(&value, memory.data() + first + i * stride, sizeof value);
      return value;
    }
  };

  std::vector<Array> arrays_;
};

// Of magnitudes 2^low to 2^high.
inline Values random_values(Random& random, std::size_t size, int low = -1, int high = 1) {
  Values values(size);
  for (double& value : values) value = random.real(low, high);
  return values;
}

// Large enough for several threads; every kind of array in it.
inline Arrays mixed_arrays() {
  Random random(1);
  Arrays arrays;
  const auto add = [&](std::size_t size, DType dtype, std::size_t offset = 0, std::size_t gap = 0) {
    arrays.add(random_values(random, size, -20, 20), dtype, offset, gap);
  };
  add(150'002, DType::kFloat32);
  add(0, DType::kFloat64);
  add(80'001, DType::kFloat64);
  add(1, DType::kFloat32);
  add(5'000, DType::kFloat32, 1, 4);
  add(kBlock + 1, DType::kFloat64, 3, 5);
  add(10'000, DType::kFloat64, 5);
  for (int i = 0; i < 50; ++i) add(256, i % 3 == 0 ? DType::kFloat64 : DType::kFloat32);
  return arrays;
}

}  // namespace gradclip::test
