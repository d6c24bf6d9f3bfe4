#pragma once
/// The rotary angles of a Hugging Face config.json: base and scaling.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/interop/hf_family.h"
#include "loopbank/model/config.h"

namespace loopbank {

struct HfRope {
  double theta = 10000.0;
  RopeScaling scaling;
  std::vector<std::string> notes;  ///< what people should know of how it was read, as sentences
};

/// Reads `rope_theta` and `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5).
///
/// "default", "linear", "llama3" and "yarn" as they stand. "dynamic" changes nothing up to
/// `max_position_embeddings`, the longest text that a model takes here; HunYuan's with `alpha` is a
/// fixed base, theta * alpha^(d / (d - 2)).
/// @param head_dim       d, width of a head
/// @param max_positions  `max_position_embeddings`
/// @param where          names the file in errors
/// @throws Error kConfig for any other type, for keys that say two things, and for a missing key
[[nodiscard]] HfRope read_hf_rope(const nlohmann::json& config, const HfFamily& family,
                                  int64_t head_dim, int64_t max_positions,
                                  const std::string& where);

}  // namespace loopbank
