/// Inference of models with all that imported ones have in their block: heads of any width, biases,
/// scaled angles, each place of the norm of queries and keys, linear loop scales, a tied head.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "loopbank/model/weights.h"
#include "loopbank/ops/kernels.h"
#include "tests/infer/looping_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::Answer;
using testing::answer_alone;
using testing::looping_model;
using testing::options_of_imported;
using testing::request_of;
using testing::run_all;
using testing::some_prompt;

constexpr const char* kNormPlaces[] = {"none", "before", "after"};

LanguageModel imported_model(const std::string& qk_norm) {
  return looping_model(/*loops=*/3, /*slots=*/5, options_of_imported(qk_norm));
}

/// ln p of each token of a text by one pass over all of it, as the definitions compute it.
std::vector<double> scores_of_definition(const LanguageModel& model,
                                         const std::vector<TokenId>& text) {
  const at::NoGradGuard no_grad;
  const ops::KernelsScope scope(ops::Kernels::kReference);
  const auto ids = at::tensor(std::vector<int64_t>(text.begin(), text.end()), at::kLong);
  const auto logits = model.forward(ids.unsqueeze(0)).logits[0].log_softmax(1);
  std::vector<double> scores;
  for (size_t i = 1; i < text.size(); ++i) {
    scores.push_back(logits[static_cast<int64_t>(i) - 1][text[i]].item<double>());
  }
  return scores;
}

TEST(EngineOfImported, ScoresAreThoseOfOnePassInChunksOfAnySize) {
  for (const std::string qk_norm : kNormPlaces) {
    const auto model = imported_model(qk_norm);
    const auto text = some_prompt(70, 1);
    const auto expected = scores_of_definition(model, text);
    for (const int64_t chunk : {1, 7, 512}) {
      auto request = request_of(text, 0);
      request.score_from = 1;
      const auto answer = answer_alone(model, request, {.batch_tokens = chunk});
      ASSERT_EQ(answer.scores.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(answer.scores[i], expected[i], 2e-5) << qk_norm << " " << chunk << " " << i;
      }
    }
  }
}

TEST(EngineOfImported, GreedyTokensAreThoseOfFullPasses) {
  for (const std::string qk_norm : kNormPlaces) {
    const auto model = imported_model(qk_norm);
    const auto prompt = some_prompt(5, 2);
    const auto answer = answer_alone(model, request_of(prompt, 40));
    auto text = prompt;
    text.insert(text.end(), answer.tokens.begin(), answer.tokens.end());
    const auto scores = scores_of_definition(model, text);
    ASSERT_EQ(answer.tokens.size(), 40U);
    for (size_t i = 0; i < answer.tokens.size(); ++i) {
      EXPECT_NEAR(answer.log_probabilities[i], scores[i + 4], 2e-5) << qk_norm << " " << i;
    }
  }
}

/// Every policy, with tokens that leave early: late keys and values need the bias too.
TEST(EngineOfImported, AnAnswerDependsNeitherOnNeighboursNorOnChunks) {
  for (const std::string qk_norm : kNormPlaces) {
    const auto model = imported_model(qk_norm);
    for (const auto* policy : key_value_policies()) {
      auto wanted = request_of(some_prompt(37, 5), 12, "cdf:0.6", std::string(policy->name()),
                               /*in_prompt=*/true);
      wanted.score_from = 1;
      for (const auto type : {at::kFloat, at::kBFloat16}) {
        const auto alone = answer_alone(model, wanted, {.compute_dtype = type});
        EXPECT_EQ(alone.tokens.size(), 12U);
        for (const auto value : alone.scores) {
          EXPECT_TRUE(std::isfinite(value));
        }
        Engine engine(model, {.compute_dtype = type, .batch_tokens = 5});
        engine.poison_pages();
        engine.add(request_of(some_prompt(20, 6), 30, "cdf:0.7"));
        const auto id = engine.add(wanted);
        EXPECT_EQ(run_all(engine).at({id, 0}), alone)
            << qk_norm << " " << policy->name() << " " << c10::toString(type);
      }
    }
  }
}

TEST(EngineOfImported, LateKeysAndValuesAreThoseOfALoopThatRan) {
  // A state that no longer changes has late keys equal to those that a loop would have made: all
  // loops but the first have scale 0, so that the policies `full` and `all` must agree.
  const auto model = looping_model(3, 0, options_of_imported("before"));
  {
    const at::NoGradGuard no_grad;
    for (const auto* const layer : {"layers.0.loop_scale", "layers.1.loop_scale"}) {
      model.parameters().get(layer).value.copy_(at::tensor({0.7F, 0.0F, 0.0F}));
    }
  }
  auto request = request_of(some_prompt(40, 3), 8, "all");
  request.score_from = 1;
  const auto all = answer_alone(model, request);
  request.inference = request_of({}, 0, "budget:1", "full", /*in_prompt=*/true).inference;
  const auto once = answer_alone(model, request);
  ASSERT_EQ(once.scores.size(), all.scores.size());
  for (size_t i = 0; i < all.scores.size(); ++i) {
    EXPECT_NEAR(once.scores[i], all.scores[i], 1e-4) << i;
  }
  EXPECT_LT(once.mean_loops, all.mean_loops);
}

TEST(EngineOfImported, QuantizedWeightsKeepTheirBiases) {
  const auto model = imported_model("before");
  auto request = request_of(some_prompt(60, 4), 0);
  request.score_from = 1;
  const auto exact = answer_alone(model, request);
  const testing::TestDirectory directory;
  save_model(model, directory.path(), /*quantization_bits=*/8);
  const auto stored = load_model(directory.path());
  EXPECT_EQ(stored.config().rope_scaling, model.config().rope_scaling);
  const std::string bias = "layers.1.block.attention.value.bias";
  EXPECT_TRUE(stored.parameters().get(bias).value.equal(model.parameters().get(bias).value));
  const auto coded = answer_alone(stored, request);
  double worst = 0.0;
  for (size_t i = 0; i < exact.scores.size(); ++i) {
    worst = std::max(worst, std::abs(coded.scores[i] - exact.scores[i]));
  }
  EXPECT_LE(worst, 0.3);
  EXPECT_GT(worst, 0.0);
}

}  // namespace
}  // namespace loopbank
