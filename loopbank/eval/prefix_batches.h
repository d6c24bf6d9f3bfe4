#pragma once
/// Windows of tokens to score, in batches that hold every shared prefix once.
///
/// The choices of an instance share its context and the instances of a task its shots. A token's
/// state depends only on the tokens before it, so a shared prefix is computed once, to the exact
/// token: sorted windows form a tree (ops/token_tree.h), and a batch holds as much of it as fits.
/// What two batches share is computed in both.
///
/// Rejected: a cache of keys and values by layer and loop, which costs 2 (loops x layers) D numbers
/// per token of prefix and pads what follows it. A tree keeps nothing between layers and has no
/// padding.

#include <cstdint>
#include <span>
#include <vector>

namespace loopbank {

/// Tokens of which the last `num_scored` are scored, each given those before it.
struct Window {
  int64_t request = 0;
  std::vector<int64_t> tokens;
  int64_t num_scored = 0;
  /// Tokens that pass through the model: the last one is only scored.
  [[nodiscard]] int64_t num_inputs() const { return static_cast<int64_t>(tokens.size()) - 1; }
};

/// A tree of windows.
struct PrefixBatch {
  std::vector<int64_t> tokens;  ///< [T] in preorder
  std::vector<int64_t> depths;  ///< [T] positions, which define the tree
  std::vector<int64_t> rows;    ///< [R] tokens after which something is scored, ascending

  /// A token to score.
  struct Target {
    int64_t row = 0;  ///< into `rows`
    int64_t token = 0;
    int64_t request = 0;
  };
  std::vector<Target> targets;  ///< by row
  int64_t num_windows = 0;
};

/// Every window once, in batches of at most `batch_tokens` tokens, or of one window if that is
/// longer. The same windows give the same batches, whatever their order.
/// @param share  false: every window is computed alone, for comparison
[[nodiscard]] std::vector<PrefixBatch> make_prefix_batches(std::span<const Window> windows,
                                                           int64_t batch_tokens, bool share = true);

}  // namespace loopbank
