/// The writing half of tokenizer_json.h.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"
#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/pretokenizer_json.h"
#include "loopbank/tokenize/tokenizer_json.h"

namespace loopbank {
namespace {

using OrderedJson = nlohmann::ordered_json;
OrderedJson added_tokens_to_json(const TokenizerDefinition& definition) {
  auto list = OrderedJson::array();
  for (const auto& added : definition.added_tokens) {
    list.push_back({{"id", added.id},
                    {"content", text_of(added, definition)},
                    {"single_word", added.single_word},
                    {"lstrip", added.lstrip},
                    {"rstrip", added.rstrip},
                    {"normalized", added.normalized},
                    {"special", added.special}});
  }
  return list;
}

/// The entries of a list or an object, one a line.
class Lines {
 public:
  explicit Lines(std::string& text) : text_(text) {}
  void add(const std::string& entry) {
    text_ += first_ ? "\n      " : ",\n      ";
    text_ += entry;
    first_ = false;
  }

 private:
  std::string& text_;
  bool first_ = true;
};

}  // namespace

std::vector<std::string> spell_tokens(const TokenizerDefinition& definition) {
  if (!definition.byte_level) {
    return definition.tokens;
  }
  std::vector<std::string> spellings;
  spellings.reserve(definition.tokens.size());
  for (const auto& token : definition.tokens) {
    spellings.push_back(spell_bytes(token));
  }
  for (const auto& added : definition.added_tokens) {
    spellings[static_cast<size_t>(added.id)] = text_of(added, definition);
  }
  for (const auto id : definition.unspelled) {
    spellings[static_cast<size_t>(id)] = definition.tokens[static_cast<size_t>(id)];
  }
  return spellings;
}

std::string write_tokenizer_json(const TokenizerDefinition& definition) {
  if (!definition.source.empty()) {
    return definition.source;
  }
  if (!definition.byte_level || !definition.normalizer.empty() || !definition.decoder.empty() ||
      !definition.prefix.empty() || !definition.suffix.empty()) {
    fail(ErrorCode::kData,
         "tokenizer: expected a byte-level one without a frame, as it is made here, got parts that "
         "are only read.");
  }
  const auto spellings = spell_tokens(definition);
  const OrderedJson byte_level = {{"type", "ByteLevel"},
                                  {"add_prefix_space", true},
                                  {"trim_offsets", true},
                                  {"use_regex", true}};
  // Written by hand: one line an entry reads well, and an ordered object of 50,000 keys is slow.
  std::string text = fmt::format(
      "{{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
      "  \"added_tokens\": {},\n  \"normalizer\": null,\n  \"pre_tokenizer\": {},\n"
      "  \"post_processor\": null,\n  \"decoder\": {},\n  \"model\": {{\n"
      "    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
      "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
      "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n",
      added_tokens_to_json(definition).dump(), write_pre_tokenizer(definition.pre_tokenizer).dump(),
      byte_level.dump());
  if (definition.bpe.ignore_merges) {  // readers older than the key stop at it
    text += "    \"ignore_merges\": true,\n";
  }
  std::vector<bool> outside(spellings.size());
  for (const auto& added : definition.added_tokens) {
    outside[static_cast<size_t>(added.id)] = !added.in_vocabulary;
  }
  text += "    \"vocab\": {";
  Lines vocab(text);
  for (size_t id = 0; id < spellings.size(); ++id) {
    if (!outside[id] && !spellings[id].empty()) {
      vocab.add(fmt::format("{}: {}", OrderedJson(spellings[id]).dump(), id));
    }
  }
  text += "\n    },\n    \"merges\": [";
  Lines merges(text);
  for (const auto& merge : definition.merges) {
    merges.add(OrderedJson(spellings[static_cast<size_t>(merge.left)] + " " +
                           spellings[static_cast<size_t>(merge.right)])
                   .dump());
  }
  text += definition.merges.empty() ? "]\n  }\n}\n" : "\n    ]\n  }\n}\n";
  return text;
}

}  // namespace loopbank
