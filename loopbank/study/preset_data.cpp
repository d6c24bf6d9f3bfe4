#include "loopbank/study/preset_data.h"

#include <algorithm>
#include <array>

#include "loopbank/study/study_config.h"
#include "loopbank/study/study_data.h"
#include "loopbank/support/error.h"
#include "loopbank/support/folder_lock.h"

namespace loopbank {

std::optional<std::filesystem::path> missing_preset_data(const DataConfig& data) {
  if (data.benchmark.empty() || data.train.values.size() != 1) {
    return std::nullopt;
  }
  const std::filesystem::path train = data.train.values.front();
  const auto folder = train.parent_path();
  const std::array<std::filesystem::path, 3> files = {
      folder / "train.tokens", folder / "validation.tokens", folder / "tokenizer.json"};
  if (train != files[0] || data.validation != files[1] || data.tokenizer != files[2]) {
    return std::nullopt;
  }
  const auto is_there = [](const auto& file) { return std::filesystem::exists(file); };
  // With data.json but not all files it is the benchmark, half lost.
  const bool is_own =
      std::any_of(files.begin(), files.end(), is_there) && !is_there(folder / "data.json");
  if (is_own || std::all_of(files.begin(), files.end(), is_there)) {
    return std::nullopt;
  }
  return folder;
}

void make_preset_data(const DataConfig& data, const std::filesystem::path& folder) {
  const auto lock = FolderLock::wait_to_hold(folder, ErrorCode::kData);
  const auto study =
      study_preset(data.benchmark == name_of(Scale::kSmall) ? Scale::kSmall : Scale::kDemo);
  const auto seed = static_cast<uint64_t>(study.study.seeds.values.front());
  (void)prepare_study_data(
      folder, {.benchmark = study.benchmark_of(seed), .vocab_size = study.run.model.vocab_size});
}

}  // namespace loopbank
