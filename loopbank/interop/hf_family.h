#pragma once
/// The families of models that are read, and why others are not.
///
/// A family is a `model_type` of Hugging Face transformers: its block, the names of its tensors and
/// the values that its config class takes for keys that config.json lacks (transformers 4.57 and 5).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

struct HfFamily {
  std::string_view model_type;
  std::string_view architecture;  ///< the class that config.json's `architectures` names

  // What its config class takes where a key is missing. All: D 4096, 32 layers, 32 heads, rotary
  // base 10000, no tied embeddings, silu.
  int64_t vocab_size = 32000;
  int64_t intermediate_size = 11008;
  int64_t num_key_value_heads = 0;  ///< 0: as many as attention heads
  int64_t head_dim = 0;             ///< 0: D / H
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;

  /// Biases of the attention: those of query, key and value always, all four where the config says
  /// `attention_bias`, or none.
  enum class Biases { kNone, kQueryKeyValue, kByKey };
  Biases biases = Biases::kNone;
  /// Which keys say that attention sees a window alone.
  enum class Window { kNone, kSlidingWindow, kUseSlidingWindow };
  Window window = Window::kNone;
  std::string_view qk_norm = "none";  ///< ModelConfig::qk_norm
  std::string_view query_norm = {};   ///< name of its tensor, where there is one
  std::string_view key_norm = {};
  bool dynamic_alpha = false;  ///< rope type "dynamic" with `alpha` is a fixed base
};

/// The family of a config.json.
/// @param model_type     its `model_type`, or empty
/// @param architectures  its `architectures`, or none
/// @param where          names the file in errors
/// @throws Error kConfig for any other family, with what it has that is not supported, or the
///   nearest name that is
[[nodiscard]] const HfFamily& hf_family(const std::string& model_type,
                                        const std::vector<std::string>& architectures,
                                        const std::string& where);

}  // namespace loopbank
