#include "loopbank/model/loop_scale.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/softplus.h>
#include <fmt/format.h>

#include <cmath>

#include "loopbank/model/language_model.h"

namespace loopbank {

at::Tensor loop_scale(const at::Tensor& alpha, std::string_view kind) {
  return kind == "linear" ? alpha : at::softplus(alpha);
}

std::vector<std::vector<double>> loop_scales(const LanguageModel& model) {
  const auto& config = model.config();
  std::vector<std::vector<double>> scales(static_cast<size_t>(config.num_hidden_layers));
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    if (config.loops(l) > 0) {
      const auto alpha = model.parameters().get(fmt::format("layers.{}.loop_scale", l)).value;
      const auto s = loop_scale(alpha.detach().to(at::kCPU, at::kDouble), config.loop_scale_kind)
                         .contiguous();  // [N_l]
      scales[static_cast<size_t>(l)].assign(s.data_ptr<double>(), s.data_ptr<double>() + s.numel());
    }
  }
  return scales;
}

double depth_scale(std::string_view rule, int64_t layer) {
  const auto depth = static_cast<double>(layer + 1);
  return rule == "inverse" ? 1.0 / depth : rule == "inverse_sqrt" ? 1.0 / std::sqrt(depth) : 1.0;
}

}  // namespace loopbank
