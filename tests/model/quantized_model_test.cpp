/// Models of 8 and 4 bit: what is stored, that it comes back bit for bit, what is refused.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>

#include "loopbank/model/prepared_model.h"
#include "loopbank/model/safetensors.h"
#include "loopbank/model/weights.h"
#include "loopbank/ops/quantization.h"
#include "loopbank/support/files.h"
#include "looped_config.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

constexpr int64_t kStoredBits[] = {8, 4};

/// Loops, both banks, an odd width, one head of its own or the embedding's.
LanguageModel model_to_store(bool tied = false) {
  auto config = looped_config(3);
  config.intermediate_size = 49;
  config.local_memory_slots = 5;
  config.global_memory_slots = 3;
  config.tie_word_embeddings = tied;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/7);
  return model;
}

std::map<std::string, at::Tensor> stored_in(const fs::path& folder) {
  const auto content = read_safetensors(folder / "model.safetensors");
  return {content.tensors.begin(), content.tensors.end()};
}

std::string load_failure(const fs::path& folder) {
  return error_of(ErrorCode::kCheckpoint, [&] { (void)load_model(folder); });
}

TEST(QuantizedModel, StoresCodesForMatricesOfProductsAndAllElseAsItIs) {
  const TestDirectory directory;
  const auto model = model_to_store();
  save_model(model, directory.path(), 8);
  const auto stored = stored_in(directory.path());
  for (const auto* const name :
       {"head.weight", "layers.0.block.attention.query.weight",
        "layers.1.block.feed_forward.down.weight", "layers.0.memory.local_gate.weight",
        "layers.1.memory.global_projection.weight"}) {
    EXPECT_EQ(stored.count(name), 0U) << name;
    ASSERT_EQ(stored.count(std::string(name) + ".codes"), 1U) << name;
    const auto& values = model.parameters().get(name).value;
    const auto expected = ops::quantize(values.detach(), 8);
    EXPECT_TRUE(stored.at(std::string(name) + ".codes").equal(expected.codes)) << name;
    EXPECT_TRUE(stored.at(std::string(name) + ".scales").equal(expected.scales)) << name;
  }
  for (const auto* const name :
       {"embedding.weight", "final_norm.weight", "layers.0.router.weight", "layers.0.memory.keys",
        "layers.1.memory.local_gate.bias", "layers.0.loop_scale"}) {
    ASSERT_EQ(stored.count(name), 1U) << name;
    EXPECT_TRUE(stored.at(name).equal(model.parameters().get(name).value)) << name;
  }
}

TEST(QuantizedModel, ComesBackAsWhatItsCodesStandForAndIsWrittenAgainBitForBit) {
  for (const bool tied : {false, true}) {
    const auto model = model_to_store(tied);
    for (const auto bits : kStoredBits) {
      const TestDirectory once;
      const TestDirectory twice;
      save_model(model, once.path(), bits);
      const auto loaded = load_model(once.path());
      EXPECT_EQ(loaded.config().quantization_bits, bits);
      for (const auto& parameter : model.parameters().all()) {
        const auto exact = parameter.value.detach();
        const auto expected = is_quantizable(parameter, model.config())
                                  ? ops::dequantize(ops::quantize(exact, bits))
                                  : exact;
        EXPECT_TRUE(loaded.parameters().get(parameter.name).value.equal(expected))
            << parameter.name << ", " << bits << " bit";
      }
      EXPECT_EQ(is_quantizable(model.parameters().get("embedding.weight"), model.config()), tied);
      save_model(loaded, twice.path());
      for (const auto* const file : {"model.safetensors", "config.json"}) {
        EXPECT_EQ(read_file(once.path() / file), read_file(twice.path() / file)) << file;
      }
    }
  }
}

TEST(QuantizedModel, HasProductsInItsOwnFormatInPassesOfInference) {
  auto config = looped_config(2);
  for (const auto& [bits, format] :
       {std::pair<int64_t, ops::WeightFormat>{0, ops::WeightFormat::kBf16},
        {8, ops::WeightFormat::kInt8},
        {4, ops::WeightFormat::kInt4}}) {
    config.quantization_bits = bits;
    LanguageModel model(config);
    model.parameters().initialize(/*seed=*/1);
    PreparedModel prepared(config, model.parameters(), at::kBFloat16);
    const auto weight = model.parameters().get("head.weight").value.detach();
    const auto& weights = prepared.shared().prepared({weight});
    ASSERT_NE(weights->prepared(), nullptr);
    EXPECT_EQ(weights->prepared()->format(), format) << bits;
  }
}

TEST(QuantizedModel, KeepsItsStoredCodesUntilAValueIsChanged) {
  const TestDirectory directory;
  const auto model = model_to_store();
  save_model(model, directory.path(), 8);
  const auto loaded = load_model(directory.path());
  const auto& head = loaded.parameters().get("head.weight").value;
  const auto* const codes = loaded.parameters().codes_of(head, 8);
  ASSERT_NE(codes, nullptr);
  const auto anew = ops::quantize(model.parameters().get("head.weight").value.detach(), 8);
  EXPECT_TRUE(codes->codes.equal(anew.codes) && codes->scales.equal(anew.scales));
  EXPECT_EQ(loaded.parameters().codes_of(head, 4), nullptr);
  EXPECT_EQ(loaded.parameters().codes_of(head.detach(), 8), nullptr);
  EXPECT_EQ(loaded.parameters().codes_of(loaded.parameters().get("embedding.weight").value, 8),
            nullptr);
  const at::NoGradGuard no_grad;
  head.detach().fill_(1.0);
  EXPECT_EQ(loaded.parameters().codes_of(head, 8), nullptr);
}

TEST(QuantizedModel, WeightsThatDoNotBelongToTheConfigAreRefused) {
  const TestDirectory directory;
  const auto model = model_to_store();
  save_model(model, directory.path(), 8);
  const auto weights = read_file(directory.path() / "model.safetensors");
  const auto put = [&](int64_t bits) {
    save_model(model, directory.path(), bits);
    write_file_atomically(directory.path() / "model.safetensors", weights);
  };
  put(0);
  expect_contains(load_failure(directory.path()),
                  "expected weights in floating point (\"quantization_bits\" is 0), got");
  put(4);
  expect_contains(load_failure(directory.path()), "expected shape [");
  save_model(model, directory.path(), 8);
  auto tensors = read_safetensors(directory.path() / "model.safetensors").tensors;
  for (auto& [name, tensor] : tensors) {
    tensor = name == "head.weight.codes" ? tensor.view(at::kByte) : tensor;
  }
  write_safetensors(directory.path() / "model.safetensors", tensors);
  expect_contains(
      load_failure(directory.path()),
      "parameter \"head.weight\": expected codes Char and scales BFloat16 for 8 bits, got "
      "Byte and BFloat16.");
}

TEST(QuantizedModel, ATrainingRunDoesNotTakeItsWeights) {
  const TestDirectory directory;
  save_model(model_to_store(), directory.path(), 4);
  auto model = model_to_store();
  const auto before = model.parameters().get("head.weight").value.detach().clone();
  expect_contains(error_of(ErrorCode::kCheckpoint,
                           [&] { load_weights(model, directory.path() / "model.safetensors"); }),
                  "of a quantized model");
  EXPECT_TRUE(model.parameters().get("head.weight").value.equal(before));
}

TEST(QuantizedModel, WeightsThatAreNotFiniteAreNamed) {
  const TestDirectory directory;
  const auto model = model_to_store();
  {
    const at::NoGradGuard no_grad;
    model.parameters().get("layers.1.block.feed_forward.up.weight").value[3][2] =
        std::numeric_limits<float>::quiet_NaN();
  }
  expect_contains(error_of(ErrorCode::kData, [&] { save_model(model, directory.path(), 8); }),
                  "layers.1.block.feed_forward.up.weight: quantize: expected finite weights below "
                  "2^113, got others in row 3.");
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

/// The file that an address of this process is mapped from; empty for memory of its own.
std::string mapped_file_of(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream maps("/proc/self/maps");  // begin-end permissions offset device inode path
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    uintptr_t begin = 0;
    uintptr_t end = 0;
    char dash = 0;
    std::string permissions, offset, device, inode, path;
    words >> std::hex >> begin >> dash >> end >> permissions >> offset >> device >> inode >> path;
    if (begin <= wanted && wanted < end) {
      return path;
    }
  }
  return "";
}

TEST(LoadModel, LeavesFp32WeightsInTheFileUntilTheyAreChangedWhichTheFileDoesNotSee) {
  const TestDirectory directory;
  const auto model = model_to_store();
  save_model(model, directory.path());
  const auto bytes = read_file(directory.path() / "model.safetensors");
  const auto loaded = load_model(directory.path());
  for (const auto& parameter : loaded.parameters().all()) {
    EXPECT_TRUE(parameter.value.equal(model.parameters().get(parameter.name).value));
    EXPECT_TRUE(parameter.value.requires_grad() && parameter.value.is_leaf()) << parameter.name;
    EXPECT_TRUE(mapped_file_of(parameter.value.data_ptr()).ends_with("model.safetensors"))
        << parameter.name;
  }
  // Another file under the name: the one that was loaded stays.
  const auto other = LanguageModel(model.config());
  save_model(other, directory.path());
  const auto& head = loaded.parameters().get("head.weight").value;
  EXPECT_TRUE(head.equal(model.parameters().get("head.weight").value));
  save_model(model, directory.path());
  const auto again = load_model(directory.path());
  const at::NoGradGuard no_grad;
  for (const auto& parameter : again.parameters().all()) {
    parameter.value.detach().fill_(1.0);
  }
  EXPECT_EQ(read_file(directory.path() / "model.safetensors"), bytes);
}

}  // namespace
}  // namespace loopbank
