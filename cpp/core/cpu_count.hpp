// How many processors this process may use.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gradclip {

// Processors in the affinity mask, no more than the CPU quota of the process's control groups
// (v1 and v2) allows, rounded up. At least 1. `root` stands for "/", so that tests can give a tree
// of their own.
int usable_cpus(const std::string& root = "");

// The quota in processors, 2.5 say; none if unlimited. The tightest of the group and its ancestors
// counts.
std::optional<double> cgroup_cpu_quota(const std::string& root = "");

// The leading number of a list such as OMP_NUM_THREADS=4,2, if it starts with a positive one.
std::optional<int> leading_count(std::string_view text);

}  // namespace gradclip
