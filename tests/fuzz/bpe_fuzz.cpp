/// Any bytes through pre-tokenizers and merges and back.
///
/// Input: a letter for the tokenizer, then the text.

#include <nlohmann/json.hpp>

#include "loopbank/tokenize/tokenizer.h"
#include "loopbank/tokenize/tokenizer_json.h"
#include "target.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

Tokenizer make(testing::Json pre_tokenizer, bool ignore_merges = false) {
  auto merges = testing::overlapping_merges();
  merges.insert(merges.end(), {{" ", "a"}, {" ", " "}, {"  ", "  "}, {"\xC3", "\xA9"}, {"'", "s"}});
  auto json = testing::small_tokenizer(merges);
  json["pre_tokenizer"] = std::move(pre_tokenizer);
  json["model"]["ignore_merges"] = ignore_merges;
  json["added_tokens"].push_back(testing::added_token(json["model"]["vocab"].size(), "<s>", false));
  return Tokenizer(parse_tokenizer_json(json.dump(), "fuzz"));
}

const std::vector<Tokenizer>& tokenizers() {
  static const std::vector<Tokenizer> list = [] {
    const testing::Json digits = {{"type", "Digits"}, {"individual_digits", true}};
    const testing::Json split = {{"type", "Split"},
                                 {"pattern", {{"Regex", "\\p{N}{1,3}|[^\\s]+\\n*|\\s+"}}},
                                 {"behavior", "Isolated"}};
    std::vector<Tokenizer> made;
    made.push_back(make(testing::byte_level()));
    made.push_back(make(testing::sequence({digits, testing::byte_level()})));
    made.push_back(make(testing::sequence({split, testing::byte_level(false, false)}), true));
    made.push_back(make(testing::byte_level(false, false)));
    made.push_back(Tokenizer::bytes());
    return made;
  }();
  return list;
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  if (size == 0) {
    return 0;
  }
  const auto& tokenizer = tokenizers()[data[0] % tokenizers().size()];
  const auto text = fuzz::as_text(data + 1, size - 1);
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, parse_special);
    fuzz::require(tokenizer.decode(ids) == text, "decode(encode(text)) == text");
    fuzz::require(tokenizer.encode(text, parse_special) == ids, "equal ids the second time");
  }
  return 0;
}
