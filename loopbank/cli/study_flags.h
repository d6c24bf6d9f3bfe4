#pragma once
/// What `loopbank study` was told, and the file study.json of the study's folder, which remembers it:
/// later calls go on with it and add seeds (`study add-seed`).

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "loopbank/study/study_config.h"
#include "loopbank/support/field.h"

namespace loopbank::cli {

struct StudyFlags {
  std::string config;
  std::string init;
  std::string scale = "demo";
  std::string out;
  std::vector<std::string> systems;
  IntOrList seeds = std::vector<int64_t>();  ///< how many, or which; none: the study's
  IntOrList seed = std::vector<int64_t>();   ///< which
  std::string text;
  std::vector<std::string> tasks;
  int64_t at_once = 0;
  std::string time_limit;
  std::vector<std::string> overrides;
  bool dry_run = false;
  bool json = false;
};

/// The study files that the flags name, with the seeds that they ask for: a file of one's own, or the
/// scale's, with text where given.
/// @throws Error kConfig
[[nodiscard]] std::vector<StudyConfig> parts_of(const StudyFlags& flags);

/// The command line that makes, or goes on with, this study.
[[nodiscard]] std::string command_of(const StudyFlags& flags);

/// What a folder's study is: the flags of its calls together, paths absolute, and by part the seeds.
struct StoredStudy {
  StudyFlags flags;
  std::map<std::string, std::vector<int64_t>> seeds;
};

/// @throws Error kData where the folder holds none, or a broken one
[[nodiscard]] StoredStudy read_stored_study(const std::filesystem::path& folder);

/// Remembers this call in the folder: its flags, and its systems and seeds beside those of before.
/// @throws Error kData for a broken file, or a folder that cannot be written
void remember_study(const std::filesystem::path& folder, const StudyFlags& flags,
                    const std::vector<StudyConfig>& parts);

/// Refuses `--seeds N` for a folder that an earlier version made, which took it for the seed N, where
/// the folder has that seed alone.
/// @param parts  with the seeds that the flags ask for
/// @throws Error kConfig
void check_folder_of_one_seed(const StudyFlags& flags, const std::vector<StudyConfig>& parts);

/// Gives every part so many seeds more and remembers them at once, so that of two processes each
/// adds its own.
/// @param count  0: those that are there
/// @return the parts of the study
/// @throws Error as read_stored_study and parts_of
[[nodiscard]] std::vector<StudyConfig> add_seeds(const std::filesystem::path& folder,
                                                 int64_t count);

}  // namespace loopbank::cli
