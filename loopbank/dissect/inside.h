#pragma once
/// The inner life of a model on a text: loops, halting, states and gates by layer, loop and token.
///
///     rows -> forward pass with a recorder -> means over tokens      of each layer and loop
///                                          -> means over classes     digits, names, ... of tokens
///                                          -> the first tokens       shown one by one
///     rows -> loss with at most 1, 2, .. N loops                     from the same weights
///
/// Two figures meet at a token x: its loss is that of predicting x from the tokens before it; its
/// loops and gates are those at the position of x, where x is read and its successor predicted. All
/// loops run whatever P_t says, so gates and states are unweighted means over loops. Not here:
/// every value of a pass as a tensor (dissect/probe.h).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/dissect/token_class.h"
#include "loopbank/infer/request.h"
#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct InsideOptions {
  at::ScalarType compute_dtype = at::kFloat;
  int64_t batch_tokens = 4096;  ///< per forward pass, at least a row: bounds the memory
  int64_t view_tokens = 250;    ///< tokens shown one by one
  /// Measured as well where its rule is another than `all`, or its policy holds in the text.
  InferenceOptions inference{};
  /// Called before every forward pass with the number done and their total.
  std::function<void(int64_t done, int64_t total)> on_progress = {};
};

using ByLayer = std::vector<double>;          ///< [L]
using ByLayerAndLoop = std::vector<ByLayer>;  ///< [L][N_l], each layer's own N

/// Of a gate's mean over D, over tokens; a layer that reads no such bank has no loops here.
struct GateStatistics {
  ByLayerAndLoop mean;
  ByLayerAndLoop spread;  ///< standard deviation
};

/// Tokens of one class. Gates are means over the loops too; 0 where a layer reads no such bank.
struct InsideOfClass {
  TokenClass token_class = TokenClass::kOther;
  int64_t tokens = 0;          ///< read, at least 1
  double share = 0.0;          ///< of all tokens read
  std::optional<double> loss;  ///< mean nats of predicting one; absent if none was predicted
  ByLayer expected_loops;
  ByLayer local_gate;   ///< empty in a model without such a bank
  ByLayer global_gate;  ///< likewise
};

/// The same weights with at most `max_loops` loops in every layer.
struct InsideOfBudget {
  int64_t max_loops = 1;
  double loss = 0.0;             ///< nats per token
  double bpb = 0.0;              ///< bits per byte, as validation counts them
  double flops_per_token = 0.0;  ///< forward
};

/// The same weights where tokens leave layers by a rule.
struct InsideOfExit {
  std::string exit;
  std::string kv;
  double loss = 0.0;  ///< nats per token
  double bpb = 0.0;
  ByLayer loops{};               ///< run, mean over tokens
  double flops_per_token = 0.0;  ///< forward, of these loops
};

/// One token of the view; gates as in InsideOfClass.
struct InsideOfToken {
  std::string text;   ///< UTF-8; a character of several tokens is in its last one
  double loss = 0.0;  ///< nats of predicting it
  ByLayer expected_loops;
  ByLayer local_gate;
  ByLayer global_gate;
};

struct Inside {
  int64_t tokens = 0;  ///< read
  int64_t layers = 0;
  int64_t loops = 1;  ///< most loops of a layer; 1 in a dense model
  ByLayer expected_loops;
  ByLayer expected_loops_spread;             ///< standard deviation over tokens
  ByLayerAndLoop halting;                    ///< mean P_t; a dense layer has P_1 = 1
  std::optional<ByLayerAndLoop> loop_scale;  ///< s_t (loop_scale.h); absent in a dense model
  ByLayerAndLoop state_norm;                 ///< [L][N_l + 1], mean of |h^(t)| / sqrt D, t from 0
  ByLayerAndLoop state_change;               ///< mean of |h^(t) - h^(t-1)| / |h^(t-1)|
  std::optional<GateStatistics> local_gate;
  std::optional<GateStatistics> global_gate;
  std::vector<InsideOfClass> token_classes;  ///< those that occur
  std::vector<InsideOfBudget> bpb_by_loops;  ///< budgets 1 to N; one in a dense model
  std::optional<InsideOfExit> exit;          ///< absent for `all` under `full`
  std::vector<InsideOfToken> token_view;     ///< from the second token of the rows on
};

/// Measures all of it with the weights as they are; draws no random numbers and changes nothing.
///
/// @param rows  tokens and targets [B, T] int64, such as SequentialRows gives them
/// @throws Error kShape when rows are not [B, T] or T exceeds max_position_embeddings; kData for
///   ids outside the tokenizer's vocabulary and for targets without any text; kCheckpoint when a
///   loss is not finite
/// Numerics: statistics are summed in fp64.
[[nodiscard]] Inside measure_inside(const LanguageModel& model, const Tokenizer& tokenizer,
                                    const Batch& rows, const InsideOptions& options = {});

/// The "inside" object of docs/formats.md. What was not measured is left out; figures of the token
/// view are rounded to 4 decimals.
[[nodiscard]] nlohmann::ordered_json to_json(const Inside& inside);
/// What to_json wrote; what is left out stays empty.
/// @throws Error kData for an object of another form; `where` names the file
[[nodiscard]] Inside inside_from_json(const nlohmann::ordered_json& json, const std::string& where);

}  // namespace loopbank
