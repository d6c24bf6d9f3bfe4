/// tokenizer_config.json and special_tokens_map.json.
///
/// Input: the first, a byte 0, the second.

#include "loopbank/tokenize/tokenizer_config.h"

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  const auto [text, map] = fuzz::cut(fuzz::as_text(data, size), '\0');
  (void)fuzz::accepted([&, text = text, map = map] {
    auto config = parse_tokenizer_config(text, "tokenizer_config.json");
    fuzz::require(!config.max_tokens || *config.max_tokens > 0, "a length is a number of tokens");
    const auto bos = config.bos;
    add_special_tokens_map(map, "special_tokens_map.json", config);
    fuzz::require(!bos || config.bos == bos, "the map adds what the config does not name");
  });
  return 0;
}
