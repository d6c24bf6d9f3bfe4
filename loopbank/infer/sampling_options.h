#pragma once
/// How the next token is chosen: the settings that flags, JSON requests and a server share.

#include <cstdint>
#include <string_view>
#include <vector>

#include "loopbank/support/field.h"

namespace loopbank {

/// Each is described, with its range, in fields(); what they do to logits is in sampler.h.
struct SamplingOptions {
  double temperature = 0.8;
  int64_t top_k = 0;
  double top_p = 0.95;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  double presence_penalty = 0.0;
  double frequency_penalty = 0.0;
  NumberById logit_bias{};
  int64_t logprobs = 0;

  /// The settings, over this object: names, ranges and meanings.
  [[nodiscard]] std::vector<Field> fields();

  /// Whether the tokens of the prompt or of the text change any logit.
  [[nodiscard]] bool has_penalties() const;

  /// @throws Error kConfig, beginning with `where`, for a value outside its range
  void check(std::string_view where) const;
  /// @param num_tokens  ids that may be drawn: 0 to this, not included
  /// @throws Error kConfig, beginning with `where`, for a logit_bias of another id
  void check_ids(int64_t num_tokens, std::string_view where) const;
};

}  // namespace loopbank
