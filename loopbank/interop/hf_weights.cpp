#include "loopbank/interop/hf_weights.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kLayers = "layers.";

/// Parts of a layer, by the name of ours.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kParts = {{
    {"block.attention_norm", "input_layernorm"},
    {"block.feed_forward_norm", "post_attention_layernorm"},
    {"block.attention.query", "self_attn.q_proj"},
    {"block.attention.key", "self_attn.k_proj"},
    {"block.attention.value", "self_attn.v_proj"},
    {"block.attention.output", "self_attn.o_proj"},
    {"block.feed_forward.gate", "mlp.gate_proj"},
    {"block.feed_forward.up", "mlp.up_proj"},
    {"block.feed_forward.down", "mlp.down_proj"},
}};

std::string part_name(const HfFamily& family, std::string_view part) {
  if (part == "block.attention.query_norm") {
    return fmt::format("self_attn.{}", family.query_norm);
  }
  if (part == "block.attention.key_norm") {
    return fmt::format("self_attn.{}", family.key_norm);
  }
  const auto found = std::find_if(kParts.begin(), kParts.end(),
                                  [&](const auto& one) { return one.first == part; });
  return std::string(found == kParts.end() ? part : found->second);
}

/// Buffers that old releases stored and that follow from the config.
bool says_nothing(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq");
}

const char* type_name(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return "F32";
    case at::kBFloat16:
      return "BF16";
    case at::kHalf:
      return "F16";
    case at::kDouble:
      return "F64";
    default:
      return c10::toString(tensor.scalar_type());
  }
}

/// The tensors of a checkpoint by name, and everything that is wrong with them.
class StoredTensors {
 public:
  explicit StoredTensors(const CheckpointFiles& checkpoint) {
    for (const auto& [name, tensor] : checkpoint.tensors) {
      if (!by_name_.emplace(name, tensor).second) {
        problems_.push_back(fmt::format("\"{}\" is there twice", name));
      }
      open_.insert(name);
    }
  }

  /// The tensor of this name and shape, or an undefined one and a problem.
  at::Tensor take(const std::string& name, at::IntArrayRef sizes) {
    open_.erase(name);
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      problems_.push_back(fmt::format("\"{}\" is missing", name));
      return {};
    }
    const auto& tensor = found->second;
    if (tensor.sizes() != sizes) {
      problems_.push_back(fmt::format("\"{}\" has shape [{}], expected [{}]", name,
                                      fmt::join(tensor.sizes(), ", "), fmt::join(sizes, ", ")));
    } else if (!tensor.is_floating_point()) {
      problems_.push_back(
          fmt::format("\"{}\" is {}, expected F32, BF16, F16 or F64", name, type_name(tensor)));
    }
    return tensor;
  }

  [[nodiscard]] at::Tensor find(std::string_view name) const {
    const auto found = by_name_.find(std::string(name));
    return found == by_name_.end() ? at::Tensor() : found->second;
  }

  /// Leaves out the tensors that `passes` by name; their names.
  template <typename Passes>
  std::vector<std::string> pass_over(const Passes& passes) {
    std::vector<std::string> passed;
    std::copy_if(open_.begin(), open_.end(), std::back_inserter(passed), passes);
    std::for_each(passed.begin(), passed.end(), [&](const auto& name) { open_.erase(name); });
    return passed;
  }

  void add_problem(std::string problem) { problems_.push_back(std::move(problem)); }

  /// @throws Error kCheckpoint where anything is wrong or a tensor was not taken
  void check(const std::string& where) {
    for (const auto& name : open_) {
      problems_.push_back(fmt::format("\"{}\" [{}] is not known", name,
                                      fmt::join(by_name_.at(name).sizes(), ", ")));
    }
    if (problems_.empty()) {
      return;
    }
    constexpr size_t kShown = 20;
    const auto count = problems_.size();
    problems_.resize(std::min(count, kShown));
    fail(
        ErrorCode::kCheckpoint,
        "{}: expected the tensors that config.json describes, got {} that differ: {}{}. Check that "
        "config.json belongs to these weights.",
        where, count, fmt::join(problems_, "; "),
        count > kShown ? fmt::format("; and {} more", count - kShown) : "");
  }

 private:
  std::map<std::string, at::Tensor> by_name_;
  std::set<std::string> open_;
  std::vector<std::string> problems_;
};

/// Whether a tied head was stored; it must then be the embedding.
bool check_tied_head(StoredTensors& stored) {
  const auto head = stored.find(kHead);
  const auto embedding = stored.find(kEmbedding);
  if (!head.defined() || !embedding.defined()) {
    return false;
  }
  stored.pass_over([](const auto& name) { return name == kHead; });
  const bool same = head.sizes() == embedding.sizes() &&
                    head.scalar_type() == embedding.scalar_type() && head.equal(embedding);
  if (!same) {
    stored.add_problem(fmt::format(
        "\"{}\" differs from \"{}\", though \"tie_word_embeddings\" is true", kHead, kEmbedding));
  }
  return true;
}

}  // namespace

std::string hf_tensor_name(const HfFamily& family, std::string_view parameter) {
  if (family.model_type == "loopbank") {
    return std::string(parameter);
  }
  if (parameter == "embedding.weight") {
    return std::string(kEmbedding);
  }
  if (parameter == "final_norm.weight") {
    return "model.norm.weight";
  }
  if (parameter == "head.weight") {
    return std::string(kHead);
  }
  if (!parameter.starts_with(kLayers)) {
    return std::string(parameter);
  }
  // layers.{l}.{part}.{weight|bias}
  const auto part = parameter.find('.', kLayers.size()) + 1;
  const auto kind = parameter.rfind('.');
  return fmt::format("model.{}{}{}", parameter.substr(0, part),
                     part_name(family, parameter.substr(part, kind - part)),
                     parameter.substr(kind));
}

HfWeights set_hf_weights(LanguageModel& model, const HfFamily& family,
                         const CheckpointFiles& checkpoint, const std::string& where) {
  StoredTensors stored(checkpoint);
  HfWeights weights;
  std::vector<at::Tensor> values;
  for (const auto& parameter : model.parameters().all()) {
    values.push_back(stored.take(hf_tensor_name(family, parameter.name), parameter.value.sizes()));
  }
  weights.ignored = stored.pass_over(says_nothing);
  weights.stored_tied_head = model.config().tie_word_embeddings && check_tied_head(stored);
  stored.check(where);
  std::set<std::string> types;
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < values.size(); ++i) {
    types.insert(type_name(values[i]));
    take_stored(model.parameters().all()[i].value, values[i]);
  }
  weights.stored_type = fmt::format("{}", fmt::join(types, ", "));
  return weights;
}

}  // namespace loopbank
