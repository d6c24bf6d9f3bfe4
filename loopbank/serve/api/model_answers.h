#pragma once
/// Answers that need no engine: which model is served, and its tokenizer.

#include <string>
#include <string_view>

#include "loopbank/serve/api/served_model.h"

namespace loopbank {

/// GET /v1/models: the one model, with what a client must know of it.
[[nodiscard]] std::string list_models(const ServedModel& served);
/// GET /v1/models/{id}.
/// @throws ApiError 404 for another model
[[nodiscard]] std::string describe_model(const std::string& id, const ServedModel& served);

/// POST /tokenize: {"prompt": text} to {"tokens", "count", "max_model_len"}. The ids are those that
/// /v1/completions reads for the text, but that special tokens spelled out in it count as such: this
/// is how clients learn their ids.
/// @throws ApiError 400, 404
[[nodiscard]] std::string tokenize(std::string_view body, const ServedModel& served);
/// POST /detokenize: {"tokens": ids} to {"prompt": text}, bytes that are no UTF-8 as U+FFFD.
/// @throws ApiError 400, 404
[[nodiscard]] std::string detokenize(std::string_view body, const ServedModel& served);
/// GET /tokenizer_info, with the keys of Hugging Face's tokenizer_config.json that clients read.
[[nodiscard]] std::string tokenizer_info(const ServedModel& served);

}  // namespace loopbank
