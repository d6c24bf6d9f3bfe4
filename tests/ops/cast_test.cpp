#include "loopbank/ops/cast.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_error;
using testing::kDtypes;
using testing::RandomTensors;
using testing::with_gaps;

TEST(CopyInto, RoundsAsLibTorchDoes) {
  RandomTensors random;
  for (const int64_t size : {1, 15, 16, 17, 4095, 4096, 4097, 100003}) {
    for (const auto from : kDtypes) {
      for (const auto to : kDtypes) {
        const auto x = random.normal({size}, from) * 1e3;
        const auto y = at::empty({size}, at::TensorOptions().dtype(to));
        copy_into(y, x);
        EXPECT_TRUE(at::equal(y, x.to(to))) << size << " values";
      }
    }
  }
}

TEST(CopyInto, KeepsWhatIsNotANumberOrNotFinite) {
  const auto x = at::tensor({NAN, INFINITY, -INFINITY, -0.0F, 3.4e38F, 1e-45F}).to(at::kFloat);
  const auto y = at::empty({6}, at::kBFloat16);
  copy_into(y, x);
  EXPECT_TRUE(y[0].isnan().item<bool>());
  EXPECT_TRUE(at::equal(y.narrow(0, 1, 5), x.to(at::kBFloat16).narrow(0, 1, 5)));
}

TEST(CopyInto, GoesOverGaps) {
  const auto x = with_gaps(RandomTensors().normal({3, 9}, at::kFloat));
  const auto y = at::empty({3, 9}, at::kBFloat16);
  copy_into(y, x);
  EXPECT_TRUE(at::equal(y, x.to(at::kBFloat16)));
}

TEST(CopyInto, RefusesTwoShapes) {
  expect_error(ErrorCode::kShape, "copy_into: expected from of shape [2], got [3].",
               [] { copy_into(at::zeros({2}), at::zeros({3})); });
}

}  // namespace
}  // namespace loopbank::ops
