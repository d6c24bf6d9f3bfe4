#include "loopbank/infer/logits_difference.h"

#include <algorithm>

namespace loopbank {
namespace {

constexpr int64_t kRowsAtOnce = 64;  // so that what is in between stays small

}  // namespace

LogitsDifference compare_logits(const at::Tensor& reference, const at::Tensor& other) {
  const auto rows = reference.size(0);
  double kl = 0.0;
  double same = 0.0;
  for (int64_t from = 0; from < rows; from += kRowsAtOnce) {
    const auto count = std::min(kRowsAtOnce, rows - from);
    const auto p = reference.narrow(0, from, count).log_softmax(1);  // [r, V]
    const auto q = other.narrow(0, from, count).log_softmax(1);      // [r, V]
    kl += (p.exp() * (p - q)).sum(at::kDouble).item<double>();
    same += p.argmax(1).eq(q.argmax(1)).sum().item<double>();
  }
  return {.kl = std::max(0.0, kl / static_cast<double>(rows)),
          .top1_agreement = same / static_cast<double>(rows)};
}

}  // namespace loopbank
