#pragma once
/// A model as a folder that transformers opens:
///
///     AutoModelForCausalLM.from_pretrained(DIR, trust_remote_code=True)
///
/// It stays a model directory of ours: parameters have our names, and what is added to config.json
/// says nothing to us. The equations that run there are those of reference/twin, which are built
/// into the program (interop/twin_files.h): what is shown of the twin is shown of every export.
///
/// Rejected: other names of parameters, which would be a second table of them to keep right; a model
/// of 8 or 4 bit as it is, whose codes transformers does not read: it is exported as the numbers that
/// its codes stand for.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace loopbank {

constexpr int64_t kShardBytes = 5'000'000'000;  ///< above which weights are sharded

struct ExportOptions {
  at::ScalarType dtype = at::kFloat;  ///< of the stored weights: kFloat, kBFloat16 or kHalf
  int64_t shard_bytes = kShardBytes;  ///< most bytes of parameters in a file
  int64_t longest_text = 0;           ///< tokens, for the tokenizer; 0: max_position_embeddings
};

struct ExportReport {
  int64_t parameters = 0;
  int64_t bytes = 0;  ///< of the parameters
  int64_t num_weight_files = 0;
  int64_t quantization_bits = 0;   ///< of the model that was read; 0: none
  std::vector<std::string> files;  ///< all, sorted
};

/// Writes config.json, generation_config.json, weights (interop/weight_shards.h), tokenizer.json,
/// tokenizer_config.json, special_tokens_map.json and the Python files. Of a model that was imported,
/// tokenizer_config.json, special_tokens_map.json, generation_config.json and chat_template.jinja are
/// those that it came with. The folder appears whole or not at all.
/// @param model  a model directory
/// @param out    a new or empty folder
/// @throws Error kConfig for another `out`; kCheckpoint, kData as loading throws them
ExportReport export_to_hf(const std::filesystem::path& model, const std::filesystem::path& out,
                          const ExportOptions& options);

}  // namespace loopbank
