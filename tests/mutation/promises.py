"""The promises, and for each a change that breaks it and the tests that have to notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    promise: str  # what no longer holds
    file: str
    old: str
    new: str
    tests: str

    @property
    def needs_torch(self) -> bool:
        return "pytorch/" in self.tests


MUTANTS = [
    Mutant(
        "scale pass: products round toward zero, so the bound is exact",
        "cpp/core/clip.cpp",
        "Rounding::kNearest : Rounding::kTowardZero}",
        "Rounding::kNearest : Rounding::kNearest}",
        "test_exact_bound.py",
    ),
    Mutant(
        "merge: what an addition loses is kept",
        "cpp/core/partial.cpp",
        "error + (sum.lo + part.lo)",
        "sum.lo + part.lo",
        "test_norm_accuracy.py",
    ),
    Mutant(
        "pool: each worker runs each of its chunks once",
        "cpp/core/pool.cpp",
        "(mirrored ? left - 1 : slot.count - left)",
        "0 * (mirrored ? left - 1 : slot.count - left)",
        "test_bits.py",
    ),
    Mutant(
        "exit: a daemon thread that is ended drops no references",
        "cpp/bindings/call_python.hpp",
        "for (;;) pause();",
        "throw;",
        "test_exit.py",
    ),
    Mutant(
        "factor: the norm may be an ulp larger than computed",
        "cpp/core/factor.cpp",
        "Factor::of(std::nextafter(bound, kInfinity))",
        "Factor::of(bound)",
        "test_exact_bound.py",
    ),
    Mutant(
        "factor: a subnormal factor keeps its mantissa",
        "cpp/core/factor.cpp",
        "std::clamp(below, 0, kMostLift)",
        "std::clamp(below, 0, 0)",
        "test_exact_bound_range.py",
    ),
    Mutant(
        "float64 kernel: what an addition loses is kept",
        "cpp/kernels/terms.inl.hpp",
        "Isa::fms(x, x, gain)",
        "Isa::sub(gain, gain)",
        "test_norm_accuracy.py",
    ),
    Mutant(
        "float64 kernel: blocks of huge values are scaled",
        "cpp/kernels/sums.inl.hpp",
        "most > power_of_two(480)    ? -kUnitStep",
        "most > power_of_two(1000) ? -kUnitStep",
        "test_norm_range.py",
    ),
    Mutant(
        "clip: norm = max_norm writes nothing",
        "cpp/core/clip.cpp",
        "if (norm <= max_norm) {",
        "if (norm < max_norm) {",
        "test_no_write.py test_clip_semantics.py",
    ),
    Mutant(
        "floating-point environment: it is given back",
        "cpp/core/fp_environment.hpp",
        "~FpEnvironment() { _mm_setcsr(control_); }",
        "~FpEnvironment() { _mm_setcsr(kMasked); }",
        "test_fp_environment.py",
    ),
    Mutant(
        "overlap: arrays that share memory are refused",
        "cpp/core/overlap.cpp",
        "disjoint &= span.source >= reach;",
        "",
        "test_overlap.py",
    ),
    Mutant(
        "leaves: read-only arrays are refused",
        "cpp/bindings/leaves.cpp",
        "in_place() && !array.writeable()",
        "false && !array.writeable()",
        "test_bad_input.py",
    ),
    Mutant(
        "16 bits: products beside them are rounded to nearest",
        "cpp/core/clip.cpp",
        "contents.half ? Rounding::kNearest",
        "contents.half ? Rounding::kTowardZero",
        "test_half.py",
    ),
    Mutant(
        "16 bits: a factor past float32 is refused",
        "cpp/bindings/leaves.cpp",
        "spans_[i].dtype() != DType::kFloat64",
        "spans_[i].dtype() == DType::kFloat32",
        "test_scale.py test_inv_scale.py",
    ),
    Mutant(
        "bfloat16: no type of another size is taken for it",
        "cpp/bindings/ndarray.cpp",
        "dtype.itemsize() != sizeof(Bfloat16)",
        "false",
        "test_bfloat16_import.py",
    ),
    Mutant(
        "order 1: what an addition loses is kept",
        "cpp/kernels/terms.inl.hpp",
        "Isa::sub(x, gain)",
        "Isa::sub(gain, gain)",
        "test_orders.py",
    ),
    Mutant(
        "order p: arrays of different magnitude are added in one unit",
        "cpp/core/partial.cpp",
        ": std::pow(ratio, order.p);",
        ": ratio;",
        "test_orders.py",
    ),
    Mutant(
        "order p: quiet arrays count where p is small",
        "cpp/core/partial.cpp",
        "std::pow(part.unit, order.p) / std::pow(unit, order.p)",
        "std::pow(ratio, order.p)",
        "test_orders_range.py",
    ),
    Mutant(
        "order p: a clipped list is not clipped again",
        "cpp/core/clip.cpp",
        "return 0x1p-48 * std::clamp(",
        "return 0.0 * std::clamp(",
        "test_orders_clip.py",
    ),
    Mutant(
        "complex: moduli are made of both parts",
        "cpp/kernels/terms.inl.hpp",
        "I::add(squares, I::swap_pairs(squares))",
        "I::add(squares, squares)",
        "test_complex.py",
    ),
    Mutant(
        "tensors: memory marked as read-only is refused",
        "cpp/bindings/tensor.cpp",
        "if (flagged(dlpack::kReadOnly))",
        "if (false)",
        "test_dlpack_refusals.py",
    ),
    Mutant(
        "tensors: a description is not taken for leave to write",
        "cpp/bindings/tensor.hpp",
        "(of_torch_ || !to_write)",
        "(of_torch_ || !to_write || true)",
        "test_dlpack_exchange_api.py",
    ),
    Mutant(
        "tensors: a copy is not written to",
        "cpp/bindings/leaves.cpp",
        "in_place() && memory.writeable == Writeable::kCopy",
        "false && memory.writeable == Writeable::kCopy",
        "test_dlpack_hostile.py",
    ),
    Mutant(
        "tensors: one may not change what was read before it",
        "cpp/bindings/leaves.cpp",
        "if (ran_code_) check_unchanged",
        "if (false) check_unchanged",
        "test_dlpack_hostile.py",
    ),
    Mutant(
        "tensors: an unversioned capsule is not written to",
        "cpp/bindings/leaves.cpp",
        "in_place() && memory.writeable == Writeable::kUnknown",
        "false && memory.writeable == Writeable::kUnknown",
        "test_dlpack_refusals.py",
    ),
    Mutant(
        "tensors: another major version is refused",
        "cpp/bindings/tensor.cpp",
        "managed->version.major != dlpack::kMajorVersion",
        "false && managed->version.major != dlpack::kMajorVersion",
        "test_dlpack_refusals.py",
    ),
    Mutant(
        "tensors: memory of another device is refused",
        "cpp/bindings/leaves.cpp",
        "tensor.device.type != dlpack::kCpu",
        "tensor.device.type == -1",
        "test_dlpack_refusals.py",
    ),
    Mutant(
        "tensors: memory of another device is not asked for",
        "cpp/bindings/tensor.cpp",
        "if (result.type == dlpack::kCpu) return",
        "if (result.type != -1) return",
        "test_dlpack_refusals.py",
    ),
    Mutant(
        "tensors: one without memory is refused",
        "cpp/bindings/leaves.cpp",
        "tensor.data == nullptr && memory.size() != 0",
        "false && memory.size() != 0",
        "test_dlpack_refusals.py",
    ),
    Mutant(
        "tensors: the offset of their memory counts",
        "cpp/bindings/tensor.hpp",
        "static_cast<std::byte*>(tensor.data) + tensor.byte_offset",
        "static_cast<std::byte*>(tensor.data)",
        "test_dlpack_layouts.py",
    ),
    Mutant(
        "tensors: what is exported is freed",
        "cpp/bindings/tensor.cpp",
        "if (managed->deleter != nullptr) managed->deleter(managed);",
        "static_cast<void>(managed);",
        "test_dlpack_exchange_api.py",
    ),
    Mutant(
        "tensors: a callable may not make one read-only",
        "cpp/bindings/recheck.cpp",
        "memory.writeable == TensorMemory::Writeable::kYes",
        "true",
        "test_dlpack_changes.py",
    ),
    Mutant(
        "torch: version counters tell of writes",
        "cpp/bindings/leaves.cpp",
        "  increment_versions(tensors);",
        "",
        "pytorch/test_version_counters.py",
    ),
    Mutant(
        "torch: weights are not clipped",
        "cpp/bindings/leaves.cpp",
        "if (is_weight(object, tensor_type_))",
        "if (false)",
        "pytorch/test_tensor_refusals.py",
    ),
    Mutant(
        "torch: inference tensors are not written outside inference mode",
        "cpp/bindings/leaves.cpp",
        "if (!is_inference_tensor(arrays_[leaf])) continue;",
        "if (leaf < arrays_.size()) continue;",
        "pytorch/test_version_counters.py",
    ),
    Mutant(
        "torch: eps takes part in the test",
        "cpp/core/clip.cpp",
        "max_norm / (norm + eps);",
        "max_norm / norm;",
        "pytorch/test_on_every_isa.py",
    ),
    Mutant(
        "torch: a clamp keeps NaN",
        "cpp/kernels/scalar.cpp",
        "return v < bound ? bound : v;",
        "return v >= bound ? v : bound;",
        "pytorch/test_on_every_isa.py",
    ),
    Mutant(
        "torch: a float32 norm may have been rounded down",
        "cpp/bindings/torch_functions.cpp",
        "? 0x1.0001p-24 : 0.0;",
        "? 0.0 : 0.0;",
        "pytorch/test_on_every_isa.py",
    ),
    Mutant(
        "factor: a norm right to 2⁻⁴⁴ may be too small by that",
        "cpp/core/clip.cpp",
        "return contents.widened ? 0x1p-43 : 0.0;",
        "return 0.0;",
        "test_bound_every_call.py",
    ),
    Mutant(
        "inv_scale: what the product with the norm loses is kept",
        "cpp/core/partial.cpp",
        "const double error = std::fma(mantissa, root.value, -product) + mantissa * root.rest;",
        "const double error = 0.0;",
        "test_bound_search.py",
    ),
    Mutant(
        "floating-point environment: workers have the region's",
        "cpp/core/work.hpp",
        "const FpEnvironment environment(c.rounding);",
        "const Rounding environment(c.rounding); static_cast<void>(environment);",
        "test_fp_environment_grid.py",
    ),
]
