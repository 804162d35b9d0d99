// Lists of arrays of any elements, at odd addresses, some with gaps between their elements.
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
  // Two values make a pair.
  void add(const Values& values, Element element, std::size_t offset = 0, std::size_t gap = 0) {
    const std::size_t stride = element.bytes() + gap;
    arrays_.push_back({element, values.size(), stride, offset + kGuards, {}});
    Array& array = arrays_.back();
    array.memory.assign(array.first + array.count() * stride + kGuards, kGuard);
    array.write(values);
  }
  void add(const Values& values, DType dtype, std::size_t offset = 0, std::size_t gap = 0) {
    add(values, Element{dtype}, offset, gap);
  }

  SpanList spans() { return spans_into(*this); }
  SpanList spans_into(Arrays& targets) {
    SpanList spans;
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      Array& from = arrays_[i];
      Array& to = targets.arrays_[i];
      std::vector<Axis> axes{{from.count(), static_cast<std::ptrdiff_t>(from.stride),
                              static_cast<std::ptrdiff_t>(to.stride)}};
      spans.add_strided(from.number(0), to.number(0), axes, from.element);
    }
    return spans;
  }

  std::size_t size() const { return arrays_.size(); }
  Element element(std::size_t i) const { return arrays_[i].element; }
  DType dtype(std::size_t i) const { return element(i).dtype; }
  Values read(std::size_t i) const {
    const Array& array = arrays_[i];
    Values values;
    values.reserve(array.size);
    with_type(dtype(i), [&]<class T>(T number) {
      for (std::size_t k = 0; k < array.size; ++k) {
        std::memcpy(&number, array.memory.data() + array.offset(k), sizeof number);
        values.push_back(to_double(number));
      }
    });
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
      for (double& x : values) x = value(x, dtype(i));
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
    Element element;
    std::size_t size;  // numbers
    std::size_t stride;
    std::size_t first;
    std::vector<std::byte> memory;

    std::size_t parts() const { return element.pair ? 2 : 1; }
    std::size_t count() const { return size / parts(); }
    std::size_t offset(std::size_t i) const {
      return first + i / parts() * stride + i % parts() * item_size(element.dtype);
    }
    std::byte* number(std::size_t i) { return memory.data() + offset(i); }
    void write(const Values& values) {
      with_type(element.dtype, [&]<class T>(T value) {
        for (std::size_t i = 0; i < values.size(); ++i) {
          value = from_double<T>(values[i]);
          std::memcpy(number(i), &value, sizeof value);
        }
      });
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

inline constexpr Element kComplex64{DType::kFloat32, true};
inline constexpr Element kComplex128{DType::kFloat64, true};

// Large enough for several threads; every kind of array in it, or none of a 16-bit type.
enum class Halves { kNone, kSome };
inline Arrays mixed_arrays(Halves halves = Halves::kSome) {
  Random random(1);
  Arrays arrays;
  const auto add = [&](std::size_t size, Element element, std::size_t offset = 0,
                       std::size_t gap = 0) {
    const int high = element.dtype == DType::kFloat16 ? 14 : 20;
    arrays.add(random_values(random, size, -20, high), element, offset, gap);
  };
  if (halves == Halves::kSome) {
    add(2 * kBlock + 33, {DType::kFloat16});
    add(kBlock + 31, {DType::kBfloat16});
    add(3'000, {DType::kFloat16}, 1, 3);
    add(3'000, {DType::kBfloat16}, 3, 1);
  }
  add(kBlock + 6, kComplex64, 4);
  add(kBlock + 2, kComplex128, 1, 7);
  add(150'002, {DType::kFloat32});
  add(0, {DType::kFloat64});
  add(80'001, {DType::kFloat64});
  add(1, {DType::kFloat32});
  add(5'000, {DType::kFloat32}, 1, 4);
  add(kBlock + 1, {DType::kFloat64}, 3, 5);
  add(10'000, {DType::kFloat64}, 5);
  for (int i = 0; i < 50; ++i) add(256, {i % 3 == 0 ? DType::kFloat64 : DType::kFloat32});
  return arrays;
}

}  // namespace gradclip::test
