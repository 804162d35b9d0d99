// Work: every element in one block, every block in one chunk, whatever the spans and threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "core/work.hpp"
#include "support/random.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

struct Shape {
  std::size_t size;
  Element element = {DType::kFloat32};
  bool strided = false;
};

// Spans of memory that is never touched, so that they may be of any size.
SpanList spans_of(const std::vector<Shape>& shapes) {
  static std::byte memory[8];
  SpanList spans;
  for (const Shape& shape : shapes) {
    std::vector<Axis> axes{{shape.size, 24, 24}};
    if (shape.strided) {
      spans.add_strided(memory, memory, axes, shape.element);
    } else {
      spans.add_contiguous(memory, memory, shape.size, shape.element);
    }
  }
  return spans;
}

// The blocks that a list must be cut into, in order.
struct Expected {
  const Span* span;
  std::size_t first;
  std::size_t size;
};

std::vector<Expected> expected_blocks(const SpanList& spans) {
  std::vector<Expected> blocks;
  for (const Span& span : spans) {
    for (std::size_t first = 0; first < span.size; first += kBlock) {
      blocks.push_back({&span, first, std::min(kBlock, span.size - first)});
    }
  }
  return blocks;
}

constexpr Element kElements[] = {{DType::kFloat16},       {DType::kBfloat16},
                                 {DType::kFloat32},       {DType::kFloat64},
                                 {DType::kFloat32, true}, {DType::kFloat64, true}};

void check_blocks(const std::vector<Shape>& shapes, std::size_t cost = 1) {
  const SpanList spans = spans_of(shapes);
  const std::vector<Expected> expected = expected_blocks(spans);
  for (const int threads : kThreadCounts) {
    CAPTURE(threads);
    const Threads limit(threads);
    const Work work(spans, cost);
    CHECK(work.parts() == expected.size());
    for (const Direction direction : {Direction::kForward, Direction::kMirrored}) {
      std::vector<std::atomic<int>> visits(expected.size());
      std::atomic<int> wrong{0};
      work.for_each_block(direction, Rounding::kNearest, [&](const Block& block, std::byte*) {
        if (block.part >= expected.size()) {
          ++wrong;
          return;
        }
        const auto& [span, first, size] = expected[block.part];
        wrong += &block.span != span || block.first != first || block.size != size;
        ++visits[block.part];
      });
      CHECK(wrong.load() == 0);
      for (const auto& visited : visits) wrong += visited.load() != 1;
      CHECK(wrong.load() == 0);
    }
  }
}

TEST_CASE("no spans, or empty ones, have no blocks") {
  check_blocks({});
  check_blocks({{0}});
  check_blocks({{0}, {0, {DType::kFloat64}}, {0}});
}

TEST_CASE("one span of any size is cut into whole blocks and a rest") {
  for (const std::size_t blocks : {1u, 8u, 16u, 17u, 100u, 1000u}) {
    for (const std::size_t size : {blocks * kBlock - 1, blocks * kBlock, blocks * kBlock + 2}) {
      for (const Element element : kElements) {
        CAPTURE(size);
        check_blocks({{size, element}});
      }
    }
  }
  check_blocks({{1}});
}

TEST_CASE("a block never holds half a pair") {
  for (const std::size_t size : {std::size_t{1}, kBlock / 2 - 1, kBlock / 2, 5 * kBlock + 3}) {
    const SpanList spans = spans_of({{5}, {size, {DType::kFloat32, true}}, {3}});
    const Work work(spans);
    std::atomic<std::size_t> numbers{0};
    std::atomic<int> odd{0};
    work.for_each_block(Direction::kForward, Rounding::kNearest,
                        [&](const Block& block, std::byte*) {
                          if (!block.span.element.pair) return;
                          odd += block.first % 2 != 0 || block.size % 2 != 0;
                          numbers += block.size;
                        });
    CHECK(odd.load() == 0);
    CHECK(numbers.load() == 2 * size);
  }
}

TEST_CASE("more than 2^31 elements are covered") {
  check_blocks({{5}, {(std::size_t{1} << 32) + 5, {DType::kFloat64}}, {7}});
}

TEST_CASE("many small spans share chunks") {
  check_blocks(std::vector<Shape>(1000, {256}));
  check_blocks(std::vector<Shape>(20'000, {256}));
  check_blocks(std::vector<Shape>(100, {kBlock + 1, {DType::kFloat64}}));
}

TEST_CASE("small, large, empty and strided spans in any mixture") {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Shape> shapes;
    for (int i = random.between(1, 40); i > 0; --i) {
      const std::size_t most = random.one_in(4) ? 100 * kBlock : random.one_in(2) ? kBlock : 3;
      shapes.push_back({random.between<std::size_t>(0, most), kElements[random.between(0, 5)],
                        random.one_in(4)});
    }
    CAPTURE(round);
    check_blocks(shapes, random.one_in(2) ? 1 : 64);
  }
}

TEST_CASE("as many threads as pay, and no more than may run") {
  for (const int threads : kThreadCounts) {
    const Threads limit(threads);
    CHECK(threads_for(0) == 1);
    CHECK(threads_for(10'000) == 1);
    CHECK(threads_for(std::size_t{1} << 40) == threads);
  }
}

TEST_CASE("two threads share a large list") {
  const SpanList spans = spans_of({{5'000'000}, {5'000'000}});
  const Threads limit(2);
  const Work work(spans);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  const auto seen = [&] {
    const std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
    return threads.size();
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  work.for_each_block(Direction::kForward, Rounding::kNearest, [&](const Block&, std::byte*) {
    while (seen() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  CHECK(threads.size() == 2);
}

TEST_CASE("strided spans get a buffer that no other thread has at the time") {
  const std::vector<Shape> shapes{{300'000, {DType::kFloat64}, true}, {300'000}, {5, {}, true}};
  const SpanList spans = spans_of(shapes);
  for (const int threads : kThreadCounts) {
    const Threads limit(threads);
    const Work work(spans);
    std::atomic<int> wrong{0};
    work.for_each_block(Direction::kForward, Rounding::kNearest,
                        [&](const Block& block, std::byte* buffer) {
                          const auto mark = static_cast<std::byte>(block.part);
                          constexpr std::size_t kBytes = kBlock * sizeof(double);
                          std::fill_n(buffer, kBytes, mark);
                          for (std::size_t i = 0; i < kBytes; ++i) wrong += buffer[i] != mark;
                        });
    CHECK(wrong.load() == 0);
  }
}

TEST_CASE("as many buffers as were asked for, also if all spans are contiguous") {
  const SpanList spans = spans_of({{300'000, {DType::kFloat64}}, {5}});
  for (const int threads : kThreadCounts) {
    const Threads limit(threads);
    for (const std::size_t buffers : {1u, 2u, 3u}) {
      const Work work(spans, {.cost = 1, .buffers = buffers});
      std::atomic<int> wrong{0};
      work.for_each_block(Direction::kForward, Rounding::kNearest,
                          [&](const Block& block, std::byte* buffer) {
                            const auto mark = static_cast<std::byte>(block.part);
                            const std::size_t bytes = buffers * work.buffer_bytes();
                            std::fill_n(buffer, bytes, mark);
                            for (std::size_t i = 0; i < bytes; ++i) wrong += buffer[i] != mark;
                          });
      CHECK(wrong.load() == 0);
    }
  }
}

TEST_CASE("contiguous spans need no buffer") {
  const SpanList spans = spans_of({{300'000}, {5}, {0}});
  const Threads limit(3);
  std::atomic<int> buffers{0};
  Work(spans).for_each_block(
      Direction::kForward, Rounding::kNearest,
      [&](const Block&, const std::byte* buffer) { buffers += buffer != nullptr; });
  CHECK(buffers.load() == 0);
}

TEST_CASE("bytes add up, and any narrow span widens the bound") {
  const SpanList narrow = spans_of({{3}, {5, {DType::kFloat64}}});
  CHECK(Work(narrow).bytes() == 52);
  CHECK(Work(narrow).contents().widened);
  const SpanList wide = spans_of({{3, {DType::kFloat64}}, {5, {DType::kFloat64}, true}});
  CHECK(Work(wide).bytes() == 64);
  CHECK(!Work(wide).contents().widened);
}

TEST_CASE("a list knows of its narrow spans, its 16-bit ones and its pairs") {
  for (const Element element : kElements) {
    const SpanList spans = spans_of({{3, {DType::kFloat64}}, {5, element}, {1, {DType::kFloat64}}});
    const Work work(spans);
    CHECK(work.contents().widened == (element.dtype != DType::kFloat64));
    CHECK(work.contents().half == (item_size(element.dtype) == 2));
    CHECK(work.contents().pairs == element.pair);
    CHECK(work.bytes() == 32 + 5 * element.bytes());
  }
}

TEST_CASE("what costs more to read is as much more effort") {
  const SpanList spans = spans_of({{3}, {5, {DType::kFloat32, true}}});
  CHECK(Work(spans).effort() == 52);
  CHECK(Work(spans, 64).effort() == 52 * 64);
}

}  // namespace
}  // namespace gradclip::test
