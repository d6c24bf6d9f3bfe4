#include "loopbank/ops/op_cases.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <set>

namespace loopbank::ops {
namespace {

/// Small and odd, one row, grouped heads, long enough for two tiles of attention.
constexpr OpSizes kOpSizes[] = {
    {.B = 1, .T = 1, .D = 6, .H = 3, .H_kv = 1, .F = 1, .V = 2, .M = 1, .N = 1},
    {.B = 3, .T = 37, .D = 36, .H = 6, .H_kv = 2, .F = 19, .V = 101, .M = 7, .N = 3},
    {.B = 2, .T = 131, .D = 128, .H = 2, .H_kv = 2, .F = 200, .V = 515, .M = 33, .N = 5}};

class OpCases : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(OpCases, FusedAndReferenceAgreeInValueAndGradients) {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const auto& sizes : kOpSizes) {
      for (const auto& op : op_cases(sizes, GetParam())) {
        EXPECT_LE(largest_difference(op), allowed_difference(GetParam()))
            << op.name << ", " << threads << " threads";
      }
    }
  }
  at::set_num_threads(before);
}

TEST_P(OpCases, StateTheirWork) {
  std::set<std::string> names;
  for (const auto& op : op_cases(kOpSizes[1], GetParam())) {
    EXPECT_TRUE(names.insert(op.name).second) << op.name;
    EXPECT_GT(op.forward_bytes, 0.0) << op.name;
    EXPECT_GT(op.backward_bytes, op.forward_bytes) << op.name;
  }
}

TEST(LargestDifference, SeesOnePercent) {
  auto op = op_cases(kOpSizes[1], at::kFloat).front();
  const auto run = op.run;
  int calls = 0;
  op.run = [&](const auto& in) { return calls++ == 0 ? run(in) : run(in) * 1.01; };
  EXPECT_NEAR(largest_difference(op), 0.01, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, OpCases, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& dtype) {
                           return dtype.param == at::kFloat ? "fp32" : "bf16";
                         });

}  // namespace
}  // namespace loopbank::ops
