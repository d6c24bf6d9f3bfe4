#include "loopbank/model/training_memory.h"

#include <algorithm>
#include <vector>

#include "loopbank/model/memory_bank.h"
#include "loopbank/ops/cpu/fused.h"

namespace loopbank {
namespace {

constexpr double kFp32 = sizeof(float);
constexpr double kMoments = 2.0;  // of AdamW
// On a GPU: logits of as many rows at a time, and their gradient.
constexpr double kDeviceLogitRows = 4096;

/// SPEC's letters as floating point, so that no product overflows.
struct Letters {
  double V, D, F, L, H, q_width, kv_width, M_L, M_G;  // q_width = H d, kv_width = H_kv d
  double width;                                       // bytes of a value in the compute type

  Letters(const ModelConfig& config, const BatchShape& batch)
      : V(of(config.vocab_size)),
        D(of(config.hidden_size)),
        F(of(config.intermediate_size)),
        L(of(config.num_hidden_layers)),
        H(of(config.num_attention_heads)),
        q_width(of(config.num_attention_heads * config.head_size())),
        kv_width(of(config.num_key_value_heads * config.head_size())),
        M_L(of(config.local_memory_slots)),
        M_G(of(config.global_memory_slots)),
        width(batch.low_precision ? 2.0 : kFp32) {}

  static double of(int64_t value) { return static_cast<double>(value); }
};

/// Tensors [B, T, D] that a read of a bank keeps: what was read and the gate's logits, and where the
/// bank's values are not projected the projection of what was read.
double states_of_read(int64_t slots, double num_reads) {
  return projects_values(slots, static_cast<int64_t>(num_reads)) ? 2.0 : 3.0;
}

/// What a step holds at one moment, beside weights, moments and the program.
struct Moment {
  double gradients = 0.0;
  double activations = 0.0;
  double logits = 0.0;
  double workspace = 0.0;
  [[nodiscard]] double total() const { return gradients + activations + logits + workspace; }
};

/// A training step, moment by moment. Bytes a token where nothing else is said.
class MemoryOfStep {
 public:
  MemoryOfStep(const ModelConfig& config, const BatchShape& batch, double parameters)
      : config_(config),
        batch_(batch),
        s_(config, batch),
        tokens_(Letters::of(batch.sequences) * Letters::of(batch.sequence_length)),
        parameters_(parameters) {}

  /// The moment at which it holds most: at the loss, in the backward pass of some layer, or when
  /// the weights take their step.
  [[nodiscard]] Moment peak() const {
    double kept = kFp32 * s_.D;  // embedded tokens
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      kept += kept_between(layer);
    }
    std::vector<Moment> moments = {at_loss(kept)};
    // Of several ranks a gradient that no pass adds to moves into its bucket at once.
    const bool leave = batch_.ranks > 1 && !batch_.accumulates;
    double gradients = leave ? 0.0 : head_gradient();  // bytes
    for (int64_t layer = config_.num_hidden_layers - 1; layer >= 0; --layer) {
      const double own = kFp32 * parameters_of(layer);
      gradients = leave ? own : gradients + own;
      // Those of another pass are added to what is there, one after the other.
      moments.push_back({.gradients = batch_.accumulates ? before() + own : gradients,
                         .activations = tokens_ * (kept + kept_within(layer)),
                         .workspace = workspace(layer)});
      kept -= kept_between(layer);
    }
    moments.push_back({.gradients = leave ? 0.0 : all_gradients()});
    return *std::max_element(moments.begin(), moments.end(), [](const Moment& a, const Moment& b) {
      return a.total() < b.total();
    });
  }

  /// Bytes of the banks' keys and values in the compute type, and of the values that layers
  /// projected.
  [[nodiscard]] double opened_banks() const {
    double slots = num_banks(config_) > 0 ? 2 * s_.M_G : 0.0;
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      const auto num_reads = static_cast<int64_t>(reads_of(layer));
      slots += config_.loops(layer) > 0 ? 2 * s_.M_L : 0.0;
      for (const auto bank : {config_.local_memory_slots, config_.global_memory_slots}) {
        slots += projects_values(bank, num_reads) ? Letters::of(bank) : 0.0;
      }
    }
    return s_.width * s_.D * slots;
  }

 private:
  static double num_banks(const ModelConfig& config) {
    return config.has_memory() ? (config.local_memory_slots > 0 ? 1.0 : 0.0) +
                                     (config.global_memory_slots > 0 ? 1.0 : 0.0)
                               : 0.0;
  }
  /// Rows that the loops of a layer read from a bank.
  [[nodiscard]] double reads_of(int64_t layer) const {
    return tokens_ * Letters::of(config_.loops(layer));
  }
  /// One pass through a block keeps q k v, their mix and its projection (for the gradient of a
  /// learned scale), gate and up; the state after each branch, and of each row a mean square twice
  /// and the attention's sum.
  [[nodiscard]] double of_block(bool has_scale) const {
    if (!batch_.fused) {
      return of_device_block();
    }
    const double low = 2 * s_.q_width + 2 * s_.kv_width + (has_scale ? s_.D : 0.0) + 2 * s_.F;
    return s_.width * low + kFp32 * (2 * s_.D + 2 + s_.H);
  }
  /// On a GPU every product keeps its input: both norms' results, the merged heads, SwiGLU's result;
  /// flash attention the rotated heads, the mix and a sum of each row and head, and no weights.
  [[nodiscard]] double of_device_block() const {
    const double attention = 2 * (s_.q_width + s_.kv_width) + s_.kv_width + 2 * s_.q_width;
    const double low = 2 * s_.D + attention + s_.D + 3 * s_.F;
    return s_.width * low + kFp32 * (2 * s_.D + 2 + s_.H);
  }
  /// The memory of a loop keeps the normed state and the state after the read, the query and the
  /// gates' input; of each bank some states, and of a small bank the weights; of each row mean and
  /// variance twice.
  [[nodiscard]] double of_memory(int64_t layer) const {
    if (num_banks(config_) == 0) {
      return 0.0;
    }
    double low = s_.D + (batch_.low_precision ? s_.D : 0.0);
    for (const auto slots : {config_.local_memory_slots, config_.global_memory_slots}) {
      const bool keeps = !batch_.fused || ops::cpu::keeps_read_weights(slots, config_.hidden_size);
      low += slots > 0 ? states_of_read(slots, reads_of(layer)) * s_.D +
                             (keeps ? Letters::of(slots) : 0.0)
                       : 0.0;
    }
    return s_.width * low + kFp32 * (2 * s_.D + 4);
  }
  /// Of a loop, with its logit and P_t.
  [[nodiscard]] double of_loop(int64_t layer) const {
    return of_block(true) + of_memory(layer) + kFp32 * 4;
  }

  /// All that a layer keeps where nothing is computed again; an adaptive one its mix as well.
  [[nodiscard]] double of_layer(int64_t layer) const {
    const auto loops = Letters::of(config_.loops(layer));
    return loops > 0 ? loops * of_loop(layer) + kFp32 * s_.D : of_block(false);
  }
  /// What a layer keeps until its own backward pass begins.
  [[nodiscard]] double kept_between(int64_t layer) const {
    const auto loops = Letters::of(config_.loops(layer));
    switch (batch_.recompute) {
      case Recompute::kNone:
        return of_layer(layer);
      case Recompute::kLoop:  // the state after each loop and their mix
        return kFp32 * s_.D * (loops > 0 ? loops + 1 : 1.0);
      default:
        return kFp32 * s_.D;
    }
  }
  /// What its backward pass computes again at a time.
  [[nodiscard]] double kept_within(int64_t layer) const {
    switch (batch_.recompute) {
      case Recompute::kNone:
        return 0.0;
      case Recompute::kLoop:
        return config_.loops(layer) > 0 ? of_loop(layer) : of_block(false);
      default:
        return of_layer(layer);
    }
  }

  [[nodiscard]] double of_block_parameters() const {
    return 2 * s_.D * (s_.q_width + s_.kv_width) + 3 * s_.D * s_.F;
  }
  [[nodiscard]] double parameters_of(int64_t layer) const {
    const double memory =
        config_.loops(layer) > 0 ? num_banks(config_) * 2 * s_.D * s_.D + 2 * s_.M_L * s_.D : 0.0;
    return of_block_parameters() + memory;
  }
  /// Of all parameters, bytes. An embedding that the head does not share has a gradient for the rows
  /// of the batch's tokens alone, and once more where tokens that stand twice are added up.
  [[nodiscard]] double all_gradients() const {
    const double embedding = config_.tie_word_embeddings ? 0.0 : s_.V;
    const double rows = config_.tie_word_embeddings ? 0.0 : 2 * tokens_;
    return kFp32 * (parameters_ + (rows - embedding) * s_.D);
  }
  /// Gradients that are there when a pass begins, bytes.
  [[nodiscard]] double before() const { return batch_.accumulates ? all_gradients() : 0.0; }
  [[nodiscard]] double head_gradient() const { return kFp32 * s_.V * s_.D; }

  /// The states before the head and their gradient, logits of some rows, the gradient of the head.
  [[nodiscard]] Moment at_loss(double kept) const {
    const auto rows = batch_.fused ? Letters::of(ops::cpu::logit_rows_at_once(
                                         static_cast<int64_t>(tokens_), config_.vocab_size,
                                         config_.hidden_size, static_cast<int64_t>(s_.width)))
                                   : 2 * std::min(tokens_, kDeviceLogitRows);
    return {.gradients = before() + head_gradient(),
            .activations = tokens_ * (kept + 2 * s_.width * s_.D),
            .logits = rows * s_.width * s_.V,
            .workspace = std::min(tokens_, rows > 0 ? rows : tokens_) * kFp32 * s_.D};
  }
  /// The feed-forward's backward pass: the gradients of the states around it and what the products
  /// for the weights' gradients read. Of an adaptive layer the gradients of all its states, which
  /// the mix hands back at once. The layer's weights, laid out for the products.
  [[nodiscard]] double workspace(int64_t layer) const {
    const auto loops = Letters::of(config_.loops(layer));
    const double of_token =
        kFp32 * s_.D * (2 + (loops > 0 ? loops + 1 : 0.0)) + s_.width * (2 * s_.D + s_.F);
    return tokens_ * of_token + s_.width * of_block_parameters();
  }

  const ModelConfig& config_;
  const BatchShape& batch_;
  Letters s_;
  double tokens_;
  double parameters_;
};

/// The gradients as they are sent, dense, and the slices that arrive.
double exchange_buckets(double parameters) {
  return 2 * kFp32 * parameters;
}

}  // namespace

CostByPart training_memory(const ModelConfig& config, const BatchShape& batch) {
  const double parameters = model_cost(config, batch.sequence_length).parameters.total();
  const MemoryOfStep step(config, batch, parameters);
  const auto peak = step.peak();
  const double moments = kMoments * kFp32 * parameters;
  const auto sharing = batch.shards_optimizer ? Letters::of(batch.ranks) : 1.0;
  const double low_precision = batch.fused ? step.opened_banks() : 2.0 * parameters;
  CostByPart memory{{{"weights", kFp32 * parameters},
                     {"low_precision_weights", batch.low_precision ? low_precision : 0.0},
                     {"gradients", peak.gradients},
                     {"optimizer", moments / sharing},
                     {"activations", peak.activations},
                     {"logits", peak.logits},
                     {"workspace", peak.workspace},
                     {"program", batch.fused ? kProgramBytes : kDeviceProgramBytes}}};
  if (batch.ranks > 1) {
    memory.parts.emplace_back("buckets", exchange_buckets(parameters));
  }
  return memory;
}

}  // namespace loopbank
