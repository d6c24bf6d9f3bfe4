#pragma once
/// The synthetic tasks by name: how each draws its problems, and which of them may be held out.

#include <cstdint>
#include <functional>

#include "loopbank/benchmark/example.h"
#include "loopbank/benchmark/synthetic.h"
#include "loopbank/support/random.h"

namespace loopbank {

struct SyntheticTask {
  std::function<Example(int64_t difficulty, RandomStream& random)> draw;
  /// Problems that are less difficult are the tables that all others are made of: always trained on,
  /// never asked.
  int64_t first_held_out = 1;
  /// Whether problems of two difficulties may be solved alike: a string of p-hop under another p, a
  /// graph that assigns the same twice under two names.
  bool shares_keys = false;
  bool fills_document = false;    ///< one problem is a document
  bool symbols_are_bytes = true;  ///< false: words, of which a tokenizer is learned
};

/// @throws Error kConfig for an unknown task, with the nearest
[[nodiscard]] SyntheticTask synthetic_task(const SyntheticOptions& options);

/// Whether a problem is kept out of training text: a property of the problem, the same for every seed,
/// so that no run trains on what another asks.
[[nodiscard]] bool is_held_out(const Example& example, const SyntheticTask& task, double share);

/// Whether a problem of a difficulty that is not trained on may be asked: no training text has one that
/// is solved alike.
[[nodiscard]] bool is_unseen(const Example& example, const SyntheticTask& task, double share);

}  // namespace loopbank
