// Runs a test once for every instruction set of this processor.
#pragma once

#include <doctest/doctest.h>

#include <string_view>

#include "dispatch/dispatch.hpp"

namespace gradclip::test {

template <class Test>
void for_each_isa(const Test& test) {
  const std::string_view before = kernels().name;
  for (const std::string_view isa : available_isas()) {
    REQUIRE(select_isa(isa));
    REQUIRE(kernels().name == isa);
    test(kernels());
  }
  REQUIRE(select_isa(before));
}

}  // namespace gradclip::test
