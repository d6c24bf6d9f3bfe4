#include "loopbank/ops/token_tree.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

/// Where the descendants of each token end: the next token that is no deeper.
std::vector<int64_t> ends_of(const std::vector<int64_t>& depths) {
  const auto size = static_cast<int64_t>(depths.size());
  std::vector<int64_t> ends(depths.size(), size);
  std::vector<int64_t> open;  // tokens whose end is still to come, by depth
  for (int64_t i = 0; i < size; ++i) {
    for (const auto depth = static_cast<size_t>(depths[static_cast<size_t>(i)]);
         open.size() > depth; open.pop_back()) {
      ends[static_cast<size_t>(open.back())] = i;
    }
    open.push_back(i);
  }
  return ends;
}

}  // namespace

TokenTree::TokenTree(std::vector<int64_t> depths) : depths_(std::move(depths)) {
  if (depths_.empty()) {
    fail(ErrorCode::kShape, "TokenTree: expected at least one token, got none.");
  }
  for (size_t i = 0; i < depths_.size(); ++i) {
    const int64_t most = i == 0 ? 0 : depths_[i - 1] + 1;
    if (depths_[i] < 0 || depths_[i] > most) {
      fail(ErrorCode::kShape, "TokenTree: expected a depth from 0 to {} at token {}, got {}.", most,
           i, depths_[i]);
    }
  }
  const auto ends = ends_of(depths_);
  for (size_t i = 0; i < depths_.size(); ++i) {
    if (i > 0 && depths_[i] == depths_[i - 1] + 1 && ends[i] == ends[i - 1]) {
      ++chains_.back().tokens;
    } else {
      chains_.push_back({.first = static_cast<int64_t>(i), .tokens = 1, .end = ends[i]});
    }
  }
}

int64_t TokenTree::height() const {
  return 1 + *std::max_element(depths_.begin(), depths_.end());
}

at::Tensor TokenTree::hidden() const {
  const auto tokens = at::arange(num_tokens(), at::kLong);    // [T]
  const auto ends = at::tensor(ends_of(depths_), at::kLong);  // [T]
  const auto row = tokens.unsqueeze(1);                       // [T, 1]
  return row.lt(tokens).logical_or(row.ge(ends));             // [T, T]
}

}  // namespace loopbank::ops
