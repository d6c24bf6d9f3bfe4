#include "loopbank/ops/memory_read.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::kDtypes;
using testing::kSizes;
using testing::RandomTensors;
using testing::values_of;
using testing::with_gaps;

/// softmax(q K^T / sqrt D) V, query by query and slot by slot.
std::vector<double> read_by_hand(const at::Tensor& query, const at::Tensor& keys,
                                 const at::Tensor& values) {
  const auto q = values_of(query);
  const auto k = values_of(keys);
  const auto v = values_of(values);
  const auto slots = static_cast<size_t>(keys.size(0));
  const auto width = static_cast<size_t>(keys.size(1));
  std::vector<double> out(q.size(), 0.0);
  for (size_t row = 0; row < q.size(); row += width) {
    std::vector<double> weights(slots, 0.0);
    for (size_t slot = 0; slot < slots; ++slot) {
      for (size_t c = 0; c < width; ++c) {
        weights[slot] += q[row + c] * k[slot * width + c] / std::sqrt(static_cast<double>(width));
      }
    }
    const double largest = *std::max_element(weights.begin(), weights.end());
    double sum = 0.0;
    for (auto& weight : weights) {
      weight = std::exp(weight - largest);
      sum += weight;
    }
    for (size_t slot = 0; slot < slots; ++slot) {
      for (size_t c = 0; c < width; ++c) {
        out[row + c] += weights[slot] / sum * v[slot * width + c];
      }
    }
  }
  return out;
}

TEST(MemoryRead, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto slots : kSizes) {
      for (const int64_t width : {1, 8, 9, 37}) {
        const auto query = random.normal({2, 3, width}, dtype);
        const auto keys = random.normal({slots, width}, dtype);
        const auto values = random.normal({slots, width}, dtype);
        const auto out = memory_read(query, keys, values);
        EXPECT_EQ(out.scalar_type(), dtype);
        EXPECT_EQ(out.sizes(), query.sizes());
        expect_close(out, read_by_hand(query, keys, values), kMemoryReadTolerance.of(dtype));
        expect_close(memory_read(with_gaps(query), with_gaps(keys), with_gaps(values)),
                     read_by_hand(query, keys, values), kMemoryReadTolerance.of(dtype));
      }
    }
  }
}

TEST(MemoryRead, OneSlotReturnsItsValue) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    const auto query = random.normal({2, 3, 8}, dtype) * 1000;
    const auto keys = random.normal({1, 8}, dtype) * 1000;
    const auto values = random.normal({1, 8}, dtype);
    EXPECT_TRUE(memory_read(query, keys, values).equal(values.expand({2, 3, 8})));
  }
}

TEST(MemoryRead, EqualKeysReturnTheMeanOfTheValues) {
  RandomTensors random;
  const auto values = random.normal({5, 8});
  const auto keys = random.normal({1, 8}).expand({5, 8});
  const auto out = memory_read(random.normal({2, 3, 8}), keys, values);
  expect_close(out, values.mean(0).expand({2, 3, 8}), kMemoryReadTolerance.fp64);
}

TEST(MemoryRead, HugeScoresPickOneSlotAndNoNan) {
  for (const auto dtype : kDtypes) {
    const auto keys = at::eye(4).to(dtype) * 1e4;
    const auto values = RandomTensors().normal({4, 4}, dtype);
    const auto out = memory_read(keys.unsqueeze(0), keys, values);  // query i is key i
    EXPECT_TRUE(out.equal(values.unsqueeze(0)));
    EXPECT_TRUE(memory_read(-keys.unsqueeze(0), keys, values).isfinite().all().item<bool>());
  }
}

TEST(MemoryRead, GradientsMatch) {
  RandomTensors random;
  for (const int64_t slots : {1, 2, 9}) {
    expect_gradients_match(
        [](const auto& in) { return memory_read(in[0], in[1], in[2]); },
        {random.normal({2, 3, 5}), random.normal({slots, 5}), random.normal({slots, 5})});
  }
}

TEST(MemoryRead, RefusesAnotherWidthOrNumberOfSlots) {
  const auto query = at::zeros({2, 3, 8});
  const auto keys = at::zeros({5, 8});
  expect_error(ErrorCode::kShape, "memory_read: expected keys of shape [5, 8], got [5, 7].", [&] {
    memory_read(query, at::zeros({5, 7}), keys);
  });
  expect_error(ErrorCode::kShape, "memory_read: expected values of shape [5, 8], got [4, 8].", [&] {
    memory_read(query, keys, at::zeros({4, 8}));
  });
  expect_error(ErrorCode::kShape, "memory_read: expected values of shape [5, 8], got [5, 9].", [&] {
    memory_read(query, keys, at::zeros({5, 9}));
  });
}

}  // namespace
}  // namespace loopbank::ops
