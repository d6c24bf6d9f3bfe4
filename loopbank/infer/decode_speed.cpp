#include "loopbank/infer/decode_speed.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "loopbank/infer/engine.h"
#include "loopbank/model/weights.h"
#include "loopbank/ops/quantization.h"
#include "loopbank/support/error.h"
#include "loopbank/support/random.h"
#include "loopbank/support/rounding.h"
#include "loopbank/support/statistics.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

int64_t bytes_of_value(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? 2 : 4;
}

/// Bytes of the slots that a token reads of one before it, where its layers run these loops.
double slot_bytes_read(const ModelConfig& config, const DecodeSettings& settings,
                       double mean_loops) {
  const auto per_slot = static_cast<double>(2 * config.num_key_value_heads * config.head_size() *
                                            bytes_of_value(settings.compute_dtype));
  const double slots = settings.inference.policy->keeps_every_loop() ? mean_loops : 1.0;
  return per_slot * slots * static_cast<double>(config.num_hidden_layers);
}

Request random_request(const LanguageModel& model, const DecodeSettings& settings, uint64_t seed) {
  RandomStream random(derive_seed(seed, "decode"));
  Request request;
  for (int64_t i = 0; i < settings.prompt_tokens; ++i) {
    request.prompt.push_back(
        static_cast<TokenId>(random.below(static_cast<uint64_t>(model.config().vocab_size))));
  }
  request.max_tokens = settings.tokens;
  request.sampling.temperature = 0.0;
  request.inference = settings.inference;
  return request;
}

double loops_run(const EngineCounts& counts) {
  return static_cast<double>(
      std::accumulate(counts.loops.run.begin(), counts.loops.run.end(), int64_t{0}));
}

}  // namespace

double decoded_weight_bytes(const LanguageModel& model, at::ScalarType compute_dtype,
                            int64_t weight_bits) {
  const auto& config = model.config();
  const auto bits = weight_bits != 0 ? weight_bits : config.quantization_bits;
  double bytes = 0.0;
  for (const auto& parameter : model.parameters().all()) {
    const auto values = static_cast<double>(parameter.value.numel());
    const bool looked_up =
        parameter.kind == ParameterKind::kEmbedding && !config.tie_word_embeddings;
    if (bits != 0 && is_quantizable(parameter, config)) {
      const auto groups =
          divide_up(parameter.value.size(1), ops::kQuantizationGroup) * parameter.value.size(0);
      bytes += values * static_cast<double>(bits) / 8 +
               static_cast<double>(groups * bytes_of_value(at::kBFloat16));
    } else if (!looked_up) {
      bytes += values * (parameter.value.dim() > 1 ? bytes_of_value(compute_dtype) : 4);
    }
  }
  return bytes;
}

DecodeSpeed measure_decoding(const LanguageModel& model, const DecodeSettings& settings) {
  if (settings.tokens < 2) {
    fail(ErrorCode::kConfig,
         "decoding: expected at least 2 tokens to time the steps between, got {}.",
         settings.tokens);
  }
  const auto& config = model.config();
  const Stopwatch since_start;
  Engine engine(model, {.compute_dtype = settings.compute_dtype,
                        .weight_bits = settings.weight_bits,
                        .share_beginnings = false});
  for (int64_t i = 0; i < settings.batch; ++i) {
    engine.add(random_request(model, settings, static_cast<uint64_t>(i)));
  }
  DecodeSpeed speed;
  std::vector<double> seconds;
  double loops = 0.0;
  int64_t tokens = 0;
  while (!engine.idle()) {
    const auto before = engine.counts();
    const Stopwatch watch;
    const auto output = engine.step();
    const double elapsed = watch.seconds();
    if (speed.first_token_seconds == 0.0 && !output.generated.empty()) {
      speed.first_token_seconds = since_start.seconds();
    }
    // Steps that decode a token of every text and read nothing else.
    const auto read = engine.counts().tokens - before.tokens;
    if (read == settings.batch && static_cast<int64_t>(output.generated.size()) == read) {
      seconds.push_back(elapsed);
      loops += loops_run(engine.counts()) - loops_run(before);
      tokens += read;
    }
  }
  if (seconds.empty()) {
    fail(ErrorCode::kConfig,
         "decoding: expected steps in which all {} texts are written, got none: their prompts took "
         "longer to read than the first took to end. Decode more tokens or fewer texts.",
         settings.batch);
  }
  speed.tokens_per_second = static_cast<double>(settings.batch) / median(seconds);
  speed.weight_bytes = decoded_weight_bytes(model, settings.compute_dtype, settings.weight_bits);
  speed.mean_loops = loops / static_cast<double>(tokens * config.num_hidden_layers);
  const double context =
      static_cast<double>(settings.prompt_tokens) + static_cast<double>(settings.tokens) / 2;
  speed.key_value_bytes = context * slot_bytes_read(config, settings, speed.mean_loops);
  speed.kv_bytes_per_token =
      key_value_bytes(config, *settings.inference.policy, bytes_of_value(settings.compute_dtype));
  return speed;
}

}  // namespace loopbank
