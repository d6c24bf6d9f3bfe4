#include "loopbank/infer/sampler.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "loopbank/infer/candidates.h"
#include "loopbank/infer/sampler_kernels.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Rows of the vocabulary's size, kept by each thread: a request would otherwise hold a megabyte.
struct RowMemory {
  std::vector<double> logits;
  std::vector<double> weights;
  std::vector<float> copied;
};

RowMemory& row_memory() {
  thread_local RowMemory memory;
  return memory;
}

/// @throws Error kCheckpoint for logits that are not finite
RowScan expect_finite(std::span<const float> logits) {
  const auto scan = scan_row(logits.data(), logits.size());
  if (!scan.is_finite) {
    const auto bad = std::find_if_not(logits.begin(), logits.end(),
                                      [](float logit) { return std::isfinite(logit); });
    fail(ErrorCode::kCheckpoint,
         "Sampler: expected finite logits, got {} at token {}. The model's weights hold values "
         "that are not finite.",
         *bad, bad - logits.begin());
  }
  return scan;
}

double log_of_sum(std::span<const float> logits, float largest) {
  const double shift = largest;
  return shift + std::log(sum_of_exponentials(logits.data(), logits.size(), shift));
}

/// The row in CPU memory as fp32; valid until this thread's next call.
std::span<const float> as_floats(const at::Tensor& logits) {
  if (logits.dim() != 1) {
    fail(ErrorCode::kShape, "Sampler: expected logits [V], got a tensor of {} dimensions.",
         logits.dim());
  }
  const auto row = logits.to(at::kCPU, at::kFloat).contiguous();  // [V]
  const auto* begin = row.data_ptr<float>();
  auto& copied = row_memory().copied;
  copied.assign(begin, begin + row.numel());
  return copied;
}

}  // namespace

uint64_t completion_seed(uint64_t seed, int64_t index) {
  return derive_seed(seed, "completion " + std::to_string(index));
}

size_t draw_index(std::span<const double> weights, double uniform) {
  double total = 0.0;
  for (const double weight : weights) {
    total += weight;
  }
  double left = uniform * total;
  size_t last = 0;  // where rounding leaves a rest: the last that can be drawn
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0.0) {
      left -= weights[i];
      last = i;
      if (left < 0.0) {
        break;
      }
    }
  }
  return last;
}

/// The distribution that is drawn from: weights of tokens in the order of their ids.
struct Sampler::Row {
  bool is_whole = true;              ///< no token was cut off; `tokens` is empty then
  std::vector<TokenId> tokens;       ///< what stayed
  std::span<const double> weights;   ///< of all tokens
  std::vector<double> kept_weights;  ///< of `tokens`
};

Sampler::Sampler(SamplingOptions options, uint64_t seed, int64_t num_tokens,
                 std::span<const TokenId> prompt)
    : options_(std::move(options)), random_(seed), num_tokens_(static_cast<size_t>(num_tokens)) {
  options_.check("sampling");
  options_.check_ids(num_tokens, "sampling");
  for (const auto token : prompt) {
    see(token, 0);
  }
}

void Sampler::see(TokenId token, int64_t generated) {
  if (options_.has_penalties() && token >= 0 && static_cast<size_t>(token) < num_tokens_) {
    seen_[token] += generated;
  }
}

void Sampler::accept(TokenId token) {
  see(token, 1);
}

std::span<const float> Sampler::known(std::span<const float> logits) const {
  if (logits.size() < num_tokens_ || num_tokens_ == 0) {
    fail(ErrorCode::kShape, "Sampler: expected at least {} logits, got {}.",
         std::max<size_t>(num_tokens_, 1), logits.size());
  }
  return logits.first(num_tokens_);
}

void Sampler::change(std::span<double> logits) const {
  for (const auto& [token, bias] : options_.logit_bias) {
    logits[static_cast<size_t>(token)] += bias;
  }
  for (const auto& [token, count] : seen_) {
    auto& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0.0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
    logit -= options_.frequency_penalty * static_cast<double>(count);
    logit -= count > 0 ? options_.presence_penalty : 0.0;
  }
}

TokenId Sampler::most_probable_token(std::span<const float> logits) const {
  const auto largest = expect_finite(logits).largest;
  if (!has_changes()) {
    return static_cast<TokenId>(std::find(logits.begin(), logits.end(), largest) - logits.begin());
  }
  auto& changed = row_memory().logits;
  changed.assign(logits.begin(), logits.end());
  change(changed);
  return static_cast<TokenId>(std::max_element(changed.begin(), changed.end()) - changed.begin());
}

Sampler::Row Sampler::weigh(std::span<const float> logits) const {
  double largest = expect_finite(logits).largest;
  auto& [changed, weights, copied] = row_memory();
  changed.assign(logits.begin(), logits.end());
  if (has_changes()) {
    change(changed);
    largest = *std::max_element(changed.begin(), changed.end());
  }
  weights.resize(changed.size());
  const double scale = std::min(1.0 / options_.temperature, std::numeric_limits<double>::max());
  const double total = exponentials(changed.data(), changed.size(), largest, scale, weights.data());
  Row row;
  row.weights = weights;
  const bool has_top_k = options_.top_k > 0 && static_cast<size_t>(options_.top_k) < num_tokens_;
  if (!has_top_k && options_.top_p >= 1.0 && options_.min_p <= 0.0) {
    return row;
  }
  row.is_whole = false;
  row.tokens = truncate(changed, weights, {.largest = largest, .total = total}, options_);
  row.kept_weights.reserve(row.tokens.size());
  for (const auto token : row.tokens) {
    row.kept_weights.push_back(weights[static_cast<size_t>(token)]);
  }
  return row;
}

TokenId Sampler::choose(std::span<const float> logits) {
  if (options_.temperature == 0.0) {
    return most_probable_token(logits);
  }
  const auto row = weigh(logits);
  const double uniform = random_.uniform();
  return row.is_whole ? static_cast<TokenId>(draw_index(row.weights, uniform))
                      : row.tokens[draw_index(row.kept_weights, uniform)];
}

Sampler::Draw Sampler::next(std::span<const float> logits) {
  return describe(logits, choose(known(logits)));
}

Sampler::Draw Sampler::next(const at::Tensor& logits) {
  return next(as_floats(logits));
}

std::vector<double> Sampler::probabilities(std::span<const float> logits) const {
  logits = known(logits);
  std::vector<double> result(logits.size(), 0.0);
  if (options_.temperature == 0.0) {
    result[static_cast<size_t>(most_probable_token(logits))] = 1.0;
    return result;
  }
  const auto row = weigh(logits);
  double total = 0.0;
  for (const double weight : row.is_whole ? row.weights : std::span(row.kept_weights)) {
    total += weight;
  }
  for (size_t i = 0; row.is_whole && i < result.size(); ++i) {
    result[i] = row.weights[i] / total;
  }
  for (size_t i = 0; i < row.tokens.size(); ++i) {
    result[static_cast<size_t>(row.tokens[i])] = row.kept_weights[i] / total;
  }
  return result;
}

Sampler::Draw Sampler::describe(std::span<const float> logits, TokenId token) const {
  logits = known(logits);
  if (token < 0 || static_cast<size_t>(token) >= logits.size()) {
    fail(ErrorCode::kShape, "Sampler: expected a token from 0 to {}, got {}.", logits.size() - 1,
         token);
  }
  const double log_sum = log_of_sum(logits, expect_finite(logits).largest);
  Draw draw{
      .token = token, .log_probability = logits[static_cast<size_t>(token)] - log_sum, .top = {}};
  auto best = most_probable(logits, static_cast<size_t>(options_.logprobs));
  std::sort(best.begin(), best.end(), comes_before);
  for (const auto& candidate : best) {
    draw.top.push_back({candidate.token, candidate.logit - log_sum});
  }
  return draw;
}

}  // namespace loopbank
