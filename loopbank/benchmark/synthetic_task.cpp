#include "loopbank/benchmark/synthetic_task.h"

#include <array>
#include <string_view>

#include "loopbank/benchmark/addition.h"
#include "loopbank/benchmark/biographies.h"
#include "loopbank/benchmark/graph.h"
#include "loopbank/benchmark/hops.h"
#include "loopbank/benchmark/mano.h"
#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

SyntheticTask hops_task(const SyntheticOptions& options) {
  const HopOptions hops{.symbols = options.symbols, .length = options.length};
  return {.draw = [hops](int64_t p, RandomStream& random) { return draw_hops(p, hops, random); },
          .shares_keys = true,
          .fills_document = true};
}

SyntheticTask mano_task(const SyntheticOptions& options) {
  return {.draw = [modulus = options.modulus](
                      int64_t k, RandomStream& random) { return draw_mano(k, modulus, random); },
          .first_held_out = 2};
}

SyntheticTask graph_task(const SyntheticOptions& options) {
  const GraphOptions graph{.modulus = options.modulus, .distractors = options.distractors};
  return {.draw = [graph](int64_t k, RandomStream& random) { return draw_graph(k, graph, random); },
          .first_held_out = 2,
          .shares_keys = true};
}

SyntheticTask addition_task(const SyntheticOptions& options) {
  return {
      .draw = [reversed = options.reversed](
                  int64_t k, RandomStream& random) { return draw_addition(k, reversed, random); },
      .first_held_out = 2};
}

struct NamedTask {
  std::string_view name;
  SyntheticTask (*make)(const SyntheticOptions& options);
};

constexpr std::array<NamedTask, 4> kTasks = {{{"p-hop", hops_task},
                                              {"mano", mano_task},
                                              {"i-gsm", graph_task},
                                              {"addition", addition_task}}};

}  // namespace

std::vector<std::string> synthetic_tasks() {
  std::vector<std::string> names;
  for (const auto& task : kTasks) {
    names.emplace_back(task.name);
  }
  names.emplace_back(kBiographiesTask);
  return names;
}

SyntheticTask synthetic_task(const SyntheticOptions& options) {
  for (const auto& task : kTasks) {
    if (task.name == options.task) {
      return task.make(options);
    }
  }
  fail(ErrorCode::kConfig, "synthetic: expected a task of docs/tasks.md, got \"{}\".{}",
       options.task, suggestion(options.task, synthetic_tasks()));
}

bool is_held_out(const Example& example, const SyntheticTask& task, double share) {
  return example.difficulty >= task.first_held_out &&
         static_cast<double>(hash_of(example.key) >> 11U) * 0x1.0p-53 < share;
}

bool is_unseen(const Example& example, const SyntheticTask& task, double share) {
  // What is easier than all that is held out, the tables, is no other problem in short.
  return !task.shares_keys || example.difficulty < task.first_held_out ||
         is_held_out(example, task, share);
}

}  // namespace loopbank
