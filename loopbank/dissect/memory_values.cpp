#include "loopbank/dissect/memory_values.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

namespace loopbank {
namespace {

/// The `count` ends of each row of logits. [S, V]
std::vector<std::vector<SlotToken>> extremes(const at::Tensor& logits, int64_t count,
                                             bool largest) {
  const auto [values, ids] =
      logits.topk(std::min(count, logits.size(1)), /*dim=*/-1, largest);  // [S, count] twice
  std::vector<std::vector<SlotToken>> tokens(static_cast<size_t>(logits.size(0)));
  for (int64_t s = 0; s < logits.size(0); ++s) {
    for (int64_t i = 0; i < values.size(1); ++i) {
      tokens[static_cast<size_t>(s)].push_back(
          {.id = ids[s][i].item<int64_t>(), .logit = values[s][i].item<double>()});
    }
  }
  return tokens;
}

}  // namespace

std::vector<SlotTokens> slot_tokens(const LanguageModel& model, const BankId& bank, int64_t layer,
                                    const std::vector<int64_t>& slots, int64_t num_tokens,
                                    int64_t count) {
  const at::NoGradGuard no_grad;
  const auto& parameters = model.parameters();
  const auto& head =
      parameters.get(model.config().tie_word_embeddings ? "embedding.weight" : "head.weight").value;
  const auto rows = at::tensor(slots, at::kLong).to(model.device());
  const auto values = bank_values(model, bank).index_select(0, rows);              // [S, D]
  const auto added = at::matmul(values, bank_projection(model, bank, layer).t());  // [S, D]
  const auto normed = added * parameters.get("final_norm.weight").value;           // [S, D]
  const auto logits = at::matmul(normed, head.narrow(0, 0, num_tokens).t());       // [S, V]
  const auto centred = (logits - logits.mean(-1, /*keepdim=*/true)).to(at::kCPU);  // [S, V]
  const auto raised = extremes(centred, count, /*largest=*/true);
  const auto lowered = extremes(centred, count, /*largest=*/false);
  std::vector<SlotTokens> tokens;
  for (size_t s = 0; s < slots.size(); ++s) {
    tokens.push_back({.raised = raised[s], .lowered = lowered[s]});
  }
  return tokens;
}

}  // namespace loopbank
