// What changes by a block's values: sums of examples, parameters of a model. NaN is stored as one
// pattern: of an fma's operands, instruction sets and compilers keep whichever they like.
#pragma once

#include "kernels/rows.inl.hpp"

template <class T>
void add_scaled(const std::byte* x, std::byte* sum, std::size_t n, Steps factor) {
  using Compute = typename Isa::template Row<T>::Compute;
  using Row = Isa::template Row<Compute>;
  const auto first = Row::broadcast(static_cast<Compute>(factor.first));
  const auto second = Row::broadcast(static_cast<Compute>(factor.second));
  const bool one_step = factor.second == 1.0;
  const auto add_row = [&](const std::byte* from, std::byte* to) {
    const auto value = Row::widen(from, T{});
    const auto before = Row::load(to);
    Row::store(to, Row::one_nan(one_step ? Row::fma(value, first, before)
                                         : Row::fma(Row::mul(value, first), second, before)));
  };
  for (; n >= Row::kWidth; n -= Row::kWidth) {
    add_row(x, sum);
    x += Row::kWidth * sizeof(T);
    sum += Row::kWidth * sizeof(Compute);
  }
  if (n == 0) return;
  std::byte last_x[Row::kWidth * sizeof(T)] = {};
  std::byte last_sum[Row::kWidth * sizeof(Compute)] = {};
  __builtin_memcpy(last_x, x, n * sizeof(T));
  __builtin_memcpy(last_sum, sum, n * sizeof(Compute));
  add_row(last_x, last_sum);
  __builtin_memcpy(sum, last_sum, n * sizeof(Compute));
}

template <class T>
void update_parameters(const std::byte* gradient, std::byte* parameter, std::byte* velocity,
                       std::size_t n, const SgdStep& step) {
  using Row = Isa::template Row<T>;
  using Compute = typename Row::Compute;
  constexpr std::size_t kBytes = Row::kWidth * sizeof(T);
  const auto broadcast = [](double x) { return Row::broadcast(static_cast<Compute>(x)); };
  const auto first = broadcast(step.factor.first);
  const auto second = broadcast(step.factor.second);
  const auto decay = broadcast(step.weight_decay);
  const auto momentum = broadcast(step.momentum);
  const auto minus_lr = broadcast(-step.lr);
  const std::byte zeros[kBytes] = {};
  const auto update_row = [&](const std::byte* g, std::byte* p, std::byte* v) {
    auto change = Row::mul(Row::load(step.no_gradient ? zeros : g), first);
    if (step.factor.second != 1.0) change = Row::mul(change, second);
    const auto before = Row::load(p);
    if (step.weight_decay != 0.0) change = Row::fma(before, decay, change);
    if (v != nullptr) {
      const auto speed = Row::one_nan(Row::fma(Row::load(v), momentum, change));
      Row::store(v, speed);
      change = step.nesterov ? Row::fma(speed, momentum, change) : speed;
    }
    Row::store(p, Row::one_nan(Row::fma(change, minus_lr, before)));
  };
  const Ahead of_gradient(gradient, n, sizeof(T));
  const Ahead of_parameter(parameter, n, sizeof(T));
  const Ahead of_velocity(velocity, n, sizeof(T));
  for (; n >= Row::kWidth; n -= Row::kWidth) {
    of_gradient.fetch<kBytes>(gradient);
    of_parameter.fetch<kBytes>(parameter);
    if (velocity != nullptr) of_velocity.fetch<kBytes>(velocity);
    update_row(gradient, parameter, velocity);
    gradient += kBytes;
    parameter += kBytes;
    if (velocity != nullptr) velocity += kBytes;
  }
  if (n == 0) return;
  std::byte last[3][kBytes] = {};
  __builtin_memcpy(last[0], gradient, n * sizeof(T));
  __builtin_memcpy(last[1], parameter, n * sizeof(T));
  if (velocity != nullptr) __builtin_memcpy(last[2], velocity, n * sizeof(T));
  update_row(last[0], last[1], velocity != nullptr ? last[2] : nullptr);
  __builtin_memcpy(parameter, last[1], n * sizeof(T));
  if (velocity != nullptr) __builtin_memcpy(velocity, last[2], n * sizeof(T));
}
