#include "dispatch/dispatch.hpp"

#include <atomic>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace gradclip {
namespace {

bool always() { return true; }

#if defined(__x86_64__)
// __builtin_cpu_supports also asks whether the system saves the wide registers; Clang 14 has no
// name for F16C there.
[[maybe_unused]] bool runs_avx2() {
  unsigned eax, ebx, ecx = 0, edx;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
}

[[maybe_unused]] bool runs_avx512() {
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

struct Implementation {
  const KernelTable* table;
  bool (*runs_here)();
};

// Best first.
constexpr Implementation kImplementations[] = {
#if defined(GRADCLIP_HAVE_AVX512)
    {&avx512::kTable, runs_avx512},
#endif
#if defined(GRADCLIP_HAVE_AVX2)
    {&avx2::kTable, runs_avx2},
#endif
#if defined(GRADCLIP_HAVE_NEON)
    {&neon::kTable, always},
#endif
    {&scalar::kTable, always},
};

const KernelTable* best() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  for (const auto& [table, runs_here] : kImplementations) {
    if (runs_here()) return table;
  }
  return &scalar::kTable;
}

std::atomic<const KernelTable*> in_use{best()};

}  // namespace

const KernelTable& kernels() noexcept { return *in_use.load(std::memory_order_relaxed); }

std::vector<std::string_view> available_isas() {
  std::vector<std::string_view> names;
  for (const auto& [table, runs_here] : kImplementations) {
    if (runs_here()) names.emplace_back(table->name);
  }
  return names;
}

std::vector<std::string_view> isas_not_built() {
  return {
#if defined(__x86_64__) && !defined(GRADCLIP_HAVE_AVX512)
    "avx512",
#endif
#if defined(__x86_64__) && !defined(GRADCLIP_HAVE_AVX2)
        "avx2",
#endif
#if defined(__aarch64__) && !defined(GRADCLIP_HAVE_NEON)
        "neon",
#endif
  };
}

bool select_isa(std::string_view name) noexcept {
  for (const auto& [table, runs_here] : kImplementations) {
    if (name == table->name && runs_here()) {
      in_use.store(table, std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

}  // namespace gradclip
