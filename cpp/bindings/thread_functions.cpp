// set_num_threads and get_num_threads.
#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/options.hpp"
#include "core/pool.hpp"

namespace gradclip {
namespace {

constexpr const char* kSetDoc = R"(set_num_threads($module, n)
--

Set how many threads calls may use, in the whole process.

Small inputs use fewer. Results do not depend on it, to the bit.

Parameters
----------
n : int
    From 1 to 1024, the calling thread included.

Raises
------
TypeError, ValueError
    n is no integer, or out of range.

Examples
--------
>>> import gradclip
>>> gradclip.set_num_threads(2)
>>> gradclip.get_num_threads()
2
)";

PyObject* set_threads(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<1> signature("set_num_threads", {"n"});
  const auto [n] = signature.bind(args, count, keywords);
  set_num_threads(to_thread_count(n));
  Py_RETURN_NONE;
}

constexpr const char* kGetDoc = R"(get_num_threads($module)
--

How many threads calls from this thread may use.

Returns
-------
int
    The limit of the innermost `threads` block that this thread is in, or else the process's: the
    last `set_num_threads`, GRADCLIP_NUM_THREADS, the first number in OMP_NUM_THREADS, or the
    processors that the affinity mask and the control group's CPU quota allow.

Examples
--------
>>> import gradclip
>>> with gradclip.threads(1):
...     gradclip.get_num_threads()
1
)";

PyObject* get_threads(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<0> signature("get_num_threads", {});
  signature.bind(args, count, keywords);
  return PyLong_FromLong(get_num_threads());
}

}  // namespace

PyMethodDef* thread_functions() {
  static PyMethodDef functions[] = {method<set_threads>("set_num_threads", kSetDoc),
                                    method<get_threads>("get_num_threads", kGetDoc),
                                    {}};
  return functions;
}

}  // namespace gradclip
