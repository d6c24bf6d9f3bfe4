/// The documentation says what the program says.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "loopbank/study/figure_svg_axis.h"
#include "loopbank/support/files.h"
#include "program.h"

namespace loopbank::testing {
namespace {

std::string source_file(const std::string& name) {
  return read_file(std::filesystem::path(LOOPBANK_SOURCE_DIR) / name);
}

/// The commands that --help lists.
std::vector<std::string> commands() {
  const auto help = run_program({"--help"}).out;
  std::vector<std::string> names;
  std::istringstream lines(help.substr(help.find("Subcommands:")));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    if (line.size() > 2 && line.starts_with("  ") && line[2] != ' ') {
      names.push_back(line.substr(2, line.find(' ', 2) - 2));
    }
  }
  return names;
}

TEST(Docs, SettingsAreThoseOfTheProgram) {
  const auto printed = run_program({"settings"});
  ASSERT_EQ(printed.status, 0) << printed.err;
  EXPECT_EQ(source_file("docs/settings.md"), printed.out)
      << "run: build/release/loopbank settings > docs/settings.md";
}

TEST(Docs, EveryCommandHasItsChapter) {
  const auto text = source_file("docs/cli.md");
  const auto names = commands();
  ASSERT_GE(names.size(), 3U);
  for (const auto& name : names) {
    EXPECT_NE(text.find("\n## loopbank " + name + "\n"), std::string::npos) << name;
  }
}

TEST(Docs, EveryFlagIsExplained) {
  const auto text = source_file("docs/cli.md");
  for (const auto& name : commands()) {
    std::istringstream words(run_program({name, "--help"}).out);
    for (std::string word; words >> word;) {
      if (word.starts_with("--") && word != "--help") {
        const auto flag = word.substr(0, word.find_first_not_of("-abcdefghijklmnopqrstuvwxyz"));
        EXPECT_NE(text.find("`" + flag), std::string::npos) << name << " " << flag;
      }
    }
  }
}

TEST(Docs, TheExamplesAreShownAsTheyAreBuilt) {
  const auto shown = source_file("README.md") + source_file("docs/library.md");
  for (const char* name : {"forward", "train", "loop_budgets", "serve"}) {
    const auto path = std::string("examples/") + name + ".cpp";
    EXPECT_NE(shown.find(source_file(path)), std::string::npos) << path << " is shown otherwise";
  }
}

TEST(Docs, TheStudysFigureShowsItsTable) {
  const auto svg = source_file("docs/figures/study-intervals.svg");
  const std::regex row(R"(\| ([^|*]+) \| (.+) \| (.+) \|)");
  const std::regex cell(R"(([-+][\d.]+) \[([-+][\d.]+), ([-+][\d.]+)\])");
  std::istringstream lines(source_file("docs/study.md"));
  int found = 0;
  bool in_table = false;
  for (std::string line; std::getline(lines, line);) {
    in_table = line.starts_with("| against IsoPar |") || (in_table && line.starts_with("|"));
    std::smatch fields;
    if (!in_table || !std::regex_match(line, fields, row)) {
      continue;
    }
    for (const size_t column : {2U, 3U}) {
      const auto text = fields[column].str();
      std::smatch numbers;
      if (std::regex_search(text, numbers, cell)) {
        const auto number = [&](size_t i) { return svg_number(std::stod(numbers[i]), 4); };
        const auto title = fmt::format("<title>{}: {}, {} to {}", fields[1].str(), number(1),
                                       number(2), number(3));
        EXPECT_NE(svg.find(title), std::string::npos) << title;
        ++found;
      }
    }
  }
  EXPECT_EQ(found, 24);
}

}  // namespace
}  // namespace loopbank::testing
