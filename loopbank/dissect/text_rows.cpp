#include "loopbank/dissect/text_rows.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <vector>

#include "loopbank/dissect/text_ids.h"
#include "loopbank/support/error.h"
#include "loopbank/train/validation.h"

namespace loopbank {

TextRows read_text_rows(const std::filesystem::path& path, const Tokenizer& tokenizer,
                        int64_t num_rows, int64_t sequence_length, const BadLinePolicy& policy) {
  const auto text = read_text_ids(path, tokenizer, num_rows * sequence_length + 1, policy);
  const std::vector<int64_t> ids(text.ids.begin(), text.ids.end());
  if (ids.size() < 2) {
    fail(ErrorCode::kData,
         "{}: expected text of at least 2 tokens, got {} in {} documents ({} empty, {} bad lines). "
         "Give a longer text.",
         path.string(), ids.size(), text.reading.documents, text.reading.empty_documents,
         text.reading.num_bad_lines());
  }
  const int64_t num_targets = static_cast<int64_t>(ids.size()) - 1;
  const int64_t length = std::min(sequence_length, num_targets);
  const int64_t rows = std::min(num_rows, num_targets / length);
  const auto all = at::tensor(ids, at::kLong);
  return {.rows = {.tokens = all.narrow(0, 0, rows * length).view({rows, length}),
                   .targets = all.narrow(0, 1, rows * length).view({rows, length})},
          .reading = text.reading};
}

std::vector<TokenId> text_of_row(const Batch& rows, int64_t row) {
  const auto tokens = rows.tokens[row].to(at::kCPU).contiguous();
  const auto* const first = tokens.data_ptr<int64_t>();
  std::vector<TokenId> text(first, first + tokens.numel());
  text.push_back(static_cast<TokenId>(rows.targets[row][-1].item<int64_t>()));
  return text;
}

int64_t bytes_of_targets(const Batch& rows, const Tokenizer& tokenizer) {
  const auto of_targets =
      bytes_of_tokens(tokenizer).index_select(0, rows.targets.to(at::kCPU).reshape({-1}));
  return std::max<int64_t>(of_targets.sum().item<int64_t>(), 1);
}

}  // namespace loopbank
