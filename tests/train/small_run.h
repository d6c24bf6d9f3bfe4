#pragma once
/// A run of seconds: a model of two layers with loops and memory on a few sentences in bytes.

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../support/test_directory.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/tokenize/tokenizer.h"
#include "loopbank/train/checkpoint.h"
#include "loopbank/train/run_config.h"
#include "loopbank/train/trainer.h"

namespace loopbank::testing {

inline void write_sentences(const std::filesystem::path& path, int repeats = 4,
                            const std::string& hash = Tokenizer::bytes().hash()) {
  const auto tokenizer = Tokenizer::bytes();
  TokenFileWriter writer(path, tokenizer.vocab_size(), hash);
  for (int i = 0; i < repeats; ++i) {
    for (const std::string_view sentence :
         {"The harbour of Velm lies on the north coast.", "Ada Korin was born in Velm.",
          "Twelve and thirty make forty-two.", "The river runs past the old mill."}) {
      auto ids = tokenizer.encode(sentence);
      ids.push_back(tokenizer.end_of_text());
      writer.append(ids);
    }
  }
  writer.finish();
}

/// The run, and its token files in `directory`.
inline RunConfig small_run(const TestDirectory& directory) {
  RunConfig config;
  config.model.vocab_size = 257;
  config.model.hidden_size = 16;
  config.model.intermediate_size = 32;
  config.model.num_hidden_layers = 2;
  config.model.num_attention_heads = 2;
  config.model.max_position_embeddings = 16;
  config.model.max_loops = 2;
  config.model.local_memory_slots = 4;
  config.model.global_memory_slots = 2;
  config.data.train = (directory.path() / "train.tokens").string();
  config.data.validation = (directory.path() / "validation.tokens").string();
  config.data.tokenizer = "bytes";
  config.training.steps = 6;
  config.training.batch = 4;
  config.training.sequence_length = 16;
  config.training.precision = "fp32";
  config.training.validate_every = 3;
  config.training.validation_rows = 5;
  config.training.checkpoint_every = 2;
  config.training.device = "cpu";
  config.schedule.warmup_fraction = 0.3;
  write_sentences(config.data.train.joined());
  write_sentences(config.data.validation, /*repeats=*/1);
  return config;
}

inline TrainOptions quiet(const std::filesystem::path& out, ResumeMode resume = ResumeMode::kNew) {
  return {.out = out, .resume = resume, .show_progress = false, .should_stop = {}};
}

/// Options that stop the run after `steps` steps of this call.
inline TrainOptions stopping_after(const std::filesystem::path& out, int steps,
                                   ResumeMode resume = ResumeMode::kNew) {
  auto options = quiet(out, resume);
  options.should_stop = [left = steps]() mutable { return --left <= 0; };
  return options;
}

inline std::vector<nlohmann::json> read_rows(const std::filesystem::path& path) {
  std::vector<nlohmann::json> rows;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(nlohmann::json::parse(line));
  }
  return rows;
}

/// The rows without what a clock measured: equal for equal computations.
inline std::vector<nlohmann::json> timeless_rows(const std::filesystem::path& out) {
  auto rows = read_rows(out / "metrics.jsonl");
  for (auto& row : rows) {
    row.erase("tokens_per_second");
    row.erase("seconds");
  }
  return rows;
}

/// The error with which a run is refused.
inline Error refusal(const RunConfig& run, const TrainOptions& options) {
  try {
    (void)train(run, options);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "was not refused";
  return {ErrorCode::kConfig, ""};
}

inline void expect_fragments(const Error& error, ErrorCode code,
                             const std::vector<std::string>& fragments) {
  EXPECT_EQ(error.code(), code) << error.what();
  for (const auto& fragment : fragments) {
    EXPECT_NE(std::string(error.what()).find(fragment), std::string::npos)
        << "expected: " << fragment << "\nin: " << error.what();
  }
}

/// Weights, moments and metrics of two finished runs are equal to the last bit.
inline void expect_same_results(const std::filesystem::path& a, const std::filesystem::path& b,
                                int64_t steps) {
  EXPECT_EQ(read_file(a / "model.safetensors"), read_file(b / "model.safetensors"));
  EXPECT_EQ(read_file(checkpoint_path(a, steps) / "optimizer.safetensors"),
            read_file(checkpoint_path(b, steps) / "optimizer.safetensors"));
  EXPECT_EQ(timeless_rows(a), timeless_rows(b));
}

inline std::vector<int64_t> saved_steps(const std::filesystem::path& out) {
  std::vector<int64_t> steps;
  for (const auto& checkpoint : list_checkpoints(out)) {
    steps.push_back(checkpoint.step);
  }
  return steps;
}

}  // namespace loopbank::testing
