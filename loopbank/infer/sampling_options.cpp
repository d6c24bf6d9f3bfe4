#include "loopbank/infer/sampling_options.h"

#include <limits>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr double kLargestPenalty = 2.0;  // OpenAI's and vLLM's
constexpr double kLargestBias = 100.0;   // OpenAI's
constexpr double kMostLogprobs = 1000.0;

}  // namespace

std::vector<Field> SamplingOptions::fields() {
  return {
      Field("temperature", &temperature, "divides the logits; 0: always the most probable token")
          .minimum(0.0),
      Field("top_k", &top_k, "draw only from this many most probable tokens; 0: from all")
          .range(0.0, std::numeric_limits<int32_t>::max()),
      Field("top_p", &top_p,
            "draw only from the most probable tokens whose probabilities add up to this")
          .range(0.0, 1.0)
          .above(0.0),
      Field("min_p", &min_p,
            "draw only from tokens at least this times as probable as the most probable one")
          .range(0.0, 1.0),
      Field("repetition_penalty", &repetition_penalty,
            "divides positive logits, and multiplies negative ones, of tokens that the prompt or "
            "the text holds")
          .positive(),
      Field("presence_penalty", &presence_penalty,
            "is taken from the logits of tokens that the generated text holds")
          .range(-kLargestPenalty, kLargestPenalty),
      Field("frequency_penalty", &frequency_penalty,
            "is taken from a token's logit once for each time that the generated text holds it")
          .range(-kLargestPenalty, kLargestPenalty),
      Field("logit_bias", &logit_bias, "added to the logits of these tokens")
          .range(-kLargestBias, kLargestBias),
      Field("logprobs", &logprobs, "tells this many most probable tokens at each position")
          .range(0.0, kMostLogprobs),
  };
}

bool SamplingOptions::has_penalties() const {
  return repetition_penalty != 1.0 || presence_penalty != 0.0 || frequency_penalty != 0.0;
}

void SamplingOptions::check(std::string_view where) const {
  auto copy = *this;  // fields point to what they may also change
  check_fields(copy.fields(), where);
}

void SamplingOptions::check_ids(int64_t num_tokens, std::string_view where) const {
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0 || id >= num_tokens) {
      fail(ErrorCode::kConfig, "{}: \"logit_bias\" expects ids from 0 to {}, got {}.", where,
           num_tokens - 1, id);
    }
  }
}

}  // namespace loopbank
