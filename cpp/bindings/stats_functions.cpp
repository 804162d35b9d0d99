// What gradclip.grad_stats is made of.
#include <pybind11/numpy.h>

#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "core/stats.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

constexpr const char* kGradStatsDoc = R"(_grad_stats($module, grads)
--

The fields of GradStats, in order.
)";

PyObject* grad_stats(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<1> signature("grad_stats", {"grads"});
  const auto [grads] = signature.bind(args, count, keywords);
  const Leaves leaves(grads, Access::kRead);
  const Work work(leaves.spans());
  Stats stats(work);
  py::array_t<double> array_norms(static_cast<py::ssize_t>(leaves.spans().size()));
  without_gil(work.bytes(), [&] { stats.measure(); });
  stats.array_norms(array_norms.mutable_data());
  const Counts counts = stats.counts();
  const std::size_t bad = stats.first_nonfinite();
  py::list paths;
  for (std::size_t i = 0; i < leaves.spans().size(); ++i) paths.append(leaves.path(i));
  const py::object first_bad = bad < leaves.spans().size() ? paths[bad] : py::object(py::none());
  return py::make_tuple(stats.norm(), array_norms, stats.max_abs(), counts.zeros, counts.nans,
                        counts.infs, first_bad, paths)
      .release()
      .ptr();
}

}  // namespace

PyMethodDef* stats_functions() {
  static PyMethodDef functions[] = {method<grad_stats>("_grad_stats", kGradStatsDoc), {}};
  return functions;
}

}  // namespace gradclip
