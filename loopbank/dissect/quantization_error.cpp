#include "loopbank/dissect/quantization_error.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <nlohmann/json.hpp>
#include <numbers>

#include "loopbank/dissect/text_rows.h"
#include "loopbank/infer/engine.h"
#include "loopbank/infer/logits_difference.h"

namespace loopbank {
namespace {

EngineOptions options_of(int64_t bits) {
  return {.compute_dtype = at::kBFloat16, .weight_bits = bits, .share_beginnings = false};
}

/// Scores a text from its second token on.
/// @param logits  [tokens - 1, V] fp32 that the logits are written to
/// @return nats of all of them
double score_text(Engine& engine, const std::vector<TokenId>& text, const at::Tensor& logits) {
  auto request = Request::scoring(text, 1);
  request.keep_logits(logits.data_ptr<float>(), 1);
  engine.add(std::move(request));
  double nats = 0.0;
  while (!engine.idle()) {
    for (const auto& token : engine.step().scored) {
      nats -= token.log_probability;
    }
  }
  return nats;
}

}  // namespace

QuantizationError measure_quantization(const LanguageModel& model, const Batch& rows,
                                       int64_t num_bytes, int64_t bits) {
  Engine of_bf16(model, options_of(0));
  Engine of_bits(model, options_of(bits));
  QuantizationError error{.bits = bits, .tokens = rows.tokens.numel()};
  const auto length = rows.tokens.size(1);
  const auto reference = at::empty({length, model.config().vocab_size}, at::kFloat);  // [T, V]
  const auto logits = at::empty_like(reference);                                      // [T, V]
  for (int64_t row = 0; row < rows.tokens.size(0); ++row) {
    const auto text = text_of_row(rows, row);
    error.bpb_bf16 += score_text(of_bf16, text, reference);
    error.bpb += score_text(of_bits, text, logits);
    const auto difference = compare_logits(reference, logits);
    error.kl += difference.kl;
    error.top1_agreement += difference.top1_agreement;
  }
  const double all_bits = std::numbers::ln2 * static_cast<double>(num_bytes);
  error.bpb /= all_bits;
  error.bpb_bf16 /= all_bits;
  error.kl /= static_cast<double>(rows.tokens.size(0));
  error.top1_agreement /= static_cast<double>(rows.tokens.size(0));
  return error;
}

nlohmann::ordered_json to_json(const QuantizationError& error) {
  return {{"bits", error.bits}, {"tokens", error.tokens},
          {"bpb", error.bpb},   {"bpb_bf16", error.bpb_bf16},
          {"kl", error.kl},     {"top1_agreement", error.top1_agreement}};
}

}  // namespace loopbank
