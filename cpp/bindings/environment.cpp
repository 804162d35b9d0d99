#include "bindings/environment.hpp"

#include <pybind11/pybind11.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/cpu_count.hpp"
#include "core/pool.hpp"
#include "dispatch/dispatch.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

// As ASCII, so that an error message can hold it.
std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

void read_isa() {
  const std::string_view name = variable("GRADCLIP_ISA");
  if (name.empty() || select_isa(name)) return;
  std::string choices;
  for (const std::string_view isa : available_isas()) {
    choices += (choices.empty() ? "" : ", ") + std::string(isa);
  }
  throw py::import_error("GRADCLIP_ISA=" + printable(name) +
                         " is not available on this machine; choose one of " + choices);
}

int default_threads() {
  if (const std::string_view text = variable("GRADCLIP_NUM_THREADS"); !text.empty()) {
    int threads = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), threads);
    if (error != std::errc{} || end != text.end() || threads < 1 || threads > kMaxThreads) {
      throw py::import_error("GRADCLIP_NUM_THREADS=" + printable(text) +
                             " must be an integer from 1 to " + std::to_string(kMaxThreads));
    }
    return threads;
  }
  const int threads = leading_count(variable("OMP_NUM_THREADS")).value_or(usable_cpus());
  return threads < kMaxThreads ? threads : kMaxThreads;
}

}  // namespace

void read_environment() {
  read_isa();
  set_num_threads(default_threads());
}

}  // namespace gradclip
