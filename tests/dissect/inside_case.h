#pragma once
/// A small model and text whose inner life is measured, and the same by sums over tokens.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <string>
#include <vector>

#include "loopbank/dissect/inside.h"
#include "tests/eval/bigram_model.h"

namespace loopbank::testing {

inline constexpr double kTolerance =
    2e-5;  // of fp32 figures of order 1 to 6, batched in another way
inline constexpr int64_t kLength = 12;
inline constexpr int64_t kRows = 5;
inline constexpr const char* kText =
    "The harbour of Velm lies north. In 1871, na\xC3\xAFve Ada Korin was born there.";

/// Three layers of these loops (0: dense), with states, gates and halting that differ by token.
inline LanguageModel model_of(std::vector<int64_t> loops, int64_t local_slots,
                              int64_t global_slots) {
  ModelConfig config;
  config.vocab_size = kByteVocabulary;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 16;
  config.max_loops = loops.size() > 1 ? IntOrList(loops) : IntOrList(loops.front());
  config.loop_scale_init = -1.0;
  config.local_memory_slots = local_slots;
  config.global_memory_slots = global_slots;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/4);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    if (parameter.name.find("gate.weight") != std::string::npos) {
      auto generator = at::detail::createCPUGenerator(11);
      parameter.value.detach().copy_(at::randn(parameter.value.sizes(), generator));
    } else if (parameter.value.dim() == 2) {
      parameter.value.detach().mul_(10.0);
    }
  }
  return model;
}

/// The text as `kRows` rows of `kLength`, each token a target once.
inline Batch some_rows() {
  const auto tokenizer = Tokenizer::bytes();
  auto ids = tokenizer.encode(kText);
  ids.insert(ids.begin() + 31, tokenizer.end_of_text());  // behind "north."
  const std::vector<int64_t> wide(ids.begin(), ids.end());
  const auto all = at::tensor(wide, at::kLong);
  return {.tokens = all.narrow(0, 0, kRows * kLength).view({kRows, kLength}),
          .targets = all.narrow(0, 1, kRows * kLength).view({kRows, kLength})};
}

inline InsideOptions two_rows_a_pass() {
  InsideOptions options;
  options.batch_tokens = 2 * kLength;  // 2, 2 and 1 rows
  return options;
}

inline Inside measured(const LanguageModel& model, const Batch& rows) {
  return measure_inside(model, Tokenizer::bytes(), rows, two_rows_a_pass());
}

/// What a model does at every token, row by row.
struct Naive {
  std::vector<double> loss;                // of the target, [B T]
  std::vector<std::vector<double>> loops;  // [L][B T]
  std::vector<std::vector<std::vector<double>>> halting, local, global, norm,
      change;  // [L][N][B T]
};

inline void append(std::vector<std::vector<double>>& all, const at::Tensor& layer) {
  if (!layer.defined()) {
    return;
  }
  all.resize(static_cast<size_t>(layer.size(0)));
  for (int64_t t = 0; t < layer.size(0); ++t) {
    for (int64_t i = 0; i < layer.size(-1); ++i) {
      all[static_cast<size_t>(t)].push_back(layer[t][0][i].item<double>());
    }
  }
}

inline Naive naive_of(const LanguageModel& model, const Batch& rows) {
  const at::NoGradGuard no_grad;
  Naive all;
  for (auto* values : {&all.halting, &all.local, &all.global, &all.norm, &all.change}) {
    values->resize(3);
  }
  all.loops.resize(3);
  for (int64_t row = 0; row < rows.tokens.size(0); ++row) {
    Recorder recorder;
    const auto out = model.forward(rows.tokens.narrow(0, row, 1), {.recorder = &recorder});
    const auto log_probabilities = at::log_softmax(out.logits[0].to(at::kDouble), 1);
    for (int64_t i = 0; i < kLength; ++i) {
      const auto target = rows.targets[row][i].item<int64_t>();
      all.loss.push_back(-log_probabilities[i][target].item<double>());
    }
    for (size_t l = 0; l < 3; ++l) {
      for (int64_t i = 0; i < kLength; ++i) {
        all.loops[l].push_back(out.expected_loops[static_cast<int64_t>(l)][0][i].item<double>());
      }
      append(all.halting[l], recorder.halting[l]);
      append(all.local[l], recorder.local_gate[l]);
      append(all.global[l], recorder.global_gate[l]);
      append(all.norm[l], recorder.state_norm[l]);
      append(all.change[l], recorder.state_change[l]);
    }
  }
  return all;
}

inline double mean_of(const std::vector<double>& values) {
  double sum = 0.0;
  for (const auto value : values) {
    sum += value;
  }
  return sum / static_cast<double>(values.size());
}

inline double spread_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double sum = 0.0;
  for (const auto value : values) {
    sum += (value - mean) * (value - mean);
  }
  return std::sqrt(sum / static_cast<double>(values.size()));
}

}  // namespace loopbank::testing
