/// Documents of .jsonl and .txt files, plain and compressed.
///
/// Input: a letter for the ending of the name, then the file.

#include <array>

#include "loopbank/data/text_reader.h"
#include "loopbank/support/utf8.h"
#include "target.h"

namespace loopbank {
namespace {

/// Every ending for one file in memory, a to f.
struct Files {
  Files() {
    size_t i = 0;
    for (const char* name :
         {"a.jsonl", "b.txt", "c.jsonl.gz", "d.txt.gz", "e.jsonl.zst", "f.txt.zst"}) {
      paths[i++] = folder.link(name, file);
    }
  }
  fuzz::Folder folder;
  fuzz::InputFile file;
  std::array<std::filesystem::path, 6> paths;
};

void read(const std::filesystem::path& path, bool strict) {
  TextReader reader(path, strict);
  std::string document;
  int64_t documents = 0;
  while (reader.next(document)) {
    fuzz::require(!document.empty() && is_valid_utf8(document), "documents are texts in UTF-8");
    ++documents;
  }
  fuzz::require(documents == reader.report().documents, "documents are counted");
  fuzz::require(!strict || reader.report().num_bad_lines() == 0, "strict stops at a bad line");
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static Files files;
  if (size == 0) {
    return 0;
  }
  files.file.with(fuzz::as_text(data + 1, size - 1));
  const auto& path = files.paths[(data[0] - 'a') % files.paths.size()];
  (void)fuzz::accepted([&] { read(path, false); });
  (void)fuzz::accepted([&] { read(path, true); });
  return 0;
}
