#include "loopbank/model/head_reader.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "loopbank/ops/rows.h"

namespace loopbank {

bool reads_head(const TokenExit& exit) {
  return exit.rule != nullptr && exit.rule->reads_head();
}

void HeadReader::begin() {
  sum_ = log_q_ = at::Tensor();
  readings_.clear();
  num_read_ = 0;
}

void HeadReader::read(const Pass& pass, int64_t t, const at::Tensor& h,
                      const std::vector<TokenExit>& exits, std::span<const int64_t> rows,
                      const float* here, const float* rest, int64_t num_loops) {
  num_read_ = 0;
  if (std::none_of(exits.begin(), exits.end(), reads_head)) {
    return;  // decoding allocates nothing for rules that it does not have
  }
  std::vector<int64_t> asking;
  std::vector<float> of_sum(rows.size()), of_output(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& exit = exits[static_cast<size_t>(rows[i])];
    const auto last = exit.max_loops > 0 ? std::min(exit.max_loops, num_loops) : num_loops;
    if (reads_head(exit) && t < last) {
      asking.push_back(static_cast<int64_t>(i));
    }
    of_sum[i] = exit.hard ? 0.0F : here[i];
    of_output[i] = exit.hard ? 1.0F : here[i] + rest[i];
  }
  if (asking.empty()) {
    return;
  }
  if (!sum_.defined()) {
    sum_ = at::zeros_like(h);
    readings_.resize(rows.size());
  }
  std::vector<int64_t> each(rows.size());
  std::iota(each.begin(), each.end(), 0);
  const auto y = sum_.clone();
  ops::weighted_add_rows(y, each, of_output, h);
  ops::weighted_add_rows(sum_, each, of_sum, h);
  const auto logits =
      pass.read_out(ops::gather_rows(y, asking), pass).to(at::kCPU, at::kFloat).contiguous();
  const auto size = static_cast<size_t>(logits.size(1));
  if (!log_q_.defined()) {
    log_q_ = at::empty({h.size(0), logits.size(1)}, logits.options());
  }
  for (size_t a = 0; a < asking.size(); ++a) {
    const auto i = static_cast<size_t>(asking[a]);
    take({logits.data_ptr<float>() + a * size, size}, {log_q_.data_ptr<float>() + i * size, size},
         readings_[i]);
  }
  num_read_ = static_cast<int64_t>(asking.size());
}

void HeadReader::take(std::span<const float> logits, std::span<float> log_q, Reading& reading) {
  const auto most = std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) {
    sum += std::exp(static_cast<double>(logit - *most));
  }
  const double log_sum = static_cast<double>(*most) + std::log(sum);
  const bool has_before = reading.agreeing > 0;
  reading.entropy = reading.kl = 0.0;
  for (size_t v = 0; v < logits.size(); ++v) {
    const double log_p = static_cast<double>(logits[v]) - log_sum;
    const double p = std::exp(log_p);
    reading.entropy -= p * log_p;
    reading.kl += has_before ? p * (log_p - static_cast<double>(log_q[v])) : 0.0;
    log_q[v] = static_cast<float>(log_p);
  }
  const auto argmax = most - logits.begin();
  reading.agreeing = has_before && argmax == reading.argmax ? reading.agreeing + 1 : 1;
  reading.argmax = argmax;
  reading.kl = has_before ? reading.kl : std::numeric_limits<double>::infinity();
}

void HeadReader::tell(size_t i, AfterLoop& token) const {
  if (num_read_ > 0) {
    token.entropy = readings_[i].entropy;
    token.kl = readings_[i].kl;
    token.agreeing = readings_[i].agreeing;
  }
}

void HeadReader::keep(const std::vector<int64_t>& stayed) {
  if (!sum_.defined()) {
    return;
  }
  sum_ = ops::gather_rows(sum_, stayed);
  log_q_ = ops::gather_rows(log_q_, stayed);
  std::vector<Reading> readings;
  for (const auto i : stayed) {
    readings.push_back(readings_[static_cast<size_t>(i)]);
  }
  readings_ = std::move(readings);
}

}  // namespace loopbank
