#include "loopbank/tokenize/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"
#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/pretokenizer_json.h"
#include "loopbank/tokenize/json_part.h"

namespace loopbank {
namespace {

using Kind = PreTokenizerStep::Kind;

/// Reads one file; each function fills its part of the definition.
class Parser {
 public:
  explicit Parser(const JsonPart& root) : root_(root) {}

  TokenizerDefinition read() {
    const auto model = root_.at("model");
    expect_bpe(model);
    if (root_.has("normalizer")) {
      const auto normalizer = root_.at("normalizer");
      normalizer.refuse("expected null, got {}: normalizers are not supported",
                        show_json(normalizer.at("type").json()));
    }
    expect_byte_level_or_none("post_processor");
    expect_byte_level_or_none("decoder");
    read_tokens(model.at("vocab"));
    read_merges(model.at("merges"));
    definition_.ignore_merges = model.flag("ignore_merges", false);
    read_pre_tokenizer();
    return std::move(definition_);
  }

 private:
  static void expect_bpe(const JsonPart& model) {
    // Older files leave the type out; only BPE has merges.
    if (model.has("type") || !model.has("merges")) {
      const auto type = model.at("type");
      if (type.text() != "BPE") {
        type.refuse("expected \"BPE\", got {}: other models are not supported",
                    show_json(type.json()));
      }
    }
    model.expect_off("dropout");
    model.expect_off("continuing_subword_prefix");
    model.expect_off("end_of_word_suffix");
  }

  void expect_byte_level_or_none(const char* key) const {
    if (root_.has(key)) {
      const auto type = root_.at(key).at("type");
      if (type.text() != "ByteLevel") {
        type.refuse("expected \"ByteLevel\" or null, got {}: it is not supported",
                    show_json(type.json()));
      }
    }
  }

  /// model.vocab and added_tokens together name each id once.
  void read_tokens(const JsonPart& vocab) {
    vocab.expect_object();
    std::vector<JsonPart> added;
    if (root_.has("added_tokens")) {
      added = root_.at("added_tokens").items();
    }
    std::unordered_set<std::string> added_contents;
    size_t num_tokens = vocab.json().size();
    for (const auto& part : added) {
      const auto content = part.at("content");
      if (!added_contents.insert(content.text()).second || content.text().empty()) {
        content.refuse("expected a text that no other added token has, got {}",
                       show_json(content.json()));
      }
      num_tokens += vocab.json().contains(content.text()) ? 0 : 1;
    }
    definition_.tokens.resize(num_tokens);
    spellings_.resize(num_tokens);
    for (const auto& [spelling, id] : vocab.json().get_ref<const nlohmann::json::object_t&>()) {
      const JsonPart part(id, "model.vocab", root_.where());
      auto bytes = bytes_of_spelling(spelling);
      if (added_contents.contains(spelling)) {
        bytes = spelling;  // added tokens stand in the text as they are written
      } else if (!bytes || bytes->empty()) {
        part.refuse("expected tokens in the byte-level alphabet, got {}", show_json(spelling));
      }
      const auto number = claim_id(part, spelling);
      definition_.tokens[static_cast<size_t>(number)] = std::move(*bytes);
      ids_.emplace(spelling, number);
    }
    for (const auto& part : added) {
      read_added_token(part);
    }
  }

  void read_added_token(const JsonPart& part) {
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      part.expect_off(key);
    }
    const std::string content = part.at("content").text();
    const auto known = ids_.find(content);
    AddedToken token{.special = part.flag("special", false), .in_vocabulary = known != ids_.end()};
    if (!token.in_vocabulary) {
      token.id = claim_id(part.at("id"), content);
      definition_.tokens[static_cast<size_t>(token.id)] = content;
    } else {
      token.id = known->second;
      if (part.at("id").json() != token.id) {
        part.at("id").refuse("expected {}, the id of {} in model.vocab, got {}", token.id,
                             show_json(content), show_json(part.at("id").json()));
      }
    }
    definition_.added_tokens.push_back(token);
  }

  /// Checks that the id is one of [0, number of tokens) and no other token has it. Then none is
  /// left out either.
  TokenId claim_id(const JsonPart& part, const std::string& spelling) {
    const auto& json = part.json();
    const auto limit = definition_.tokens.size();
    if (!json.is_number_integer() || json < 0 || json >= limit) {
      part.refuse("expected the ids 0 to {} without holes, got {} for {}", limit - 1,
                  show_json(json), show_json(spelling));
    }
    auto& owner = spellings_[json.get<size_t>()];
    if (owner != nullptr) {
      part.refuse("expected one token for id {}, got {} and {}", show_json(json), show_json(*owner),
                  show_json(spelling));
    }
    owner = &spelling;
    return json.get<TokenId>();
  }

  void read_merges(const JsonPart& merges) {
    std::unordered_set<uint64_t> pairs;
    for (const auto& part : merges.items()) {
      const auto [left, right] = halves_of(part);
      const Merge merge{id_of(part, left), id_of(part, right), id_of(part, left + right)};
      const auto pair =
          static_cast<uint64_t>(merge.left) << 32U | static_cast<uint32_t>(merge.right);
      if (!pairs.insert(pair).second) {
        part.refuse("expected each pair once, got {} and {} again", show_json(left),
                    show_json(right));
      }
      definition_.merges.push_back(merge);
    }
  }

  /// `"a b"` or `["a", "b"]`.
  static std::pair<std::string, std::string> halves_of(const JsonPart& part) {
    if (part.json().is_array() && part.json().size() == 2) {
      const auto items = part.items();
      return {items[0].text(), items[1].text()};
    }
    if (part.json().is_string()) {
      const auto& text = part.text();
      const auto space = text.find(' ');
      if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
        return {text.substr(0, space), text.substr(space + 1)};
      }
    }
    part.refuse("expected a pair of tokens as \"a b\" or [\"a\", \"b\"], got {}",
                show_json(part.json()));
  }

  [[nodiscard]] TokenId id_of(const JsonPart& merge, const std::string& spelling) const {
    const auto found = ids_.find(spelling);
    if (found == ids_.end()) {
      merge.refuse("expected tokens of model.vocab, got {}", show_json(spelling));
    }
    return found->second;
  }

  void read_pre_tokenizer() {
    definition_.pre_tokenizer = loopbank::read_pre_tokenizer(root_.at("pre_tokenizer"));
    const auto& steps = definition_.pre_tokenizer;
    if (std::none_of(steps.begin(), steps.end(),
                     [](const auto& step) { return step.kind == Kind::kByteLevel; })) {
      root_.at("pre_tokenizer").refuse("expected a ByteLevel, got none in {} steps", steps.size());
    }
  }

  JsonPart root_;
  TokenizerDefinition definition_;
  std::unordered_map<std::string, TokenId> ids_;  // of model.vocab, by spelling
  std::vector<const std::string*> spellings_;     // who has claimed each id
};

}  // namespace

TokenizerDefinition parse_tokenizer_json(std::string_view text, const std::string& where) {
  const auto json = parse_json(
      text, where, {.expected = "JSON to its end", .remedy = "The file may be truncated."});
  return Parser(JsonPart(json, JsonPart::kTopLevel, where)).read();
}

}  // namespace loopbank
