#include "loopbank/data/sampler.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

int64_t whole_number(const nlohmann::json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end() || !found->is_number_integer()) {
    fail(ErrorCode::kCheckpoint, "sampler state: expected a whole number in \"{}\", got {}.", key,
         found == json.end() ? "nothing" : found->dump());
  }
  return found->get<int64_t>();
}

nlohmann::ordered_json to_json(const StreamPosition& position) {
  return {{"epoch", position.epoch}, {"document", position.document}, {"offset", position.offset}};
}

StreamPosition position_from_json(const nlohmann::json& json) {
  return {whole_number(json, "epoch"), whole_number(json, "document"),
          whole_number(json, "offset")};
}

}  // namespace

nlohmann::ordered_json to_json(const SamplerState& state) {
  if (state.sources.size() == 1) {
    return to_json(state.sources[0].position);
  }
  nlohmann::ordered_json json = {{"current", state.current}};
  json["sources"] = nlohmann::ordered_json::array();
  for (const auto& source : state.sources) {
    auto item = to_json(source.position);
    item["tokens"] = source.tokens;
    json["sources"].push_back(std::move(item));
  }
  return json;
}

SamplerState sampler_state_from_json(const nlohmann::json& json) {
  const auto list = json.is_object() ? json.find("sources") : json.end();
  if (list == json.end()) {
    return {{{position_from_json(json), 0}}, 0};
  }
  if (!list->is_array()) {
    fail(ErrorCode::kCheckpoint, "sampler state: expected a list in \"sources\", got {}.",
         list->dump());
  }
  SamplerState state{{}, whole_number(json, "current")};
  for (const auto& item : *list) {
    state.sources.push_back({position_from_json(item), whole_number(item, "tokens")});
  }
  return state;
}

BatchSampler::BatchSampler(std::shared_ptr<const TokenSource> source, uint64_t seed)
    : BatchSampler({WeightedSource{.tokens = std::move(source)}}, seed) {}

BatchSampler::BatchSampler(const std::vector<WeightedSource>& sources, uint64_t seed) {
  if (sources.empty()) {
    fail(ErrorCode::kConfig, "BatchSampler: expected at least one source, got none.");
  }
  for (const auto& [tokens, weight] : sources) {
    if (!std::isfinite(weight) || weight <= 0.0) {
      fail(ErrorCode::kConfig, "{}: expected a weight above 0, got {}.", tokens->path().string(),
           weight);
    }
    auto name = sources_.empty() ? "" : fmt::format(" of source {}", sources_.size());
    sources_.push_back({DocumentStream(tokens, seed, std::move(name)), weight});
  }
}

size_t BatchSampler::furthest_behind() const {
  const auto progress = [](const Source& source) {
    return static_cast<double>(source.tokens) / source.weight;
  };
  size_t chosen = 0;
  for (size_t i = 1; i < sources_.size(); ++i) {
    if (progress(sources_[i]) < progress(sources_[chosen])) {
      chosen = i;
    }
  }
  return chosen;
}

void BatchSampler::take(int64_t count, int64_t* out) {
  while (count > 0) {
    auto& source = sources_[current_];
    const auto piece = source.stream.take(count, out);
    out += piece;
    count -= piece;
    if (sources_.size() > 1) {
      source.tokens += piece;
      if (source.stream.at_document_start()) {
        current_ = furthest_behind();
      }
    }
  }
}

Batch BatchSampler::next(int64_t rows, int64_t sequence_length) {
  if (rows < 1 || sequence_length < 1) {
    fail(ErrorCode::kShape, "BatchSampler: expected at least 1 row of 1 token, got {} rows of {}.",
         rows, sequence_length);
  }
  const auto count = rows * sequence_length;
  const auto stream = at::empty({count + 1}, at::kLong);  // [B T + 1]
  auto* ids = stream.data_ptr<int64_t>();
  take(count, ids);
  // The last target is the first input of the next batch: look at it and change nothing.
  auto ahead = sources_[current_].stream;
  ahead.take(1, ids + count);
  return {stream.slice(0, 0, count).reshape({rows, sequence_length}).clone(),       // [B, T]
          stream.slice(0, 1, count + 1).reshape({rows, sequence_length}).clone()};  // [B, T]
}

SamplerState BatchSampler::state() const {
  SamplerState state{{}, static_cast<int64_t>(current_)};
  for (const auto& source : sources_) {
    state.sources.push_back({source.stream.position(), source.tokens});
  }
  return state;
}

void BatchSampler::restore(const SamplerState& state) {
  const auto count = static_cast<int64_t>(sources_.size());
  if (static_cast<int64_t>(state.sources.size()) != count) {
    fail(ErrorCode::kCheckpoint,
         "sampler state: expected positions in {} sources, got {}. The sources are not those that "
         "the run was started with.",
         count, state.sources.size());
  }
  if (state.current < 0 || state.current >= count) {
    fail(ErrorCode::kCheckpoint, "sampler state: expected a current source in [0, {}), got {}.",
         count, state.current);
  }
  auto restored = sources_;
  for (size_t i = 0; i < restored.size(); ++i) {
    const auto& [position, tokens] = state.sources[i];
    restored[i].stream.restore(position);
    if (tokens < 0 || (position.offset > 0 && static_cast<int64_t>(i) != state.current)) {
      fail(ErrorCode::kCheckpoint,
           "sampler state: expected source {} between two documents with 0 or more tokens given, "
           "got offset {} and {} tokens.",
           i, position.offset, tokens);
    }
    restored[i].tokens = tokens;
  }
  sources_ = std::move(restored);
  current_ = static_cast<size_t>(state.current);
}

SequentialRows::SequentialRows(std::shared_ptr<const TokenSource> source, int64_t sequence_length)
    : source_(std::move(source)), sequence_length_(sequence_length) {
  if (source_->num_tokens() < 2) {
    fail(ErrorCode::kData, "{}: expected at least 2 tokens, got {}.", source_->path().string(),
         source_->num_tokens());
  }
  if (sequence_length_ < 1) {
    fail(ErrorCode::kShape, "SequentialRows: expected rows of at least 1 token, got {}.",
         sequence_length_);
  }
  sequence_length_ = std::min(sequence_length_, source_->num_tokens() - 1);
}

int64_t SequentialRows::num_rows() const {
  return (source_->num_tokens() - 1) / sequence_length_;
}

Batch SequentialRows::rows(int64_t first, int64_t count) const {
  if (first < 0 || count < 1 || first > num_rows() || count > num_rows() - first) {
    fail(ErrorCode::kShape, "SequentialRows: expected rows within [0, {}), got {} rows from {}.",
         num_rows(), count, first);
  }
  const auto num_inputs = count * sequence_length_;
  const auto stream = at::empty({num_inputs + 1}, at::kLong);  // [B T + 1]
  source_->copy(first * sequence_length_, num_inputs + 1, stream.data_ptr<int64_t>());
  return {stream.slice(0, 0, num_inputs).reshape({count, sequence_length_}).clone(),  // [B, T]
          stream.slice(0, 1, num_inputs + 1).reshape({count, sequence_length_}).clone()};
}

}  // namespace loopbank
