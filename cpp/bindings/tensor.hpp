// Tensors of other libraries, whose memory DLPack describes.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

#include "bindings/dlpack.hpp"
#include "core/span.hpp"

namespace gradclip {

// A tensor's memory. Good while the tensor and `owner` live and nobody resizes it.
struct TensorMemory {
  // kUnknown: DLPack before 1.0 cannot say. kCopy: written values would be lost.
  enum class Writeable { kYes, kNo, kUnknown, kCopy };

  dlpack::Tensor tensor;
  Writeable writeable = Writeable::kYes;
  pybind11::object owner;

  std::byte* data() const noexcept {
    return static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  }
  std::size_t size() const noexcept;
  bool contiguous() const noexcept;  // in C order
  // None if it is a type the library does not compute with.
  std::optional<Element> element() const noexcept;
};

// Null if a type has none.
const dlpack::ExchangeApi* exchange_api(PyTypeObject* type);

// How a type's instances show their memory; looked up once for a run of them in a list.
class TensorType {
 public:
  TensorType() = default;  // of no instances
  explicit TensorType(PyTypeObject* type);

  bool is(PyTypeObject* type) const noexcept { return type == type_; }
  // Whether instances show their memory at all.
  explicit operator bool() const noexcept { return api_ != nullptr || dlpack_; }
  // torch.Tensor, or a subclass of it.
  bool of_torch() const noexcept { return of_torch_; }

  // Whether memory() runs none of the library's Python code and gives no owner.
  bool describes(bool to_write) const noexcept {
    // A description has no flag for read-only memory, which torch has none of.
    return api_ != nullptr && api_->describe != nullptr && (of_torch_ || !to_write);
  }
  // Raises what the library raises. `to_write`: find out whether it may be written, too.
  TensorMemory memory(PyObject* tensor, bool to_write) const;

 private:
  PyTypeObject* type_ = nullptr;
  const dlpack::ExchangeApi* api_ = nullptr;
  bool dlpack_ = false;  // the attribute __dlpack__ instead
  bool of_torch_ = false;
};

}  // namespace gradclip
