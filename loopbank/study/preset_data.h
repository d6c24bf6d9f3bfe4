#pragma once
/// The embedded benchmark as the data of a single run: what `data.benchmark` of a config asks for.
///
///     [data]
///     train = "runs/demo/data/train.tokens"
///     validation = "runs/demo/data/validation.tokens"
///     tokenizer = "runs/demo/data/tokenizer.json"
///     benchmark = "demo"          the data of `loopbank study --scale demo`, of its first seed
///
/// Files of one's own in the place of these are taken as they are: nothing is made where the three
/// do not lie in one folder under these names, nor where one of them is there already.

#include <filesystem>
#include <optional>

#include "loopbank/train/run_config.h"

namespace loopbank {

/// The folder in which the benchmark is still to be made for a run; nothing where its config asks
/// for none, or the files are there.
[[nodiscard]] std::optional<std::filesystem::path> missing_preset_data(const DataConfig& data);

/// Makes it there. Of several processes one makes it, and the others wait.
/// @throws Error as prepare_study_data
void make_preset_data(const DataConfig& data, const std::filesystem::path& folder);

}  // namespace loopbank
