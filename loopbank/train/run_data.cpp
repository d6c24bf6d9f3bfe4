#include "loopbank/train/run_data.h"

#include <filesystem>
#include <string>
#include <string_view>

#include "loopbank/support/error.h"
#include "loopbank/train/run_init.h"

namespace loopbank {
namespace {

void expect_path(std::string_view key, bool is_empty, std::string_view what) {
  if (is_empty) {
    fail(ErrorCode::kConfig,
         "data: \"{}\" expects {}, got nothing. Set it with --set data.{}=PATH.", key, what, key);
  }
}

/// Patterns and what is wrong with a file are left to who opens it.
void expect_there(std::string_view key, const std::string& path) {
  if (path.find_first_of("*?[") == std::string::npos && !std::filesystem::exists(path)) {
    fail(ErrorCode::kData,
         "{}: expected the file that data.{} names, got none. Make the run's data with `loopbank "
         "data train-tokenizer` (or GPT-2's tokenizer.json) and `loopbank data tokenize`, as "
         "docs/data.md shows, or name yours with --set data.{}=PATH.",
         path, key, key);
  }
}

std::shared_ptr<const TokenSource> open_source(const std::string& path,
                                               const TokenSourceOptions& options) {
  auto source = open_tokens(path, options);
  if (source->num_tokens() < 2) {
    fail(ErrorCode::kData,
         "{}: expected at least 2 tokens, got {}. Make the file from texts that are not empty: "
         "loopbank data tokenize.",
         path, source->num_tokens());
  }
  return source;
}

std::vector<WeightedSource> open_training(const DataConfig& data,
                                          const TokenSourceOptions& options) {
  std::vector<WeightedSource> sources;
  double sum = 0.0;
  for (size_t i = 0; i < data.train.values.size(); ++i) {
    auto source = open_source(data.train.values[i], options);
    const double weight = data.train_weights.empty() ? static_cast<double>(source->num_tokens())
                                                     : data.train_weights[i];
    sum += weight;
    sources.push_back({std::move(source), weight});
  }
  for (auto& source : sources) {
    source.weight /= sum;
  }
  return sources;
}

/// The ids of a model mean what its own tokenizer says.
void expect_tokenizer_of_init(const RunConfig& config, const std::string& path,
                              const Tokenizer& tokenizer) {
  const auto own = std::filesystem::path(config.training.init) / "tokenizer.json";
  if (config.training.init.empty() || !std::filesystem::exists(own)) {
    return;
  }
  if (const auto hash = Tokenizer::load(own).hash(); hash != tokenizer.hash()) {
    fail(ErrorCode::kData,
         "data: \"tokenizer\" expects one with the ids of {} (hash {}), from which the run starts, "
         "got {} (hash {}). Leave it out to take the model's own, and tokenize the data with that.",
         own.string(), hash, path, tokenizer.hash());
  }
}

}  // namespace

int64_t RunData::train_tokens() const {
  int64_t sum = 0;
  for (const auto& source : train) {
    sum += source.tokens->num_tokens();
  }
  return sum;
}

int64_t RunData::train_documents() const {
  int64_t sum = 0;
  for (const auto& source : train) {
    sum += source.tokens->num_documents();
  }
  return sum;
}

double RunData::epochs(const TrainingConfig& training) const {
  return static_cast<double>(training.steps) * static_cast<double>(training.batch) *
         static_cast<double>(training.sequence_length) / static_cast<double>(train_tokens());
}

RunData open_run_data(const RunConfig& config, bool verify_checksums,
                      const std::filesystem::path& resumed) {
  const auto& data = config.data;
  const auto tokenizer_json = tokenizer_of_run(config, resumed);
  expect_path("tokenizer", tokenizer_json.empty(), "a tokenizer.json or \"bytes\"");
  expect_path("train", data.train.empty(), "a token file");
  if (tokenizer_json != "bytes") {
    expect_there("tokenizer", tokenizer_json);
  }
  for (const auto& path : data.train.values) {
    expect_there("train", path);
  }
  if (!data.validation.empty()) {
    expect_there("validation", data.validation);
  }
  auto tokenizer = tokenizer_json == "bytes" ? Tokenizer::bytes() : Tokenizer::load(tokenizer_json);
  if (resumed.empty()) {
    expect_tokenizer_of_init(config, tokenizer_json, tokenizer);
  }
  if (tokenizer.vocab_size() > config.model.vocab_size) {
    fail(ErrorCode::kConfig,
         "model: \"vocab_size\" expects at least the ids of {} ({}), got {}. Raise it or take "
         "another tokenizer.",
         tokenizer_json, tokenizer.vocab_size(), config.model.vocab_size);
  }
  const TokenSourceOptions options{
      .tokenizer = &tokenizer, .verify = verify_checksums, .bin_dtype = data.bin_dtype};
  auto train = open_training(data, options);
  auto validation = data.validation.empty() ? nullptr : open_source(data.validation, options);
  return {std::move(tokenizer), std::move(train), std::move(validation)};
}

}  // namespace loopbank
