/// Documents of .jsonl and .txt files, plain and compressed.
///
/// Input: a letter for the ending of the name, a to h, then the file.

#include <array>

#include "loopbank/data/text_reader.h"
#include "loopbank/support/utf8.h"
#include "target.h"

namespace loopbank {
namespace {

/// Every ending for one file in memory, a to h.
struct Files {
  Files() {
    size_t i = 0;
    for (const char* name : {"a.jsonl", "b.txt", "c.jsonl.gz", "d.txt.gz", "e.jsonl.zst",
                             "f.txt.zst", "g.md", "h.gz"}) {
      paths[i++] = folder.link(name, file);
    }
  }
  fuzz::Folder folder;
  fuzz::InputFile file;
  std::array<std::filesystem::path, 8> paths;
};

void read(const std::filesystem::path& path, int64_t skip_bad) {
  TextReader reader(path, BadLinePolicy::of_job(skip_bad, 0));
  std::string document;
  int64_t documents = 0;
  while (reader.next(document)) {
    fuzz::require(!document.empty() && is_valid_utf8(document), "documents are texts in UTF-8");
    ++documents;
  }
  fuzz::require(documents == reader.report().documents, "documents are counted");
  fuzz::require(reader.report().num_bad_lines() <= skip_bad, "a bad line ends it");
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static Files files;
  return fuzz::read_by_letter(data, size, [](uint8_t letter, std::string_view text) {
    files.file.with(text);
    const auto& path = files.paths[(letter - 'a') % files.paths.size()];
    (void)fuzz::accepted([&] { read(path, INT64_MAX); });
    (void)fuzz::accepted([&] { read(path, 0); });
  });
}
