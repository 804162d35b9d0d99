// The module gradclip._gradclip: what is in it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "bindings/environment.hpp"
#include "bindings/errors.hpp"
#include "bindings/functions.hpp"
#include "bindings/options.hpp"
#include "core/cpu_count.hpp"
#include "core/pool.hpp"
#include "dispatch/dispatch.hpp"

namespace py = pybind11;
using namespace gradclip;

namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "Clang " __clang_version__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

py::list names(const std::vector<std::string_view>& isas) {
  py::list list;
  for (const std::string_view isa : isas) list.append(py::str(isa.data(), isa.size()));
  return list;
}

py::dict config() {
  using py::literals::operator""_a;
  return py::dict(
      "version"_a = GRADCLIP_VERSION,
      "isa"_a = py::dict("in_use"_a = kernels().name, "available"_a = names(available_isas()),
                         "not_built"_a = names(isas_not_built())),
      "threads"_a = py::dict("num_threads"_a = get_num_threads(), "usable_cpus"_a = usable_cpus()),
      "compiler"_a = kCompiler);
}

void set_isa(const std::string& name) {
  if (!select_isa(name)) throw py::value_error("not available on this machine: " + name);
}

// The functions say that they are gradclip's, so that help, pickle and doctest find them there.
void add(py::module_& module, PyMethodDef* functions) {
  const py::str package("gradclip");
  for (; functions->ml_name != nullptr; ++functions) {
    module.add_object(functions->ml_name,
                      checked(PyCFunction_NewEx(functions, module.ptr(), package.ptr())));
  }
}

}  // namespace

PYBIND11_MODULE(_gradclip, module) {
  module.doc() = "Gradient norms and clipping in C++; use it through the package gradclip.";
  read_environment();
  py::detail::npy_api::get();  // NumPy's C API is looked up here: a call may have no memory for it

  add_nonfinite_norm_error(module);
  add(module, norm_functions());
  add(module, clip_functions());
  add(module, scale_functions());
  add(module, unit_functions());
  add(module, value_functions());
  add(module, example_functions());
  add(module, update_functions());
  add(module, stats_functions());
  add(module, thread_functions());
  add(module, torch_functions());

  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (const PythonError&) {
      // The error is set already.
    }
  });
  module.attr("__version__") = GRADCLIP_VERSION;
  // For gradclip.show_config, gradclip.threads and the tests.
  module.def("_config", config);
  module.def("_set_thread_limit", [](const py::object& n) {
    return set_thread_limit(n.is_none() ? 0 : to_thread_count(n.ptr()));
  });
  module.def("_set_isa", set_isa);
}
