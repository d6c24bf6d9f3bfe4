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

/// Problems that have nothing in common.
template <typename DrawOne>
SyntheticTask one_by_one(int64_t first_held_out, DrawOne draw_one) {
  return {.draw =
              [draw_one](const std::vector<int64_t>& difficulties, RandomStream& random) {
                std::vector<Example> examples;
                for (const auto k : difficulties) {
                  examples.push_back(draw_one(k, random));
                }
                return examples;
              },
          .first_held_out = first_held_out};
}

SyntheticTask hops_task(const SyntheticOptions& options) {
  const HopOptions hops{.symbols = options.symbols, .length = options.length};
  return {.draw = [hops](const std::vector<int64_t>& difficulties,
                         RandomStream& random) { return draw_hops(difficulties, hops, random); },
          .shares_statement = true};
}

SyntheticTask mano_task(const SyntheticOptions& options) {
  return one_by_one(2, [modulus = options.modulus](int64_t k, RandomStream& random) {
    return draw_mano(k, modulus, random);
  });
}

SyntheticTask graph_task(const SyntheticOptions& options) {
  const GraphOptions graph{.modulus = options.modulus, .distractors = options.distractors};
  return one_by_one(
      2, [graph](int64_t k, RandomStream& random) { return draw_graph(k, graph, random); });
}

SyntheticTask addition_task(const SyntheticOptions& options) {
  return one_by_one(2, [reversed = options.reversed](int64_t k, RandomStream& random) {
    return draw_addition(k, reversed, random);
  });
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

}  // namespace loopbank
