#include "loopbank/dissect/text_ids.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "loopbank/data/token_source.h"

namespace loopbank {
namespace {

/// Of a long document no more than this is encoded for each token that is still wanted.
constexpr int64_t kBytesOfToken = 64;

}  // namespace

TextIds read_text_ids(const std::filesystem::path& path, const Tokenizer& tokenizer,
                      int64_t max_ids, const BadLinePolicy& policy) {
  TextReader reader(path, policy);
  const auto between = end_of_text_of(tokenizer);
  TextIds text;
  std::string document;
  while (static_cast<int64_t>(text.ids.size()) < max_ids && reader.next(document)) {
    const auto missing = max_ids - static_cast<int64_t>(text.ids.size());
    const auto bytes =
        std::min<uint64_t>(document.size(), static_cast<uint64_t>(missing) * kBytesOfToken);
    const auto some = tokenizer.encode_prompt(std::string_view(document).substr(0, bytes));
    text.ids.insert(text.ids.end(), some.begin(), some.end());
    if (between) {
      text.ids.push_back(*between);
    }
  }
  text.ids.resize(std::min(text.ids.size(), static_cast<size_t>(max_ids)));
  text.reading = reader.report();
  return text;
}

}  // namespace loopbank
