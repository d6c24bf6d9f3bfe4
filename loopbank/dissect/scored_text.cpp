#include "loopbank/dissect/scored_text.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numbers>
#include <numeric>
#include <string>
#include <utility>

#include "loopbank/dissect/text_ids.h"
#include "loopbank/support/error.h"
#include "loopbank/train/validation.h"

namespace loopbank {
namespace {

at::Tensor ids_between(const std::vector<TokenId>& ids, int64_t first, int64_t count) {
  const auto begin = ids.begin() + first;
  return at::tensor(std::vector<int64_t>(begin, begin + count), at::kLong).view({1, count});
}

}  // namespace

ScoredText scored_text_of(std::vector<TokenId> ids, const Tokenizer& tokenizer,
                          int64_t row_tokens) {
  if (ids.size() < 2) {
    fail(ErrorCode::kData,
         "text: expected at least 2 tokens, one to read and one to predict, got {}. Give a longer "
         "text.",
         ids.size());
  }
  ScoredText text{.ids = std::move(ids), .rows = {}};
  for (int64_t first = 0; first < text.num_tokens(); first += row_tokens) {
    const auto count = std::min(row_tokens, text.num_tokens() - first);
    text.rows.push_back({.first = first,
                         .tokens = ids_between(text.ids, first, count),         // [1, T]
                         .targets = ids_between(text.ids, first + 1, count)});  // [1, T]
  }
  const auto bytes = bytes_of_tokens(tokenizer);  // [V]
  for (const auto& row : text.rows) {
    text.num_bytes += bytes.index_select(0, row.targets.view(-1)).sum().item<int64_t>();
  }
  if (text.num_bytes == 0) {
    fail(ErrorCode::kData, "text: expected a byte to predict, got end of text alone.");
  }
  return text;
}

ScoredText read_scored_text(const std::filesystem::path& path, const Tokenizer& tokenizer,
                            int64_t max_tokens, int64_t row_tokens, const BadLinePolicy& policy) {
  // The last id is a target alone.
  auto read = read_text_ids(path, tokenizer, max_tokens + 1, policy);
  try {
    auto text = scored_text_of(std::move(read.ids), tokenizer, row_tokens);
    text.num_skipped = read.reading.num_bad_lines();
    return text;
  } catch (const Error& error) {
    throw Error(error.code(), path.string() + ": " + error.what());
  }
}

double nats_of(const LanguageModel& model, const TextRow& row, const ForwardOptions& options) {
  const at::NoGradGuard no_grad;
  const auto out =
      model.loss(row.tokens.to(model.device()), row.targets.to(model.device()), options);
  return out.cross_entropy.item<double>() * static_cast<double>(row.tokens.numel());
}

double bits_per_byte(const std::vector<double>& row_nats, const ScoredText& text) {
  return std::accumulate(row_nats.begin(), row_nats.end(), 0.0) /
         (std::numbers::ln2 * static_cast<double>(text.num_bytes));
}

}  // namespace loopbank
