// A stand-in for the root of the file system, with control groups in it.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "core/cpu_count.hpp"

namespace gradclip::test {

// A directory of its own, gone at the end of the scope.
class Root {
 public:
  Root() {
    std::string name = std::filesystem::temp_directory_path() / "gradclip-test-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Root() { std::filesystem::remove_all(path_); }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = path_.string() + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  // The groups of the process, as /proc/self/cgroup lists them.
  void groups(const std::string& lines) const { write("/proc/self/cgroup", lines); }
  void v2(const std::string& group, const std::string& text) const {
    write("/sys/fs/cgroup" + group + "/cpu.max", text + "\n");
  }
  void v1(const std::string& group, const std::string& quota, const std::string& period) const {
    write("/sys/fs/cgroup" + group + "/cpu.cfs_quota_us", quota + "\n");
    write("/sys/fs/cgroup" + group + "/cpu.cfs_period_us", period + "\n");
  }
  std::optional<double> quota() const { return cgroup_cpu_quota(path_.string()); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace gradclip::test
