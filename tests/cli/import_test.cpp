/// loopbank import, as people call it; what it reads is tested in tests/interop.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "fixtures.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

TEST(ImportCommand, ReadsAModelAndTellsWhatItRead) {
  const TestDirectory directory;
  write_model(directory.path() / "model");
  const auto made =
      run_program({"import", "model", "--out", "imported", "--json"}, "", directory.path());
  ASSERT_EQ(made.status, 0) << made.err;
  const auto json = nlohmann::json::parse(made.out);
  EXPECT_EQ(json.at("family"), "loopbank");
  EXPECT_EQ(json.at("stored_type"), "F32");
  EXPECT_EQ(json.at("added_parameters"), 0);
  EXPECT_EQ(read_file(directory.path() / "imported/model.safetensors"),
            read_file(directory.path() / "model/model.safetensors"));
  EXPECT_EQ(read_file(directory.path() / "imported/config.json"),
            read_file(directory.path() / "model/config.json"));
}

TEST(ImportCommand, AMissingFolderIsOneLine) {
  const TestDirectory directory;
  const auto made = run_program({"import", "absent", "--out", "out"}, "", directory.path());
  EXPECT_EQ(made.status, 5);
  EXPECT_NE(made.err.find("error: absent: expected a folder"), std::string::npos) << made.err;
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "out"));
}

}  // namespace
}  // namespace loopbank::testing
