/// Chat templates in TOML, and tokenizer_config.json where a model has no other.
///
/// Input: tokenizer_config.json where it begins with a brace, else the TOML file.

#include "loopbank/serve/api/chat_template.h"

#include "loopbank/serve/http/api_error.h"
#include "target.h"

namespace loopbank {
namespace {

void use(const ChatTemplate& chat) {
  static const auto tokenizer = Tokenizer::bytes();
  (void)chat.as_jinja();
  for (const char* content : {"", "{content}", "Hi<|endoftext|>\n"}) {
    try {
      const auto ids = chat.prompt_of(
          {{"system", content}, {"user", content}, {"assistant", content}, {"user", "?"}},
          tokenizer);
      (void)tokenizer.decode(ids);
    } catch (const ApiError&) {  // a role that the template does not have
    }
  }
}

struct Files {
  Files() { folder.link("tokenizer_config.json", file); }
  fuzz::Folder folder;
  fuzz::InputFile file;
};

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static Files files;
  const auto text = fuzz::as_text(data, size);
  const auto& path = files.file.with(text);
  if (text.starts_with('{')) {
    (void)fuzz::accepted([&] {
      const auto loaded = load_chat(files.folder.path());
      fuzz::require(loaded.chat.has_value() != !loaded.why_not.empty(), "there is one or a reason");
    });
  } else {
    (void)fuzz::accepted([&] { use(ChatTemplate::load(path)); });
  }
  return 0;
}
