#include "loopbank/benchmark/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "loopbank/benchmark/biographies.h"
#include "loopbank/benchmark/synthetic_task.h"
#include "loopbank/support/error.h"
#include "loopbank/support/settings.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// Draws after which a side of the split counts as having no (further) problem.
constexpr int64_t kMostDraws = 5000;

[[noreturn]] void fail_without_problems(const SyntheticOptions& options,
                                        const DifficultyRange& range, const std::string& what) {
  fail(ErrorCode::kConfig,
       "{}: expected {} of difficulties {} to {} at a held-out share of {}, found none. Allow "
       "greater difficulties.",
       options.task, what, range.min, range.max, options.held_out_share);
}

/// A document of problems from one side of the split, a line each.
std::string make_document(const SyntheticOptions& options, const SyntheticTask& task, bool held_out,
                          RandomStream& random) {
  const auto range = parse_difficulty_range("difficulty", options.difficulty);
  const auto wanted = task.fills_document ? 1 : options.problems;
  std::string text;
  int64_t failed = 0;
  for (int64_t made = 0; made < wanted;) {
    const auto example = task.draw(random.between(range.min, range.max), random);
    if (is_held_out(example, task, options.held_out_share) == held_out) {
      text += fmt::format("{}{} {}\n", example.statement, example.question, example.answer);
      ++made;
      failed = 0;
    } else if (++failed == kMostDraws) {
      fail_without_problems(options, range, held_out ? "held-out problems" : "training problems");
    }
  }
  return text;
}

std::vector<std::string> make_documents(const SyntheticOptions& options, const SyntheticTask& task,
                                        bool held_out) {
  RandomStream random(derive_seed(options.seed, held_out ? "validation text" : "training text"));
  const auto wanted = held_out ? options.validation_bytes : options.training_bytes;
  std::vector<std::string> documents;
  for (int64_t bytes = 0; bytes < wanted; bytes += std::ssize(documents.back())) {
    documents.push_back(make_document(options, task, held_out, random));
  }
  return documents;
}

BenchmarkInstance instance_of(const SyntheticOptions& options, const std::string& name,
                              int64_t number, Example example) {
  if (example.choices.empty()) {
    example.choices = {example.answer};
  }
  const auto label = std::find(example.choices.begin(), example.choices.end(), example.answer) -
                     example.choices.begin();
  return {.task = name,
          .id = fmt::format("{}-{}-{}", name, example.difficulty, number),
          .kind = options.task,
          .difficulty = example.difficulty,
          .context = example.statement + example.question,
          .choices = std::move(example.choices),
          .label = label,
          .steps = std::move(example.steps)};
}

/// Difficulties in turn, so that each has its share.
/// @param beyond  whether training never sees these difficulties: problems of both sides of the split
///                may be asked where no two difficulties have one in common
GeneratedTask make_questions(const SyntheticOptions& options, const SyntheticTask& task,
                             const std::string& name, const DifficultyRange& range, bool beyond) {
  RandomStream random(derive_seed(options.seed, name));
  GeneratedTask asked{.name = name, .instances = {}};
  std::set<std::string> seen;
  std::vector<int64_t> difficulties;
  for (auto k = range.min; k <= range.max; ++k) {
    if (beyond || k >= task.first_held_out) {
      difficulties.push_back(k);
    }
  }
  // A difficulty that has no problem left drops out.
  for (size_t turn = 0; std::ssize(asked.instances) < options.num_eval_instances;) {
    if (difficulties.empty()) {
      break;
    }
    turn %= difficulties.size();
    int64_t failed = 0;
    for (; failed < kMostDraws; ++failed) {
      auto example = task.draw(difficulties[turn], random);
      const auto share = options.held_out_share;
      const bool may_be_asked =
          beyond ? is_unseen(example, task, share) : is_held_out(example, task, share);
      if (may_be_asked && seen.insert(example.key).second) {
        asked.instances.push_back(
            instance_of(options, name, std::ssize(asked.instances), std::move(example)));
        break;
      }
    }
    if (failed == kMostDraws) {
      difficulties.erase(difficulties.begin() + static_cast<std::ptrdiff_t>(turn));
    } else {
      ++turn;
    }
  }
  if (asked.instances.empty()) {
    fail_without_problems(options, range, "problems to ask");
  }
  return asked;
}

void check(const SyntheticOptions& options) {
  auto checked = options;
  check_fields(checked.fields(), "synthetic");
  const auto trained = parse_difficulty_range("difficulty", options.difficulty);
  if (options.beyond.empty()) {
    return;
  }
  const auto beyond = parse_difficulty_range("beyond", options.beyond);
  if (beyond.min <= trained.max && trained.min <= beyond.max) {
    fail(ErrorCode::kConfig,
         "synthetic: expected \"beyond\" without the difficulties that are trained on, {}, got {}.",
         options.difficulty, options.beyond);
  }
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
      Field("problems", &problems, "problems of a document; p-hop: a string is one").range(1, 64),
      Field("symbols", &symbols, "p-hop: different symbols of a string").range(3, 26),
      Field("length", &length, "p-hop: symbols in a string").range(4, 1024),
      Field("modulus", &modulus, "mano, i-gsm: what numbers are below").range(2, 36),
      Field("distractors", &distractors, "i-gsm: assignments of no use").range(0, 20),
      Field("reversed", &reversed, "addition: numbers have their least digit first"),
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

std::vector<std::string> tasks_of(const SyntheticOptions& options) {
  std::vector<std::string> tasks = {options.task};
  if (!options.beyond.empty()) {
    tasks.push_back(options.task + "-beyond");
  }
  return tasks;
}

std::optional<double> guessing_of(const SyntheticOptions& options, const std::string& name) {
  if (options.task == kBiographiesTask) {
    return 1.0 / kBenchmarkChoices;
  }
  if (options.task != "p-hop") {
    return options.task == "addition" ? std::nullopt
                                      : std::optional(1.0 / static_cast<double>(options.modulus));
  }
  const auto range = name == options.task ? parse_difficulty_range("difficulty", options.difficulty)
                                          : parse_difficulty_range("beyond", options.beyond);
  // One hop leads to any symbol but the last one.
  const auto symbols = static_cast<double>(options.symbols);
  const auto difficulties = static_cast<double>(range.max - range.min + 1);
  const double of_one_hop = range.min == 1 ? 1.0 : 0.0;
  return (of_one_hop / (symbols - 1.0) + (difficulties - of_one_hop) / symbols) / difficulties;
}

Generated make_synthetic(const SyntheticOptions& options) {
  check(options);
  if (options.task == kBiographiesTask) {
    return make_biographies(options);
  }
  const auto task = synthetic_task(options);
  Generated generated{.training_documents = make_documents(options, task, false),
                      .validation_documents = make_documents(options, task, true),
                      .tasks = {},
                      .description = {},
                      .symbols_are_bytes = task.symbols_are_bytes};
  const auto names = tasks_of(options);
  generated.tasks.push_back(make_questions(options, task, names[0],
                                           parse_difficulty_range("difficulty", options.difficulty),
                                           /*beyond=*/false));
  if (!options.beyond.empty()) {
    generated.tasks.push_back(make_questions(options, task, names[1],
                                             parse_difficulty_range("beyond", options.beyond),
                                             /*beyond=*/true));
  }
  auto copy = options;
  const Json description = {{"seed", options.seed}, {"options", write_json(copy.fields())}};
  generated.description = description.dump(2);
  return generated;
}

}  // namespace loopbank
