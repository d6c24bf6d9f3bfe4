#include "loopbank/cli/study_noise.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/study/noise.h"
#include "loopbank/study/results_json.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"

namespace loopbank::cli {
namespace {

void print_noise(const std::string& folder) {
  const auto file = std::filesystem::path(folder) / "results.json";
  const auto json = parse_json<nlohmann::ordered_json>(read_file(file), file.string());
  const auto result = study_result_from_json(json, file.string());
  for (const auto& part : result.parts) {
    fmt::print("{}", noise_toml(result, part));
  }
}

}  // namespace

void add_study_noise(CLI::App& study) {
  auto* command = study.add_subcommand("noise",
                                       "How much differences between systems scatter from seed to "
                                       "seed, as TOML; of a study of three "
                                       "seeds or more");
  const auto folder = std::make_shared<std::string>();
  command->add_option("DIR", *folder, "Folder of the study")
      ->required()
      ->check(CLI::ExistingDirectory);
  command->callback([folder] { print_noise(*folder); });
}

}  // namespace loopbank::cli
