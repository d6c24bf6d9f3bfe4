#pragma once
/// The tensors of a Hugging Face model as our parameters: names and checks.
///
/// Shapes and layout are the same on both sides: linear weights are [out, in], and Hugging Face's
/// rotary embedding turns element i with element i + d / 2, as ours does, so that no row moves.

#include <string>
#include <string_view>
#include <vector>

#include "loopbank/interop/hf_family.h"
#include "loopbank/model/checkpoint_files.h"
#include "loopbank/model/language_model.h"

namespace loopbank {

/// The family's name of a dense model's parameter: layers.0.block.attention.query.weight is
/// model.layers.0.self_attn.q_proj.weight.
[[nodiscard]] std::string hf_tensor_name(const HfFamily& family, std::string_view parameter);

/// What was passed over and how the weights were stored.
struct HfWeights {
  std::vector<std::string> ignored;  ///< tensors that say nothing: inv_freq of old files
  std::string stored_type;           ///< dtype of the files, as safetensors name it: BF16, F16, F32
  bool stored_tied_head = false;     ///< the head's weight was stored beside the equal embedding
};

/// Gives the model's parameters the values of the files. In fp32, on the CPU, they are not copied:
/// parameters become views of the mapped files. Others are converted.
/// @param where  names the folder in errors
/// @throws Error kCheckpoint with every missing, unknown, wrongly shaped or wrongly typed tensor by
///   name; the model is then as it was
HfWeights set_hf_weights(LanguageModel& model, const HfFamily& family,
                         const CheckpointFiles& checkpoint, const std::string& where);

}  // namespace loopbank
