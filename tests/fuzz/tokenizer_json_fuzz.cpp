/// tokenizer.json, and texts with the tokenizers that it makes.
///
/// Input: the file, a byte 0, a text. A byte 1 in the file stands for the 256 tokens of the bytes,
/// `"!":33,...`, which would be most of every input otherwise.

#include "loopbank/tokenize/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/word_encoder.h"
#include "target.h"

namespace loopbank {
namespace {

const std::string& tokens_of_bytes() {
  static const std::string entries = [] {
    std::string text;
    for (int byte = 0; byte < 256; ++byte) {
      const nlohmann::json spelling = spell_bytes(std::string(1, static_cast<char>(byte)));
      text += fmt::format("{}{}:{}", byte == 0 ? "" : ",", spelling.dump(), byte);
    }
    return text;
  }();
  return entries;
}

/// Whether ids stand for the text and nothing else.
bool keeps_text(const TokenizerDefinition& definition) {
  const auto bytes = find_byte_ids(definition);
  const auto& added = definition.added_tokens;
  return definition.byte_level && definition.normalizer.empty() && definition.shadowed.empty() &&
         only_byte_level(definition.decoder) &&
         PreTokenizer(definition.pre_tokenizer).keeps_text() &&
         std::none_of(bytes.begin(), bytes.end(), [](TokenId id) { return id < 0; }) &&
         std::none_of(added.begin(), added.end(), [](const AddedToken& token) {
           return token.lstrip || token.rstrip || !token.spelling.empty();
         });
}

void use(const TokenizerDefinition& definition, std::string_view text) {
  const Tokenizer tokenizer{TokenizerDefinition(definition)};
  for (const bool parse_special : {false, true}) {
    std::vector<TokenId> ids;
    if (fuzz::accepted([&] { ids = tokenizer.encode(text, parse_special); }) &&
        keeps_text(definition)) {
      fuzz::require(tokenizer.decode(ids) == text, "decode(encode(text)) == text");
    }
  }
  (void)fuzz::accepted([&] { (void)tokenizer.end_of_text(); });
  const auto written = write_tokenizer_json(definition);
  const Tokenizer again(parse_tokenizer_json(written, "written"));
  fuzz::require(again.hash() == tokenizer.hash(),
                "a tokenizer.json that is written reads the same");
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  const auto [short_form, text] = fuzz::cut(fuzz::as_text(data, size), '\0');
  const auto [before, behind] = fuzz::cut(short_form, '\1');
  std::string file(short_form);
  if (before.size() < short_form.size()) {
    file = fmt::format("{}{}{}", before, tokens_of_bytes(), behind);
  }
  TokenizerDefinition definition;
  if (fuzz::accepted([&] { definition = parse_tokenizer_json(file, "tokenizer.json"); }) &&
      fuzz::accepted([&] { (void)Tokenizer{TokenizerDefinition(definition)}; })) {
    use(definition, text);
  }
  return 0;
}
