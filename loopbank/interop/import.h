#pragma once
/// A model of others as a model directory of ours, with loops and memory if asked for.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/interop/upcycle.h"
#include "loopbank/model/language_model.h"

namespace loopbank {

/// What was read, added and left out.
struct ImportReport {
  std::string family;       ///< model_type
  std::string stored_type;  ///< dtype of the files: BF16, F16, F32
  int64_t num_files = 0;    ///< of weights
  int64_t read_parameters = 0;
  int64_t added_parameters = 0;           ///< of loops and memory
  ModelConfig config;                     ///< of the model that was made
  std::vector<std::string> ignored_keys;  ///< of config.json
  std::vector<std::string> ignored_tensors;
  std::vector<std::string> notes;
  std::vector<std::string> copied_files;  ///< tokenizer and what belongs to it
};

struct ImportedModel {
  LanguageModel model;
  ImportReport report;
};

/// Reads a folder as Hugging Face libraries write it: config.json and safetensors, in one file or
/// shards. Weights in fp32 stay in the files until they are used; others are converted to fp32.
/// @throws Error kConfig for a family or a key's value that is not supported; kCheckpoint for weights
///   that do not fit the config
[[nodiscard]] ImportedModel load_hf_model(const std::filesystem::path& directory);

/// Reads a folder and writes a model directory of ours: config.json, model.safetensors in fp32,
/// tokenizer.json, and tokenizer_config.json, special_tokens_map.json, generation_config.json and
/// chat_template.jinja as they stand. It appears whole or not at all, and only once everything was
/// read and found right, the tokenizer included.
/// @param out      a new or empty folder
/// @param options  loops and memory to add (interop/upcycle.h); by default none
[[nodiscard]] ImportReport import_model(const std::filesystem::path& directory,
                                        const std::filesystem::path& out,
                                        const UpcycleOptions& options);

[[nodiscard]] nlohmann::ordered_json to_json(const ImportReport& report);

}  // namespace loopbank
