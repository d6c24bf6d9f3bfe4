/// A model directory of Hugging Face: config.json, and model.safetensors.index.json over one shard.
///
/// Input: the letter c and config.json; or the letter i, the index, a byte 0 and the shard.

#include "loopbank/interop/hf_config.h"
#include "loopbank/model/checkpoint_files.h"
#include "target.h"

namespace loopbank {
namespace {

struct Files {
  Files() {
    folder.link("config.json", first);
    folder.link("model.safetensors.index.json", first);
    folder.link("model-00001-of-00001.safetensors", second);
  }
  fuzz::Folder folder;
  fuzz::InputFile first;
  fuzz::InputFile second;
};

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static Files files;
  return fuzz::read_by_letter(data, size, [](uint8_t letter, std::string_view text) {
    if (letter == 'c') {
      files.first.with(text);
      (void)fuzz::accepted([&] {
        auto config = read_hf_config(files.folder.path());
        fuzz::require(config.family != nullptr, "a config that is read has a family");
      });
      return;
    }
    const auto [index, shard] = fuzz::cut(text, '\0');
    files.first.with(index);
    files.second.with(shard);
    (void)fuzz::accepted([&] {
      const auto checkpoint = map_checkpoint(files.folder.path());
      fuzz::require(!checkpoint.files.empty(), "tensors come from a file");
    });
  });
}
