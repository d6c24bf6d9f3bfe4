/// What every op says to tensors of a wrong rank, size or dtype: an Error that names the op, never
/// LibTorch's own text.

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "loopbank/ops/attention.h"
#include "loopbank/ops/cast.h"
#include "loopbank/ops/cross_entropy.h"
#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/feed_forward.h"
#include "loopbank/ops/gated_sum.h"
#include "loopbank/ops/halting.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/linear.h"
#include "loopbank/ops/linear_cross_entropy.h"
#include "loopbank/ops/memory_read.h"
#include "loopbank/ops/norm.h"
#include "loopbank/ops/norm_linear.h"
#include "loopbank/ops/rotary.h"
#include "loopbank/ops/self_attention.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

constexpr double kNormEps = 1e-5;
constexpr int64_t kLeftOut = -100;

struct BadCall {
  std::string op;
  std::string what;  ///< is wrong with it
  ErrorCode code = ErrorCode::kShape;
  std::function<void()> call;
};

std::ostream& operator<<(std::ostream& out, const BadCall& call) {
  return out << call.op << ' ' << call.what;
}

at::Tensor fp32(at::IntArrayRef shape) {
  return at::ones(shape, at::kFloat);
}
at::Tensor bf16(at::IntArrayRef shape) {
  return at::ones(shape, at::kBFloat16);
}
at::Tensor whole(at::IntArrayRef shape) {
  return at::ones(shape, at::kLong);
}
at::Tensor ids(at::IntArrayRef shape, int64_t id) {
  return at::full(shape, id, at::kLong);
}

std::shared_ptr<LinearWeights> weights(const std::vector<at::Tensor>& masters) {
  return std::make_shared<LinearWeights>(masters, at::kFloat);
}

FeedForwardWeights branch(const at::Tensor& norm) {
  return {.norm = norm,
          .eps = kNormEps,
          .gate_up = weights({fp32({16, 8}), fp32({16, 8})}),
          .down = weights({fp32({8, 16})})};
}

/// 2 query heads and 1 key head of width 4 for 3 tokens.
constexpr AttentionHeads kHeads{.query = 2, .key = 1};
RotaryTable table() {
  return rotary_table(0, 3, 4, 1e4, at::kCPU);
}
HeadNorm head_norm(int64_t width = 4) {
  return {.query_weight = fp32({width}), .key_weight = fp32({width}), .eps = kNormEps};
}

/// A list that grows by calls.
struct Calls {
  template <typename Call>
  void operator()(const char* op, const char* what, ErrorCode code, const Call& call) {
    all.push_back({op, what, code, [call] { static_cast<void>(call()); }});
  }
  std::vector<BadCall> all;
};

std::vector<BadCall> calls_of_attention() {
  Calls bad;
  const auto q = fp32({1, 2, 3, 4});
  bad("causal_attention", "Rank", ErrorCode::kShape, [=] {
    return causal_attention(fp32({2, 3, 4}), q, q);
  });
  bad("causal_attention", "NoTensor", ErrorCode::kShape,
      [=] { return causal_attention(at::Tensor(), q, q); });
  bad("causal_attention", "Heads", ErrorCode::kShape, [=] {
    return causal_attention(fp32({1, 3, 3, 4}), q, q);
  });
  bad("causal_attention", "Values", ErrorCode::kShape, [=] {
    return causal_attention(q, q, fp32({1, 2, 2, 4}));
  });
  bad("causal_attention", "DtypeOfKeys", ErrorCode::kDtype, [=] {
    return causal_attention(q, bf16({1, 2, 3, 4}), q);
  });
  bad("causal_attention", "WholeNumbers", ErrorCode::kDtype, [=] {
    return causal_attention(whole({1, 2, 3, 4}), q, q);
  });
  bad("self_attention", "Rank", ErrorCode::kShape, [=] {
    return self_attention(fp32({3, 16}), kHeads, table(), head_norm());
  });
  bad("self_attention", "Width", ErrorCode::kShape, [=] {
    return self_attention(fp32({1, 3, 17}), kHeads, table(), head_norm());
  });
  bad("self_attention", "Tokens", ErrorCode::kShape, [=] {
    return self_attention(fp32({1, 2, 16}), kHeads, table(), head_norm());
  });
  bad("self_attention", "Norm", ErrorCode::kShape, [=] {
    return self_attention(fp32({1, 3, 16}), kHeads, table(), head_norm(3));
  });
  bad("self_attention", "NumberOfHeads", ErrorCode::kShape, [=] {
    return self_attention(fp32({1, 3, 16}), {.query = 0, .key = 0}, table(), head_norm());
  });
  bad("self_attention", "WholeNumbers", ErrorCode::kDtype, [=] {
    return self_attention(whole({1, 3, 16}), kHeads, table(), head_norm());
  });
  bad("rotary_table", "OddWidth", ErrorCode::kShape,
      [=] { return rotary_table(0, 3, 5, 1e4, at::kCPU); });
  bad("rotary_table", "NoWidth", ErrorCode::kShape,
      [=] { return rotary_table(0, 3, 0, 1e4, at::kCPU); });
  bad("rotary_table", "Count", ErrorCode::kShape,
      [=] { return rotary_table(0, -3, 4, 1e4, at::kCPU); });
  bad("rotary_table", "RankOfPositions", ErrorCode::kShape, [=] {
    return rotary_table(whole({2, 3}), 4, 1e4, at::kCPU);
  });
  bad("rotary_norm", "Rank", ErrorCode::kShape,
      [=] { return rotary_norm(fp32({4}), table(), fp32({4}), kNormEps); });
  bad("rotary_norm", "Tokens", ErrorCode::kShape, [=] {
    return rotary_norm(fp32({1, 2, 2, 4}), table(), fp32({4}), kNormEps);
  });
  bad("rotary_norm", "OddWidth", ErrorCode::kShape, [=] {
    return rotary_norm(fp32({1, 2, 3, 5}), table(), fp32({5}), kNormEps);
  });
  bad("rotary_norm", "WholeNumbers", ErrorCode::kDtype, [=] {
    return rotary_norm(whole({1, 2, 3, 4}), table(), fp32({4}), kNormEps);
  });
  return bad.all;
}

std::vector<BadCall> calls_of_losses() {
  Calls bad;
  const auto logits = fp32({3, 5});
  bad("cross_entropy", "Rank", ErrorCode::kShape,
      [=] { return cross_entropy(fp32({5}), ids({1}, 0), kLeftOut); });
  bad("cross_entropy", "NoDimension", ErrorCode::kShape,
      [=] { return cross_entropy(fp32({}), ids({1}, 0), kLeftOut); });
  bad("cross_entropy", "Rank3", ErrorCode::kShape, [=] {
    return cross_entropy(fp32({3, 5, 2}), ids({3}, 0), kLeftOut);
  });
  bad("cross_entropy", "NumberOfTargets", ErrorCode::kShape,
      [=] { return cross_entropy(logits, ids({2}, 0), kLeftOut); });
  bad("cross_entropy", "DtypeOfTargets", ErrorCode::kDtype,
      [=] { return cross_entropy(logits, fp32({3}), kLeftOut); });
  bad("cross_entropy", "WholeNumbers", ErrorCode::kDtype, [=] {
    return cross_entropy(whole({3, 5}), ids({3}, 0), kLeftOut);
  });
  bad("cross_entropy", "TargetBehindTheLast", ErrorCode::kData,
      [=] { return cross_entropy(logits, ids({3}, 5), kLeftOut); });
  bad("cross_entropy", "TargetBelowZero", ErrorCode::kData,
      [=] { return cross_entropy(logits, ids({3}, -1), kLeftOut); });
  const auto states = fp32({3, 4}), head = fp32({5, 4});
  bad("linear_cross_entropy", "Rank", ErrorCode::kShape,
      [=] { return linear_cross_entropy(fp32({4}), head, ids({1}, 0), kLeftOut); });
  bad("linear_cross_entropy", "NoDimension", ErrorCode::kShape,
      [=] { return linear_cross_entropy(fp32({}), head, ids({1}, 0), kLeftOut); });
  bad("linear_cross_entropy", "Width", ErrorCode::kShape, [=] {
    return linear_cross_entropy(states, fp32({5, 3}), ids({3}, 0), kLeftOut);
  });
  bad("linear_cross_entropy", "RankOfTargets", ErrorCode::kShape, [=] {
    return linear_cross_entropy(states, head, ids({3, 1}, 0), kLeftOut);
  });
  bad("linear_cross_entropy", "DtypeOfTargets", ErrorCode::kDtype,
      [=] { return linear_cross_entropy(states, head, fp32({3}), kLeftOut); });
  bad("linear_cross_entropy", "WholeNumbers", ErrorCode::kDtype, [=] {
    return linear_cross_entropy(whole({3, 4}), head, ids({3}, 0), kLeftOut);
  });
  bad("linear_cross_entropy", "Target", ErrorCode::kData,
      [=] { return linear_cross_entropy(states, head, ids({3}, 5), kLeftOut); });
  return bad.all;
}

std::vector<BadCall> calls_of_layers() {
  Calls bad;
  const auto w = [] { return weights({fp32({6, 8})}); };
  bad("linear", "NoWeights", ErrorCode::kShape, [=] { return weights({}); });
  bad("linear", "RankOfTheWeight", ErrorCode::kShape, [=] { return weights({fp32({8})}); });
  bad("linear", "WidthOfTheSecondWeight", ErrorCode::kShape, [=] {
    return weights({fp32({6, 8}), fp32({6, 7})});
  });
  bad("linear", "Width", ErrorCode::kShape, [=] { return linear(fp32({3, 7}), w()); });
  bad("linear", "NoDimension", ErrorCode::kShape, [=] { return linear(fp32({}), w()); });
  bad("linear", "Dtype", ErrorCode::kDtype, [=] { return linear(bf16({3, 8}), w()); });
  bad("linear", "WholeNumbers", ErrorCode::kDtype, [=] { return linear(whole({3, 8}), w()); });
  // 256 rows go to the fused versions, 3 do not.
  for (const int64_t rows : {3, 256}) {
    bad("norm_linear", rows == 3 ? "NormOfFewRows" : "NormOfManyRows", ErrorCode::kShape, [=] {
      return norm_linear(fp32({rows, 8}), fp32({7}), kNormEps, w()).y;
    });
    bad("feed_forward", rows == 3 ? "NormOfFewRows" : "NormOfManyRows", ErrorCode::kShape, [=] {
      return feed_forward(fp32({rows, 8}), branch(fp32({7})), {});
    });
    bad("feed_forward", rows == 3 ? "ScaleOfFewRows" : "ScaleOfManyRows", ErrorCode::kShape, [=] {
      return feed_forward(fp32({rows, 8}), branch(fp32({8})), fp32({2}));
    });
  }
  bad("norm_linear", "Width", ErrorCode::kShape, [=] {
    return norm_linear(fp32({3, 7}), fp32({8}), kNormEps, w()).y;
  });
  bad("norm_linear", "WholeNumbers", ErrorCode::kDtype, [=] {
    return norm_linear(whole({3, 8}), fp32({8}), kNormEps, w()).y;
  });
  bad("feed_forward", "Width", ErrorCode::kShape, [=] {
    return feed_forward(fp32({3, 7}), branch(fp32({8})), {});
  });
  bad("feed_forward", "NoDimension", ErrorCode::kShape,
      [=] { return feed_forward(fp32({}), branch(fp32({8})), {}); });
  bad("feed_forward", "WholeNumbers", ErrorCode::kDtype, [=] {
    return feed_forward(whole({3, 8}), branch(fp32({8})), {});
  });
  bad("swiglu", "OddWidth", ErrorCode::kShape, [=] { return swiglu(fp32({3, 5})); });
  bad("swiglu", "NoDimension", ErrorCode::kShape, [=] { return swiglu(fp32({})); });
  bad("swiglu", "WholeNumbers", ErrorCode::kDtype, [=] { return swiglu(whole({3, 4})); });
  bad("scaled_residual", "Branch", ErrorCode::kShape, [=] {
    return scaled_residual(fp32({3, 4}), fp32({3, 5}), {});
  });
  bad("scaled_residual", "Scale", ErrorCode::kShape, [=] {
    return scaled_residual(fp32({3, 4}), fp32({3, 4}), fp32({3}));
  });
  bad("scaled_residual", "WholeNumbers", ErrorCode::kDtype, [=] {
    return scaled_residual(whole({3, 4}), fp32({3, 4}), {});
  });
  bad("rms_norm", "Weight", ErrorCode::kShape, [=] {
    return rms_norm(fp32({3, 4}), fp32({5}), kNormEps, at::kFloat);
  });
  bad("rms_norm", "NoDimension", ErrorCode::kShape,
      [=] { return rms_norm(fp32({}), fp32({1}), kNormEps, at::kFloat); });
  bad("rms_norm", "WholeNumbers", ErrorCode::kDtype, [=] {
    return rms_norm(whole({3, 4}), fp32({4}), kNormEps, at::kFloat);
  });
  bad("layer_norm", "Bias", ErrorCode::kShape, [=] {
    return layer_norm(fp32({3, 4}), fp32({4}), fp32({3}), kNormEps, at::kFloat);
  });
  bad("layer_norm", "NoDimension", ErrorCode::kShape,
      [=] { return layer_norm(fp32({}), fp32({1}), fp32({1}), kNormEps, at::kFloat); });
  bad("layer_norm", "WholeNumbers", ErrorCode::kDtype, [=] {
    return layer_norm(whole({3, 4}), fp32({4}), fp32({4}), kNormEps, at::kFloat);
  });
  bad("copy_into", "Shape", ErrorCode::kShape, [=] {
    copy_into(fp32({3}), fp32({4}));
    return 0;
  });
  return bad.all;
}

std::vector<BadCall> calls_of_loops() {
  Calls bad;
  const auto query = fp32({1, 3, 4}), bank = fp32({5, 4});
  bad("memory_read", "NoDimension", ErrorCode::kShape,
      [=] { return memory_read(fp32({}), bank, bank); });
  bad("memory_read", "RankOfKeys", ErrorCode::kShape,
      [=] { return memory_read(query, fp32({4}), bank); });
  bad("memory_read", "Width", ErrorCode::kShape, [=] {
    return memory_read(query, fp32({5, 3}), bank);
  });
  bad("memory_read", "NumberOfValues", ErrorCode::kShape, [=] {
    return memory_read(query, bank, fp32({6, 4}));
  });
  bad("memory_read", "DtypeOfKeys", ErrorCode::kDtype, [=] {
    return memory_read(query, bf16({5, 4}), bank);
  });
  bad("memory_read", "DtypeOfValues", ErrorCode::kDtype, [=] {
    return memory_read(query, bank, bf16({5, 4}));
  });
  bad("memory_read", "WholeNumbers", ErrorCode::kDtype, [=] {
    return memory_read(whole({1, 3, 4}), bank, bank);
  });
  const auto state = fp32({1, 3, 4});
  bad("gated_sum", "NoBank", ErrorCode::kShape, [=] {
    return gated_sum(state, fp32({1, 3, 4}), {}, {});
  });
  bad("gated_sum", "Logits", ErrorCode::kShape, [=] {
    return gated_sum(state, fp32({1, 3, 5}), {fp32({4})}, {state});
  });
  bad("gated_sum", "Bias", ErrorCode::kShape, [=] {
    return gated_sum(state, fp32({1, 3, 4}), {fp32({5})}, {state});
  });
  bad("gated_sum", "NoDimension", ErrorCode::kShape,
      [=] { return gated_sum(fp32({}), fp32({1}), {fp32({1})}, {fp32({})}); });
  bad("gated_sum", "WholeNumbers", ErrorCode::kDtype, [=] {
    return gated_sum(whole({1, 3, 4}), fp32({1, 3, 4}), {fp32({4})}, {state});
  });
  bad("memory_gate", "Bias", ErrorCode::kShape, [=] {
    return memory_gate(fp32({3, 4}), fp32({5}));
  });
  bad("memory_gate", "NoDimension", ErrorCode::kShape,
      [=] { return memory_gate(fp32({}), fp32({1})); });
  bad("halting_distribution", "NoLoop", ErrorCode::kShape,
      [=] { return halting_distribution({}); });
  bad("halting_distribution", "FirstLoop", ErrorCode::kShape, [=] {
    return halting_distribution({fp32({1, 3}), fp32({1, 2}), fp32({1, 3})});
  });
  bad("halting_distribution", "LastLoop", ErrorCode::kShape, [=] {
    return halting_distribution({fp32({1, 3}), fp32({1, 2})});
  });
  bad("halting_distribution", "WholeNumbers", ErrorCode::kDtype, [=] {
    return halting_distribution({whole({1, 3}), whole({1, 3})});
  });
  bad("router_logits", "Weight", ErrorCode::kShape, [=] {
    return router_logits(state, fp32({1, 4}), fp32({1}), 0.0);
  });
  bad("router_logits", "Bias", ErrorCode::kShape, [=] {
    return router_logits(state, fp32({1, 5}), fp32({2}), 0.0);
  });
  bad("router_logits", "NoDimension", ErrorCode::kShape, [=] {
    return router_logits(fp32({}), fp32({1, 2}), fp32({1}), 0.0);
  });
  bad("router_logits", "WholeNumbers", ErrorCode::kDtype, [=] {
    return router_logits(whole({1, 3, 4}), fp32({1, 5}), fp32({1}), 0.0);
  });
  bad("mix_by_halting", "NoLoop", ErrorCode::kShape, [=] {
    return mix_by_halting({}, fp32({1, 1, 3})).state;
  });
  bad("mix_by_halting", "Rank", ErrorCode::kShape, [=] {
    return mix_by_halting({fp32({3, 4})}, fp32({1, 1, 3})).state;
  });
  bad("mix_by_halting", "Halting", ErrorCode::kShape, [=] {
    return mix_by_halting({state}, fp32({2, 1, 3})).state;
  });
  bad("mix_by_halting", "DtypesOfStates", ErrorCode::kDtype, [=] {
    return mix_by_halting({state, bf16({1, 3, 4})}, fp32({2, 1, 3})).state;
  });
  bad("mix_by_halting", "WholeNumbers", ErrorCode::kDtype, [=] {
    return mix_by_halting({state}, whole({1, 1, 3})).state;
  });
  return bad.all;
}

std::vector<BadCall> all_calls() {
  std::vector<BadCall> all;
  for (const auto& some :
       {calls_of_attention(), calls_of_losses(), calls_of_layers(), calls_of_loops()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

class InputChecks : public ::testing::TestWithParam<BadCall> {};

TEST_P(InputChecks, NameTheOpAndWhatIsWrong) {
  for (const auto kernels : {Kernels::kReference, Kernels::kFused}) {
    const KernelsScope scope(kernels);
    try {
      GetParam().call();
      ADD_FAILURE() << "was accepted";
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_EQ(error.code(), GetParam().code) << text;
      EXPECT_NE(text.find(": expected "), std::string::npos) << text;
      EXPECT_NE(text.find("got "), std::string::npos) << text;
      EXPECT_TRUE(text.starts_with(GetParam().op + ": ")) << text;
    } catch (const std::exception& error) {
      ADD_FAILURE() << "LibTorch's own text: " << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, InputChecks, ::testing::ValuesIn(all_calls()),
                         [](const auto& item) { return item.param.op + "_" + item.param.what; });

}  // namespace
}  // namespace loopbank::ops
