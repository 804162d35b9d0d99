#include "core/passes.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/blocks.hpp"
#include "core/fp_environment.hpp"
#include "core/runs.hpp"
#include "core/strided.hpp"
#include "dispatch/dispatch.hpp"

namespace gradclip {
namespace {

template <class T>
void fill_as(std::byte* target, std::size_t count, T item) noexcept {
  for (; count > 0; --count, target += sizeof item) std::memcpy(target, &item, sizeof item);
}

// 0 or NaN.
void fill_items(std::byte* target, std::size_t count, DType dtype, double value) noexcept {
  constexpr std::uint16_t kFloat16NaN = 0x7e00, kBfloat16NaN = 0x7fc0;
  switch (dtype) {
    case DType::kFloat16:
      return fill_as<std::uint16_t>(target, count, std::isnan(value) ? kFloat16NaN : 0);
    case DType::kBfloat16:
      return fill_as<std::uint16_t>(target, count, std::isnan(value) ? kBfloat16NaN : 0);
    case DType::kFloat32:
      return fill_as(target, count, static_cast<float>(value));
    case DType::kFloat64:
      return fill_as(target, count, value);
  }
}

// A block of units that lie side by side, element by element, in memory of one layout. If each is
// to be multiplied once, or kept, they are by rows of neighbours, which need not be packed: less
// than half the time for 25,600 × 1,000 float32.
class Neighbours {
 public:
  explicit Neighbours(const Section& section) : section_(section) {}

  // Returns false, and does nothing, if they are not of this kind.
  template <class Plan, class Finite>
  bool scale(const Plan& plan, const Finite& finite) noexcept {
    const Span& span = section_.span;
    const auto kernel = kernels()[span.dtype()].scale_each;
    if (kernel == nullptr || span.element.pair || !side_by_side()) return false;
    for (std::size_t i = 0; i < section_.unit_count; ++i) {
      const std::size_t unit = section_.units[i];
      const ClipPlan of_unit = plan(unit);
      if (of_unit.action == ClipPlan::Action::kScale) {
        const Steps factor = of_unit.steps[index(span.dtype())];
        if (factor.second != 1.0) return false;
        set_factor(i, factor.first);
      } else {
        // A signaling NaN would become quiet.
        if (of_unit.action == ClipPlan::Action::kFill || !finite(unit)) return false;
        set_factor(i, 1.0);
      }
    }
    const std::size_t item = item_size(span.dtype());
    const std::ptrdiff_t begin = unit_offset<&Axis::source_stride>(section_, section_.units[0]);
    for_each_run<&Axis::source_stride>(
        section_, [&](std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t count) {
          for (offset += begin; count > 0; --count, offset += stride) {
            const std::byte* const row = span.source + offset;
            if (count > kRowsAhead) fetch_rows(row, stride, 1, section_.unit_count * item);
            kernel(row, span.target + offset, section_.unit_count, factors_);
          }
        });
    return true;
  }

 private:
  bool side_by_side() const noexcept {
    const Span& span = section_.span;
    const auto moved = [](const Axis& axis) { return axis.source_stride != axis.target_stride; };
    if (std::any_of(section_.axes, section_.axes + span.ndim, moved)) return false;
    const auto offset = [&](std::size_t i) {
      return unit_offset<&Axis::source_stride>(section_, section_.units[i]);
    };
    const auto item = static_cast<std::ptrdiff_t>(item_size(span.dtype()));
    std::size_t i = 1;
    while (i < section_.unit_count && offset(i) - offset(i - 1) == item) ++i;
    return i == section_.unit_count;
  }

  void set_factor(std::size_t i, double factor) noexcept {
    if (section_.span.dtype() == DType::kFloat64) {
      std::memcpy(factors_ + i * sizeof factor, &factor, sizeof factor);
    } else {
      const auto narrow = static_cast<float>(factor);
      std::memcpy(factors_ + i * sizeof narrow, &narrow, sizeof narrow);
    }
  }

  const Section& section_;
  std::byte factors_[kMostUnits * sizeof(double)];
};

}  // namespace

Norms::Norms(const Work& work, Order order)
    : work_(work), order_(order), parts_(work.parts(), &arena_) {}

void Norms::measure() noexcept {
  const KernelTable& table = kernels();
  const std::size_t kind = index(order_.kind);
  const auto measure_block = [&](const Block& block, std::byte* buffer) {
    const Span& span = block.span;
    const DTypeKernels& of = table[span.dtype()];
    const NormKernel kernel = span.element.pair ? of.of_pairs[kind] : of.of_reals[kind];
    const Rows rows = read(work_, block, buffer);
    for (std::size_t i = 0; i < block.units; ++i) {
      kernel(rows.first + i * rows.stride, block.size, order_.p, rows.end,
             &parts_[block.part + i * block.cut.parts]);
    }
  };
  work_.for_each_block(Direction::kForward, Rounding::kNearest, measure_block);
}

double Norms::norm(double scale) const noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return scaled_root(merge(parts_, order_), order_, scale);
}

template <class Visit>
void Norms::for_each_span(const Visit& visit) const noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  std::span<const Partial> rest(parts_);
  for (std::size_t i = 0; i < work_.spans().size(); ++i) {
    const Cut cut(work_.spans(), work_.spans()[i]);
    const std::size_t count = cut.units * cut.parts;
    if (!visit(i, merge(rest.first(count), order_))) return;
    rest = rest.subspan(count);
  }
}

void Norms::array_norms(double* norms) const noexcept {
  for_each_span([&](std::size_t i, const Partial& sum) {
    norms[i] = scaled_root(sum, order_);
    return true;
  });
}

void Norms::unit_norms(double* norms) const noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  std::span<const Partial> rest(parts_);
  for (const Span& span : work_.spans()) {
    const Cut cut(work_.spans(), span);
    for (std::size_t i = 0; i < cut.units; ++i) {
      *norms++ = scaled_root(merge(rest.first(cut.parts), order_), order_);
      rest = rest.subspan(cut.parts);
    }
  }
}

std::size_t Norms::first_nonfinite() const noexcept {
  std::size_t first = work_.spans().size();
  for_each_span([&](std::size_t i, const Partial& sum) {
    if (!std::isfinite(sum.hi)) first = i;
    return first == work_.spans().size();
  });
  return first;
}

void copy(const Work& work) noexcept {
  if (work.spans().in_place()) return;
  transform(work, Rounding::kNearest,
            [](const std::byte* source, std::byte* target, std::size_t count, DType dtype) {
              std::memmove(target, source, count * item_size(dtype));
              return true;
            });
}

void fill(const Work& work, double value) noexcept {
  const auto fill_block = [&](const Block& block, std::byte* buffer) {
    const Span& span = block.span;
    if (span.contiguous()) {
      fill_items(span.target + block.first * item_size(span.dtype()), block.size, span.dtype(),
                 value);
    } else {
      fill_items(buffer, block.size, span.dtype(), value);
      unpack(section(work.spans(), block, span), buffer);
    }
  };
  work.for_each_block(Direction::kMirrored, Rounding::kNearest, fill_block);
}

void scale(const Work& work, const DTypeSteps& factor, Rounding rounding) noexcept {
  const KernelTable& table = kernels();
  transform(work, rounding,
            [&](const std::byte* source, std::byte* target, std::size_t count, DType dtype) {
              table[dtype].scale(source, target, count, factor[index(dtype)], nullptr);
              return true;
            });
}

void write(const Work& work, const ClipPlan& plan) noexcept {
  switch (plan.action) {
    case ClipPlan::Action::kKeep:
      return copy(work);
    case ClipPlan::Action::kFill:
      return fill(work, plan.fill);
    case ClipPlan::Action::kScale:
      return scale(work, plan.steps, plan.rounding);
  }
}

void write_numbers(const ClipPlan& plan, const std::byte* source, std::byte* target,
                   std::size_t count, DType dtype, const std::byte* next) noexcept {
  switch (plan.action) {
    case ClipPlan::Action::kKeep:
      if (source != target) std::memmove(target, source, count * item_size(dtype));
      return;
    case ClipPlan::Action::kFill:
      return fill_items(target, count, dtype, plan.fill);
    case ClipPlan::Action::kScale:
      return kernels()[dtype].scale(source, target, count, plan.steps[index(dtype)], next);
  }
}

void write(const Work& work, const UnitPlans& plans) noexcept {
  const bool in_place = work.spans().in_place();
  const auto write_block = [&](const Block& block, std::byte* buffer) {
    const Span& span = block.span;
    const auto plan = [&](std::size_t row) {
      return plans.plan(block.unit + (row - block.row), span.element);
    };
    const FpEnvironment environment(plans.rounding(span.element));
    const std::size_t item = item_size(span.dtype());
    if (span.contiguous()) {
      const std::size_t unit_size = block.cut.unit_size;
      for (std::size_t row = block.row; row < block.row + block.units; ++row) {
        const std::size_t offset = (row * unit_size + block.first) * item;
        write_numbers(plan(row), span.source + offset, span.target + offset, block.size,
                      span.dtype());
      }
      return;
    }
    // Only those that change.
    std::size_t rows[kMostUnits];
    std::size_t count = 0;
    for (std::size_t row = block.row; row < block.row + block.units; ++row) {
      const bool keep = in_place && plan(row).action == ClipPlan::Action::kKeep;
      if (!keep) rows[count++] = row;
    }
    if (count == 0) return;
    if (block.cut.interleaved) {
      std::size_t all[kMostUnits];
      std::iota(all, all + block.units, block.row);
      const auto finite = [&](std::size_t row) {
        return plans.finite(block.unit + (row - block.row));
      };
      if (Neighbours(section(work, block, all, block.units)).scale(plan, finite)) return;
    }
    const Section changed = section(work, block, rows, count);
    pack(changed, buffer);
    for (std::size_t i = 0; i < count; ++i) {
      std::byte* const unit = buffer + i * block.pitch() * item;
      write_numbers(plan(rows[i]), unit, unit, block.size, span.dtype());
    }
    unpack(changed, buffer);
  };
  work.for_each_block(Direction::kMirrored, Rounding::kNearest, write_block);
}

void clamp(const Work& work, double low, double high) noexcept {
  const KernelTable& table = kernels();
  transform(work, Rounding::kNearest,
            [&](const std::byte* source, std::byte* target, std::size_t count, DType dtype) {
              table[dtype].clamp(source, target, count, low, high);
              return true;
            });
}

}  // namespace gradclip
