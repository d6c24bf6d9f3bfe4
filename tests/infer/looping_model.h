#pragma once
/// A small model of three loops and two banks whose loops, exits and texts differ.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/infer/engine.h"
#include "loopbank/model/language_model.h"

namespace loopbank::testing {

constexpr int64_t kLoopingVocabulary = 61;

/// @param change  of the config, where another model is wanted
inline LanguageModel looping_model(int64_t loops = 3, int64_t slots = 5,
                                   const std::function<void(ModelConfig&)>& change = {}) {
  ModelConfig config;
  config.vocab_size = kLoopingVocabulary;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 96;
  config.max_loops = loops;
  config.local_memory_slots = slots;
  config.global_memory_slots = slots;
  if (change) {
    change(config);
  }
  LanguageModel model(config);
  model.parameters().initialize(3);
  const at::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(4);
  for (const auto& parameter : model.parameters().all()) {
    const auto& value = parameter.value;
    if (parameter.name.find("loop_scale") != std::string::npos) {
      value.fill_(0.5);
    } else {
      value.add_(at::randn(value.sizes(), generator) * 0.15);
    }
  }
  return model;
}

/// All that imported models have in their block, with this norm of queries and keys.
inline std::function<void(ModelConfig&)> options_of_imported(const std::string& qk_norm) {
  return [=](ModelConfig& config) {
    config.qk_norm = qk_norm;
    config.attention_bias = true;
    config.attention_output_bias = true;
    config.head_dim = 16;  // heads of 64 together, and not the state's 48
    config.rope_scaling = {
        .rope_type = "yarn", .factor = 4.0, .original_max_position_embeddings = 24};
    config.loop_scale_kind = "linear";
    config.loop_scale_init = 0.0;
    config.first_loop_scale_init = 1.0;
    config.tie_word_embeddings = true;
  };
}

inline std::vector<TokenId> some_prompt(int64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<TokenId> prompt;
  for (int64_t i = 0; i < size; ++i) {
    prompt.push_back(static_cast<TokenId>(random() % kLoopingVocabulary));
  }
  return prompt;
}

/// What a completion was given.
struct Answer {
  std::vector<TokenId> tokens;
  std::vector<double> log_probabilities;
  std::vector<double> scores;
  std::vector<double> loops;
  double mean_loops = 0.0;
  std::string reason;
  bool operator==(const Answer&) const = default;
};

/// For the messages of tests.
inline void PrintTo(const Answer& answer, std::ostream* out) {
  *out << answer.reason << ", loops " << answer.mean_loops << ", tokens";
  for (size_t i = 0; i < answer.tokens.size(); ++i) {
    *out << " " << answer.tokens[i] << " (" << answer.log_probabilities[i] << ")";
  }
  *out << ", scores";
  for (const auto score : answer.scores) {
    *out << " " << score;
  }
}

using Answers = std::map<std::pair<RequestId, int64_t>, Answer>;

inline void take(const StepOutput& output, Answers& answers) {
  for (const auto& token : output.generated) {
    auto& answer = answers[{token.request, token.completion}];
    answer.tokens.push_back(token.draw.token);
    answer.log_probabilities.push_back(token.draw.log_probability);
    answer.loops.push_back(token.loops);
  }
  for (const auto& scored : output.scored) {
    answers[{scored.request, 0}].scores.push_back(scored.log_probability);
  }
  for (const auto& finished : output.finished) {
    auto& answer = answers[{finished.request, finished.completion}];
    answer.mean_loops = finished.mean_loops;
    answer.reason = stop_reason_name(finished.reason);
  }
}

inline Answers run_all(Engine& engine) {
  Answers answers;
  while (!engine.idle()) {
    take(engine.step(), answers);
  }
  return answers;
}

/// Greedy.
inline Request request_of(std::vector<TokenId> prompt, int64_t max_tokens,
                          const std::string& exit = "all", const std::string& policy = "full",
                          bool in_prompt = false) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0.0;
  request.sampling.top_p = 1.0;
  request.inference = {.exit = ExitChoice::parse(exit),
                       .policy = &key_value_policy(policy),
                       .policy_in_prompt = in_prompt};
  return request;
}

inline Answer answer_alone(const LanguageModel& model, const Request& request,
                           const EngineOptions& options = {}) {
  Engine engine(model, options);
  engine.poison_pages();
  const auto id = engine.add(request);
  return run_all(engine).at({id, 0});
}

}  // namespace loopbank::testing
