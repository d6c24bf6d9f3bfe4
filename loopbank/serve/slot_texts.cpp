#include "loopbank/serve/slot_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "loopbank/support/json.h"
#include "loopbank/support/log.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

constexpr size_t kMostTokens = 5;
constexpr size_t kBytesBefore = 30;
constexpr size_t kBytesAfter = 20;

/// The last bytes of a text, from the begin of a character on.
std::string_view last_bytes(std::string_view text, size_t most) {
  text.remove_prefix(text.size() - std::min(most, text.size()));
  while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0U) == 0x80U) {
    text.remove_prefix(1);
  }
  return text;
}

std::string_view first_bytes(std::string_view text, size_t most) {
  text = text.substr(0, most);
  return text.substr(0, valid_utf8_prefix(text));
}

int64_t slots_of(const ModelConfig& config, const std::string& bank) {
  if (bank == "global") {
    return config.global_memory_slots;
  }
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (bank == fmt::format("layer{}", layer)) {
      return config.local_memory_slots;
    }
  }
  return 0;
}

nlohmann::ordered_json slot_text(const nlohmann::json& slot, const std::string& where) {
  const JsonValues values(slot, where);
  auto tokens = nlohmann::ordered_json::array();
  for (const auto& token : values.list("tokens")) {
    if (tokens.size() < kMostTokens) {
      tokens.push_back(JsonValues(token, where + ".tokens").text("token"));
    }
  }
  nlohmann::ordered_json made = {{"tokens", std::move(tokens)}};
  const auto& contexts = values.list("contexts");
  if (!contexts.empty()) {
    const JsonValues first(contexts.front(), where + ".contexts");
    made["context"] = {last_bytes(first.text("before"), kBytesBefore), first.text("token"),
                       first_bytes(first.text("after"), kBytesAfter)};
  }
  return made;
}

std::string cut_down(const std::filesystem::path& path, const ModelConfig& config) {
  const auto report = read_json_file(path);
  auto banks = nlohmann::ordered_json::object();
  for (const auto& bank : JsonValues(report, path.string()).list("banks")) {
    const JsonValues values(bank, path.string() + ": banks");
    const auto& name = values.text("bank");
    const auto slots = slots_of(config, name);
    if (slots == 0 || values.count("slots") != slots) {
      fail(ErrorCode::kData, "{}: expected the model's own banks, {} has {} slots here, got {}.",
           path.string(), name, slots, values.count("slots"));
    }
    auto texts = nlohmann::ordered_json::object();
    for (const auto& slot : values.list("most_read")) {
      const auto number = JsonValues(slot, path.string() + ": most_read").count("slot");
      texts[fmt::format("{}", number)] = slot_text(slot, path.string() + ": most_read");
    }
    banks[name] = std::move(texts);
  }
  return banks.dump();
}

}  // namespace

std::optional<std::string> read_slot_texts(const ServedModel& served) {
  const auto path = served.directory / "memory.json";
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) {
    return std::nullopt;
  }
  try {
    return cut_down(path, served.model.config());
  } catch (const Error& error) {
    log_warning(
        "{} The page shows slots without texts. Write it anew: loopbank inspect {} --text FILE "
        "--out {}",
        error.what(), served.directory.string(), path.string());
    return std::nullopt;
  }
}

}  // namespace loopbank
