#include "loopbank/study/system_thinking.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/dissect/thinking_members.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/device.h"

namespace loopbank {
namespace {

const MembersForm kThinkingForm = {
    .expected = "loops of a run against the steps behind its answers",
    .remedy = "Remove the file to measure it anew.",
    .all = true};

/// One task of several runs, in the order of the runs.
using SeedsOfTask = std::vector<const LoopsAgainstSteps*>;

const LoopsAgainstSteps* find_task(const RunThinking& run, const std::string& task) {
  const auto found = std::find_if(run.tasks.begin(), run.tasks.end(),
                                  [&](const LoopsAgainstSteps& one) { return one.task == task; });
  return found == run.tasks.end() ? nullptr : &*found;
}

template <typename Pick>
RankCorrelation combine(const SeedsOfTask& seeds, const Pick& pick) {
  std::vector<RankCorrelation> all;
  all.reserve(seeds.size());
  for (const auto* seed : seeds) {
    all.push_back(pick(*seed));
  }
  return combine_seeds(all);
}

/// Means over the tokens of all seeds.
std::vector<LoopsAtSteps> pool_by_steps(const SeedsOfTask& seeds) {
  std::map<int64_t, LoopsAtSteps> cells;
  for (const auto* seed : seeds) {
    for (const auto& from : seed->by_steps) {
      auto& cell = cells[from.steps];
      cell.steps = from.steps;
      cell.tokens += from.tokens;
      cell.loops_by_layer.resize(from.loops_by_layer.size(), 0.0);
      const double share = static_cast<double>(from.tokens) / static_cast<double>(cell.tokens);
      for (size_t l = 0; l < from.loops_by_layer.size(); ++l) {
        cell.loops_by_layer[l] += share * (from.loops_by_layer[l] - cell.loops_by_layer[l]);
      }
    }
  }
  std::vector<LoopsAtSteps> all;
  for (auto& [steps, cell] : cells) {
    cell.loops = mean_of(cell.loops_by_layer);
    all.push_back(std::move(cell));
  }
  return all;
}

LoopsAgainstSteps over_seeds(const SeedsOfTask& seeds) {
  const auto& first = *seeds.front();
  LoopsAgainstSteps all{.task = first.task, .seeds = 0, .by_steps = pool_by_steps(seeds)};
  for (const auto* seed : seeds) {
    if (seed->by_layer.size() != first.by_layer.size()) {
      fail(ErrorCode::kData,
           "thinking: expected seeds of one system with as many layers each, got {} and {} of {}. "
           "Remove their thinking.json to measure them anew.",
           first.by_layer.size(), seed->by_layer.size(), first.task);
    }
    all.seeds += seed->seeds;
    all.questions += seed->questions;
    all.tokens += seed->tokens;
  }
  all.correlation = combine(seeds, [](const auto& seed) { return seed.correlation; });
  all.given_place = combine(seeds, [](const auto& seed) { return seed.given_place; });
  all.given_loss = combine(seeds, [](const auto& seed) { return seed.given_loss; });
  for (size_t l = 0; l < first.by_layer.size(); ++l) {
    all.by_layer.push_back(combine(seeds, [&](const auto& seed) { return seed.by_layer[l]; }));
  }
  return all;
}

/// `+0.41 [+0.30, +0.52]`
std::string show_rho(const RankCorrelation& correlation) {
  return correlation.has_interval ? fmt::format("{:+.2f} [{:+.2f}, {:+.2f}]", correlation.rho,
                                                correlation.low, correlation.high)
                                  : fmt::format("{:+.2f}", correlation.rho);
}

const char* trend_of(const RankCorrelation& correlation) {
  if (!correlation.is_clear()) {
    return "Loops neither clearly rise nor fall";
  }
  return correlation.rho > 0.0 ? "Loops rise" : "Loops fall";
}

/// `; layer 2 most (+0.55)`: the layer with the greatest rho in the direction of all.
std::string describe_layer(const LoopsAgainstSteps& thinking) {
  const double direction = thinking.correlation.rho < 0.0 ? -1.0 : 1.0;
  const auto most = std::max_element(thinking.by_layer.begin(), thinking.by_layer.end(),
                                     [&](const RankCorrelation& a, const RankCorrelation& b) {
                                       return direction * a.rho < direction * b.rho;
                                     });
  return thinking.by_layer.size() < 2 || !most->has_interval
             ? ""
             : fmt::format("; layer {} most ({:+.2f})", most - thinking.by_layer.begin() + 1,
                           most->rho);
}

}  // namespace

void members(auto& by, Either<RunThinking> auto& thinking) {
  by("seed", thinking.seed);
  by.list("tasks", thinking.tasks);
}

void ensure_thinking(const RunConfig& run, const std::vector<Task>& tasks,
                     const std::filesystem::path& folder) {
  const auto path = folder / "thinking.json";
  const bool any_steps = std::any_of(tasks.begin(), tasks.end(), has_known_steps);
  if (run.model.most_loops() < 2 || !any_steps || std::filesystem::exists(path)) {
    return;
  }
  const auto loaded = load_inference_model(folder, choose_device(run.training.device));
  const ThinkingOptions options{.compute_dtype = run.training.forward_options().compute_dtype};
  RunThinking thinking{.seed = run.training.seed};
  for (const auto& task : tasks) {
    if (has_known_steps(task)) {
      thinking.tasks.push_back(loops_against_steps(
          task.name, measure_answer_tokens(loaded.model, loaded.tokenizer, task, options)));
    }
  }
  write_file_atomically(path, JsonWriter::write(thinking).dump() + "\n");
}

std::optional<RunThinking> read_thinking(const std::filesystem::path& folder) {
  return read_members_file<RunThinking>(folder / "thinking.json", kThinkingForm);
}

std::vector<LoopsAgainstSteps> summarize_thinking(const std::vector<RunThinking>& runs) {
  std::vector<LoopsAgainstSteps> all;
  for (const auto& task : runs.empty() ? std::vector<LoopsAgainstSteps>() : runs.front().tasks) {
    SeedsOfTask seeds;
    for (const auto& run : runs) {
      if (const auto* found = find_task(run, task.task)) {
        seeds.push_back(found);
      }
    }
    if (seeds.size() == runs.size()) {
      all.push_back(over_seeds(seeds));
    }
  }
  return all;
}

std::string describe(const LoopsAgainstSteps& thinking) {
  const auto& fewest = thinking.by_steps.front();
  const auto& most = thinking.by_steps.back();
  if (thinking.by_steps.size() < 2) {
    return fmt::format("All answer tokens of {} have {} behind them and take {:.2f} loops.",
                       thinking.task, plural(fewest.steps, "step"), fewest.loops);
  }
  if (!thinking.correlation.has_interval && thinking.correlation.rho == 0.0) {
    return fmt::format("All answer tokens of {} take {:.2f} loops, whatever lies behind them.",
                       thinking.task, fewest.loops);
  }
  auto text = fmt::format(
      "{} with the steps behind a token of {}: rho {} over {}{}. Tokens with {} take {:.2f} loops, "
      "with {} {:.2f}.",
      trend_of(thinking.correlation), thinking.task, show_rho(thinking.correlation),
      thinking.seeds > 1 ? plural(thinking.seeds, "seed")
                         : fmt::format("{} questions of one seed", thinking.questions),
      describe_layer(thinking), plural(fewest.steps, "step"), fewest.loops,
      plural(most.steps, "step"), most.loops);
  text += fmt::format(" With the token's place held rho is {}, with its loss held {}.",
                      show_rho(thinking.given_place), show_rho(thinking.given_loss));
  return text;
}

std::string describe(const std::vector<LoopsAgainstSteps>& thinking) {
  std::string text;
  for (const auto& task : thinking) {
    text.append(text.empty() ? 0 : 1, ' ').append(describe(task));
  }
  return text;
}

}  // namespace loopbank
