#include "loopbank/ops/token_tree.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_error;

/// first, tokens, end of each chain.
std::vector<std::vector<int64_t>> chains_of(const std::vector<int64_t>& depths) {
  std::vector<std::vector<int64_t>> chains;
  const TokenTree tree(depths);
  for (const auto& chain : tree.chains()) {
    chains.push_back({chain.first, chain.tokens, chain.end});
  }
  return chains;
}

using Chains = std::vector<std::vector<int64_t>>;

TEST(TokenTree, ASequenceIsOneChain) {
  EXPECT_EQ(chains_of({0}), (Chains{{0, 1, 1}}));
  EXPECT_EQ(chains_of({0, 1, 2, 3}), (Chains{{0, 4, 4}}));
  EXPECT_EQ(TokenTree({0, 1, 2, 1}).height(), 3);
}

TEST(TokenTree, ChainsPartWhereTokensHaveOtherChildren) {
  // The header's example, then a tree of its own.
  EXPECT_EQ(chains_of({0, 1, 2, 2, 1, 2, 0, 1}),
            (Chains{{0, 1, 6}, {1, 1, 4}, {2, 1, 3}, {3, 1, 4}, {4, 2, 6}, {6, 2, 8}}));
  EXPECT_EQ(chains_of({0, 1, 2, 3, 2, 3}), (Chains{{0, 2, 6}, {2, 2, 4}, {4, 2, 6}}));
  EXPECT_EQ(chains_of({0, 0, 0}), (Chains{{0, 1, 1}, {1, 1, 2}, {2, 1, 3}}));
}

TEST(TokenTree, ATokenSeesItselfAndItsAncestors) {
  const auto seen = TokenTree({0, 1, 2, 2, 1, 0}).hidden().logical_not();
  const auto expected = at::tensor({1, 0, 0, 0, 0, 0,  //
                                    1, 1, 0, 0, 0, 0,  //
                                    1, 1, 1, 0, 0, 0,  //
                                    1, 1, 0, 1, 0, 0,  //
                                    1, 0, 0, 0, 1, 0,  //
                                    0, 0, 0, 0, 0, 1})
                            .view({6, 6})
                            .to(at::kBool);
  EXPECT_TRUE(seen.equal(expected)) << seen;
}

TEST(TokenTree, RefusesDepthsOfNoTree) {
  expect_error(ErrorCode::kShape, "TokenTree: expected at least one token, got none.",
               [] { (void)TokenTree({}); });
  expect_error(ErrorCode::kShape, "TokenTree: expected a depth from 0 to 0 at token 0, got 1.",
               [] { (void)TokenTree({1}); });
  expect_error(ErrorCode::kShape, "TokenTree: expected a depth from 0 to 2 at token 2, got 3.", [] {
    (void)TokenTree({0, 1, 3});
  });
  expect_error(ErrorCode::kShape, "TokenTree: expected a depth from 0 to 1 at token 1, got -1.",
               [] {
                 (void)TokenTree({0, -1});
               });
}

}  // namespace
}  // namespace loopbank::ops
