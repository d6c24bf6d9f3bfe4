/// index.json and progress.json of a folder of shards: what is read comes back when it is written.
///
/// Input: the letter i or p, then the file.

#include "loopbank/data/shard_index.h"
#include "loopbank/data/shard_progress.h"
#include "target.h"

namespace loopbank {
namespace {

struct Files {
  Files() {
    folder.link(kShardIndexFile, file);
    folder.link("progress.json", file);
  }
  fuzz::Folder folder;
  fuzz::Folder written;
  fuzz::InputFile file;
};

void read_index(const Files& files) {
  const auto index = read_shard_index(files.folder.path());
  write_shard_index(files.written.path(), index);
  const auto again = read_shard_index(files.written.path());
  fuzz::require(again.shards == index.shards && again.vocab_size == index.vocab_size &&
                    again.vocab_hash == index.vocab_hash,
                "an index that is written reads the same");
}

void read_progress(const Files& files) {
  const auto progress = read_shard_progress(files.folder.path());
  fuzz::require(progress.has_value(), "a file that is there is read");
  write_shard_progress(files.written.path(), *progress);
  const auto again = read_shard_progress(files.written.path());
  fuzz::require(again && again->shards.size() == progress->shards.size() &&
                    again->job.inputs == progress->job.inputs &&
                    again->complete == progress->complete,
                "a progress that is written reads the same");
  for (size_t count = again->shards.size() + 1; count-- > 0;) {
    auto kept = *again;
    kept.keep(count);
    fuzz::require(kept.shards.size() == count, "shards are dropped from the end");
  }
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static Files files;
  return fuzz::read_by_letter(data, size, [](uint8_t letter, std::string_view text) {
    files.file.with(text);
    (void)fuzz::accepted([&] { letter == 'i' ? read_index(files) : read_progress(files); });
  });
}
