#pragma once
/// Token sequences that share prefixes, laid out so that every shared prefix occurs once: a tree in
/// which each token sees itself and its ancestors.
///
///     the quick fox        the  quick  fox  cat  slow  dog        in preorder
///     the quick cat   ->    0     1     2    2    1     2         its depth, which is its position
///     the slow dog
///
/// The depths alone define the tree: the parent of a token is the last one before it whose depth is
/// one less. A sequence is the tree 0, 1, 2, ...; a batch of sequences is several of them in a row.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace loopbank::ops {

class TokenTree {
 public:
  /// @param depths  of at least one token; 0 for the first, and behind a token of depth k one from
  ///   0 to k + 1
  /// @throws Error kShape for other depths
  explicit TokenTree(std::vector<int64_t> depths);

  [[nodiscard]] int64_t num_tokens() const { return static_cast<int64_t>(depths_.size()); }
  [[nodiscard]] const std::vector<int64_t>& depths() const { return depths_; }
  /// Tokens of the longest sequence.
  [[nodiscard]] int64_t height() const;

  /// Tokens `first` to `first + tokens`, each the parent of the next, and none but the last with
  /// other children: the tokens up to `end` see all of them.
  struct Chain {
    int64_t first = 0;
    int64_t tokens = 0;
    int64_t end = 0;
  };
  /// Every token once, in preorder.
  [[nodiscard]] const std::vector<Chain>& chains() const { return chains_; }

  /// [T, T] bool on the CPU: whether token i (row) does not see token j.
  [[nodiscard]] at::Tensor hidden() const;

 private:
  std::vector<int64_t> depths_;
  std::vector<Chain> chains_;
};

}  // namespace loopbank::ops
