// Memory at odd addresses, and its bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace gradclip::test {

inline std::uint64_t bits(double x) {
  std::uint64_t result;
  std::memcpy(&result, &x, sizeof result);
  return result;
}

// Not ==, which compares std::byte one by one.
inline bool same_bytes(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Elements that begin `offset` bytes after a 64-byte boundary, between guard bytes.
template <class T>
class Elements {
 public:
  Elements(std::span<const T> values, std::size_t offset)
      : size_(values.size()), memory_(values.size_bytes() + offset + 64 + 2 * kGuards, kGuard) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data() + kGuards);
    first_ = kGuards + (64 - address % 64) % 64 + offset;
    if (size_ > 0) std::memcpy(data(), values.data(), values.size_bytes());
  }

  std::byte* data() { return memory_.data() + first_; }
  const std::byte* data() const { return memory_.data() + first_; }

  T operator[](std::size_t i) const {
    T value;
    std::memcpy(&value, data() + i * sizeof(T), sizeof value);
    return value;
  }

  bool same_bits(const T* expected) const {
    return size_ == 0 || std::memcmp(data(), expected, size_ * sizeof(T)) == 0;
  }

  bool guards_are_intact() const {
    const std::size_t end = first_ + size_ * sizeof(T);
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      if ((i < first_ || i >= end) && memory_[i] != kGuard) return false;
    }
    return true;
  }

 private:
  static constexpr std::byte kGuard{0xa5};
  static constexpr std::size_t kGuards = 128;

  std::size_t size_;
  std::vector<std::byte> memory_;
  std::size_t first_ = 0;
};

}  // namespace gradclip::test
