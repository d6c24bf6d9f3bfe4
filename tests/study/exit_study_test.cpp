#include "loopbank/study/exit_study.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "loopbank/model/cost.h"
#include "loopbank/study/exit_conclusions.h"
#include "loopbank/study/exit_grid.h"
#include "loopbank/study/exit_words.h"
#include "loopbank/support/error.h"
#include "loopbank/support/random.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::TestDirectory;

/// Three live loops, whose routers differ from token to token.
LanguageModel model_to_leave(uint64_t seed = 3) {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 64;
  config.max_loops = 3;
  config.loop_scale_init = 0.5;
  LanguageModel model(config);
  model.parameters().initialize(seed);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    if (parameter.kind == ParameterKind::kRouter) {
      parameter.value.mul_(40.0);
    }
  }
  return model;
}

std::vector<ExitDocument> documents_to_leave(const ExitStudyOptions& options) {
  static const TestDirectory directory;
  RandomStream random(7);
  std::string lines;
  for (int document = 0; document < 6; ++document) {
    std::string text;
    for (int i = 0; i < 40 + 10 * document; ++i) {
      text += static_cast<char>('a' + random.below(20));
    }
    lines += nlohmann::json({{"text", text}}).dump() + "\n";
  }
  lines += nlohmann::json({{"text", "too short"}}).dump() + "\n";
  return read_exit_documents(directory.write("documents.jsonl", lines), Tokenizer::bytes(),
                             options);
}

ExitStudyOptions small_options() {
  ExitStudyOptions options;
  options.document_tokens = 60;
  options.limit_tokens = 1000;
  options.timed_documents = 2;
  options.turns = 1;
  options.rules = {"cdf:0.6", "cdf:0.6,hard", "budget:2", "change:10"};
  options.policies = {"full", "copy", "last"};
  return options;
}

const ExitResult& result_of(const ExitStudy& study, ExitWhere where, const std::string& rule,
                            const std::string& kv) {
  return *std::find_if(study.results.begin(), study.results.end(), [&](const auto& result) {
    return result.where == where && result.rule == rule && result.kv == kv;
  });
}

ExitStudy study_of(const LanguageModel& model) {
  const auto options = small_options();
  return measure_exits(model, Tokenizer::bytes(), documents_to_leave(options), {}, options);
}

/// Of `model_to_leave`, measured once for all tests.
const ExitStudy& small_study() {
  static const auto study = study_of(model_to_leave());
  return study;
}

TEST(ExitStudy, DocumentsBeginWithAPromptAndEndWithTheLimit) {
  auto options = small_options();
  const auto documents = documents_to_leave(options);
  ASSERT_EQ(documents.size(), 6U);
  EXPECT_EQ(documents[0].tokens.size(), 40U);
  EXPECT_EQ(documents[0].prompt, 10);
  EXPECT_EQ(documents[0].bytes, 30);
  EXPECT_EQ(documents[5].tokens.size(), 61U);  // the last one is not read
  options.limit_tokens = 50;
  const auto fewer = documents_to_leave(options);
  ASSERT_EQ(fewer.size(), 2U);
  EXPECT_EQ(fewer[0].num_scored() + fewer[1].num_scored(), 50);
  options.limit_tokens = 30;
  EXPECT_THROW((void)documents_to_leave(options), Error);  // one document
}

TEST(ExitStudy, AllIsThePlainModelAndItsOwnReference) {
  const auto model = model_to_leave();
  const auto& study = small_study();
  const at::NoGradGuard no_grad;
  double nats = 0.0;
  double bytes = 0.0;
  for (const auto& document : documents_to_leave(small_options())) {
    const std::vector<int64_t> ids(document.tokens.begin(), document.tokens.end());
    const auto inputs =
        at::tensor(ids, at::kLong).narrow(0, 0, static_cast<int64_t>(ids.size()) - 1);
    const auto scores = model.forward(inputs.unsqueeze(0)).logits[0].log_softmax(1);
    for (auto at = document.prompt; at < static_cast<int64_t>(ids.size()); ++at) {
      nats -= scores[at - 1][ids[static_cast<size_t>(at)]].item<double>();
    }
    bytes += static_cast<double>(document.bytes);
  }
  for (const auto where : {ExitWhere::kDecode, ExitWhere::kEverywhere, ExitWhere::kScoring}) {
    const auto& all = result_of(study, where, "all", "full");
    EXPECT_NEAR(all.bpb, nats / (std::numbers::ln2 * bytes), 1e-5);
    EXPECT_NEAR(all.kl, 0.0, 1e-9);
    EXPECT_EQ(all.top1_agreement, 1.0);
    EXPECT_EQ(all.mean_loops, 3.0);
    EXPECT_EQ(all.bpb_difference.difference, 0.0);
    EXPECT_FALSE(all.share_returned);
    // What no token leaves early, `copy` sees as `full` does.
    EXPECT_NEAR(result_of(study, where, "all", "copy").kl, 0.0, 1e-9);
  }
  EXPECT_GT(result_of(study, ExitWhere::kDecode, "all", "last").kl, 1e-6);
}

TEST(ExitStudy, FlopsAreThoseOfTheLoopsThatRan) {
  const auto model = model_to_leave();
  const auto& study = small_study();
  double read = 0.0;
  double places = 0.0;
  double scored = 0.0;
  for (const auto& document : documents_to_leave(small_options())) {
    const auto tokens = static_cast<double>(document.tokens.size()) - 1;
    read += tokens;
    places += tokens * (tokens + 1) / 2;
    scored += static_cast<double>(document.num_scored());
  }
  const auto length = static_cast<int64_t>(std::lround(2 * places / read - 1));
  const double head = 2.0 * 257 * 32 * (1 - scored / read);
  for (const auto where : {ExitWhere::kDecode, ExitWhere::kScoring}) {
    const auto& two = result_of(study, where, "budget:2", "full");
    EXPECT_EQ(two.mean_loops, 2.0);
    EXPECT_NEAR(two.flops_per_token, forward_flops(model.config(), length, 2) - head, 1e-3);
    const auto& all = result_of(study, where, "all", "full");
    EXPECT_NEAR(all.flops_per_token, forward_flops(model.config(), length, 0) - head, 1e-3);
    EXPECT_NEAR(two.flops_saved_share, 1 - two.flops_per_token / all.flops_per_token, 1e-12);
  }
  // What leaves early makes keys and values late, which `copy` does not.
  const auto& full = result_of(study, ExitWhere::kScoring, "change:10", "full");
  const auto& copied = result_of(study, ExitWhere::kScoring, "change:10", "copy");
  EXPECT_EQ(full.mean_loops, 1.0);
  EXPECT_NEAR(full.flops_per_token - copied.flops_per_token, 2 * 4.0 * 32 * 32, 1e-3);
}

TEST(ExitStudy, RulesAreComparedAndFrontsMarked) {
  const auto& study = small_study();
  const auto& soft = result_of(study, ExitWhere::kDecode, "cdf:0.6", "full");
  const auto& hard = result_of(study, ExitWhere::kDecode, "cdf:0.6,hard", "full");
  EXPECT_GT(soft.mean_loops, 1.0);
  EXPECT_LT(soft.mean_loops, 3.0);
  EXPECT_GT(soft.kl, 0.0);
  EXPECT_TRUE(hard.hard);
  const auto compared =
      std::find_if(study.comparisons.begin(), study.comparisons.end(), [](const auto& comparison) {
        return comparison.question == "hard" && comparison.where == ExitWhere::kDecode;
      });
  ASSERT_NE(compared, study.comparisons.end());
  EXPECT_NEAR(compared->bpb_difference.difference, hard.bpb - soft.bpb, 1e-12);
  for (const auto& result : study.results) {
    const bool beaten =
        std::any_of(study.results.begin(), study.results.end(), [&](const auto& other) {
          return other.where == result.where && other.bpb < result.bpb &&
                 other.flops_per_token < result.flops_per_token;
        });
    EXPECT_FALSE(beaten && result.on_front_of_flops) << result.rule << " " << result.kv;
  }
  const auto* cheapest = most_saved(study, ExitWhere::kDecode, 1e9, &ExitResult::flops_saved_share);
  EXPECT_EQ(cheapest->rule, "change:10");
  EXPECT_EQ(most_saved(study, ExitWhere::kDecode, -0.9, &ExitResult::flops_saved_share), nullptr);
  EXPECT_EQ(to_json(study).at("results").size(), study.results.size());
}

TEST(ExitStudy, RowsThatWereMeasuredAreTakenAsTheyAre) {
  const auto model = model_to_leave();
  auto options = small_options();
  options.rules = {"cdf:0.6"};
  options.policies = {"full"};
  options.measured = {result_of(small_study(), ExitWhere::kDecode, "all", "full"),
                      result_of(small_study(), ExitWhere::kScoring, "cdf:0.6", "full")};
  options.measured[0].seconds = 123.0;
  std::vector<std::string> made;
  options.on_result = [&](const ExitResult& row) {
    made.push_back(row.rule + " " + std::string(name_of(row.where)));
  };
  const auto study =
      measure_exits(model, Tokenizer::bytes(), documents_to_leave(options), {}, options);
  EXPECT_EQ(made, (std::vector<std::string>{"cdf:0.6 decode", "all everywhere", "all scoring"}));
  EXPECT_EQ(study.results[0].seconds, 123.0);
  // The place's `all` was not measured anew for its row, yet it is what the others differ from.
  const auto& leaves = result_of(study, ExitWhere::kDecode, "cdf:0.6", "full");
  const auto& before = result_of(small_study(), ExitWhere::kDecode, "cdf:0.6", "full");
  EXPECT_EQ(leaves.kl, before.kl);
  EXPECT_EQ(leaves.bpb_difference.low, before.bpb_difference.low);
}

TEST(ExitStudy, RulesThatReadTheHeadPayForIt) {
  const auto model = model_to_leave();
  auto options = small_options();
  options.rules = {"budget:2", "argmax:2", "entropy:0"};
  options.policies = {"full"};
  const auto study =
      measure_exits(model, Tokenizer::bytes(), documents_to_leave(options), {}, options);
  const auto& never = result_of(study, ExitWhere::kScoring, "entropy:0", "full");
  const auto& all = result_of(study, ExitWhere::kScoring, "all", "full");
  EXPECT_EQ(never.mean_loops, 3.0);
  EXPECT_NEAR(never.kl, 0.0, 1e-9);
  // Two layers, read after both loops that may be the last.
  EXPECT_NEAR(never.flops_per_token - all.flops_per_token, 2 * 2 * 2.0 * 257 * 32, 1e-3);
  const auto& agreeing = result_of(study, ExitWhere::kScoring, "argmax:2", "full");
  EXPECT_GT(agreeing.mean_loops, 2.0);
  EXPECT_LT(agreeing.mean_loops, 3.0);
}

TEST(ExitStudy, AModelWithoutLoopsIsRefused) {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 64;
  LanguageModel model(config);
  model.parameters().initialize(3);
  EXPECT_THROW((void)study_of(model), Error);
}

TEST(ExitGrid, ThresholdsGiveTheSameLoopsWhateverTheRule) {
  const auto loops_of = [](const std::string& rule) {
    const auto colon = rule.find(':');
    const auto kind = rule.substr(0, colon);
    const double threshold = std::stod(rule.substr(colon + 1));
    return kind == "cdf"      ? 1 + 2 * threshold
           : kind == "router" ? 3.0  // never leaves
           : kind == "change" ? 1 + 2 / (1 + threshold)
                              : std::max(2.0, 3 - threshold / 10);
  };
  const auto rules = exit_grid(3.0, 3, loops_of);
  for (const std::string rule : {"all", "all,hard", "budget:1", "budget:2", "budget:2,hard"}) {
    EXPECT_NE(std::find(rules.begin(), rules.end(), rule), rules.end()) << rule;
  }
  std::vector<double> of_cdf;
  for (const auto& rule : rules) {
    if (rule.starts_with("cdf") && !rule.ends_with(",hard")) {
      of_cdf.push_back(loops_of(rule));
    }
  }
  ASSERT_EQ(of_cdf.size(), 3U);
  for (const size_t i : {0, 1, 2}) {
    EXPECT_NEAR(of_cdf[i], 1.5 + 0.5 * static_cast<double>(i), 0.05);
  }
  int changes = 0;
  int accelerations = 0;
  for (const auto& rule : rules) {
    EXPECT_FALSE(rule.starts_with("router")) << rule;
    changes += rule.starts_with("change") ? 1 : 0;
    accelerations += rule.starts_with("accel") ? 1 : 0;
  }
  EXPECT_EQ(changes, 6);
  EXPECT_EQ(accelerations, 4);  // two and two and a half loops
}

}  // namespace
}  // namespace loopbank
