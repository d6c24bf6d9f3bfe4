/// Token files of others: .bin with llm.c's header, without one as uint16 and uint32, and .pbin.
///
/// Input: a letter for the kind, a to d, then the file.

#include <array>

#include "token_source_claims.h"

namespace loopbank {
namespace {

struct Kind {
  const char* name;
  const char* dtype;
};
constexpr std::array<Kind, 4> kKinds = {
    {{"a.bin", "auto"}, {"b.bin", "uint16"}, {"c.bin", "uint32"}, {"d.pbin", "auto"}}};

struct Files {
  Files() {
    for (const auto& kind : kKinds) {
      folder.link(kind.name, file);
    }
  }
  fuzz::Folder folder;
  fuzz::InputFile file;
};

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static Files files;
  static const auto tokenizer = Tokenizer::bytes();
  return fuzz::read_by_letter(data, size, [](uint8_t letter, std::string_view bytes) {
    files.file.with(bytes);
    const auto& kind = kKinds[(letter - 'a') % kKinds.size()];
    const auto path = files.folder.path() / kind.name;
    for (const auto* of : {&tokenizer, static_cast<const Tokenizer*>(nullptr)}) {
      for (const bool verify : {false, true}) {
        (void)fuzz::accepted([&] {
          const auto source =
              open_tokens(path, {.tokenizer = of, .verify = verify, .bin_dtype = kind.dtype});
          fuzz::read_all(*source, verify);
        });
      }
    }
  });
}
