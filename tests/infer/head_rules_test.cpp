/// Exit rules that read the head after every loop, against their plain definitions.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"
#include "tests/infer/looping_model.h"

namespace loopbank {
namespace {

constexpr int64_t kReadLoops = 4;

/// The first `layers` layers of one and the same model, with its norm and head behind them.
LanguageModel read_model(int64_t layers) {
  ModelConfig config;
  config.vocab_size = testing::kLoopingVocabulary;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = layers;
  config.num_attention_heads = 4;
  config.max_position_embeddings = 64;
  config.max_loops = kReadLoops;
  LanguageModel model(config);
  model.parameters().initialize(3);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    const auto& value = parameter.value;
    auto generator = at::detail::createCPUGenerator(hash_of(parameter.name));
    if (parameter.name.find("loop_scale") != std::string::npos) {
      value.fill_(0.4);
    } else if (parameter.kind == ParameterKind::kNorm) {
      value.fill_(1.0);
    } else {
      value.copy_(at::randn(value.sizes(), generator) * 0.2);
    }
  }
  return model;
}

/// What a one-layer model says behind a token that has run t loops: the mixture with remainder, and
/// by a run of the engine the state alone.
at::Tensor logits_after(const LanguageModel& model, TokenId token, int64_t t, bool hard) {
  const at::NoGradGuard no_grad;
  if (!hard) {
    const auto ids = at::tensor(std::vector<int64_t>{static_cast<int64_t>(token)}, at::kLong);
    return model.forward(ids.unsqueeze(0), {.max_loops = t}).logits[0][0];
  }
  Engine engine(model, {});
  auto request = testing::request_of({token, 0}, 0, "budget:" + std::to_string(t) + ",hard");
  request.score_from = 1;
  at::Tensor logits;
  request.on_logits = [&](int64_t, std::span<const float> values) {
    logits = at::tensor(std::vector<float>(values.begin(), values.end()));
  };
  engine.add(std::move(request));
  (void)testing::run_all(engine);
  return logits;
}

struct PlainReading {
  double entropy;
  double kl;
  int64_t agreeing;
};

std::vector<PlainReading> plain_readings(const LanguageModel& model, TokenId token, bool hard) {
  std::vector<PlainReading> readings;
  at::Tensor before;
  int64_t agreeing = 0;
  for (int64_t t = 1; t < kReadLoops; ++t) {
    const auto log_q = logits_after(model, token, t, hard).to(at::kDouble).log_softmax(0);
    const bool same =
        before.defined() && log_q.argmax(0).item<int64_t>() == before.argmax(0).item<int64_t>();
    agreeing = same ? agreeing + 1 : 1;
    readings.push_back({.entropy = -(log_q.exp() * log_q).sum().item<double>(),
                        .kl = before.defined()
                                  ? (log_q.exp() * (log_q - before)).sum().item<double>()
                                  : std::numeric_limits<double>::infinity(),
                        .agreeing = agreeing});
    before = log_q;
  }
  return readings;
}

/// The first loop whose reading is met, or the last one.
template <typename Met>
int64_t first_loop(const std::vector<PlainReading>& readings, const Met& met) {
  for (size_t i = 0; i < readings.size(); ++i) {
    if (met(readings[i])) {
      return static_cast<int64_t>(i) + 1;
    }
  }
  return kReadLoops;
}

/// Loops that a text of one token runs in each layer, and how often its rule read the head.
EngineCounts counts_of(const LanguageModel& model, TokenId token, const std::string& exit) {
  Engine engine(model, {});
  engine.add(testing::request_of({token, 0}, 0, exit));
  (void)testing::run_all(engine);
  return engine.counts();
}

class HeadRules : public ::testing::TestWithParam<bool> {};

TEST_P(HeadRules, LeaveAfterTheLoopOfTheirDefinition) {
  const bool hard = GetParam();
  const std::string suffix = hard ? ",hard" : "";
  const auto one = read_model(1);
  const auto two = read_model(2);
  std::set<std::pair<std::string, int64_t>> seen;
  const auto expect = [&](const std::string& exit, TokenId token, int64_t tau) {
    const auto counts = counts_of(one, token, exit + suffix);
    EXPECT_EQ(counts.loops.run[0], tau) << exit << " token " << token;
    EXPECT_EQ(counts.loops.head, std::min(tau, kReadLoops - 1)) << exit;
    // The first layer is read as if it were the last.
    EXPECT_EQ(counts_of(two, token, exit + suffix).loops.run[0], tau) << exit;
    seen.insert({exit.substr(0, exit.find(':')), tau});
  };
  for (TokenId token = 0; token < 24; ++token) {
    const auto readings = plain_readings(one, token, hard);
    for (const double e : {1.5, 2.0, 2.5, 3.0}) {
      expect("entropy:" + std::to_string(e), token,
             first_loop(readings, [&](const auto& read) { return read.entropy < e; }));
    }
    for (const double e : {0.003, 0.01, 0.03, 0.1, 0.3}) {
      expect("kl:" + std::to_string(e), token,
             first_loop(readings, [&](const auto& read) { return read.kl < e; }));
    }
    for (const int64_t k : {2, 3}) {
      expect("argmax:" + std::to_string(k), token,
             first_loop(readings, [&](const auto& read) { return read.agreeing >= k; }));
    }
  }
  for (const auto& [kind, tau] : std::set<std::pair<std::string, int64_t>>{{"entropy", 1},
                                                                           {"entropy", 4},
                                                                           {"kl", 2},
                                                                           {"kl", 3},
                                                                           {"kl", 4},
                                                                           {"argmax", 2},
                                                                           {"argmax", 3},
                                                                           {"argmax", 4}}) {
    EXPECT_TRUE(seen.contains({kind, tau})) << kind << " never left after " << tau;
  }
}

INSTANTIATE_TEST_SUITE_P(SoftAndHard, HeadRules, ::testing::Bool());

TEST(HeadRule, NobodyReadsTheHeadForOtherRules) {
  const auto model = read_model(2);
  EXPECT_EQ(counts_of(model, 1, "cdf:0.5").loops.head, 0);
  Engine engine(model, {});
  engine.add(testing::request_of({1, 2, 3}, 0, "cdf:0.5"));
  engine.add(testing::request_of({1, 0}, 0, "argmax:2"));
  (void)testing::run_all(engine);
  EXPECT_EQ(engine.counts().loops.head, counts_of(model, 1, "argmax:2").loops.head);
}

TEST(HeadRule, ServeAnalysisAlone) {
  for (const std::string exit : {"entropy:0.5", "kl:0.1,hard", "argmax:2"}) {
    EXPECT_TRUE(ExitChoice::parse(exit).reads_head()) << exit;
    const InferenceSettings settings{.exit = exit};
    EXPECT_TRUE(settings.options("inside", ExitUse::kAnalysis).exit.reads_head());
    try {
      (void)settings.options("eval");
      FAIL() << exit;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), "eval: \"exit\": expected a rule that does without the head, got \"" +
                                  exit +
                                  "\": entropy, kl and argmax read it after every loop and serve "
                                  "analysis alone, in bench exit and inside.");
    }
  }
  EXPECT_FALSE(ExitChoice::parse("change:0.1").reads_head());
  for (const std::string& bad :
       {std::string("entropy"), std::string("entropy:-1"), std::string("kl:x"),
        std::string("argmax:1"), std::string("argmax:2.5"),
        "argmax:" + std::to_string(kMaxLoops + 1)}) {
    EXPECT_THROW((void)ExitChoice::parse(bad), Error) << bad;
  }
}

}  // namespace
}  // namespace loopbank
