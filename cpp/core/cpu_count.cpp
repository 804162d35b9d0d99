#include "core/cpu_count.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>

#include <memory>
#endif

namespace gradclip {
namespace {

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<double> number(const std::optional<std::string>& text) {
  double value = 0.0;
  if (!text || !(std::istringstream(*text) >> value)) return std::nullopt;
  return value;
}

std::optional<double> quota(std::optional<double> time, std::optional<double> period) {
  if (!time || !period || *time <= 0.0 || *period <= 0.0) return std::nullopt;
  return *time / *period;
}

// "max 100000" or "150000 100000", in µs.
std::optional<double> quota_v2(const std::string& group) {
  const auto line = first_line(group + "/cpu.max");
  if (!line) return std::nullopt;
  const auto space = line->find(' ');
  if (space == std::string::npos) return std::nullopt;
  return quota(number(line->substr(0, space)), number(line->substr(space)));
}

std::optional<double> quota_v1(const std::string& group) {
  return quota(number(first_line(group + "/cpu.cfs_quota_us")),
               number(first_line(group + "/cpu.cfs_period_us")));
}

std::optional<double> tighter(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// The tightest quota from mount/path up to the mount. In a container the path may be the host's,
// and not exist below the mount; the mount itself is the container's group then.
template <class Quota>
std::optional<double> tightest(const std::string& mount, std::string path, Quota quota_of) {
  auto result = quota_of(mount);
  while (path.size() > 1) {
    result = tighter(result, quota_of(mount + path));
    path.erase(path.rfind('/'));
  }
  return result;
}

bool lists_cpu(const std::string& controllers) {
  return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const std::string& root) {
  const std::string mounts = root + "/sys/fs/cgroup";
  std::optional<double> result;
  std::ifstream file(root + "/proc/self/cgroup");
  // hierarchy:controllers:path
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;  // also if there is no first one
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (path.empty() || path[0] != '/') continue;
    if (controllers.empty()) {
      result = tighter(result, tightest(mounts, path, quota_v2));
      result = tighter(result, tightest(mounts + "/unified", path, quota_v2));
    } else if (lists_cpu(controllers)) {
      result = tighter(result, tightest(mounts + "/" + controllers, path, quota_v1));
      result = tighter(result, tightest(mounts + "/cpu", path, quota_v1));
    }
  }
  return result;
}

int usable_cpus(const std::string& root) {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  // Masks larger than cpu_set_t's 1,024 processors fail with EINVAL until the set is large enough.
  for (int size = 1024; size <= 1 << 20; size *= 4) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(size),
                                                               [](cpu_set_t* p) { CPU_FREE(p); });
    if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(size), set.get()) == 0) {
      cpus = CPU_COUNT_S(CPU_ALLOC_SIZE(size), set.get());
      break;
    }
  }
#endif
  if (const auto limit = cgroup_cpu_quota(root)) {
    cpus = std::min(cpus, static_cast<int>(std::ceil(std::min(*limit, 1e6))));
  }
  return std::max(cpus, 1);
}

std::optional<int> leading_count(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 1) return std::nullopt;
  return value;
}

}  // namespace gradclip
