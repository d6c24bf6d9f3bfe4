#include "loopbank/model/place.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

namespace loopbank {
namespace {

TEST(LayerWeights, AreOneForOneListOfMasters) {
  const auto a = at::full({2, 3}, 1.0);
  const auto b = at::full({4, 3}, 2.0);
  const auto c = at::full({5, 3}, 3.0);
  LayerWeights weights(at::kFloat);
  const auto ab = weights.prepared({a, b});
  EXPECT_EQ(weights.prepared({a, b}), ab);
  // Lists that begin alike are others.
  EXPECT_EQ(weights.prepared({a})->out(), 2);
  EXPECT_EQ(weights.prepared({a, c})->out(), 7);
  EXPECT_EQ(weights.prepared({b, a})->out(), 6);
  EXPECT_NE(weights.prepared({b, a}), ab);
  EXPECT_EQ(ab->out(), 6);
  EXPECT_EQ(weights.prepared({a, b}), ab);
}

TEST(Place, AtALoopIsTheSameLayer) {
  const Pass pass({});
  LayerWeights weights(pass.compute_dtype());
  const Place place{pass, weights, 3};
  EXPECT_EQ(place.loop, 1);
  EXPECT_EQ(place.at_loop(5).loop, 5);
  EXPECT_EQ(place.at_loop(5).layer, 3);
  EXPECT_EQ(&place.at_loop(5).weights, &weights);
}

}  // namespace
}  // namespace loopbank
