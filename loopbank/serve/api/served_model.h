#pragma once
/// The model that a server serves, and what its answers say of it.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "loopbank/infer/generator.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/serve/api/chat_template.h"

namespace loopbank {

/// Outlives every request; nothing of it changes.
struct ServedModel {
  const LanguageModel& model;
  const Tokenizer& tokenizer;
  std::string id;                 ///< by which requests name it: the folder's name
  int64_t created = 0;            ///< Unix seconds
  InferenceSettings inference{};  ///< what a request has that says nothing: --exit, --kv
  std::optional<ChatTemplate> chat{};
  std::string why_no_chat{};  ///< a sentence with the remedy, where there is no template
  std::filesystem::path directory{};
};

}  // namespace loopbank
