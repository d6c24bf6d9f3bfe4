#include "loopbank/dissect/memory_banks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

/// Three layers, the second of them dense, with 4 slots each and 2 for all.
ModelConfig three_layers() {
  ModelConfig config;
  config.num_hidden_layers = 3;
  config.max_loops = {2, 0, 2};
  config.local_memory_slots = 4;
  config.global_memory_slots = 2;
  return config;
}

TEST(MemoryBanks, AdaptiveLayersHaveTheirOwnAndAllShareOne) {
  std::vector<std::string> names;
  for (const auto& bank : banks_of(three_layers())) {
    names.push_back(bank_name(bank));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"layer0", "layer2", "global"}));
  auto config = three_layers();
  config.max_loops = 0;
  EXPECT_TRUE(banks_of(config).empty());
}

TEST(MemoryBanks, NamesAreReadBack) {
  for (const char* name : {"layer0", "layer2:3", "global:1,0", "global"}) {
    EXPECT_EQ(slots_name(parse_bank_slots("--zero", name, three_layers())), name);
  }
  const auto found = parse_bank_slots("--zero", "layer2:3,0", three_layers());
  EXPECT_EQ(found.bank.layer, 2);
  EXPECT_EQ(found.slots, (std::vector<int64_t>{3, 0}));
}

TEST(MemoryBanks, MistakesTellWhatIsAllowed) {
  const auto message = [](const std::string& name) {
    return error_of(ErrorCode::kConfig,
                    [&] { (void)parse_bank_slots("--zero", name, three_layers()); });
  };
  expect_contains(message("layer1"), "--zero: expected a bank of the model, got \"layer1\".");
  expect_contains(message("layer1"), "layer0");
  expect_contains(message("globel:1"), "Did you mean \"global\"?");
  expect_contains(message("layer0:4"), "expected slots of layer0 from 0 to 3, got \"4\"");
  expect_contains(message("global:2"), "expected slots of global from 0 to 1, got \"2\"");
  for (const char* name : {"layer0:", "layer0:1,", "layer0:-1", "layer0:1x", "layer0:,1"}) {
    expect_contains(message(name), "expected slots of layer0 from 0 to 3, got \"");
  }
  expect_contains(message("layer0:1,1"), "expected different slots, got 1 twice");
}

}  // namespace
}  // namespace loopbank
