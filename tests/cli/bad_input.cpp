#include "bad_input.h"

#include <gtest/gtest.h>

#include <sstream>

#include "fixtures.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {

void expect_refused(const BadInput& item) {
  const TestDirectory directory;
  write_fixture(directory.path());
  if (item.spoil) {
    item.spoil(directory.path());
  }
  const auto result = run_program(item.arguments, item.input, directory.path());
  EXPECT_EQ(result.status, item.status) << result.err;
  EXPECT_EQ(result.out, "");

  std::vector<std::string> errors;
  std::istringstream lines(result.err);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("error: ")) {
      errors.push_back(line);
    }
    // LibTorch's messages bring frames of the C++ stack along.
    EXPECT_EQ(line.find("frame #"), std::string::npos) << line;
    EXPECT_EQ(line.find("Exception raised"), std::string::npos) << line;
  }
  ASSERT_EQ(errors.size(), 1U) << result.err;
  EXPECT_NE(std::string(".?").find(errors.front().back()), std::string::npos)
      << "expected a sentence, got: " << errors.front();
  for (const auto& fragment : item.fragments) {
    EXPECT_NE(errors.front().find(fragment), std::string::npos)
        << "expected: " << fragment << "\nin: " << errors.front();
  }
}

void expect_refused_beside_model(BadInput item) {
  const auto spoil = std::move(item.spoil);
  item.spoil = [&spoil](const std::filesystem::path& directory) {
    write_model(directory / "model");
    if (spoil) {
      spoil(directory);
    }
  };
  expect_refused(item);
}

}  // namespace loopbank::testing
