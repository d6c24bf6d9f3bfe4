#include "loopbank/train/progress_line.h"

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

std::string gates_text(const ValidationMetrics& validation) {
  std::string text;
  for (const auto* gates : {&validation.local_gates, &validation.global_gates}) {
    if (!gates->empty()) {
      text += fmt::format(" {:.2f}", mean_of(*gates));
    }
  }
  return text.empty() ? "" : "  gates" + text;
}

std::string score_text(const std::vector<EvaluationMetrics>& evaluation) {
  if (evaluation.empty()) {
    return "";
  }
  const auto suite = std::find_if(evaluation.rbegin(), evaluation.rend(),
                                  [](const EvaluationMetrics& item) { return item.is_suite; });
  const auto& shown = suite != evaluation.rend() ? *suite : evaluation.front();
  return fmt::format("  {} {:.3f}", shown.task, shown.value);
}

}  // namespace

std::string progress_line(const StepMetrics& step, const ValidationMetrics& validation,
                          const RunPace& pace, const std::vector<EvaluationMetrics>& evaluation) {
  auto line = fmt::format("step {}/{} {:.0f} %  loss {:.3f}", step.step, pace.steps,
                          100.0 * static_cast<double>(step.step) / static_cast<double>(pace.steps),
                          step.loss);
  if (validation.step > 0) {
    line += fmt::format("  BPB {:.3f}", validation.bpb);
  }
  line += fmt::format("  lr {:.1e}  {} tokens/s", step.learning_rate,
                      format_count(pace.tokens_per_second));
  if (pace.gemm_peak > 0) {
    line += fmt::format("  {:.0f} % of GEMM peak",
                        100.0 * pace.tokens_per_second * pace.flops_per_token / pace.gemm_peak);
  }
  if (!step.loops_by_layer.empty()) {
    line += fmt::format("  loops {:.2f}", step.mean_loops);
  }
  const auto remaining = static_cast<double>(pace.steps - step.step);
  return line + gates_text(validation) + score_text(evaluation) +
         fmt::format("  ETA {}", format_duration(remaining * pace.seconds_a_step));
}

}  // namespace loopbank
