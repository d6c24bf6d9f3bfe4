#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "elementwise_fused_check.h"
#include "gradient_check.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/memory_read.h"

namespace loopbank::ops {
namespace {

using testing::expect_fused_is_reference;
using testing::kFusedDtypes;
using testing::kSizes;
using testing::RandomTensors;
using testing::TensorsFunction;
using testing::with_gaps;

/// Gradients in fp32 are sums over thousands of queries, slots or columns.
constexpr Tolerance kGradients{.fp32 = 5e-5, .bf16 = kMemoryReadTolerance.bf16};

TensorsFunction read() {
  return [](const auto& in) { return std::vector<at::Tensor>{memory_read(in[0], in[1], in[2])}; };
}

struct ReadInputs {
  at::Tensor query, keys, values;
  [[nodiscard]] std::vector<at::Tensor> all() const { return {query, keys, values}; }
};

ReadInputs random_read_inputs(at::IntArrayRef query_shape, int64_t slots, at::ScalarType dtype) {
  RandomTensors random;
  return {random.normal(query_shape, dtype), random.normal({slots, query_shape.back()}, dtype),
          random.normal({slots, query_shape.back()}, dtype)};
}

TEST(MemoryReadFused, IsTheReferenceInValueAndGradients) {
  for (const auto dtype : kFusedDtypes) {
    for (const auto slots : kSizes) {
      // Less than two columns a slot, and more: weights computed again and kept.
      for (const int64_t width : {1, 8, 9, 37, 80}) {
        SCOPED_TRACE(::testing::Message() << slots << " slots of " << width);
        expect_fused_is_reference(read(), random_read_inputs({2, 3, width}, slots, dtype).all(),
                                  kGradients);
      }
    }
  }
}

TEST(MemoryReadFused, IsTheReferenceOverSeveralBlocksOfQueries) {
  for (const auto dtype : kFusedDtypes) {
    expect_fused_is_reference(read(), random_read_inputs({3, 50, 9}, 4099, dtype).all(),
                              kGradients);
    expect_fused_is_reference(read(), random_read_inputs({1, 16385, 64}, 32, dtype).all(),
                              kGradients);
  }
}

TEST(MemoryReadFused, TakesInputsWithGaps) {
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t width : {9, 37}) {
      const auto inputs = random_read_inputs({2, 3, width}, 5, dtype);
      expect_fused_is_reference(
          read(), {with_gaps(inputs.query), with_gaps(inputs.keys), with_gaps(inputs.values)},
          kGradients);
    }
  }
}

TEST(MemoryReadFused, ComputesOnlyTheGradientsThatAreWanted) {
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t width : {9, 37}) {
      const auto inputs = random_read_inputs({2, 3, width}, 5, dtype).all();
      const auto gradients_of = [&](const std::vector<bool>& wanted) {
        std::vector<at::Tensor> leaves;
        for (size_t i = 0; i < inputs.size(); ++i) {
          leaves.push_back(inputs[i].detach().clone().requires_grad_(wanted[i]));
        }
        memory_read(leaves[0], leaves[1], leaves[2]).square().sum().backward();
        return std::vector<at::Tensor>{leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
      };
      const auto all = gradients_of({true, true, true});
      for (size_t i = 0; i < inputs.size(); ++i) {
        const auto one = gradients_of({i == 0, i == 1, i == 2});
        for (size_t other = 0; other < inputs.size(); ++other) {
          ASSERT_EQ(one[other].defined(), other == i);
        }
        EXPECT_TRUE(one[i].equal(all[i])) << "input " << i;
      }
    }
  }
}

TEST(MemoryReadFused, WithoutGradientsTheResultIsTheSame) {
  for (const auto dtype : kFusedDtypes) {
    const auto inputs = random_read_inputs({2, 3, 37}, 5, dtype);
    const auto query = inputs.query.detach().requires_grad_(true);
    const auto out = memory_read(query, inputs.keys, inputs.values);
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(memory_read(query, inputs.keys, inputs.values).equal(out));
  }
}

TEST(MemoryReadFused, EqualSlotsOfHugeScoreShareTheGradient) {
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t slots : {2, 16}) {  // of 4 columns: weights kept, and computed again
      const auto query = at::full({1, 3, 4}, 1e3, dtype);
      const auto keys = at::full({slots, 4}, 1e3, dtype);
      const auto values = RandomTensors().normal({slots, 4}, dtype).requires_grad_(true);
      memory_read(query, keys, values).sum().backward();
      EXPECT_TRUE(values.grad().eq(3.0 / static_cast<double>(slots)).all().item<bool>());
    }
  }
}

}  // namespace
}  // namespace loopbank::ops
