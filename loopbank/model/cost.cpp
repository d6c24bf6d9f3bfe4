#include "loopbank/model/cost.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace loopbank {
namespace {

constexpr double kFlopsPerMultiplyAdd = 2.0;
constexpr double kBackwardOverForward = 2.0;  // gradients of the inputs and of the weights

/// SPEC's letters as floating point, so that no product overflows.
struct Sizes {
  double V, D, F, L, head, q_width, kv_width, M_L, M_G;  // q_width = H d, kv_width = H_kv d
};

Sizes sizes_of(const ModelConfig& config) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  return {number(config.vocab_size),
          number(config.hidden_size),
          number(config.intermediate_size),
          number(config.num_hidden_layers),
          number(config.head_size()),
          number(config.num_attention_heads * config.head_size()),
          number(config.num_key_value_heads * config.head_size()),
          number(config.local_memory_slots),
          number(config.global_memory_slots)};
}

/// Sums over the adaptive layers: how many there are, and their loops.
struct Loops {
  double adaptive_layers = 0.0;
  double loops = 0.0;         // of adaptive layers, each N_l
  double block_passes = 0.0;  // loops of adaptive layers and one pass of each dense layer
};

Loops loops_of(const ModelConfig& config) {
  Loops sums;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const auto loops = static_cast<double>(config.loops(layer));
    sums.adaptive_layers += loops > 0 ? 1.0 : 0.0;
    sums.loops += loops;
    sums.block_passes += std::max(loops, 1.0);
  }
  return sums;
}

CostByPart count_parameters(const ModelConfig& config) {
  const auto s = sizes_of(config);
  const auto loops = loops_of(config);
  const double adaptive = loops.adaptive_layers;
  const double local = s.M_L > 0 ? adaptive : 0.0;   // layers with a local bank
  const double global = s.M_G > 0 ? adaptive : 0.0;  // layers that read the global bank
  const bool memory = local + global > 0;
  const double head_norms = config.qk_norm == "none" ? 0.0 : 2 * s.head;
  const double biases = (config.attention_bias ? s.q_width + 2 * s.kv_width : 0.0) +
                        (config.attention_output_bias ? s.D : 0.0);
  // Block norms, head norms, the final norm; the memory path's LayerNorms have weight and bias.
  const double norms =
      s.L * (2 * s.D + head_norms) + s.D + (memory ? adaptive * 2 * s.D + 4 * s.D : 0.0);
  return {{{"embedding", s.V * s.D},
           {"attention", s.L * (2 * s.D * (s.q_width + s.kv_width) + biases)},
           {"feed_forward", s.L * 3 * s.D * s.F},
           {"norms", norms},
           {"router", adaptive * (s.D + 2)},
           {"loop_scale", loops.loops},
           {"memory_banks", local * 2 * s.M_L * s.D + (global > 0 ? 2 * s.M_G * s.D : 0.0)},
           {"memory_projections", (local + global) * s.D * s.D},
           {"memory_gates", (local + global) * (s.D * s.D + s.D)},
           {"head", config.tie_word_embeddings ? 0.0 : s.V * s.D}}};
}

CostByPart count_forward_flops(const ModelConfig& config, int64_t sequence_length) {
  const auto s = sizes_of(config);
  const auto loops = loops_of(config);
  const double context = (static_cast<double>(sequence_length) + 1) / 2;  // causal mean, tokens
  const double local = s.M_L > 0 ? loops.loops : 0.0;                     // reads of a local bank
  const double global = s.M_G > 0 ? loops.loops : 0.0;
  const double two = kFlopsPerMultiplyAdd;
  return {{{"attention_projections", two * loops.block_passes * 2 * s.D * (s.q_width + s.kv_width)},
           {"attention_scores", two * loops.block_passes * 2 * s.q_width * context},
           {"feed_forward", two * loops.block_passes * 3 * s.D * s.F},
           {"router", two * loops.loops * (s.D + 1)},
           {"memory_read", two * (local * 2 * s.M_L * s.D + global * 2 * s.M_G * s.D)},
           {"memory_projections", two * (local + global) * s.D * s.D},
           {"memory_gates", two * (local + global) * s.D * s.D},
           {"head", two * s.V * s.D}}};
}

}  // namespace

double CostByPart::total() const {
  return std::accumulate(parts.begin(), parts.end(), 0.0,
                         [](double sum, const auto& part) { return sum + part.second; });
}

ModelCost model_cost(const ModelConfig& config, int64_t sequence_length) {
  auto checked = config;
  checked.validate();
  ModelCost cost;
  cost.parameters = count_parameters(checked);
  cost.forward_flops = count_forward_flops(checked, sequence_length);
  cost.training_flops = (1 + kBackwardOverForward) * cost.forward_flops.total();
  return cost;
}

double forward_flops(const ModelConfig& config, int64_t sequence_length, int64_t max_loops) {
  auto limited = config;
  limited.validate();
  if (max_loops > 0) {
    for (auto& loops : limited.max_loops.values) {
      loops = std::min(loops, max_loops);  // a dense layer stays dense
    }
  }
  return count_forward_flops(limited, sequence_length).total();
}

double expected_forward_flops(const ModelConfig& config, int64_t sequence_length,
                              double mean_loops) {
  const double once = forward_flops(config, sequence_length, 1);
  const double all = forward_flops(config, sequence_length, 0);
  const auto layers = static_cast<double>(config.num_hidden_layers);
  const double more_loops = loops_of(config).block_passes - layers;
  return more_loops > 0 ? once + (all - once) * (mean_loops - 1) * layers / more_loops : once;
}

double late_key_flops(const ModelConfig& config) {
  constexpr int64_t kKeysAndValues = 2;
  return kFlopsPerMultiplyAdd *
         static_cast<double>(kKeysAndValues * config.hidden_size * config.num_key_value_heads *
                             config.head_size());
}

nlohmann::ordered_json to_json(const CostByPart& cost) {
  nlohmann::ordered_json json = {{"total", cost.total()}};
  for (const auto& [name, value] : cost.parts) {
    json[name] = value;
  }
  return json;
}

}  // namespace loopbank
