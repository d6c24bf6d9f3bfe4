#include "loopbank/study/noise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>
#include <string_view>
#include <vector>

#include "loopbank/study/presets.h"
#include "loopbank/study/results.h"
#include "loopbank/support/error.h"
#include "loopbank/support/settings.h"

namespace loopbank {
namespace {

constexpr const char* kNoiseFile = "configs/study/noise.toml";
constexpr int64_t kFewestSeeds = 3;

/// Settings that move no score by more than the seeds do: how a run is watched, kept and told of, and
/// how its sums are split. All others count.
constexpr std::array kNoMatter = {"study.title",
                                  "study.seeds",
                                  "study.systems",
                                  "study.exits",
                                  "study.score_points",
                                  "study.score_point_instances",
                                  "training.seed",
                                  "training.micro_batch",
                                  "training.recompute",
                                  "training.validate_every",
                                  "training.device",
                                  "training.validation_rows",
                                  "training.tensorboard",
                                  "training.checkpoint_every",
                                  "training.rank_timeout",
                                  "training.keep_checkpoints",
                                  "training.halting_alarm_steps",
                                  "training.alarm_validations"};
/// Likewise, of [system.NAME].
constexpr std::array kNoMatterOfSystems = {"label", "group", "seeds"};
constexpr std::string_view kSystem = "system.";

/// [scale.NAME]
struct NoiseTable {
  std::string scale;
  std::string part;
  std::string date;
  std::string note;
  int64_t seeds = 0;
  int64_t steps = 0;
  std::vector<std::string> settings = {};
  std::vector<std::string> deviations = {};

  std::vector<Field> fields() {
    return {Field("part", &part, "of the study"),
            Field("date", &date, "of the measurement"),
            Field("note", &note, "what else there is to say of it"),
            Field("seeds", &seeds, "that it was measured over").minimum(kFewestSeeds),
            Field("steps", &steps, "of training").minimum(1),
            Field("settings", &settings, "`section.key=value` texts that it holds for"),
            Field("deviations", &deviations, "`system other column deviation`")};
  }
};

std::vector<NoiseTable> read_tables(std::string_view toml) {
  std::vector<NoiseTable> tables;
  for (const auto& name : toml_tables_of_text(toml, kNoiseFile, "scale")) {
    tables.emplace_back().scale = name;
  }
  std::vector<Section> sections;
  for (auto& table : tables) {
    sections.push_back({"scale." + table.scale, table.fields()});
  }
  read_toml_text(toml, kNoiseFile, {}, sections);
  return tables;
}

bool matters(const std::string& key) {
  const auto is = [&](std::string_view other) { return key == other; };
  const auto ends = [&](std::string_view name) { return key.substr(key.rfind('.') + 1) == name; };
  return !key.starts_with("data.") && !key.starts_with("evaluation.") &&
         std::none_of(kNoMatter.begin(), kNoMatter.end(), is) &&
         !(key.starts_with(kSystem) &&
           std::any_of(kNoMatterOfSystems.begin(), kNoMatterOfSystems.end(), ends));
}

/// The settings that matter, value by `section.key`, out of a TOML text of sections.
std::map<std::string, std::string> settings_of(const std::string& toml) {
  std::map<std::string, std::string> settings;
  std::istringstream lines(toml);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) {
      section = line.substr(1, line.find(']') - 1);
      continue;
    }
    const auto sign = line.find(" = ");
    const auto key = section + "." + line.substr(0, sign);
    if (sign != std::string::npos && matters(key)) {
      settings[key] = line.substr(sign + 3);
    }
  }
  return settings;
}

/// `system.NAME.` of a setting of a system; empty of any other.
std::string system_prefix(const std::string& key) {
  return key.starts_with(kSystem) ? key.substr(0, key.find('.', kSystem.size()) + 1) : "";
}

/// What a table holds for: settings that it does not name are those of an empty file.
StudyConfig config_of(const NoiseTable& table) {
  StudyConfig config;
  for (const auto& setting : table.settings) {
    const auto prefix = system_prefix(setting.substr(0, setting.find('=')));
    const auto name = prefix.substr(0, prefix.size() - (prefix.empty() ? 0 : 1));
    if (!name.empty() &&
        (config.systems.empty() || std::string(kSystem) + config.systems.back().name != name)) {
      config.systems.emplace_back().name = name.substr(kSystem.size());
    }
  }
  apply_settings(table.settings, kNoiseFile, config.sections());
  return config;
}

/// Of the data that the study has; [system.NAME] only of systems that both have.
std::map<std::string, std::string> comparable(StudyConfig config, const StudyConfig& other) {
  auto settings = settings_of(write_toml(config.sections()));
  std::erase_if(settings, [&](const auto& setting) {
    const auto& key = setting.first;
    const auto prefix = system_prefix(key);
    const bool of_both = std::any_of(
        other.systems.begin(), other.systems.end(),
        [&](const auto& system) { return prefix == fmt::format("{}{}.", kSystem, system.name); });
    return prefix.empty() ? key.starts_with("benchmark.") && config.part_name() != "benchmark"
                          : !of_both;
  });
  return settings;
}

/// Whether a study has the settings of a table, but for those that do not matter.
bool holds_for(const NoiseTable& table, const StudyConfig& config) {
  const auto wanted = config_of(table);
  return table.part == config.part_name() && config.run.training.init.empty() &&
         comparable(config, wanted) == comparable(wanted, config);
}

void add_deviation(SeedNoise& noise, const std::string& line) {
  std::istringstream words(line);
  ComparedPair pair;
  double deviation = 0.0;
  std::string more;
  if (!(words >> pair.system >> pair.other >> pair.column >> deviation) || words >> more ||
      deviation <= 0.0) {
    fail(ErrorCode::kConfig,
         "{}: expected \"SYSTEM OTHER COLUMN DEVIATION\", the last above 0, got \"{}\".",
         kNoiseFile, line);
  }
  noise.deviations[pair.system][pair.other][pair.column] = deviation;
}

/// `section.key=value` of a part's settings that matter, but for the defaults.
std::vector<std::string> settings_to_name(const PartResult& part) {
  StudyConfig empty;
  auto defaults = settings_of(write_toml(empty.sections()));
  std::vector<std::string> settings;
  for (const auto& [key, value] : settings_of(part.settings)) {
    const bool is_default =
        key.starts_with(kSystem) ? value == "\"\"" || value == "[]" : defaults[key] == value;
    if (!is_default) {
      settings.push_back(fmt::format("{}={}", key, value));
    }
  }
  return settings;
}

/// Literal strings: values of settings hold quotes.
std::string toml_list(const std::vector<std::string>& items) {
  std::string text = "[\n";
  for (const auto& item : items) {
    text += fmt::format("  '{}',\n", item);
  }
  return text + "]\n";
}

}  // namespace

std::optional<double> SeedNoise::deviation(const ComparedPair& pair) const {
  const auto find = [&](const std::string& system,
                        const std::string& other) -> std::optional<double> {
    const auto of_system = deviations.find(system);
    if (of_system == deviations.end()) {
      return std::nullopt;
    }
    const auto of_pair = of_system->second.find(other);
    if (of_pair == of_system->second.end()) {
      return std::nullopt;
    }
    const auto found = of_pair->second.find(pair.column);
    return found == of_pair->second.end() ? std::nullopt : std::optional(found->second);
  };
  const auto found = find(pair.system, pair.other);
  return found ? found : find(pair.other, pair.system);
}

SeedNoise noise_of_text(std::string_view toml, const StudyConfig& config) {
  for (const auto& table : read_tables(toml)) {
    SeedNoise noise{
        .source = fmt::format("{} seeds of scale {}, {}", table.seeds, table.scale, table.date),
        .seeds = table.seeds,
        .steps = table.steps};
    for (const auto& line : table.deviations) {
      add_deviation(noise, line);
    }
    if (holds_for(table, config)) {
      return noise;
    }
  }
  return {};
}

SeedNoise shipped_noise(const StudyConfig& config) {
  return noise_of_text(kStudyNoise, config);
}

std::string noise_toml(const StudyResult& result, const PartResult& part) {
  std::vector<std::string> deviations;
  int64_t seeds = 0;
  int64_t steps = 0;
  for (const auto& [pair, comparison] : part.comparisons) {
    const auto* system = part.find(pair.system);
    const auto* other = part.find(pair.other);
    const auto* mirrored = part.compared({pair.other, pair.system, pair.column});
    const bool is_second = mirrored != nullptr && pair.other < pair.system;
    if (comparison.num_seeds < kFewestSeeds || !comparison.seeds ||
        comparison.seeds->deviation <= 0 || system->steps != other->steps || is_second) {
      continue;
    }
    seeds = std::max(seeds, comparison.num_seeds);
    steps = system->steps;
    deviations.push_back(fmt::format("{} {} {} {:.4g}", pair.system, pair.other, pair.column,
                                     comparison.seeds->deviation));
  }
  const auto settings = settings_to_name(part);
  if (deviations.empty() || settings.empty()) {
    fail(ErrorCode::kData,
         "study noise: expected results of {} seeds or more with their settings, got {}. Run the "
         "study with --seeds 1,2,3 or more.",
         kFewestSeeds, deviations.empty() ? "no pair of systems with as many" : "no settings");
  }
  // A table is named once in a file: of several parts each bears its part's name.
  const auto name =
      result.parts.size() > 1 ? fmt::format("{}-{}", result.scale, part.name) : result.scale;
  return fmt::format(
      "[scale.{}]\npart = \"{}\"\nseeds = {}\nsteps = {}\ndate = \"{}\"\nsettings = {}deviations = "
      "{}",
      name, part.name, seeds, steps, result.date, toml_list(settings), toml_list(deviations));
}

}  // namespace loopbank
