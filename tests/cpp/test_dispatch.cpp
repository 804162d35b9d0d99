// The table of kernels in use: the best one, or the one asked for.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "dispatch/dispatch.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

TEST_CASE("the best available instruction set is used unless another is selected") {
  CHECK(kernels().name == available_isas().front());
}

TEST_CASE("instruction sets are listed best first, and scalar always") {
  const std::vector<std::string_view> best_first{"avx512", "avx2", "neon", "scalar"};
  const auto names = available_isas();
  CHECK(names.back() == "scalar");
  CHECK(std::ranges::is_sorted(names, {}, [&](std::string_view name) {
    const auto place = std::ranges::find(best_first, name);
    CHECK_MESSAGE(place != best_first.end(), name);
    return place - best_first.begin();
  }));
  CHECK(std::set(names.begin(), names.end()).size() == names.size());
}

TEST_CASE("what the compiler built and the processor runs is available") {
#if defined(GRADCLIP_HAVE_AVX2)
  unsigned eax, ebx, ecx = 0, edx;
  CHECK(__get_cpuid(1, &eax, &ebx, &ecx, &edx));  // Clang 14 can't be asked for F16C
  const bool runs =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && (ecx & bit_F16C) != 0;
  CHECK(contains(available_isas(), "avx2") == runs);
#endif
#if defined(GRADCLIP_HAVE_AVX512)
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  CHECK(contains(available_isas(), "avx512") == wide);
#endif
#if defined(GRADCLIP_HAVE_NEON)
  CHECK(contains(available_isas(), "neon"));
#endif
  for (const std::string_view name : isas_not_built()) CHECK(!contains(available_isas(), name));
}

TEST_CASE("a selected instruction set is in force, with kernels of its own") {
  std::set<const void*> tables;
  std::set<NormKernel> norms;
  std::set<decltype(DTypeKernels::scale)> scales;
  for_each_isa([&](const KernelTable& table) {
    CHECK(&kernels() == &table);
    CHECK(tables.insert(&table).second);
    for (std::size_t i = 0; i < kDTypeCount; ++i) {
      const DTypeKernels& kernels = table[DType(i)];
      CHECK(scales.insert(kernels.scale).second);
      for (const NormKernel norm : kernels.of_reals) CHECK(norms.insert(norm).second);
    }
  });
  CHECK(tables.size() == available_isas().size());
}

TEST_CASE("pairs have kernels of their own but for squares, and no pairs are of 16 bits") {
  for_each_isa([](const KernelTable& table) {
    for (const DType dtype : {DType::kFloat16, DType::kBfloat16}) {
      for (const NormKernel norm : table[dtype].of_pairs) CHECK((norm == nullptr));
    }
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      for (std::size_t kind = 0; kind < kOrderKindCount; ++kind) {
        const bool same = table[dtype].of_pairs[kind] == table[dtype].of_reals[kind];
        CHECK(same == (kind == index(OrderKind::kTwo)));
        CHECK((table[dtype].of_pairs[kind] != nullptr));
      }
    }
  });
}

TEST_CASE("an unknown instruction set is refused, and nothing changes") {
  for_each_isa([](const KernelTable& table) {
    for (const char* name : {"", "sse9", "AVX2", "avx", "avx22", "scalar "}) {
      CHECK_MESSAGE(!select_isa(name), name);
      CHECK(&kernels() == &table);
    }
    for (const std::string_view name : isas_not_built()) CHECK_MESSAGE(!select_isa(name), name);
    CHECK(&kernels() == &table);
  });
}

}  // namespace
}  // namespace gradclip::test
