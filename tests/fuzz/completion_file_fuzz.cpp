/// Prompts of `generate --prompts` in JSON lines, and the file of their completions that goes on.
///
/// Input: the prompts, a byte 0, the completions.

#include "loopbank/infer/completion_file.h"

#include <fstream>

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static fuzz::InputFile prompts;
  static const fuzz::Folder folder;
  const auto [lines, done] = fuzz::cut(fuzz::as_text(data, size), '\0');
  std::vector<CompletionRequest> requests;
  if (!fuzz::accepted([&] { requests = read_completion_requests(prompts.with(lines), {}); })) {
    return 0;
  }
  const auto path = folder.path() / "out.jsonl";
  std::ofstream(path, std::ios::binary) << done;
  (void)fuzz::accepted([&] {
    const CompletionLog log(path, requests);
    fuzz::require(log.num_done() == 0 || !requests.empty(), "what is done was asked for");
  });
  return 0;
}
