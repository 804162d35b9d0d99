// DLPack's binary interface, major version 1: how array libraries show each other their memory.
// Written from its specification, https://dmlc.github.io/dlpack/latest/.
#pragma once

#include <cstdint>

namespace gradclip::dlpack {

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};
inline constexpr std::uint32_t kMajorVersion = 1;  // of the layouts below

struct Device {
  std::int32_t type;
  std::int32_t id;
};
inline constexpr std::int32_t kCpu = 1;

struct DataType {
  std::uint8_t code;
  std::uint8_t bits;  // of the whole item, so both parts of a complex number
  std::uint16_t lanes;
};
enum : std::uint8_t { kFloat = 2, kBfloat = 4, kComplex = 5 };

struct Tensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in items; null, before version 1.2 only: C-contiguous
  std::uint64_t byte_offset;
};

// What a capsule named "dltensor_versioned" holds.
struct ManagedVersioned {
  Version version;
  void* manager;
  void (*deleter)(ManagedVersioned*);  // or null
  std::uint64_t flags;
  Tensor tensor;
};
inline constexpr std::uint64_t kReadOnly = 1, kIsCopied = 2;  // flags

// What a capsule named "dltensor" holds, which has neither version nor flags: DLPack before 1.0.
struct Managed {
  Tensor tensor;
  void* manager;
  void (*deleter)(Managed*);
};

inline constexpr const char* kVersionedName = "dltensor_versioned";
inline constexpr const char* kUnversionedName = "dltensor";

// What the capsule type.__dlpack_c_exchange_api__ holds: functions that need no call of Python.
// They return 0, or −1 with a Python error set.
struct ExchangeApiHeader {
  Version version;
  const ExchangeApiHeader* previous;  // the same for an earlier major version, or null
};
struct ExchangeApi {
  ExchangeApiHeader header;
  void* allocate;
  int (*export_managed)(void* object, ManagedVersioned** result);
  // Makes an object that owns the memory from now on.
  int (*import_managed)(ManagedVersioned* managed, void** result);
  // Fills a description that is good while the object lives; null if the library has none.
  int (*describe)(void* object, Tensor* result);
  void* current_work_stream;
};

inline constexpr const char* kExchangeApiAttribute = "__dlpack_c_exchange_api__";
inline constexpr const char* kExchangeApiName = "dlpack_exchange_api";

}  // namespace gradclip::dlpack
