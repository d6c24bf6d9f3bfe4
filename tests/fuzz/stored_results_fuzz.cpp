/// Results that `eval compare` reads, and recorded requests that `eval --check-requests` reads.
///
/// Input: the letter r, metrics.json, a byte 0 and rows.jsonl, which metrics.json may name; or the
/// letter o, the same of a folder of OLMES; or the letter q and recorded requests.

#include "loopbank/eval/request_check.h"
#include "loopbank/eval/stored_results.h"
#include "target.h"

namespace loopbank {
namespace {

/// Three folders over two files in memory.
struct Files {
  Files() {
    ours.link("metrics.json", first);
    ours.link("rows.jsonl", second);
    olmes.link("task-000-arc_easy-metrics.json", first);
    olmes.link("task-000-arc_easy-predictions.jsonl", second);
    requests.link("requests.jsonl", first);
  }
  fuzz::Folder ours;
  fuzz::Folder olmes;
  fuzz::Folder requests;
  fuzz::InputFile first;
  fuzz::InputFile second;
};

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static Files files;
  return fuzz::read_by_letter(data, size, [](uint8_t letter, std::string_view text) {
    if (letter == 'q') {
      files.first.with(text);
      (void)fuzz::accepted([&] {
        const auto checks = check_requests(files.requests.path(), {});
        fuzz::require(count_differences(checks) >= 0, "differences are counted");
      });
      return;
    }
    const auto [metrics, rows] = fuzz::cut(text, '\0');
    files.first.with(metrics);
    files.second.with(rows);
    (void)fuzz::accepted(
        [&] { (void)read_results((letter == 'o' ? files.olmes : files.ours).path()); });
  });
}
