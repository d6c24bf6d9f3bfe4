#include "loopbank/cli/study_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/study/capacity.h"
#include "loopbank/study/study_seeds.h"
#include "loopbank/support/append_missing.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/folder_lock.h"
#include "loopbank/support/json_members.h"
#include "loopbank/train/run_init.h"

namespace loopbank::cli {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, Scale> kScales = {
    {"demo", Scale::kDemo}, {"small", Scale::kSmall}, {"paper", Scale::kPaper}};
constexpr const char* kStudyFile = "study.json";
const MembersForm kStudyForm = {
    .expected = "what a study was started with",
    .remedy = "Remove the file and call the study by its own flags, with --out."};

/// A study file, or the one of systems that start from a model, or both.
StudyConfig own_study(const StudyFlags& flags, std::vector<std::string> overrides) {
  if (flags.config.empty()) {
    return retrofit_study_preset(flags.init, overrides);
  }
  if (!flags.init.empty()) {
    overrides.insert(overrides.begin(), init_setting(flags.init));
  }
  return load_study_config(flags.config, overrides);
}

std::vector<StudyConfig> parts_with_own_seeds(const StudyFlags& flags) {
  auto overrides = flags.overrides;
  if (!flags.config.empty() || !flags.init.empty()) {
    if (!flags.text.empty()) {
      overrides.push_back("text.folder=" + flags.text);
    }
    auto config = own_study(flags, overrides);
    if (!flags.tasks.empty()) {
      config.text.tasks = flags.tasks;
    }
    return one_part_each(std::move(config));
  }
  std::vector<StudyConfig> parts = {study_preset(kScales.at(flags.scale), flags.overrides)};
  if (!flags.text.empty()) {
    if (flags.scale != "small") {
      fail(ErrorCode::kConfig,
           "study: expected --text with --scale small or with a study file, got --scale {}.",
           flags.scale);
    }
    overrides.push_back("text.folder=" + flags.text);
    parts.push_back(text_study_preset(overrides));
    parts.back().text.tasks = flags.tasks;
  }
  return parts;
}

/// The seeds that the flags ask for, from the study's own.
std::vector<int64_t> wanted_seeds(const StudyFlags& flags, const std::vector<int64_t>& own) {
  const auto& seeds = flags.seeds.values;
  if (seeds.size() == 1) {
    if (seeds.front() == 0) {
      fail(ErrorCode::kConfig,
           "--seeds: expected how many seeds, 1 or more, or a list of them such as 0,1, got 0. "
           "--seed 0 is the seed 0.");
    }
    return first_seeds(own, seeds.front());
  }
  const auto& list = seeds.empty() ? flags.seed.values : seeds;
  return list.empty() ? own : list;
}

std::string absolute_path(const std::string& path) {
  return path.empty() ? path : fs::absolute(path).lexically_normal().string();
}

void set_seeds(std::vector<StudyConfig>& parts, const StoredStudy& stored) {
  for (auto& part : parts) {
    if (const auto found = stored.seeds.find(part.part_name()); found != stored.seeds.end()) {
      part.study.seeds = found->second;
    }
  }
}

}  // namespace

// Out of the unnamed namespace, where JsonWriter and JsonReader find it.

void members(auto& by, Either<StoredStudy> auto& study) {
  auto& flags = study.flags;
  by("scale", flags.scale);
  by.unless_empty("config", flags.config);
  by.unless_empty("init", flags.init);
  by.unless_empty("text", flags.text);
  by.unless_empty("data", flags.tasks);
  by.unless_empty("set", flags.overrides);
  by.unless_empty("time_limit", flags.time_limit);
  by("at_once", flags.at_once);
  by("systems", flags.systems);
  by("seeds", study.seeds);
}

namespace {

void write_stored_study(const fs::path& folder, const StoredStudy& stored) {
  write_file_atomically(folder / kStudyFile, JsonWriter::write(stored).dump(2) + "\n");
}

}  // namespace

std::vector<StudyConfig> parts_of(const StudyFlags& flags) {
  auto parts = parts_with_own_seeds(flags);
  for (auto& part : parts) {
    part.study.seeds = wanted_seeds(flags, part.study.seeds.values);
  }
  return parts;
}

std::string command_of(const StudyFlags& flags) {
  auto text = !flags.config.empty() ? fmt::format("loopbank study {}", flags.config)
              : flags.init.empty()  ? fmt::format("loopbank study --scale {}", flags.scale)
                                    : std::string("loopbank study");
  text += flags.init.empty() ? "" : fmt::format(" --init {}", flags.init);
  if (!flags.seeds.values.empty()) {
    text += fmt::format(" --seeds {}", fmt::join(flags.seeds.values, ","));
  }
  if (!flags.seed.values.empty()) {
    text += fmt::format(" --seed {}", fmt::join(flags.seed.values, ","));
  }
  if (!flags.systems.empty()) {
    text += fmt::format(" --systems {}", fmt::join(flags.systems, ","));
  }
  if (!flags.text.empty()) {
    text += fmt::format(" --text {}", flags.text);
  }
  for (const auto& folder : flags.tasks) {
    text += fmt::format(" --data {}", folder);
  }
  if (flags.at_once > 0) {
    text += fmt::format(" --at-once {}", flags.at_once);
  }
  if (!flags.time_limit.empty()) {
    text += fmt::format(" --time-limit {}", flags.time_limit);
  }
  for (const auto& item : flags.overrides) {
    text += fmt::format(" --set '{}'", item);
  }
  return text + fmt::format(" --out {}", flags.out);
}

StoredStudy read_stored_study(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    fail(ErrorCode::kData, "{}: expected the folder of a study, got {}.", folder.string(),
         fs::exists(folder) ? "a file" : "no such folder");
  }
  auto stored = read_members_file<StoredStudy>(folder / kStudyFile, kStudyForm);
  if (!stored) {
    fail(ErrorCode::kData, "{}: expected the folder of a study, with a {}, got none there. {}",
         folder.string(), kStudyFile,
         fs::exists(folder / "results.json")
             ? "It was made by an earlier version: call it once more by its own flags."
             : "Start one with loopbank study --out.");
  }
  stored->flags.out = folder.string();
  return std::move(*stored);
}

void remember_study(const fs::path& folder, const StudyFlags& flags,
                    const std::vector<StudyConfig>& parts) {
  const auto lock = FolderLock::wait_to_hold(folder / "claim", ErrorCode::kData);
  auto stored = read_members_file<StoredStudy>(folder / kStudyFile, kStudyForm);
  auto now = StoredStudy{.flags = flags, .seeds = {}};
  now.flags.config = absolute_path(flags.config);
  now.flags.init = absolute_path(flags.init);
  now.flags.text = absolute_path(flags.text);
  for (auto& path : now.flags.tasks) {
    path = absolute_path(path);
  }
  if (stored) {
    const auto& before = stored->flags;
    now.seeds = stored->seeds;
    if (before.systems.empty() || flags.systems.empty()) {
      now.flags.systems.clear();  // all
    } else {
      now.flags.systems = before.systems;
      append_missing(now.flags.systems, flags.systems);
    }
    // A call may leave out what it does not need.
    now.flags.text = flags.text.empty() ? before.text : now.flags.text;
    now.flags.tasks = flags.tasks.empty() ? before.tasks : now.flags.tasks;
    now.flags.time_limit = flags.time_limit.empty() ? before.time_limit : flags.time_limit;
  }
  for (const auto& part : parts) {
    append_missing(now.seeds[part.part_name()], part.study.seeds.values);
  }
  write_stored_study(folder, now);
}

void check_folder_of_one_seed(const StudyFlags& flags, const std::vector<StudyConfig>& parts) {
  const fs::path folder = flags.out;
  const auto& seeds = flags.seeds.values;
  if (seeds.size() != 1 || fs::exists(folder / kStudyFile) ||
      !fs::exists(folder / "results.json")) {
    return;
  }
  for (const auto& part : parts) {
    const auto& wanted = part.study.seeds.values;
    if (seeds_under(folder / part.part_name()) == seeds && wanted != seeds) {
      fail(ErrorCode::kConfig,
           "--seeds {0}: expected --seed {0}, the one seed that {1} has from an earlier version, "
           "got a number of seeds. More of them: --seeds {0},{2}.",
           seeds.front(), flags.out, seeds.front() + 1);
    }
  }
}

std::vector<StudyConfig> add_seeds(const fs::path& folder, int64_t count) {
  (void)read_stored_study(folder);  // before anything is written there
  const auto lock = FolderLock::wait_to_hold(folder / "claim", ErrorCode::kData);
  auto stored = read_stored_study(folder);
  auto parts = parts_with_own_seeds(stored.flags);
  set_seeds(parts, stored);
  for (auto& part : parts) {
    const auto& seeds = part.study.seeds.values;
    part.study.seeds = first_seeds(seeds, std::ssize(seeds) + count);
    stored.seeds[part.part_name()] = part.study.seeds.values;
  }
  write_stored_study(folder, stored);
  return parts;
}

}  // namespace loopbank::cli
