#include "loopbank/tokenize/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"
#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/json_part.h"
#include "loopbank/tokenize/pretokenizer_json.h"
#include "loopbank/tokenize/tokenizer_parts_json.h"
#include "loopbank/tokenize/word_encoder.h"

namespace loopbank {
namespace {

using Kind = PreTokenizerStep::Kind;

/// Ids end here for so many tokens: a file of one token and an id of four billion asks for no memory.
size_t end_of_ids(size_t num_tokens) {
  constexpr size_t kLeftOut = size_t{1} << 16U;
  constexpr size_t kLeftOutForEach = 16;
  return kLeftOut + kLeftOutForEach * num_tokens;
}

/// Reads one file; each function fills its part of the definition.
class Parser {
 public:
  explicit Parser(const JsonPart& root) : root_(root) {}

  TokenizerDefinition read() {
    const auto model = root_.at("model");
    expect_version();
    expect_bpe(model);
    read_options(model);
    read_frame();
    read_vocab(model.at("vocab"));
    read_added_tokens();
    read_merges(model.at("merges"));
    read_pre_tokenizer();
    definition_.byte_level = words_are_bytes();
    if (definition_.byte_level) {
      unspell_tokens();
    }
    return std::move(definition_);
  }

 private:
  void expect_version() const {
    if (root_.has("version") && root_.at("version").text() != "1.0") {
      root_.at("version").refuse("expected \"1.0\", got {}", show_json(root_.at("version").json()));
    }
  }

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
  }

  void read_options(const JsonPart& model) {
    auto& bpe = definition_.bpe;
    bpe.ignore_merges = model.flag("ignore_merges", false);
    bpe.byte_fallback = model.flag("byte_fallback", false);
    bpe.fuse_unknown = model.flag("fuse_unk", false);
    if (model.has("unk_token")) {
      bpe.unknown = model.at("unk_token").text();
    }
    if (model.has("continuing_subword_prefix")) {
      bpe.continuing_subword_prefix = model.at("continuing_subword_prefix").text();
    }
    if (model.has("end_of_word_suffix")) {
      bpe.end_of_word_suffix = model.at("end_of_word_suffix").text();
    }
  }

  /// What stands around the model.
  void read_frame() {
    if (root_.has("normalizer")) {
      definition_.normalizer = read_normalizer(root_.at("normalizer"));
    }
    if (root_.has("post_processor")) {
      auto frame = read_post_processor(root_.at("post_processor"));
      definition_.prefix = std::move(frame.prefix);
      definition_.suffix = std::move(frame.suffix);
    }
    if (root_.has("decoder")) {
      definition_.decoder = read_decoder(root_.at("decoder"));
    }
  }

  void read_vocab(const JsonPart& vocab) {
    vocab.expect_object();
    const auto& entries = vocab.json().get_ref<const nlohmann::json::object_t&>();
    ids_.reserve(entries.size());
    end_of_ids_ = end_of_ids(entries.size());
    for (const auto& [spelling, id] : entries) {
      const JsonPart part(id, "model.vocab", root_.where());
      const auto number = claim_id(part, spelling);
      definition_.tokens[static_cast<size_t>(number)] = spelling;
      ids_.emplace(spelling, number);
    }
  }

  void read_added_tokens() {
    if (!root_.has("added_tokens")) {
      return;
    }
    std::unordered_set<std::string> contents;
    size_t next_id = ids_.size();
    for (const auto& part : root_.at("added_tokens").items()) {
      const auto content = part.at("content");
      if (!contents.insert(content.text()).second || content.text().empty()) {
        content.refuse("expected a text that no other added token has, got {}",
                       show_json(content.json()));
      }
      read_added_token(part, content.text(), next_id);
    }
  }

  /// @param next_id  what `tokenizers` calls the next token that model.vocab lacks, whatever the
  ///   file says: their number so far
  void read_added_token(const JsonPart& part, const std::string& content, size_t& next_id) {
    const auto known = ids_.find(content);
    AddedToken token{.special = part.flag("special", false), .in_vocabulary = known != ids_.end()};
    token.single_word = part.flag("single_word", false);
    token.lstrip = part.flag("lstrip", false);
    token.rstrip = part.flag("rstrip", false);
    token.normalized = part.flag("normalized", !token.special);
    // The file's own id has no say: transformers, too, takes what `tokenizers` gives.
    const JsonPart id = part.at("id");
    if (token.in_vocabulary) {
      token.id = known->second;
    } else {
      token.id = claim_added_id(next_id, content);
      ++next_id;
    }
    if (!id.json().is_number_unsigned()) {
      id.refuse("expected an id, got {}", show_json(id.json()));
    }
    if (!added_ids_.insert(token.id).second) {  // each would be found as the other says
      part.refuse("expected one added token for id {}, got {} as another one", token.id,
                  show_json(content));
    }
    definition_.added_tokens.push_back(token);
  }

  TokenId claim_added_id(size_t id, const std::string& content) {
    const auto number = static_cast<TokenId>(id);
    make_room(id);
    auto& owner = spellings_[id];
    if (owner) {
      definition_.shadowed.push_back({number, definition_.tokens[id]});
    }
    owner = content;
    definition_.tokens[id] = content;
    return number;
  }

  void make_room(size_t id) {
    if (id >= spellings_.size()) {
      spellings_.resize(id + 1);
      definition_.tokens.resize(id + 1);
    }
  }

  /// Makes room for the id and checks that no other token has it.
  TokenId claim_id(const JsonPart& part, const std::string& spelling) {
    const auto& json = part.json();
    if (!json.is_number_unsigned() || json >= end_of_ids_) {
      part.refuse("expected ids from 0 to {}, got {} for {}", end_of_ids_ - 1, show_json(json),
                  show_json(spelling));
    }
    const auto id = json.get<size_t>();
    make_room(id);
    auto& owner = spellings_[id];
    if (owner) {
      part.refuse("expected one token for id {}, got {} and {}", id, show_json(*owner),
                  show_json(spelling));
    }
    owner = spelling;
    return static_cast<TokenId>(id);
  }

  void read_merges(const JsonPart& merges) {
    std::unordered_set<uint64_t> pairs;
    for (const auto& part : merges.items()) {
      if (part.json().is_string() && part.text().starts_with("#version")) {
        continue;  // the first line of merges.txt
      }
      const auto [left, right] = halves_of(part);
      const Merge merge{id_of(part, left), id_of(part, right),
                        id_of(part, merged(part, left, right))};
      const auto pair =
          static_cast<uint64_t>(merge.left) << 32U | static_cast<uint32_t>(merge.right);
      if (!pairs.insert(pair).second) {
        part.refuse("expected each pair once, got {} and {} again", show_json(left),
                    show_json(right));
      }
      definition_.merges.push_back(merge);
    }
  }

  /// The token of two halves, of which the right one continues a word.
  [[nodiscard]] std::string merged(const JsonPart& part, const std::string& left,
                                   const std::string& right) const {
    const auto prefix = definition_.bpe.continuing_subword_prefix.size();
    if (right.size() < prefix) {
      part.refuse("expected a right half that starts with {}, got {}",
                  show_json(definition_.bpe.continuing_subword_prefix), show_json(right));
    }
    return left + right.substr(prefix);
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
    if (root_.has("pre_tokenizer")) {
      definition_.pre_tokenizer = loopbank::read_pre_tokenizer(root_.at("pre_tokenizer"));
    }
  }

  /// Whether the pre-tokenizer's words can stay bytes of the text: every byte of UTF-8 has a token,
  /// and nothing else looks at how the file spells them.
  [[nodiscard]] bool words_are_bytes() const {
    const auto& steps = definition_.pre_tokenizer;
    const auto is_byte_level = [](const auto& step) { return step.kind == Kind::kByteLevel; };
    const auto& normalizer = definition_.normalizer;
    return std::any_of(steps.begin(), steps.end(), is_byte_level) &&
           std::none_of(
               normalizer.begin(), normalizer.end(),
               [](const auto& step) { return step.kind == NormalizerStep::Kind::kByteLevel; }) &&
           definition_.bpe.continuing_subword_prefix.empty() &&
           definition_.bpe.end_of_word_suffix.empty() && every_byte_is_spelled();
  }

  [[nodiscard]] bool every_byte_is_spelled() const {
    std::array<TokenId, 256> ids;
    for (size_t byte = 0; byte < ids.size(); ++byte) {
      const auto found = ids_.find(spell_bytes(std::string(1, static_cast<char>(byte))));
      ids[byte] = found == ids_.end() ? -1 : found->second;
    }
    return cover_utf8(ids);
  }

  /// Tokens become the bytes that they spell, but for those that stand outside model.vocab.
  void unspell_tokens() {
    std::vector<AddedToken*> added(definition_.tokens.size());
    for (auto& token : definition_.added_tokens) {
      added[static_cast<size_t>(token.id)] = &token;
    }
    for (size_t id = 0; id < added.size(); ++id) {
      auto& token = definition_.tokens[id];
      if (token.empty() || (added[id] != nullptr && !added[id]->in_vocabulary)) {
        continue;
      }
      auto bytes = bytes_of_spelling(token);
      if (!bytes) {
        definition_.unspelled.push_back(static_cast<TokenId>(id));
      } else if (*bytes != token) {
        if (added[id] != nullptr) {
          added[id]->spelling = token;
        }
        token = std::move(*bytes);
      }
    }
    for (auto& token : definition_.shadowed) {
      token.text = bytes_of_spelling(token.text).value_or("");
    }
  }

  JsonPart root_;
  std::unordered_set<TokenId> added_ids_;
  size_t end_of_ids_ = 0;
  TokenizerDefinition definition_;
  std::unordered_map<std::string, TokenId> ids_;       // of model.vocab, by spelling
  std::vector<std::optional<std::string>> spellings_;  // who has claimed each id
};

}  // namespace

TokenizerDefinition parse_tokenizer_json(std::string_view text, const std::string& where) {
  const auto json = parse_json(
      text, where, {.expected = "JSON to its end", .remedy = "The file may be truncated."});
  auto definition = Parser(JsonPart(json, JsonPart::kTopLevel, where)).read();
  definition.source = text;
  return definition;
}

}  // namespace loopbank
