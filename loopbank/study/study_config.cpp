#include "loopbank/study/study_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "loopbank/benchmark/biographies.h"
#include "loopbank/study/presets.h"
#include "loopbank/support/error.h"
#include "loopbank/train/run_init.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

void check_seeds(const std::string& where, const IntOrList& seeds) {
  const std::set<int64_t> distinct(seeds.values.begin(), seeds.values.end());
  if (distinct.size() != seeds.values.size()) {
    fail(ErrorCode::kConfig, "{}: \"seeds\" expects different whole numbers, got {}.", where,
         fmt::join(seeds.values, ", "));
  }
}

void check(const StudyConfig& config) {
  if (config.is_text() && config.is_synthetic()) {
    fail(
        ErrorCode::kConfig,
        "study: expected \"text.folder\" or \"synthetic.task\", got both. Give each a study file.");
  }
  check_seeds("study", config.study.seeds);
  for (const auto& system : config.systems) {
    const auto where = "system." + system.name;
    check_seeds(where, system.seeds);
    if (system.like.empty() == system.match.empty()) {
      fail(
          ErrorCode::kConfig,
          "{}: expected one of \"like\" (a system to start from) and \"match\" (a system to be the "
          "dense baseline of), got {}.",
          where, system.like.empty() ? "neither" : "both");
    }
  }
}

/// All systems start from the same weights, and read what the model's tokenizer makes.
void complete_retrofit(StudyConfig& config) {
  auto& training = config.run.training;
  if (config.run.model.most_loops() > 0) {
    fail(ErrorCode::kConfig,
         "study: expected a dense model to start from (training.init), to which each system adds "
         "loops and memory, got {} with \"max_loops\" up to {}.",
         training.init, config.run.model.most_loops());
  }
  training.init_hash = hash_of_init(training);
  const auto own = (fs::path(training.init) / "tokenizer.json").string();
  if (config.text.tokenizer.empty()) {
    config.text.tokenizer = own;
  }
}

/// @param read  reads the sections from where the study stands
StudyConfig read_config(std::string name, const std::vector<std::string>& systems,
                        const std::vector<std::string>& overrides,
                        const std::function<SettingPlaces(const std::vector<Section>&)>& read) {
  for (const auto& item : overrides) {
    if (item.starts_with("data.")) {
      fail(ErrorCode::kConfig,
           "study: expected --set of what the systems share, got \"{}\". A study makes its own "
           "data, from [benchmark] or [text]; use loopbank train for token files of your own.",
           item);
    }
  }
  StudyConfig config;
  config.name = std::move(name);
  for (const auto& system : systems) {
    config.systems.emplace_back().name = system;
  }
  const auto sections = config.sections();
  config.places = read_with_init(
      config.run, [&] { return read(sections); }, config.name);
  if (config.is_retrofit()) {
    complete_retrofit(config);
  }
  check_together(config.places, sections, "", [&] { check(config); });
  return config;
}

StudyConfig read_preset(const std::string& name, std::string_view text,
                        const std::vector<std::string>& overrides) {
  const std::map<std::string, std::string_view> bases = {{"../demo/base.toml", kDemoPreset},
                                                         {"../small/base.toml", kSmallPreset},
                                                         {"../paper/base.toml", kPaperPreset}};
  const auto where = "configs/study/" + name + ".toml";
  return read_config(name, toml_tables_of_text(text, where, "system"), overrides,
                     [&](const std::vector<Section>& sections) {
                       return read_toml_text(text, where, overrides, sections, bases);
                     });
}

}  // namespace

std::string_view name_of(Scale scale) {
  switch (scale) {
    case Scale::kDemo:
      return "demo";
    case Scale::kSmall:
      return "small";
    case Scale::kPaper:
      break;
  }
  return "paper";
}

std::vector<Field> StudySettings::fields() {
  return {
      Field("title", &title, "heading of the report; empty: the study's name"),
      Field("seeds", &seeds,
            "all different; each gives a world, initial weights and an order of the documents")
          .minimum(0),
      Field("systems", &systems, "which of the paper's ten systems to train; empty: all ten"),
      Field("local_slots", &local_slots, "slots of each layer's own bank in the Mem systems")
          .minimum(1),
      Field("global_slots", &global_slots, "slots of the shared bank in the Mem systems")
          .minimum(1),
      Field("width_step", &width_step, "F of a matched baseline is a multiple of this").minimum(1),
      Field("exits", &exits,
            "measure what stopping early costs and saves in the systems with loops; adds a few "
            "percent to a run's time"),
      Field("score_points", &score_points,
            "at how many points of its training, evenly spaced on a log axis of steps, a run is "
            "scored on its questions, the end's scores included; 0: at its end alone")
          .range(0, 1000),
      Field("score_point_instances", &score_point_instances,
            "questions of each task that are asked at those points; the end's scores take all")
          .minimum(1)};
}

std::vector<Field> BenchmarkSettings::fields() {
  auto all = options.fields();
  all.emplace_back("kinds", &kinds,
                   "kinds of problems as KIND:MIN-MAX, such as addition:1-3 (addition, sum, chain, "
                   "comparison, product); empty: all kinds at their usual difficulties");
  return all;
}

std::vector<Field> TextSettings::fields() {
  return {
      Field("folder", &folder,
            "folder of the text files; those with val, valid or validation in their name are held "
            "out"),
      Field("tasks", &tasks, "folders that hold the tasks' files"),
      Field("knowledge", &knowledge, "suite or task whose accuracy and bits per byte are shown"),
      Field("reasoning", &reasoning, "suite or task whose bits per byte are shown"),
      Field("limit", &limit, "questions per task; 0: all").minimum(0),
      Field("shots", &shots, "worked examples before each question").minimum(0),
      Field("fewshot", &fewshot, "file that holds the worked examples"),
      Field("tokenizer", &tokenizer,
            "a tokenizer.json; empty: one with `model.vocab_size` tokens is learned from the "
            "text")};
}

std::vector<Field> SystemSettings::fields() {
  return {
      Field("label", &label, "name in tables and figures; empty: the system's name"),
      Field("group", &group,
            "where the report shows it: with the loops and slots, in a sweep of the ponder weight, "
            "the router's bias or the scales' start, or on its own")
          .choices({"grid", "ponder", "router", "start", "own"}),
      Field("like", &like, "the system whose settings it starts from"),
      Field("set", &set, "`section.key=value` texts applied on top of those settings"),
      Field("match", &match, "the system whose dense baseline it is, in place of `like`"),
      Field("by", &by, "what the baseline has in common with `match`")
          .choices({"parameters", "flops", "time"}),
      Field("seeds", &seeds, "as in [study]; empty: the study's seeds").minimum(0)};
}

BenchmarkOptions BenchmarkSettings::with_seed(uint64_t seed) const {
  auto seeded = options;
  seeded.seed = seed;
  if (!kinds.empty()) {
    seeded.reasoning.kinds.clear();
    for (const auto& kind : kinds) {
      seeded.reasoning.kinds.push_back(parse_reasoning_range(kind));
    }
  }
  return seeded;
}

std::string StudyConfig::part_name() const {
  return is_text() ? "text" : is_synthetic() ? world_name(synthetic) : "benchmark";
}

SyntheticOptions StudyConfig::synthetic_of(uint64_t seed) const {
  auto seeded = synthetic;
  seeded.seed = seed;
  return seeded;
}

std::vector<Section> StudyConfig::sections() {
  auto all = run.sections();
  all.insert(all.begin(), {{"study", study.fields()},
                           {"benchmark", benchmark.fields()},
                           {"synthetic", synthetic.fields()},
                           {"text", text.fields()}});
  for (auto& system : systems) {
    all.push_back({"system." + system.name, system.fields()});
  }
  return all;
}

std::vector<int64_t> first_seeds(std::vector<int64_t> seeds, int64_t count) {
  const auto wanted = static_cast<size_t>(count);
  seeds.resize(std::min(seeds.size(), wanted));
  while (seeds.size() < wanted) {
    seeds.push_back(*std::max_element(seeds.begin(), seeds.end()) + 1);
  }
  return seeds;
}

StudyConfig load_study_config(const fs::path& path, const std::vector<std::string>& overrides) {
  return read_config(
      path.stem().string(), toml_tables_of(path, "system"), overrides,
      [&](const std::vector<Section>& sections) { return read_toml(path, overrides, sections); });
}

StudyConfig study_preset(Scale scale, const std::vector<std::string>& overrides) {
  const auto text = scale == Scale::kDemo    ? kDemoStudy
                    : scale == Scale::kSmall ? kSmallStudy
                                             : kPaperStudy;
  return read_preset(std::string(name_of(scale)), text, overrides);
}

StudyConfig retrofit_study_preset(const std::string& init,
                                  const std::vector<std::string>& overrides) {
  auto all = overrides;
  all.insert(all.begin(), init_setting(init));
  return read_preset("retrofit", kRetrofitStudy, all);
}

StudyConfig text_study_preset(const std::vector<std::string>& overrides) {
  return read_preset("small-text", kSmallTextStudy, overrides);
}

}  // namespace loopbank
