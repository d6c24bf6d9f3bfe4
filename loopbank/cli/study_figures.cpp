#include "loopbank/cli/study_figures.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/setting_flags.h"
#include "loopbank/study/figure_files.h"
#include "loopbank/study/figures_soft_hard.h"
#include "loopbank/study/results_json.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"

namespace loopbank::cli {
namespace {

struct FiguresFlags {
  std::vector<std::string> studies;
  std::string out;
  std::vector<std::string> only;
};

/// The results of a folder of a study or of bench exit, or of a file, under the folder's name.
NamedResults read_study(const std::string& given) {
  const std::filesystem::path path(given);
  const auto file = std::filesystem::is_directory(path) ? path / "results.json" : path;
  const auto json = read_json_file<nlohmann::ordered_json>(
      file, {.expected = "the results of a study",
             .remedy = "Name a study's folder or its results.json."});
  NamedResults study{.name = std::filesystem::absolute(file).parent_path().filename().string()};
  if (json.contains("model_folders")) {  // of bench exit
    if (auto figure = soft_hard_figure(json, file.string())) {
      study.others.push_back(std::move(*figure));
    }
  } else {
    study.results = study_result_from_json(json, file.string());
  }
  return study;
}

void run_figures(const FiguresFlags& flags) {
  std::vector<NamedResults> studies;
  for (const auto& given : flags.studies) {
    studies.push_back(read_study(given));
  }
  const auto files = figure_files(studies, flags.only);
  if (files.empty()) {
    fail(ErrorCode::kData, "study figures: expected systems that are done, got none in {}.",
         flags.studies.front());
  }
  create_directories(flags.out);
  write_files_atomically(flags.out, files);
  for (const auto& [name, text] : files) {
    if (name.ends_with(".svg")) {
      fmt::print("{}\n", (std::filesystem::path(flags.out) / name).string());
    }
  }
}

}  // namespace

void add_study_figures(CLI::App& study) {
  auto* command = study.add_subcommand(
      "figures", "Every figure of finished studies as SVG and CSV, from results.json alone");
  const auto flags = std::make_shared<FiguresFlags>();
  command
      ->add_option("STUDY", flags->studies,
                   "Folders of studies or of bench exit, or their results.json")
      ->required();
  command->add_option("--out", flags->out, "Folder for the files")->required();
  comma_separated(command->add_option(
      "--only", flags->only, "Ids of figures, with commas between (all): study-intervals, ..."));
  command->callback([flags] { run_figures(*flags); });
}

}  // namespace loopbank::cli
