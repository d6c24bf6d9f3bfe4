#include "loopbank/infer/inside_recorder.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <tuple>

#include "tests/infer/looping_model.h"

namespace loopbank {
namespace {

using testing::answer_alone;
using testing::looping_model;
using testing::request_of;
using testing::some_prompt;

/// What a full pass shows of a text, all loops run.
struct FullPass {
  std::vector<at::Tensor> halting;                                   // per layer [N, T]
  std::map<std::tuple<int64_t, bool, int64_t>, at::Tensor> weights;  // layer, bank, loop: [T, M]
  std::map<std::tuple<int64_t, bool, int64_t>, at::Tensor> gates;    // [T]
};

FullPass full_pass(const LanguageModel& model, const std::vector<TokenId>& text) {
  const at::NoGradGuard no_grad;
  FullPass full;
  Recorder recorder;
  recorder.on_read = [&](const MemoryRead& read) {
    const auto scale = 1.0 / std::sqrt(static_cast<double>(read.query.size(-1)));
    const std::tuple key{read.layer, read.global, read.loop};
    full.weights[key] = at::softmax(at::matmul(read.query[0], read.keys.t()) * scale, -1);
    full.gates[key] = read.gate[0].mean(-1);
  };
  const auto ids = at::tensor(std::vector<int64_t>(text.begin(), text.end()), at::kLong);
  (void)model.forward(ids.unsqueeze(0), {.recorder = &recorder});
  for (const auto& halting : recorder.halting) {
    full.halting.push_back(halting.select(1, 0));
  }
  return full;
}

/// Compares the reads of a layer with those of a full pass, P_t being what the token was seen to have.
void expect_reads(const TokenInside& inside, int64_t layer, const FullPass& full, int64_t place) {
  const auto& p = inside.halting[static_cast<size_t>(layer)];
  size_t found = 0;
  for (const auto& read : inside.reads) {
    if (read.layer != layer) {
      continue;
    }
    ++found;
    double sum = 0.0;
    double gate = 0.0;
    at::Tensor weights;
    double share = 1.0;
    for (size_t t = 0; t < p.size() && p[t] > 0.0; ++t) {
      const std::tuple key{layer, read.global, static_cast<int64_t>(t) + 1};
      const auto part = full.weights.at(key)[place] * share;
      weights = weights.defined() ? weights + part : part;
      gate += share * full.gates.at(key)[place].item<double>();
      sum += share;
      share -= p[t];
    }
    EXPECT_NEAR(read.gate, gate / sum, 1e-5);
    ASSERT_EQ(read.top.size(), 5U);
    for (size_t i = 0; i < read.top.size(); ++i) {
      EXPECT_NEAR(read.top[i].second, weights[read.top[i].first].item<double>() / sum, 1e-5);
      EXPECT_TRUE(i == 0 || read.top[i].second <= read.top[i - 1].second);
    }
  }
  EXPECT_EQ(found, 2U);
}

TEST(InsideRecorder, ShowsWhatAFullPassShowsWhereOnlySomeOfTheBatchAsk) {
  const auto model = looping_model(/*loops=*/3, /*slots=*/7);
  const auto text = some_prompt(30, 1);
  const auto full = full_pass(model, text);
  Engine engine(model, {.batch_tokens = 11});
  engine.add(request_of(some_prompt(20, 2), 12, "cdf:0.6"));
  auto request = request_of(text, 1);
  request.score_from = 1;
  request.inside = true;
  const auto id = engine.add(request);
  auto quiet = request_of(some_prompt(9, 3), 9, "budget:2");
  quiet.score_from = 1;
  engine.add(quiet);
  std::map<int64_t, std::shared_ptr<const TokenInside>> seen;  // by place of the token read
  while (!engine.idle()) {
    const auto output = engine.step();
    for (const auto& scored : output.scored) {
      EXPECT_EQ(scored.inside != nullptr, scored.request == id);
      if (scored.request == id) {
        seen[scored.place - 1] = scored.inside;
      }
    }
    for (const auto& token : output.generated) {
      EXPECT_EQ(token.inside != nullptr, token.request == id);
      if (token.request == id) {
        seen[29] = token.inside;
      }
    }
  }
  ASSERT_EQ(seen.size(), 30U);
  for (const auto& [place, inside] : seen) {
    ASSERT_EQ(inside->halting.size(), 2U);
    ASSERT_EQ(inside->reads.size(), 4U);
    for (size_t l = 0; l < 2; ++l) {
      ASSERT_EQ(inside->halting[l].size(), 3U);
      double loops = 0.0;
      for (size_t t = 0; t < 3; ++t) {
        const double p = full.halting[l][static_cast<int64_t>(t)][place].item<double>();
        EXPECT_NEAR(inside->halting[l][t], p, 1e-5);
        loops += static_cast<double>(t + 1) * p;
      }
      EXPECT_NEAR(inside->loops[l], loops, 1e-5);
      expect_reads(*inside, static_cast<int64_t>(l), full, place);
    }
  }
}

TEST(InsideRecorder, TheLastLoopThatRanHasTheRestAndThoseBehindItNothing) {
  const auto model = looping_model(/*loops=*/3, /*slots=*/7);
  const auto text = some_prompt(24, 1);
  const auto full = full_pass(model, text);
  Engine engine(model, {});
  auto request = request_of(text, 0, "cdf:0.45", "mixture");
  request.score_from = 1;
  request.inside = true;
  engine.add(request);
  std::map<int64_t, int64_t> left_after;
  while (!engine.idle()) {
    for (const auto& scored : engine.step().scored) {
      const auto& inside = *scored.inside;
      for (size_t l = 0; l < 2; ++l) {
        const auto loops = static_cast<int64_t>(inside.loops[l]);
        ++left_after[loops];
        double sum = 0.0;
        for (int64_t t = 0; t < 3; ++t) {
          const double p = inside.halting[l][static_cast<size_t>(t)];
          EXPECT_EQ(p > 0.0, t < loops);
          sum += p;
        }
        EXPECT_NEAR(sum, 1.0, 1e-6);
      }
      // Before the first token there is none: its first layer is that of the full pass.
      if (scored.place == 1) {
        const auto loops = static_cast<size_t>(inside.loops[0]);
        for (size_t t = 0; t + 1 < loops; ++t) {
          EXPECT_NEAR(inside.halting[0][t],
                      full.halting[0][static_cast<int64_t>(t)][0].item<double>(), 1e-5);
        }
        expect_reads(inside, 0, full, 0);
      }
    }
  }
  EXPECT_GT(left_after[1], 0);
  EXPECT_GT(left_after[2] + left_after[3], 0);
}

TEST(InsideRecorder, ChangesNoBitOfAnAnswer) {
  const auto model = looping_model();
  for (const auto& [exit, policy] :
       std::vector<std::pair<std::string, std::string>>{{"all", "full"},
                                                        {"cdf:0.5", "recompute"},
                                                        {"cdf:0.5,hard", "mixture"},
                                                        {"change:0.3", "copy"}}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      auto request = request_of(some_prompt(20, 1), 20, exit, policy);
      request.score_from = 3;
      request.draft = DraftOptions::parse("lookup", "test");
      const auto expected = answer_alone(model, request, {.compute_dtype = dtype});
      request.inside = true;
      EXPECT_EQ(answer_alone(model, request, {.compute_dtype = dtype}), expected)
          << exit << " " << policy;
    }
  }
}

TEST(InsideRecorder, EveryTokenOfEveryCompletionHasItsOwn) {
  const auto model = looping_model();
  Engine engine(model, {});
  auto request = request_of(some_prompt(12, 1), 10, "cdf:0.5");
  request.completions = 3;
  request.sampling.temperature = 1.0;
  request.inside = true;
  request.draft = DraftOptions::parse("loops:1,3", "test");
  engine.add(request);
  int64_t tokens = 0;
  while (!engine.idle()) {
    for (const auto& token : engine.step().generated) {
      ++tokens;
      ASSERT_TRUE(token.inside);
      EXPECT_NEAR((token.inside->loops[0] + token.inside->loops[1]) / 2, token.loops, 1e-9);
    }
  }
  EXPECT_EQ(tokens, 30);
}

}  // namespace
}  // namespace loopbank
