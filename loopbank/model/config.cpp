#include "loopbank/model/config.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "loopbank/model/rope_scaling.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

// Token ids have 32 bits; the other sizes stay small enough that no product of three overflows.
constexpr int64_t kLargestVocabulary = std::numeric_limits<int32_t>::max();
constexpr int64_t kLargestSize = int64_t{1} << 20;
constexpr int64_t kLargestSlots = int64_t{1} << 24;
constexpr int64_t kLargestPosition = int64_t{1} << 24;
constexpr double kLargestLinearScale = 2.0;

/// The count in [1, high] nearest to `value` that `fits`; 1 always does.
template <typename Fits>
int64_t nearest_count(int64_t value, int64_t high, const Fits& fits) {
  for (int64_t distance = 0; distance <= high + value; ++distance) {
    for (const auto candidate : {value - distance, value + distance}) {
      if (candidate >= 1 && candidate <= high && fits(candidate)) {
        return candidate;
      }
    }
  }
  return 1;
}

void check_heads(const ModelConfig& config) {
  const auto width = config.hidden_size;
  const auto heads = config.num_attention_heads;
  const auto fits = [&](int64_t count) { return width % count == 0 && (width / count) % 2 == 0; };
  if (config.head_dim == 0 && !fits(heads)) {
    fail(ErrorCode::kConfig,
         "model: \"num_attention_heads\" expects a count that splits \"hidden_size\" {} into heads "
         "of even width (rotary embeddings turn pairs), got {}. Nearest: {}.",
         width, heads, nearest_count(heads, width, fits));
  }
  if (config.head_dim % 2 != 0) {
    fail(ErrorCode::kConfig,
         "model: \"head_dim\" expects an even width of heads (rotary embeddings turn pairs), or 0 "
         "for \"hidden_size\" / \"num_attention_heads\", got {}. Nearest: {}.",
         config.head_dim, config.head_dim + 1);
  }
  const auto groups = config.num_key_value_heads;
  if (heads % groups != 0) {
    fail(ErrorCode::kConfig,
         "model: \"num_key_value_heads\" expects a divisor of \"num_attention_heads\" {}, got {}. "
         "Nearest: {}.",
         heads, groups, nearest_count(groups, heads, [&](int64_t n) { return heads % n == 0; }));
  }
}

void check_loops(const ModelConfig& config) {
  const auto& loops = config.max_loops;
  const auto given = static_cast<int64_t>(loops.values.size());
  const int64_t wanted = loops.is_list ? config.num_hidden_layers : 1;
  if (given != wanted) {
    fail(ErrorCode::kConfig,
         "model: \"max_loops\" expects one number or a list of {} (one per layer, "
         "\"num_hidden_layers\"), got a list of {}.",
         config.num_hidden_layers, given);
  }
}

/// A linear scale is the factor itself: what is right for softplus would turn a block round.
void check_loop_scale(const ModelConfig& config) {
  if (config.loop_scale_kind != "linear") {
    return;
  }
  const auto check = [](std::string_view key, double scale) {
    if (std::abs(scale) > kLargestLinearScale) {
      fail(ErrorCode::kConfig,
           "model: \"{}\" expects a scale from -{} to {} where \"loop_scale_kind\" is \"linear\" "
           "(it is the scale itself, not alpha of a softplus), got {}. Set 1 for a loop that "
           "starts as "
           "an ordinary layer and 0 for one that starts without effect.",
           key, kLargestLinearScale, kLargestLinearScale, scale);
    }
  };
  check("loop_scale_init", config.loop_scale_init);
  if (config.first_loop_scale_init) {
    check("first_loop_scale_init", *config.first_loop_scale_init);
  }
}

/// Refuses settings that would have no effect: a run must not differ from what its config says.
void check_effects(const ModelConfig& config) {
  const auto& loops = config.max_loops.values;
  const bool any_adaptive = std::any_of(loops.begin(), loops.end(), [](auto n) { return n > 0; });
  const bool all_adaptive = std::all_of(loops.begin(), loops.end(), [](auto n) { return n > 0; });
  if (config.depth_scale != "none" && all_adaptive) {
    fail(ErrorCode::kConfig,
         "model: \"depth_scale\" expects \"none\" where every layer is adaptive (\"max_loops\" "
         "above 0: its loop scales are learned), got \"{}\".",
         config.depth_scale);
  }
  if (!any_adaptive && config.local_memory_slots + config.global_memory_slots > 0) {
    fail(ErrorCode::kConfig,
         "model: \"local_memory_slots\" and \"global_memory_slots\" expect 0 in a dense model "
         "(only loops read memory), got {} and {}. Set \"max_loops\" to 1 or more.",
         config.local_memory_slots, config.global_memory_slots);
  }
}

}  // namespace

std::vector<Field> ModelConfig::fields() {
  return {
      Field("vocab_size", &vocab_size, "V, token ids, padding included")
          .range(1, kLargestVocabulary),
      Field("hidden_size", &hidden_size, "D, width of the hidden state").range(2, kLargestSize),
      Field("intermediate_size", &intermediate_size, "F, inner width of the feed-forward block")
          .range(1, kLargestSize),
      Field("num_hidden_layers", &num_hidden_layers, "L, number of layers")
          .range(1, kLargestLayers),
      Field("num_attention_heads", &num_attention_heads,
            "H, attention heads; splits `hidden_size` into heads of even width")
          .range(1, kLargestSize),
      Field("num_key_value_heads", &num_key_value_heads,
            "H_kv, key and value heads, a divisor of H; 0: as many as attention heads")
          .range(0, kLargestSize),
      Field("max_position_embeddings", &max_position_embeddings, "longest sequence, in tokens")
          .range(1, kLargestPosition),
      Field("rope_theta", &rope_theta, "base of the rotary angles").above(1.0),
      Field("rms_norm_eps", &rms_norm_eps, "added to the mean square in every RMSNorm")
          .positive()
          .below(1.0),
      Field("head_dim", &head_dim, "d, width of a head; 0: `hidden_size` / `num_attention_heads`")
          .range(0, kLargestSize),
      Field("qk_norm", &qk_norm,
            "whether queries and keys are normed by head, and where: before the rotation or after")
          .choices({"none", "before", "after"}),
      Field("attention_bias", &attention_bias, "whether queries, keys and values have a bias"),
      Field("attention_output_bias", &attention_output_bias,
            "whether attention's output has a bias"),
      Field("hidden_act", &hidden_act, "activation of the feed-forward block's gate")
          .choices({"silu"}),
      Field("tie_word_embeddings", &tie_word_embeddings,
            "whether the output head shares the weight of the token embedding"),
      Field("max_loops", &max_loops,
            "N, most loops of a layer; one number for all layers or a list of one per layer; 0: "
            "a dense layer")
          .range(0, kMaxLoops),
      Field("loop_scale_kind", &loop_scale_kind,
            "what scales a loop's residual updates: softplus(alpha), or alpha itself")
          .choices({"softplus", "linear"}),
      Field("loop_scale_init", &loop_scale_init, "initial alpha of every loop"),
      Field("first_loop_scale_init", &first_loop_scale_init,
            "initial alpha of the first loop; absent: `loop_scale_init`; 0.5413 makes the scale 1"),
      Field("router_bias_init", &router_bias_init,
            "initial bias b of the halting router; lower means more loops (with N = 7, 0 starts at "
            "1.98 loops and -3 at 6.08)"),
      Field("ponder_weight", &ponder_weight, "lambda, weight of the ponder term in the loss")
          .minimum(0.0),
      Field("depth_scale", &depth_scale,
            "how the residual updates of dense layers shrink with depth")
          .choices({"none", "inverse", "inverse_sqrt"}),
      Field("local_memory_slots", &local_memory_slots,
            "M_L, slots of each layer's own memory bank; 0: no such bank")
          .range(0, kLargestSlots),
      Field("global_memory_slots", &global_memory_slots,
            "M_G, slots of the memory bank that all layers share; 0: no such bank")
          .range(0, kLargestSlots),
      Field("memory_gate_bias_init", &memory_gate_bias_init, "initial bias g0 of the memory gates"),
      Field(
          "quantization_bits", &quantization_bits,
          "bits of a stored weight, 8 or 4, as `loopbank quantize` writes them; 0: fp32, the only "
          "one that can be trained")
          .range(0, 8),
  };
}

void ModelConfig::validate() {
  check_fields(fields(), "model");
  if (num_key_value_heads == 0) {
    num_key_value_heads = num_attention_heads;
  }
  if (head_dim * num_attention_heads == hidden_size) {
    head_dim = 0;  // one way to say it, so that equal models have equal configs
  }
  if (quantization_bits != 0 && quantization_bits != 4 && quantization_bits != 8) {
    fail(ErrorCode::kConfig, "model: \"quantization_bits\" expects 0, 4 or 8, got {}.",
         quantization_bits);
  }
  check_heads(*this);
  check_rope_scaling(rope_scaling);
  check_loops(*this);
  check_loop_scale(*this);
  check_effects(*this);
}

int64_t ModelConfig::loops(int64_t layer) const {
  return max_loops.is_list ? max_loops.values.at(static_cast<size_t>(layer))
                           : max_loops.values.front();
}

double ModelConfig::mean_loops() const {
  int64_t sum = 0;
  for (int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    sum += std::max<int64_t>(loops(layer), 1);
  }
  return static_cast<double>(sum) / static_cast<double>(num_hidden_layers);
}

int64_t ModelConfig::most_loops() const {
  return *std::max_element(max_loops.values.begin(), max_loops.values.end());
}

int64_t ModelConfig::budget_loops(int64_t budget, std::string_view where) const {
  const int64_t most = std::max<int64_t>(1, most_loops());
  if (budget < 0 || budget > most) {
    fail(ErrorCode::kConfig,
         "{}: \"max_loops\" expects a loop budget from 1 to {}, or 0 for each layer's own N, got "
         "{}.",
         where, most, budget);
  }
  return budget == 0 ? most : budget;
}

bool ModelConfig::has_memory() const {
  return most_loops() > 0 && (local_memory_slots > 0 || global_memory_slots > 0);
}

bool ModelConfig::has_global_memory() const {
  return most_loops() > 0 && global_memory_slots > 0;
}

std::vector<Section> ModelConfig::sections() {
  return {{"model", fields()}, {"model.rope_scaling", rope_scaling.fields()}};
}

std::vector<Section> ModelConfig::written_sections() {
  std::vector<Section> written = {{"model", fields()}};
  if (rope_scaling.is_scaled()) {
    written.push_back({"model.rope_scaling", rope_scaling.fields_of_type()});
  }
  return written;
}

}  // namespace loopbank
