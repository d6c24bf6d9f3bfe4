/// scripts/check_sources must be seen to fail: each fault is planted in a small tree of its own.

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

struct Plant {
  std::string name;
  std::string path;
  std::string text;
  std::string expected;  ///< a part of what is printed; empty: nothing is wrong
};

std::ostream& operator<<(std::ostream& out, const Plant& plant) {
  return out << plant.name;
}

class PlantedTree : public ::testing::Test {
 protected:
  /// A tree of two floors that is in order.
  void SetUp() override {
    write_text(root() / "scripts/floors.txt", "1 low\n2 left\n2 right\n3 high\n");
    write_text(root() / "loopbank/low/base.h", "#pragma once\n/// Base.\n");
    write_text(root() / "loopbank/left/side.h",
               "#pragma once\n/// Side.\n#include \"loopbank/low/base.h\"\n");
    write_text(root() / "loopbank/high/top.h",
               "#pragma once\n/// Top.\n#include \"loopbank/left/side.h\"\n");
  }
  ProgramResult check() const {
    return run_command({LOOPBANK_SOURCE_DIR "/scripts/check_sources", root().string()});
  }
  [[nodiscard]] const std::filesystem::path& root() const { return directory_.path(); }

 private:
  TestDirectory directory_;
};

class CheckSources : public PlantedTree, public ::testing::WithParamInterface<Plant> {};

TEST_P(CheckSources, NamesThePlantedFault) {
  const auto& plant = GetParam();
  ASSERT_EQ(check().status, 0) << check().out << check().err;
  write_text(root() / plant.path, plant.text);
  const auto result = check();
  EXPECT_EQ(result.status, plant.expected.empty() ? 0 : 1) << result.err;
  EXPECT_NE(result.out.find(plant.expected), std::string::npos) << result.out;
}

TEST_F(PlantedTree, ShownExamplesAreAsTheyAreBuilt) {
  write_text(root() / "examples/use.cpp", "int main() {}\n");
  write_text(root() / "README.md", "Use:\n\n```cpp\nint main() {}\n```\n");
  EXPECT_EQ(check().status, 0) << check().out << check().err;
  write_text(root() / "README.md", "Use:\n\n```cpp\nint main() { return 1; }\n```\n");
  EXPECT_EQ(check().status, 1);
}

std::string many_lines(int count) {
  std::string text;
  for (int line = 0; line < count; ++line) {
    text += "// line\n";
  }
  return text;
}

const std::vector<Plant> kPlants = {
    {"UpwardInclude", "loopbank/low/base.h", "#pragma once\n#include \"loopbank/high/top.h\"\n",
     "loopbank/low/base.h:2: low (floor 1) may not include from high (floor 3)"},
    {"SidewardInclude", "loopbank/right/other.cpp", "#include \"loopbank/left/side.h\"\n",
     "loopbank/right/other.cpp:1: right (floor 2) may not include from left (floor 2)"},
    {"OwnFloor", "loopbank/left/more.cpp", "#include \"loopbank/left/side.h\"\n", ""},
    {"MissingFile", "loopbank/high/more.cpp", "#include \"loopbank/low/bsae.h\"\n",
     "\"loopbank/low/bsae.h\" does not exist"},
    {"ShortPath", "loopbank/high/more.cpp", "#include \"top.h\"\n",
     "expected an include of the form"},
    {"UnknownFolder", "loopbank/attic/more.cpp", "\n",
     "expected a folder of scripts/floors.txt, got \"attic\""},
    {"WholeTorchHeader", "tests/low/base_test.cpp", "#include <torch/torch.h>\n",
     "tests/low/base_test.cpp:1: torch/torch.h takes"},
    {"HeavyPublicHeader", "loopbank/low/heavy.h", "#pragma once\n#include <ATen/Context.h>\n",
     "loopbank/low/heavy.h:2: a public header includes"},
    {"WholeATenHeader", "tests/low/base_test.cpp", "#include <ATen/ATen.h>\n",
     "tests/low/base_test.cpp:1: ATen/ATen.h takes"},
    {"FrontOfEveryFloor", "loopbank/loopbank.h",
     "#pragma once\n/// All.\n#include \"loopbank/high/top.h\"\n", ""},
    {"OwnHeaderNotFirst", "loopbank/left/side.cpp",
     "#include \"loopbank/low/base.h\"\n#include \"loopbank/left/side.h\"\n",
     "expected \"loopbank/left/side.h\" as the first include"},
    {"NoPragmaOnce", "loopbank/low/bare.h", "/// Bare.\n", "expected #pragma once"},
    {"NotAscii", "docs/notes.md", "one\ntwo \xc3\xa9\n",
     "docs/notes.md:2: expected ASCII, got U+00E9"},
    {"ErrorWithoutAFullStop", "loopbank/low/base.cpp",
     "#include \"loopbank/low/base.h\"\nvoid f() {\n  fail(ErrorCode::kData, \"{}: got (\"\n"
     "       \"nothing)\", at(\"x.\"));\n}\n",
     "loopbank/low/base.cpp:3: expected an error text that ends like a sentence, got \"...{}: got "
     "(nothing)\""},
    {"ErrorThrownWithoutAFullStop", "loopbank/low/base.h",
     "#pragma once\n/// fail(\"no call\")\ninline void f() { throw Error(kCode, \"(no stop\"); }\n",
     "loopbank/low/base.h:3: expected an error text"},
    {"ErrorsThatAreSentences", "loopbank/low/base.h",
     "#pragma once\n/// fail(\"no call\")\ninline void f() {\n  fail(kCode, \"{}: got ')'.{}\", 1, "
     "2);\n"
     "  fail(kCode, \"{}. Did you mean \\\"{}\\\"?\", 1, \"b\");\n"
     "  throw Error(kCode, text + \": \" + error.what());\n  log(\"no error\");\n}\n",
     ""},
    {"ExampleThatIsShownNowhere", "examples/use.cpp", "int main() {}\n",
     "README.md, docs/library.md: expected examples/use.cpp in a block of its own"},
    {"TooLong", "loopbank/low/long.cpp", many_lines(401), "expected at most 400 lines, got 401"},
    {"JustLongEnough", "loopbank/low/long.cpp", many_lines(400), ""},
};

INSTANTIATE_TEST_SUITE_P(Faults, CheckSources, ::testing::ValuesIn(kPlants),
                         [](const auto& plant) { return plant.param.name; });

}  // namespace
}  // namespace loopbank::testing
