// CPU quotas of control groups, read from trees made for the purpose, and thread counts in text.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>

#if defined(__linux__)
#include <sched.h>
#endif

#include "core/cpu_count.hpp"
#include "support/root.hpp"

namespace gradclip::test {
namespace {

TEST_CASE("without control groups there is no quota") {
  const Root root;
  CHECK(!root.quota());
  CHECK(!cgroup_cpu_quota("/no/such/directory"));
  root.groups("");
  CHECK(!root.quota());
  root.groups("0::/user.slice\n");
  CHECK(!root.quota());
}

TEST_CASE("v2: the quota is the time in a period") {
  const Root root;
  root.groups("0::/work\n");
  root.v2("/work", "250000 100000");
  CHECK(root.quota() == 2.5);
}

TEST_CASE("v2: max is no limit") {
  const Root root;
  root.groups("0::/work\n");
  root.v2("/work", "max 100000");
  CHECK(!root.quota());
}

TEST_CASE("v2: the tightest group from the process's to the mount counts") {
  const Root root;
  root.groups("0::/a/b/c\n");
  root.v2("/a/b/c", "max 100000");
  root.v2("/a/b", "300000 100000");
  root.v2("/a", "400000 100000");
  CHECK(root.quota() == 3.0);
  root.v2("/a", "75000 50000");
  CHECK(root.quota() == 1.5);
  root.v2("", "50000 100000");
  CHECK(root.quota() == 0.5);
  root.v2("/a/b/c", "10000 100000");
  CHECK(root.quota() == 0.1);
  root.v2("/a/b/c/d", "1000 100000");  // not this process's
  root.v2("/b", "1000 100000");
  CHECK(root.quota() == 0.1);
}

TEST_CASE("v2: in a container, a path of the host's leaves the mount's own group") {
  const Root root;
  root.groups("0::/kubepods/pod7/container\n");
  root.v2("", "200000 100000");
  CHECK(root.quota() == 2.0);
}

TEST_CASE("v2: the root group of a namespace is the mount") {
  const Root root;
  root.groups("0::/\n");
  root.v2("", "200000 100000");
  CHECK(root.quota() == 2.0);
}

TEST_CASE("v2: paths may hold colons and spaces") {
  const Root root;
  root.groups("0::/app: a:b\n");
  root.v2("/app: a:b", "200000 100000");
  CHECK(root.quota() == 2.0);
}

TEST_CASE("v1: the quota of the cpu controller, under any name of its mount") {
  for (const std::string mount : {"/cpu,cpuacct", "/cpu"}) {
    CAPTURE(mount);
    const Root root;
    root.groups("5:memory:/work\n4:cpu,cpuacct:/work\n1:name=systemd:/work\n");
    root.v1(mount + "/work", "150000", "100000");
    root.v1("/memory/work", "1000", "100000");
    CHECK(root.quota() == 1.5);
  }
}

TEST_CASE("v1: -1 is no limit, and the tightest ancestor counts") {
  const Root root;
  root.groups("4:cpuacct,cpu:/a/b\n");
  root.v1("/cpu/a/b", "-1", "100000");
  CHECK(!root.quota());
  root.v1("/cpu/a", "700000", "100000");
  CHECK(root.quota() == 7.0);
  root.v1("/cpu", "300000", "100000");
  CHECK(root.quota() == 3.0);
}

TEST_CASE("v1: in a container, a path of the host's leaves the mount's own group") {
  const Root root;
  root.groups("4:cpu,cpuacct:/docker/0123\n");
  root.v1("/cpu,cpuacct", "120000", "100000");
  CHECK(root.quota() == 1.2);
}

TEST_CASE("v1: other controllers with cpu in their name set no quota") {
  const Root root;
  root.groups("4:cpuset:/a\n3:cpuacct:/a\n");
  root.v1("/cpu/a", "100000", "100000");
  root.v1("/cpuset/a", "100000", "100000");
  root.v1("/cpuacct/a", "100000", "100000");
  CHECK(!root.quota());
}

TEST_CASE("hybrid: the tighter of v1 and v2 counts") {
  const Root root;
  root.groups("4:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/b\n");
  root.v1("/cpu,cpuacct/a", "400000", "100000");
  CHECK(root.quota() == 4.0);
  root.v2("/unified/b", "200000 100000");
  CHECK(root.quota() == 2.0);
  root.v1("/cpu,cpuacct/a", "100000", "100000");
  CHECK(root.quota() == 1.0);
}

TEST_CASE("garbage sets no quota") {
  for (const std::string text : {"", "\n", "100000", "x y", "max", "max max", "-1 100000", "0 1",
                                 "100000 0", "100000 -5", "100000 x", " ", "nan 1", "inf 1"}) {
    CAPTURE(text);
    const Root root;
    root.groups("0::/a\n");
    root.v2("/a", text);
    CHECK(!root.quota());
  }
  for (const std::string lines :
       {"0", "0:", "0::", "::", "\n\n", "0:cpu", "4:cpu:a", ":::/a", "0::ab", "4:cpu:ab"}) {
    CAPTURE(lines);
    const Root root;
    root.groups(lines);
    root.v1("/cpu/a", "100000", "x");
    root.v1("/cpu", "", "100000");
    CHECK(!root.quota());
  }
}

TEST_CASE("v1: a missing or unreadable half sets no quota") {
  const Root root;
  root.groups("4:cpu:/a\n");
  root.write("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
  CHECK(!root.quota());
  std::filesystem::create_directories(root.path() / "sys/fs/cgroup/cpu/a/cpu.cfs_period_us");
  CHECK(!root.quota());
}

TEST_CASE("as many processors are usable as the quota allows, rounded up, and as there are") {
  const int all = usable_cpus("/no/such/directory");
  CHECK(usable_cpus() >= 1);
  CHECK(usable_cpus() <= all);
  const Root root;
  root.groups("0::/\n");
  root.v2("", "100000 100000");
  CHECK(usable_cpus(root.path().string()) == 1);
  root.v2("", "1000 100000");
  CHECK(usable_cpus(root.path().string()) == 1);
  root.v2("", "110000 100000");
  CHECK(usable_cpus(root.path().string()) == std::min(all, 2));
  root.v2("", "1e300 1");
  CHECK(usable_cpus(root.path().string()) == all);
}

#if defined(__linux__)
TEST_CASE("without a quota all processors of the affinity mask are usable") {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return;  // more than 1,024 processors
  CHECK(usable_cpus("/no/such/directory") == CPU_COUNT(&set));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(usable_cpus("/no/such/directory") == 1);
  CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
}
#endif

TEST_CASE("a count is the leading positive number of a list") {
  CHECK(leading_count("4") == 4);
  CHECK(leading_count("4,2") == 4);
  CHECK(leading_count(" 8") == 8);
  CHECK(leading_count("\t8 ") == 8);
  CHECK(leading_count("007") == 7);
  CHECK(leading_count("2147483647") == 2147483647);
  CHECK(leading_count(std::string_view("47").substr(0, 1)) == 4);
  for (const char* text : {"", " ", "x", ",4", "0", "-1", "+", "99999999999", "2147483648"}) {
    CHECK_MESSAGE(!leading_count(text), text);
  }
}

}  // namespace
}  // namespace gradclip::test
