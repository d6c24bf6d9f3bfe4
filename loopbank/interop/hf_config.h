#pragma once
/// config.json of a Hugging Face model as ours.
///
/// What would change the result and is not supported is refused by key and value; keys that no
/// equation reads (attention_dropout, use_cache, torch_dtype, ids of tokens) are passed over, and
/// those that are not known are named.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/interop/hf_family.h"
#include "loopbank/model/config.h"

namespace loopbank {

struct HfConfig {
  const HfFamily* family = nullptr;
  ModelConfig model;
  std::vector<std::string> ignored;  ///< keys that are not known, which the family does not read
  std::vector<std::string> notes;    ///< what people should know of how it was read
};

/// @param where  names the file in errors
/// @throws Error kConfig for a family that is not read, a key whose value is not supported, and
///   values that do not fit together
[[nodiscard]] HfConfig hf_config(const nlohmann::json& config, const std::string& where);

/// The same of a folder's config.json.
[[nodiscard]] HfConfig read_hf_config(const std::filesystem::path& directory);

}  // namespace loopbank
