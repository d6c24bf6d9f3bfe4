#include "loopbank/model/weights.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "loopbank/model/safetensors.h"
#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using ByName = std::map<std::string, at::Tensor>;

constexpr std::string_view kRemedy = "Check that config.json belongs to these weights.";

std::string shape_text(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

void refuse_unknown(const fs::path& file, const ByName& stored, const Parameters& parameters) {
  const auto& known = parameters.all();
  for (const auto& [name, tensor] : stored) {
    const auto& wanted = name;  // a structured binding cannot be captured
    if (std::any_of(known.begin(), known.end(),
                    [&](const Parameter& parameter) { return parameter.name == wanted; })) {
      continue;
    }
    const auto nearest = std::min_element(
        known.begin(), known.end(), [&](const Parameter& left, const Parameter& right) {
          return edit_distance(wanted, left.name) < edit_distance(wanted, right.name);
        });
    fail(
        ErrorCode::kCheckpoint,
        "{}: expected the {} parameters that the config describes, got unknown \"{}\" {}. Nearest: "
        "\"{}\". {}",
        file.string(), known.size(), name, shape_text(tensor), nearest->name, kRemedy);
  }
}

/// The stored values of a parameter, checked; floating point of any width.
const at::Tensor& stored_values(const fs::path& file, const ByName& stored,
                                const Parameter& parameter) {
  const auto found = stored.find(parameter.name);
  if (found == stored.end()) {
    fail(ErrorCode::kCheckpoint, "{}: expected parameter \"{}\" {}, got none. {}", file.string(),
         parameter.name, shape_text(parameter.value), kRemedy);
  }
  const auto& values = found->second;
  if (values.sizes() != parameter.value.sizes()) {
    fail(ErrorCode::kCheckpoint, "{}: parameter \"{}\": expected shape {}, got {}. {}",
         file.string(), parameter.name, shape_text(parameter.value), shape_text(values), kRemedy);
  }
  if (!values.is_floating_point()) {
    fail(ErrorCode::kCheckpoint,
         "{}: parameter \"{}\": expected F32, BF16, F16 or F64, got {}. Quantized weights are not "
         "read.",
         file.string(), parameter.name, c10::toString(values.scalar_type()));
  }
  return values;
}

}  // namespace

void save_model(const LanguageModel& model, const fs::path& directory) {
  NamedTensors tensors;
  for (const auto& parameter : model.parameters().all()) {
    tensors.emplace_back(parameter.name, parameter.value);
  }
  // The config last: a folder with a config has its weights.
  write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
  save_config(model.config(), directory / "config.json");
}

void load_weights(LanguageModel& model, const fs::path& file) {
  const auto content = read_safetensors(file);
  const ByName stored(content.tensors.begin(), content.tensors.end());
  refuse_unknown(file, stored, model.parameters());
  // Everything is checked before anything is written: a bad file leaves the model as it was.
  std::vector<const at::Tensor*> values;
  for (const auto& parameter : model.parameters().all()) {
    values.push_back(&stored_values(file, stored, parameter));
  }
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < values.size(); ++i) {
    auto target = model.parameters().all()[i].value;
    target.copy_(*values[i]);
  }
}

LanguageModel load_model(const fs::path& directory, at::Device device) {
  if (!fs::exists(directory / "config.json")) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected a model directory with config.json, model.safetensors and tokenizer.json, "
         "got {}.",
         directory.string(), fs::exists(directory) ? "no config.json there" : "no such directory");
  }
  LanguageModel model(load_config(directory / "config.json"), device);
  load_weights(model, directory / "model.safetensors");
  return model;
}

}  // namespace loopbank
