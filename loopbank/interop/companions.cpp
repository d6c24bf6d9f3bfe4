#include "loopbank/interop/companions.h"

#include <array>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"

namespace loopbank {

std::vector<std::string> copy_companions(const std::filesystem::path& from,
                                         const std::filesystem::path& to) {
  constexpr std::array kNames = {"tokenizer.json",          "tokenizer_config.json",
                                 "special_tokens_map.json", "generation_config.json",
                                 "chat_template.jinja",     "chat.toml"};
  std::vector<std::string> copied;
  for (const char* name : kNames) {
    if (std::filesystem::exists(from / name) && !std::filesystem::exists(to / name)) {
      write_file_atomically(to / name, read_file(from / name), ErrorCode::kCheckpoint);
      copied.emplace_back(name);
    }
  }
  return copied;
}

}  // namespace loopbank
