/// Our model and optimizer against what the PyTorch twin computed for a tiny version of each of the
/// paper's ten systems, and of each option of imported models. The files are written by: /usr/bin/python3 reference/make_golden.py

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "parity_case.h"

namespace loopbank::testing {
namespace {

ParityCase golden(const std::string& system) {
  return read_parity_case(std::string(LOOPBANK_SOURCE_DIR) + "/tests/golden/" + system +
                          ".safetensors");
}

class Parity : public ::testing::TestWithParam<const char*> {};

TEST_P(Parity, OutputsAndGradientsInFp32) {
  expect_same_outputs(golden(GetParam()), at::kFloat, kFp32Tolerance);
}

TEST_P(Parity, TenOptimizerStepsInFp32) {
  expect_same_training(golden(GetParam()), at::kFloat, kFp32Tolerance);
}

TEST_P(Parity, OutputsAndGradientsInBf16) {
  expect_same_outputs(golden(GetParam()), at::kBFloat16, kBf16Tolerance);
}

TEST_P(Parity, TenOptimizerStepsInBf16) {
  expect_same_training(golden(GetParam()), at::kBFloat16, kBf16Tolerance);
}

INSTANTIATE_TEST_SUITE_P(Systems, Parity,
                         ::testing::Values("isopar", "loop3", "loop5", "loop7", "isoflop",
                                           "isopar-m", "mem-gm3", "mem-g0", "mem-g3", "isoflop-m"),
                         parity_test_name);

INSTANTIATE_TEST_SUITE_P(Options, Parity,
                         ::testing::Values("no-norm", "norm-before", "biases", "wide-heads",
                                           "rope-linear", "rope-llama3", "rope-yarn", "tied",
                                           "linear-scales"),
                         parity_test_name);

}  // namespace
}  // namespace loopbank::testing
