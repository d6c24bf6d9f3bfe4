#include "loopbank/study/study_config.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "loopbank/study/presets.h"
#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

void check_one_of(const std::string& where, const std::string& value,
                  const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), value) == known.end()) {
    fail(ErrorCode::kConfig, "{}: got \"{}\".{}", where, value, suggestion(value, known));
  }
}

void check_seeds(const std::string& where, const IntOrList& seeds) {
  const std::set<int64_t> distinct(seeds.values.begin(), seeds.values.end());
  if (distinct.size() != seeds.values.size() || (!distinct.empty() && *distinct.begin() < 0)) {
    fail(ErrorCode::kConfig, "{}: \"seeds\" expects different whole numbers of 0 or more.", where);
  }
}

void check(const StudyConfig& config) {
  if (config.study.seeds.values.empty()) {
    fail(ErrorCode::kConfig, "study: \"seeds\" expects at least one whole number, got none.");
  }
  check_seeds("study", config.study.seeds);
  for (const auto& [key, value] : {std::pair{"local_slots", config.study.local_slots},
                                   {"global_slots", config.study.global_slots},
                                   {"width_step", config.study.width_step}}) {
    if (value < 1) {
      fail(ErrorCode::kConfig, "study: \"{}\" expects 1 or more, got {}.", key, value);
    }
  }
  if (config.text.limit < 0 || config.text.shots < 0) {
    fail(ErrorCode::kConfig, "text: \"limit\" and \"shots\" expect 0 or more, got {} and {}.",
         config.text.limit, config.text.shots);
  }
  for (const auto& system : config.systems) {
    const auto where = "system." + system.name;
    check_one_of(where + ": \"group\" expects grid, ponder or own", system.group,
                 {"grid", "ponder", "own"});
    check_one_of(where + ": \"by\" expects parameters, flops or time", system.by,
                 {"parameters", "flops", "time"});
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

/// @param read  reads the sections from where the study stands
StudyConfig read_config(std::string name, const std::vector<std::string>& systems,
                        const std::vector<std::string>& overrides,
                        const std::function<void(const std::vector<Section>&)>& read) {
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
  read(config.sections());
  check(config);
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
                       read_toml_text(text, where, overrides, sections, bases);
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
  return {{"title", &title, "shown above the page; empty: the study's name"},
          {"seeds", &seeds, "each is a world, initial values and an order of the data"},
          {"systems", &systems, "names of the paper's ten systems; empty: all of them"},
          {"local_slots", &local_slots, "of each layer's bank in Mem systems"},
          {"global_slots", &global_slots, "of the shared bank in Mem systems"},
          {"width_step", &width_step, "F of matched baselines grows by multiples of this"}};
}

std::vector<Field> BenchmarkSettings::fields() {
  auto& facts = options.facts;
  return {
      {"people", &facts.num_people, "invented people, with 4 facts each"},
      {"places", &facts.num_places, "invented towns, with 4 facts each"},
      {"values", &facts.values_per_attribute, "different values of an attribute, 4 to 24"},
      {"wordings", &facts.wordings_per_fact, "statements that tell each fact"},
      {"asked_share", &facts.asked_share, "of the entities: their questions are trained on"},
      {"question_share", &facts.question_share, "of the bytes on facts: questions"},
      {"kinds", &kinds, "problems as KIND:MIN-MAX; empty: all kinds at their usual difficulties"},
      {"held_out_share", &options.reasoning.held_out_share, "of all problems: never trained on"},
      {"instances", &options.num_eval_instances, "questions of each part, at most"},
      {"facts_share", &options.facts_share, "of the bytes of training text; the rest: problems"},
      {"training_bytes", &options.training_bytes, "size of the training text"},
      {"validation_bytes", &options.validation_bytes, "size of the validation text"}};
}

std::vector<Field> TextSettings::fields() {
  return {{"folder", &folder,
           "of text files; those with val, valid or validation in their name are held out"},
          {"tasks", &tasks, "folders of the tasks' files"},
          {"knowledge", &knowledge, "suite or task whose accuracy and BPB are shown"},
          {"reasoning", &reasoning, "suite or task whose BPB is shown"},
          {"limit", &limit, "instances a task; 0: all"},
          {"shots", &shots, "examples before each question"},
          {"fewshot", &fewshot, "file of the examples"},
          {"tokenizer", &tokenizer, "tokenizer.json; empty: one of model.vocab_size is learned"}};
}

std::vector<Field> SystemSettings::fields() {
  return {{"label", &label, "as tables show it; empty: the name"},
          {"group", &group, "grid (loops x slots), ponder (its sweep) or own: where it is shown"},
          {"like", &like, "system whose settings it starts from"},
          {"set", &set, "`section.key=value` texts on top of those"},
          {"match", &match, "or the system that it is the dense baseline of"},
          {"by", &by, "what the baseline matches: parameters, flops or time"},
          {"seeds", &seeds, "empty: the study's"}};
}

BenchmarkOptions StudyConfig::benchmark_of(uint64_t seed) const {
  auto options = benchmark.options;
  options.seed = seed;
  if (!benchmark.kinds.empty()) {
    options.reasoning.kinds.clear();
    for (const auto& kind : benchmark.kinds) {
      options.reasoning.kinds.push_back(parse_reasoning_range(kind));
    }
  }
  return options;
}

std::vector<Section> StudyConfig::sections() {
  auto all = run.sections();
  all.insert(
      all.begin(),
      {{"study", study.fields()}, {"benchmark", benchmark.fields()}, {"text", text.fields()}});
  for (auto& system : systems) {
    all.push_back({"system." + system.name, system.fields()});
  }
  return all;
}

StudyConfig load_study_config(const fs::path& path, const std::vector<std::string>& overrides) {
  return read_config(
      path.stem().string(), toml_tables_of(path, "system"), overrides,
      [&](const std::vector<Section>& sections) { read_toml(path, overrides, sections); });
}

StudyConfig study_preset(Scale scale, const std::vector<std::string>& overrides) {
  const auto text = scale == Scale::kDemo    ? kDemoStudy
                    : scale == Scale::kSmall ? kSmallStudy
                                             : kPaperStudy;
  return read_preset(std::string(name_of(scale)), text, overrides);
}

StudyConfig text_study_preset(const std::vector<std::string>& overrides) {
  return read_preset("small-text", kSmallTextStudy, overrides);
}

}  // namespace loopbank
