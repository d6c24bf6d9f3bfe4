#include "loopbank/study/noise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <vector>

#include "loopbank/study/presets.h"
#include "loopbank/study/results.h"
#include "loopbank/support/error.h"
#include "loopbank/support/settings.h"

namespace loopbank {
namespace {

constexpr const char* kNoiseFile = "configs/study/noise.toml";
constexpr int64_t kFewestSeeds = 3;

/// Settings that a difference between two systems hangs on, and that a user changes.
constexpr std::array kNoiseSettings = {
    "model.vocab_size",        "model.hidden_size",         "model.intermediate_size",
    "model.num_hidden_layers", "model.num_attention_heads", "training.steps",
    "training.batch",          "training.sequence_length",  "schedule.peak_rate",
    "study.local_slots",       "study.global_slots",        "benchmark.people",
    "benchmark.places",        "benchmark.values",          "benchmark.kinds",
    "benchmark.instances",     "benchmark.training_bytes",  "synthetic.task"};

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

/// Whether the settings say what the study has anyway.
bool holds_for(const NoiseTable& table, const StudyConfig& config) {
  auto given = config;
  auto wanted = config;
  apply_settings(table.settings, kNoiseFile, wanted.sections());
  return table.part == config.part_name() && config.run.training.init.empty() &&
         write_toml(given.sections()) == write_toml(wanted.sections());
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

/// `section.key=value` of a setting, as the part's settings have it.
std::vector<std::string> settings_of(const PartResult& part) {
  std::vector<std::string> settings;
  std::istringstream lines(part.settings);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) {
      section = line.substr(1, line.find(']') - 1);
      continue;
    }
    const auto sign = line.find(" = ");
    const auto key = section + "." + line.substr(0, sign);
    if (sign != std::string::npos &&
        std::find(kNoiseSettings.begin(), kNoiseSettings.end(), key) != kNoiseSettings.end()) {
      settings.push_back(key + "=" + line.substr(sign + 3));
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
    if (holds_for(table, config)) {
      SeedNoise noise{
          .source = fmt::format("{} seeds of scale {}, {}", table.seeds, table.scale, table.date),
          .seeds = table.seeds,
          .steps = table.steps};
      for (const auto& line : table.deviations) {
        add_deviation(noise, line);
      }
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
  const auto settings = settings_of(part);
  if (deviations.empty() || settings.empty()) {
    fail(ErrorCode::kData,
         "study noise: expected results of {} seeds or more with their settings, got {}. Run the "
         "study with --seeds 1,2,3 or more.",
         kFewestSeeds, deviations.empty() ? "no pair of systems with as many" : "no settings");
  }
  return fmt::format(
      "[scale.{}]\npart = \"{}\"\nseeds = {}\nsteps = {}\ndate = \"{}\"\nsettings = {}deviations = "
      "{}",
      result.scale, part.name, seeds, steps, result.date, toml_list(settings),
      toml_list(deviations));
}

}  // namespace loopbank
