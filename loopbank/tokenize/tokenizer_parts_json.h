#pragma once
/// The parts of tokenizer.json before and behind the model: normalizer, post_processor and decoder.
/// The pre-tokenizer is in pretokenizer_json.h.

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "loopbank/tokenize/decoder.h"
#include "loopbank/tokenize/json_part.h"
#include "loopbank/tokenize/normalizer.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// Steps of the normalizer, sequences taken apart.
/// @throws Error kData as `where: part: expected WHAT, got WHAT`, also for kinds not supported
[[nodiscard]] std::vector<NormalizerStep> read_normalizer(const JsonPart& part);

/// What a post-processor puts around a single text.
struct TextFrame {
  std::vector<TokenId> prefix;
  std::vector<TokenId> suffix;
};
/// @throws Error kData as above; for a template that does not hold the text once
[[nodiscard]] TextFrame read_post_processor(const JsonPart& part);

/// Steps of the decoder, sequences taken apart.
/// @throws Error kData as above; for steps that look at the whole text behind one that joins tokens
[[nodiscard]] std::vector<DecoderStep> read_decoder(const JsonPart& part);

/// A step that decides ids, in one line for the hash of a tokenizer.
[[nodiscard]] std::string canonical_step(const NormalizerStep& step);

}  // namespace loopbank
