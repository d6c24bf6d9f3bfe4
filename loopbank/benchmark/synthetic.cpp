#include "loopbank/benchmark/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/benchmark/biographies.h"
#include "loopbank/benchmark/hops.h"
#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/random.h"
#include "loopbank/support/settings.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;
using Draw = std::function<Example(int64_t difficulty, RandomStream& random)>;

constexpr int64_t kExamplesPerDocument = 6;
/// Draws after which a side of the split counts as having no (further) problem.
constexpr int64_t kMostDraws = 5000;

Draw drawer_of(const SyntheticOptions& options) {
  if (options.task == "p-hop") {
    return [symbols = options.symbols, length = options.length](int64_t p, RandomStream& random) {
      return draw_hops(p, symbols, length, random);
    };
  }
  fail(ErrorCode::kConfig, "synthetic: unknown task \"{}\".{}", options.task,
       suggestion(options.task, synthetic_tasks()));
}

/// A property of the problem, the same for every seed, so that no run trains on what another asks.
bool is_held_out(const Example& example, double share) {
  return static_cast<double>(hash_of(example.context) >> 11U) * 0x1.0p-53 < share;
}

int64_t draw_difficulty(const DifficultyRange& range, RandomStream& random) {
  return random.between(range.min, range.max);
}

std::vector<std::string> make_documents(const SyntheticOptions& options, const Draw& draw,
                                        bool held_out) {
  RandomStream random(derive_seed(options.seed, held_out ? "validation text" : "training text"));
  const auto range = parse_difficulty_range("difficulty", options.difficulty);
  const auto wanted = held_out ? options.validation_bytes : options.training_bytes;
  std::vector<std::string> documents;
  for (int64_t bytes = 0; bytes < wanted; bytes += std::ssize(documents.back())) {
    std::string text;
    for (int64_t made = 0; made < kExamplesPerDocument;) {
      const auto example = draw(draw_difficulty(range, random), random);
      if (is_held_out(example, options.held_out_share) == held_out) {
        text += fmt::format("{} {}\n", example.context, example.answer);
        ++made;
      }
    }
    documents.push_back(std::move(text));
  }
  return documents;
}

/// @param all  whether problems of both sides of the split may be asked: of difficulties that
///             training never sees
GeneratedTask make_questions(const SyntheticOptions& options, const Draw& draw,
                             const std::string& name, const DifficultyRange& range, bool all) {
  RandomStream random(derive_seed(options.seed, name));
  GeneratedTask task{.name = name, .instances = {}};
  std::set<std::string> seen;
  int64_t failed = 0;
  while (std::ssize(task.instances) < options.num_eval_instances && failed < kMostDraws) {
    // Difficulties in turn, so that each has its share.
    const auto k = range.min + std::ssize(task.instances) % (range.max - range.min + 1);
    auto example = draw(k, random);
    if ((!all && !is_held_out(example, options.held_out_share)) ||
        !seen.insert(example.context).second) {
      ++failed;
      continue;
    }
    failed = 0;
    if (example.choices.empty()) {
      example.choices = {example.answer};
    }
    const auto label = std::find(example.choices.begin(), example.choices.end(), example.answer);
    task.instances.push_back({.task = name,
                              .id = fmt::format("{}-{}-{}", name, k, task.instances.size()),
                              .kind = options.task,
                              .difficulty = k,
                              .context = std::move(example.context),
                              .choices = example.choices,
                              .label = label - example.choices.begin(),
                              .steps = std::move(example.steps)});
  }
  return task;
}

}  // namespace

DifficultyRange parse_difficulty_range(const std::string& key, const std::string& text) {
  const auto dash = text.find('-');
  const auto number = [&](const std::string& digits) {
    if (digits.empty() || digits.size() > 3 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      fail(ErrorCode::kConfig, "{}: expected difficulties such as 1-4 or 3, got \"{}\".", key,
           text);
    }
    return static_cast<int64_t>(std::stoi(digits));
  };
  const DifficultyRange range{
      .min = number(text.substr(0, dash)),
      .max = number(dash == std::string::npos ? text : text.substr(dash + 1))};
  if (range.min < 1 || range.max < range.min) {
    fail(ErrorCode::kConfig, "{}: expected rising difficulties from 1 on, got \"{}\".", key, text);
  }
  return range;
}

std::vector<Field> SyntheticOptions::fields() {
  return {
      Field("task", &task,
            "a task of docs/tasks.md in place of the embedded benchmark; empty: none"),
      Field("difficulty", &difficulty, "difficulties of the training text, as 1-4 or 3"),
      Field("beyond", &beyond, "difficulties that are asked and never trained on; empty: none"),
      Field("instances", &num_eval_instances, "most questions of each task").minimum(1),
      Field("held_out_share", &held_out_share, "fraction of all problems that is never trained on")
          .range(0.01, 0.5),
      Field("training_bytes", &training_bytes, "size of the training text, in bytes").minimum(1),
      Field("validation_bytes", &validation_bytes, "size of the validation text, in bytes")
          .minimum(1),
      Field("symbols", &symbols, "p-hop: different symbols of a string").range(2, 26),
      Field("length", &length, "p-hop: symbols in a string").range(4, 1024),
      Field(
          "people", &people,
          "biographies: invented people that the text tells of; of a list a study makes a part of "
          "each number, with steps in proportion to it")
          .range(kFewestPeople, kMostPeople),
      Field(
          "tellings", &tellings,
          "biographies: how often the training text tells of each person, in other words each time")
          .range(1, 1000)};
}

std::vector<std::string> synthetic_tasks() {
  return {"p-hop", kBiographiesTask};
}

std::vector<std::string> tasks_of(const SyntheticOptions& options) {
  std::vector<std::string> tasks = {options.task};
  if (!options.beyond.empty()) {
    tasks.push_back(options.task + "-beyond");
  }
  return tasks;
}

Generated make_synthetic(const SyntheticOptions& options) {
  auto checked = options;
  check_fields(checked.fields(), "synthetic");
  if (options.task == kBiographiesTask) {
    return make_biographies(options);
  }
  const auto draw = drawer_of(options);
  Generated generated{.training_documents = make_documents(options, draw, false),
                      .validation_documents = make_documents(options, draw, true),
                      .tasks = {},
                      .description = {}};
  generated.tasks.push_back(make_questions(options, draw, options.task,
                                           parse_difficulty_range("difficulty", options.difficulty),
                                           /*all=*/false));
  if (!options.beyond.empty()) {
    generated.tasks.push_back(make_questions(options, draw, options.task + "-beyond",
                                             parse_difficulty_range("beyond", options.beyond),
                                             /*all=*/true));
  }
  Json description = {{"seed", options.seed}, {"options", write_json(checked.fields())}};
  generated.description = description.dump(2);
  return generated;
}

}  // namespace loopbank
