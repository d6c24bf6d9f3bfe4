#include "loopbank/model/weights.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "loopbank/model/checkpoint_files.h"
#include "loopbank/model/safetensors.h"
#include "loopbank/ops/quantization.h"
#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using ByName = std::map<std::string, at::Tensor>;

constexpr std::string_view kRemedy = "Check that config.json belongs to these weights.";

std::string shape_text(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

std::string codes_name(const Parameter& parameter) {
  return parameter.name + ".codes";
}

std::string scales_name(const Parameter& parameter) {
  return parameter.name + ".scales";
}

/// Every name that the file of such a model holds.
std::vector<std::string> stored_names(const LanguageModel& model) {
  std::vector<std::string> names;
  for (const auto& parameter : model.parameters().all()) {
    if (model.config().quantization_bits != 0 && is_quantizable(parameter, model.config())) {
      names.push_back(codes_name(parameter));
      names.push_back(scales_name(parameter));
    } else {
      names.push_back(parameter.name);
    }
  }
  return names;
}

void refuse_unknown(const fs::path& file, const ByName& stored, const LanguageModel& model) {
  const auto known = stored_names(model);
  for (const auto& [name, tensor] : stored) {
    if (std::find(known.begin(), known.end(), name) != known.end()) {
      continue;
    }
    if (model.config().quantization_bits == 0 && name.ends_with(".codes")) {
      fail(ErrorCode::kCheckpoint,
           "{}: expected weights in floating point (\"quantization_bits\" is 0), got \"{}\" of a "
           "quantized model. {}",
           file.string(), name, kRemedy);
    }
    const auto& wanted = name;  // a structured binding cannot be captured
    const auto nearest = std::min_element(
        known.begin(), known.end(), [&](const std::string& left, const std::string& right) {
          return edit_distance(wanted, left) < edit_distance(wanted, right);
        });
    fail(
        ErrorCode::kCheckpoint,
        "{}: expected the {} parameters that the config describes, got unknown \"{}\" {}. Nearest: "
        "\"{}\". {}",
        file.string(), model.parameters().all().size(), name, shape_text(tensor), *nearest,
        kRemedy);
  }
}

/// The tensor of a name, of these sides.
const at::Tensor& stored_tensor(const fs::path& file, const ByName& stored, const std::string& name,
                                at::IntArrayRef sizes) {
  const auto found = stored.find(name);
  if (found == stored.end()) {
    fail(ErrorCode::kCheckpoint, "{}: expected parameter \"{}\" [{}], got none. {}", file.string(),
         name, fmt::join(sizes, ", "), kRemedy);
  }
  if (found->second.sizes() != sizes) {
    fail(ErrorCode::kCheckpoint, "{}: parameter \"{}\": expected shape [{}], got {}. {}",
         file.string(), name, fmt::join(sizes, ", "), shape_text(found->second), kRemedy);
  }
  return found->second;
}

/// The stored values of a parameter, checked; floating point of any width.
const at::Tensor& stored_values(const fs::path& file, const ByName& stored,
                                const Parameter& parameter) {
  const auto& values = stored_tensor(file, stored, parameter.name, parameter.value.sizes());
  if (!values.is_floating_point()) {
    fail(ErrorCode::kCheckpoint,
         "{}: parameter \"{}\": expected F32, BF16, F16 or F64, got {}. Quantized weights are read "
         "where config.json has \"quantization_bits\".",
         file.string(), parameter.name, c10::toString(values.scalar_type()));
  }
  return values;
}

/// The stored codes and scales of a parameter, checked.
ops::Quantized stored_codes(const fs::path& file, const ByName& stored, const Parameter& parameter,
                            int64_t bits) {
  const auto out = parameter.value.size(0);
  const auto in = parameter.value.size(1);
  const auto groups = divide_up(in, ops::kQuantizationGroup);
  ops::Quantized quantized{
      .codes =
          stored_tensor(file, stored, codes_name(parameter), {out, bits == 8 ? in : (in + 1) / 2}),
      .scales = stored_tensor(file, stored, scales_name(parameter), {out, groups}),
      .bits = bits,
      .in = in};
  const auto expected = bits == 8 ? at::kChar : at::kByte;
  if (quantized.codes.scalar_type() != expected ||
      quantized.scales.scalar_type() != at::kBFloat16) {
    fail(ErrorCode::kCheckpoint,
         "{}: parameter \"{}\": expected codes {} and scales BFloat16 for {} bits, got {} and {}. "
         "{}",
         file.string(), parameter.name, c10::toString(expected), bits,
         c10::toString(quantized.codes.scalar_type()),
         c10::toString(quantized.scales.scalar_type()), kRemedy);
  }
  return quantized;
}

/// The codes of a parameter; an error names it.
ops::Quantized quantized_values(const Parameter& parameter, int64_t bits) {
  try {
    return ops::quantize(parameter.value.detach().to(at::kCPU), bits);
  } catch (const Error& error) {
    throw Error(error.code(), parameter.name + ": " + error.what());
  }
}

/// Everything is checked before anything is written: a bad file leaves the model as it was.
/// @param takes  whether parameters take the stored tensors for their own where they can
void set_parameters(LanguageModel& model, const fs::path& file, const SafetensorsContent& content,
                    bool takes) {
  const ByName stored(content.tensors.begin(), content.tensors.end());
  refuse_unknown(file, stored, model);
  const auto bits = model.config().quantization_bits;
  std::vector<std::variant<at::Tensor, ops::Quantized>> values;
  for (const auto& parameter : model.parameters().all()) {
    if (bits != 0 && is_quantizable(parameter, model.config())) {
      values.emplace_back(stored_codes(file, stored, parameter, bits));
    } else {
      values.emplace_back(stored_values(file, stored, parameter));
    }
  }
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < values.size(); ++i) {
    auto target = model.parameters().all()[i].value;
    if (auto* const quantized = std::get_if<ops::Quantized>(&values[i])) {
      model.parameters().set_from_codes(i, std::move(*quantized));
      continue;
    }
    const auto& read = std::get<at::Tensor>(values[i]);
    if (takes) {
      take_stored(target, read);
    } else {
      target.copy_(read);
    }
  }
}

}  // namespace

bool is_quantizable(const Parameter& parameter, const ModelConfig& config) {
  return parameter.kind == ParameterKind::kLinear || parameter.kind == ParameterKind::kMemoryGate ||
         (parameter.kind == ParameterKind::kEmbedding && config.tie_word_embeddings);
}

void save_model(const LanguageModel& model, const fs::path& directory) {
  save_model(model, directory, model.config().quantization_bits);
}

void save_model(const LanguageModel& model, const fs::path& directory, int64_t quantization_bits) {
  auto config = model.config();
  config.quantization_bits = quantization_bits;
  config.validate();
  NamedTensors tensors;
  for (const auto& parameter : model.parameters().all()) {
    if (quantization_bits == 0 || !is_quantizable(parameter, config)) {
      tensors.emplace_back(parameter.name, parameter.value);
      continue;
    }
    const auto quantized = quantized_values(parameter, quantization_bits);
    tensors.emplace_back(codes_name(parameter), quantized.codes);
    tensors.emplace_back(scales_name(parameter), quantized.scales);
  }
  // The config last: a folder with a config has its weights.
  write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
  save_config(config, directory / "config.json");
}

void load_weights(LanguageModel& model, const fs::path& file) {
  set_parameters(model, file, read_safetensors(file), /*takes=*/false);
}

LanguageModel load_model(const fs::path& directory, at::Device device) {
  if (!fs::exists(directory / "config.json")) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected a model directory with config.json, model.safetensors and tokenizer.json, "
         "got {}.",
         directory.string(), fs::exists(directory) ? "no config.json there" : "no such directory");
  }
  LanguageModel model(load_config(directory / "config.json"), device);
  auto stored = map_checkpoint(directory);
  set_parameters(model, stored.files.size() == 1 ? stored.files.front() : directory,
                 {.tensors = std::move(stored.tensors), .metadata = {}}, /*takes=*/true);
  return model;
}

}  // namespace loopbank
