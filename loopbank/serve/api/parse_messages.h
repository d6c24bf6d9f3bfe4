#pragma once
/// The messages of a chat, from the body of a request.

#include <vector>

#include "loopbank/serve/api/chat_template.h"
#include "loopbank/serve/api/json_body.h"

namespace loopbank {

/// The field `messages`: objects with a role and a content, which is a text or a list of
/// {"type": "text", "text": ...}, whose texts are joined. The role `developer` counts as `system`; a name is taken and not used.
/// @throws ApiError 400 for anything else, tools and pictures included
[[nodiscard]] std::vector<ChatMessage> parse_messages(const JsonBody& json);

}  // namespace loopbank
