#include "loopbank/train/run_data.h"

#include <string>
#include <string_view>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

void expect_path(std::string_view key, const std::string& path, std::string_view what) {
  if (path.empty()) {
    fail(ErrorCode::kConfig,
         "data: \"{}\" expects {}, got nothing. Set it with --set data.{}=PATH.", key, what, key);
  }
}

std::shared_ptr<const TokenFile> open_tokens(const std::string& path, const Tokenizer& tokenizer,
                                             bool verify_checksum) {
  auto file = std::make_shared<const TokenFile>(path, verify_checksum);
  file->expect_vocabulary(tokenizer);
  if (file->num_tokens() < 2) {
    fail(ErrorCode::kData,
         "{}: expected at least 2 tokens, got {}. Make the file from texts that are not empty: "
         "loopbank data tokenize.",
         path, file->num_tokens());
  }
  return file;
}

}  // namespace

double RunData::epochs(const TrainingConfig& training) const {
  return static_cast<double>(training.steps) * static_cast<double>(training.batch) *
         static_cast<double>(training.sequence_length) / static_cast<double>(train->num_tokens());
}

RunData open_run_data(const RunConfig& config, bool verify_checksums) {
  const auto& data = config.data;
  expect_path("tokenizer", data.tokenizer, "a tokenizer.json or \"bytes\"");
  expect_path("train", data.train, "a token file");
  auto tokenizer = data.tokenizer == "bytes" ? Tokenizer::bytes() : Tokenizer::load(data.tokenizer);
  if (tokenizer.vocab_size() > config.model.vocab_size) {
    fail(ErrorCode::kConfig,
         "model: \"vocab_size\" expects at least the ids of {} ({}), got {}. Raise it or take "
         "another tokenizer.",
         data.tokenizer, tokenizer.vocab_size(), config.model.vocab_size);
  }
  auto train = open_tokens(data.train, tokenizer, verify_checksums);
  auto validation =
      data.validation.empty() ? nullptr : open_tokens(data.validation, tokenizer, verify_checksums);
  return {std::move(tokenizer), std::move(train), std::move(validation)};
}

}  // namespace loopbank
