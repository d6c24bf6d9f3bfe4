#include "loopbank/model/parameters.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/random.h"

namespace loopbank {
namespace {

constexpr int64_t kDrawsAThread = 1 << 14;

/// Uniform in (0, 1], so that its logarithm is finite.
double uniform_above_zero(RandomStream& random) {
  return 1.0 - random.uniform();
}

/// Fills with N(0, deviation^2) by pairs (Box and Muller 1958). Element i is drawn at position i of
/// the stream, whatever the number of threads.
void fill_normal(float* values, int64_t count, double deviation, uint64_t seed) {
  const int64_t num_pairs = (count + 1) / 2;
  at::parallel_for(0, num_pairs, kDrawsAThread, [&](int64_t begin, int64_t end) {
    RandomStream random(seed, static_cast<uint64_t>(2 * begin));
    for (int64_t pair = begin; pair < end; ++pair) {
      const double radius = deviation * std::sqrt(-2.0 * std::log(uniform_above_zero(random)));
      const double angle = 2.0 * std::numbers::pi * random.uniform();
      values[2 * pair] = static_cast<float>(radius * std::cos(angle));
      if (2 * pair + 1 < count) {
        values[2 * pair + 1] = static_cast<float>(radius * std::sin(angle));
      }
    }
  });
}

/// Fills with U(-bound, bound).
void fill_uniform(float* values, int64_t count, double bound, uint64_t seed) {
  at::parallel_for(0, count, kDrawsAThread, [&](int64_t begin, int64_t end) {
    RandomStream random(seed, static_cast<uint64_t>(begin));
    for (int64_t i = begin; i < end; ++i) {
      values[i] = static_cast<float>(bound * (2.0 * random.uniform() - 1.0));
    }
  });
}

/// The values that a parameter starts with, on the CPU: the same for every device.
at::Tensor initial_values(const Parameter& parameter, uint64_t seed) {
  auto values = at::empty(parameter.value.sizes(), at::kFloat);
  auto* data = values.data_ptr<float>();
  const auto& initial = parameter.initial;
  switch (initial.kind) {
    case Initial::Kind::kNormal:
      fill_normal(data, values.numel(), initial.value, seed);
      break;
    case Initial::Kind::kXavierUniform: {  // bound sqrt(6 / (in + out)), Glorot and Bengio 2010
      const auto ends = static_cast<double>(values.size(0) + values.size(1));
      fill_uniform(data, values.numel(), std::sqrt(6.0 / ends), seed);
      break;
    }
    case Initial::Kind::kConstant:
      values.fill_(initial.value);
      break;
  }
  if (initial.has_first) {
    data[0] = static_cast<float>(initial.first);
  }
  return values;
}

}  // namespace

at::Tensor Parameters::add(const std::string& name, at::IntArrayRef shape, ParameterKind kind,
                           const Initial& initial) {
  auto value = at::empty(shape, at::TensorOptions().dtype(at::kFloat).device(device_));
  value.set_requires_grad(true);
  list_.push_back({.name = name, .value = value, .kind = kind, .initial = initial});
  return value;
}

void Parameters::initialize(uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (auto& parameter : list_) {
    parameter.value.copy_(initial_values(parameter, derive_seed(seed, parameter.name)));
  }
}

void Parameters::set_from_codes(size_t index, ops::Quantized codes) {
  auto& parameter = list_.at(index);
  const auto value = parameter.value.detach();
  if (value.is_cpu()) {
    ops::dequantize_into(codes, value);
  } else {
    value.copy_(ops::dequantize(codes));
  }
  parameter.codes = std::move(codes);
  parameter.version_of_codes = static_cast<uint32_t>(parameter.value._version());
}

const ops::Quantized* Parameters::codes_of(const at::Tensor& value, int64_t bits) const {
  const auto parameter = std::find_if(list_.begin(), list_.end(),
                                      [&](const auto& one) { return one.value.is_same(value); });
  const bool has = parameter != list_.end() && parameter->codes && parameter->codes->bits == bits &&
                   parameter->version_of_codes == static_cast<uint32_t>(value._version());
  return has ? &*parameter->codes : nullptr;
}

const Parameter& Parameters::get(const std::string& name) const {
  for (const auto& parameter : list_) {
    if (parameter.name == name) {
      return parameter;
    }
  }
  fail(ErrorCode::kCheckpoint, "parameters: expected one of the model's {} names, got \"{}\".",
       list_.size(), name);
}

int64_t Parameters::count() const {
  return std::accumulate(
      list_.begin(), list_.end(), int64_t{0},
      [](int64_t sum, const Parameter& parameter) { return sum + parameter.value.numel(); });
}

}  // namespace loopbank
