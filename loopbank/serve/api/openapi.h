#pragma once
/// The API as an OpenAPI 3.1 document, made from the fields that bodies are read by.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "loopbank/serve/api/served_model.h"

namespace loopbank {

struct OpenApiOptions {
  std::string version{};  ///< of the program
  bool asks_for_key = false;
  bool has_slots = false;  ///< whether there is /slots.json
};

/// The document of a server of this model: ids, loops and the model's name as it takes them, chats
/// where it has a template for them.
[[nodiscard]] std::string openapi_document(const ServedModel& served,
                                           const OpenApiOptions& options);

/// components.schemas of the document.
[[nodiscard]] nlohmann::ordered_json openapi_schemas(const ServedModel& served);

}  // namespace loopbank
