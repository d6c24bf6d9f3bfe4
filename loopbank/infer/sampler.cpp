#include "loopbank/infer/sampler.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

std::vector<double> read_logits(const at::Tensor& logits) {
  const auto row = logits.to(at::kCPU, at::kDouble).contiguous();  // [V]
  const auto* begin = row.data_ptr<double>();
  std::vector<double> values(begin, begin + row.numel());
  const auto bad = std::find_if_not(values.begin(), values.end(),
                                    [](double value) { return std::isfinite(value); });
  if (values.empty() || bad != values.end()) {
    fail(
        ErrorCode::kCheckpoint,
        "sample_token: expected finite logits, got {} at token {}. The model's weights hold values "
        "that are not finite.",
        values.empty() ? 0.0 : *bad, bad - values.begin());
  }
  return values;
}

}  // namespace

TokenId sample_token(const at::Tensor& logits, const SamplingOptions& options,
                     RandomStream& random) {
  if (!(options.temperature >= 0.0) || !(options.top_p > 0.0) || options.top_p > 1.0) {
    fail(ErrorCode::kConfig,
         "sample_token: expected temperature >= 0 and top_p in (0, 1], got {} and {}.",
         options.temperature, options.top_p);
  }
  const auto values = read_logits(logits);
  const auto best = std::max_element(values.begin(), values.end());
  if (options.temperature == 0.0) {
    return static_cast<TokenId>(best - values.begin());
  }
  std::vector<double> weights(values.size());
  std::transform(values.begin(), values.end(), weights.begin(),
                 [&](double value) { return std::exp((value - *best) / options.temperature); });
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<TokenId> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto weight_of = [&](TokenId id) { return weights[static_cast<size_t>(id)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](TokenId a, TokenId b) { return weight_of(a) > weight_of(b); });
  double kept = 0.0;
  size_t size = 0;
  while (size < order.size() && (size == 0 || kept < options.top_p * total)) {
    kept += weight_of(order[size++]);
  }
  double left = random.uniform() * kept;
  for (size_t i = 0; i + 1 < size; ++i) {
    left -= weight_of(order[i]);
    if (left < 0.0) {
      return order[i];
    }
  }
  return order[size - 1];
}

}  // namespace loopbank
