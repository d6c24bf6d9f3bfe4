#include "loopbank/data/sampler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Fewer tokens than two hold no input with a target.
void expect_two_tokens(const TokenFile& file) {
  if (file.num_tokens() < 2) {
    fail(ErrorCode::kData, "{}: expected at least 2 tokens, got {}.", file.path().string(),
         file.num_tokens());
  }
}

Permutation order_of(const TokenFile& file, uint64_t seed, int64_t epoch) {
  return {static_cast<uint64_t>(file.num_documents()),
          derive_seed(seed, fmt::format("documents of epoch {}", epoch))};
}

int64_t whole_number(const nlohmann::json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end() || !found->is_number_integer()) {
    fail(ErrorCode::kCheckpoint, "sampler state: expected a whole number in \"{}\", got {}.", key,
         found == json.end() ? "nothing" : found->dump());
  }
  return found->get<int64_t>();
}

}  // namespace

nlohmann::ordered_json to_json(const SamplerState& state) {
  return {{"epoch", state.epoch}, {"document", state.document}, {"offset", state.offset}};
}

SamplerState sampler_state_from_json(const nlohmann::json& json) {
  return {whole_number(json, "epoch"), whole_number(json, "document"),
          whole_number(json, "offset")};
}

BatchSampler::BatchSampler(std::shared_ptr<const TokenFile> file, uint64_t seed)
    : file_(std::move(file)), seed_(seed), order_(order_of(*file_, seed, 0)) {
  expect_two_tokens(*file_);
}

void BatchSampler::start_epoch(int64_t epoch) {
  order_ = order_of(*file_, seed_, epoch);
  state_ = {.epoch = epoch};
}

void BatchSampler::take(int64_t count, int64_t* out) {
  while (count > 0) {
    const auto index = order_[static_cast<uint64_t>(state_.document)];
    const auto [begin, end] = file_->document(static_cast<int64_t>(index));
    const auto from = begin + state_.offset;
    const auto piece = std::min(count, end - from);
    file_->copy(from, piece, out);
    out += piece;
    count -= piece;
    state_.offset += piece;
    if (from + piece < end) {
      continue;
    }
    state_ = {.epoch = state_.epoch, .document = state_.document + 1};
    if (state_.document == file_->num_documents()) {
      start_epoch(state_.epoch + 1);
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
  // The last target is the first input of the next batch: look at it and step back.
  const auto position = state_;
  take(1, ids + count);
  if (state_.epoch != position.epoch) {
    start_epoch(position.epoch);
  }
  state_ = position;
  return {stream.slice(0, 0, count).reshape({rows, sequence_length}).clone(),       // [B, T]
          stream.slice(0, 1, count + 1).reshape({rows, sequence_length}).clone()};  // [B, T]
}

void BatchSampler::restore(const SamplerState& state) {
  const auto refuse = [&](const char* what, int64_t limit, int64_t got) {
    fail(ErrorCode::kCheckpoint,
         "sampler state: expected {} in [0, {}) of {}, got {}. The file is not the one that the "
         "run was started with.",
         what, limit, file_->path().string(), got);
  };
  if (state.epoch < 0) {
    fail(ErrorCode::kCheckpoint, "sampler state: expected an epoch of 0 or more, got {}.",
         state.epoch);
  }
  if (state.document < 0 || state.document >= file_->num_documents()) {
    refuse("a document", file_->num_documents(), state.document);
  }
  const auto order = order_of(*file_, seed_, state.epoch);
  const auto [begin, end] =
      file_->document(static_cast<int64_t>(order[static_cast<uint64_t>(state.document)]));
  if (state.offset < 0 || state.offset >= end - begin) {
    refuse("an offset in the document", end - begin, state.offset);
  }
  order_ = order;
  state_ = state;
}

SequentialRows::SequentialRows(std::shared_ptr<const TokenFile> file, int64_t sequence_length)
    : file_(std::move(file)), sequence_length_(sequence_length) {
  expect_two_tokens(*file_);
  if (sequence_length_ < 1) {
    fail(ErrorCode::kShape, "SequentialRows: expected rows of at least 1 token, got {}.",
         sequence_length_);
  }
  sequence_length_ = std::min(sequence_length_, file_->num_tokens() - 1);
}

int64_t SequentialRows::num_rows() const {
  return (file_->num_tokens() - 1) / sequence_length_;
}

Batch SequentialRows::rows(int64_t first, int64_t count) const {
  if (first < 0 || count < 1 || first > num_rows() || count > num_rows() - first) {
    fail(ErrorCode::kShape, "SequentialRows: expected rows within [0, {}), got {} rows from {}.",
         num_rows(), count, first);
  }
  const auto num_inputs = count * sequence_length_;
  const auto stream = at::empty({num_inputs + 1}, at::kLong);  // [B T + 1]
  file_->copy(first * sequence_length_, num_inputs + 1, stream.data_ptr<int64_t>());
  return {stream.slice(0, 0, num_inputs).reshape({count, sequence_length_}).clone(),  // [B, T]
          stream.slice(0, 1, num_inputs + 1).reshape({count, sequence_length_}).clone()};
}

}  // namespace loopbank
