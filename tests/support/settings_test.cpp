#include "loopbank/support/settings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::TestDirectory;

/// Settings of every type that a field can have.
struct Example {
  int64_t steps = 100;
  double rate = 0.001;
  bool resume = false;
  std::string name = "none";
  std::optional<double> first_scale;
  IntOrList max_loops = 3;
  std::vector<std::string> train;

  std::vector<Section> sections() {
    return {{"training", {{"steps", &steps, "optimizer steps"}, {"resume", &resume, "go on"}}},
            {"model",
             {{"rate", &rate, "a rate"},
              {"name", &name, "a name"},
              {"first_scale", &first_scale, "scale of the first loop"},
              {"max_loops", &max_loops, "N"},
              {"train", &train, "files"}}}};
  }
};

Example read(const TestDirectory& directory, std::string_view text,
             const std::vector<std::string>& overrides = {}) {
  Example example;
  read_toml(directory.write("run.toml", text), overrides, example.sections());
  return example;
}

/// What reading this text ends with, without the folder's name.
std::string toml_error(std::string_view text, const std::vector<std::string>& overrides = {}) {
  const TestDirectory directory;
  auto message = error_of(ErrorCode::kConfig, [&] { read(directory, text, overrides); });
  const auto folder = directory.path().string() + "/";
  for (auto at = message.find(folder); at != std::string::npos; at = message.find(folder)) {
    message.erase(at, folder.size());
  }
  return message;
}

TEST(ReadToml, ReadsEveryTypeAndKeepsWhatIsAbsent) {
  const TestDirectory directory;
  const auto example = read(directory, R"(
[training]
resume = true
[model]
rate = 3
name = "a \"b\""
first_scale = 0.5413
max_loops = [1, 2, 3]
train = ["a.tokens", "b.tokens"]
)");
  EXPECT_EQ(example.steps, 100);
  EXPECT_TRUE(example.resume);
  EXPECT_EQ(example.rate, 3.0);
  EXPECT_EQ(example.name, "a \"b\"");
  EXPECT_EQ(example.first_scale, 0.5413);
  EXPECT_EQ(example.max_loops, (IntOrList{1, 2, 3}));
  EXPECT_EQ(example.train, (std::vector<std::string>{"a.tokens", "b.tokens"}));
}

TEST(ReadToml, AnUnknownKeyIsRefusedWithItsLineAndTheNearestName) {
  EXPECT_EQ(toml_error("[model]\nname = \"x\"\nmax_loop = 3\n"),
            "run.toml:3: unknown key \"max_loop\" in [model]. Did you mean \"max_loops\"?");
}

TEST(ReadToml, AnUnknownSectionAndAKeyOutsideAnySectionAreRefused) {
  EXPECT_EQ(toml_error("\n[modle]\n"),
            "run.toml:2: unknown section [modle]. Did you mean \"model\"?");
  EXPECT_EQ(toml_error("steps = 3\n"),
            "run.toml:1: key \"steps\" stands outside a section. Did you mean "
            "\"training.steps\"?");
  EXPECT_EQ(toml_error("velocity = 3\n"),
            "run.toml:1: key \"velocity\" stands outside a section. Known sections: [training], "
            "[model].");
  EXPECT_EQ(toml_error("[model.name]\nx = 1\n"),
            "run.toml:1: \"name\" expects a text in quotes, got {\"x\":1}.");
}

TEST(ReadToml, TablesWithinATableAreSectionsOfTheirOwn) {
  const TestDirectory directory;
  Example one;
  Example two;
  const auto base = directory.write("base.toml", "[system.b]\nname = \"base\"\n");
  const auto path =
      directory.write("run.toml", "base = \"base.toml\"\n[system.z]\nname = \"zed\"\n[system.a]\n");
  EXPECT_EQ(toml_tables_of(path, "system"), (std::vector<std::string>{"b", "z", "a"}));
  EXPECT_EQ(toml_tables_of(path, "model"), std::vector<std::string>());
  const std::vector<Section> sections = {{"system.b", one.sections()[1].fields},
                                         {"system.z", two.sections()[1].fields},
                                         {"system.a", {}}};
  read_toml(path, {"system.b.max_loops=4"}, sections);
  EXPECT_EQ(one.name, "base");
  EXPECT_EQ(one.max_loops.values, (std::vector<int64_t>{4}));
  EXPECT_EQ(two.name, "zed");
  const auto unknown = error_of(ErrorCode::kConfig, [&] {
    read_toml(directory.write("other.toml", "[system.b]\nnmae = 1\n"), {}, sections);
  });
  EXPECT_NE(unknown.find("other.toml:2: unknown key \"nmae\" in [system.b]"), std::string::npos)
      << unknown;
}

TEST(ReadToml, ATextMayHaveTheBasesThatAreGiven) {
  Example example;
  read_toml_text("base = \"b.toml\"\n[model]\nmax_loops = 2\n", "here", {}, example.sections(),
                 {{"b.toml", "[model]\nname = \"from b\"\nmax_loops = 9\n"}});
  EXPECT_EQ(example.name, "from b");
  EXPECT_EQ(example.max_loops.values, (std::vector<int64_t>{2}));
  EXPECT_EQ(
      error_of(
          ErrorCode::kConfig,
          [&] {
            read_toml_text("base = \"c.toml\"\n", "here", {}, example.sections(), {{"b.toml", ""}});
          }),
      "here: \"base\" expects one of the texts given with this one, got \"c.toml\".");
}

TEST(ReadToml, AValueOfAnotherTypeIsRefusedWithTheValue) {
  EXPECT_EQ(toml_error("[training]\nsteps = 3.0\n"),
            "run.toml:2: \"steps\" expects a whole number, got 3.0. Write 3.");
  EXPECT_EQ(toml_error("[training]\nsteps = 1e3\n"),
            "run.toml:2: \"steps\" expects a whole number, got 1000.0. Write 1000.");
  EXPECT_EQ(toml_error("[training]\nsteps = 3.5\n"),
            "run.toml:2: \"steps\" expects a whole number, got 3.5.");
  EXPECT_EQ(toml_error("[training]\nsteps = \"3\"\n"),
            "run.toml:2: \"steps\" expects a whole number, got \"3\".");
  EXPECT_EQ(toml_error("[training]\nresume = 1\n"),
            "run.toml:2: \"resume\" expects true or false, got 1.");
  EXPECT_EQ(toml_error("[model]\nname = 1\n"),
            "run.toml:2: \"name\" expects a text in quotes, got 1.");
  EXPECT_EQ(toml_error("[model]\nmax_loops = [1, 2.5]\n"),
            "run.toml:2: \"max_loops\" expects a whole number or a list of whole numbers, got "
            "[1,2.5].");
  EXPECT_EQ(toml_error("[model]\nmax_loops = []\n"),
            "run.toml:2: \"max_loops\" expects a list with at least one whole number, got [].");
  EXPECT_EQ(toml_error("[model]\ntrain = [1]\n"),
            "run.toml:2: \"train\" expects a text or a list of texts, got [1].");
}

TEST(ReadToml, ADateIsNoValueOfAnySetting) {
  EXPECT_EQ(toml_error("[model]\nfirst_scale = 2026-03-11\n"),
            "run.toml:2: \"first_scale\" expects a finite number, got \"2026-03-11\".");
}

TEST(ReadToml, NumbersThatAreNotFiniteAreRefused) {
  EXPECT_EQ(toml_error("[model]\nrate = nan\n"),
            "run.toml:2: \"rate\" expects a finite number, got nan.");
  EXPECT_EQ(toml_error("[model]\nfirst_scale = -inf\n"),
            "run.toml:2: \"first_scale\" expects a finite number, got -inf.");
}

TEST(ReadToml, BrokenSyntaxAndADoubleKeyNameTheirLine) {
  testing::expect_contains(toml_error("[model]\nname = \n"), "run.toml:2: ");
  testing::expect_contains(toml_error("[model]\nrate = 1\nrate = 2\n"), "run.toml:3: ");
}

TEST(ReadToml, AMissingFileIsNamed) {
  Example example;
  EXPECT_EQ(
      error_of(ErrorCode::kConfig, [&] { read_toml("/nowhere/run.toml", {}, example.sections()); }),
      "/nowhere/run.toml: cannot open: No such file or directory.");
}

TEST(ReadToml, ABaseIsOverriddenKeyByKey) {
  const TestDirectory directory;
  std::filesystem::create_directory(directory.path() / "below");
  directory.write("root.toml", "[training]\nsteps = 1\n[model]\nrate = 1.0\nname = \"root\"\n");
  directory.write("below/middle.toml", "base = \"../root.toml\"\n[model]\nname = \"middle\"\n");
  const auto example = read(directory, "base = \"below/middle.toml\"\n[model]\nmax_loops = 7\n");
  EXPECT_EQ(example.steps, 1);
  EXPECT_EQ(example.rate, 1.0);
  EXPECT_EQ(example.name, "middle");
  EXPECT_EQ(example.max_loops, (IntOrList(7)));
}

TEST(ReadToml, FaultsOfABaseAreShownAtTheirOwnPlace) {
  const TestDirectory directory;
  const auto base = directory.write("base.toml", "[model]\nnmae = \"x\"\n");
  const auto message = error_of(
      ErrorCode::kConfig, [&] { read(directory, "base = \"base.toml\"\n[model]\nrate = 1\n"); });
  EXPECT_EQ(message, base.string() + ":2: unknown key \"nmae\" in [model]. Did you mean \"name\"?");
}

TEST(ReadToml, ABaseThatIsMissingOrNamesItselfIsRefused) {
  EXPECT_EQ(toml_error("\nbase = \"absent.toml\"\n"),
            "run.toml:2: \"base\" expects an existing file, got absent.toml.");
  testing::expect_contains(toml_error("base = \"run.toml\"\n"), "name each other as base");
  EXPECT_EQ(toml_error("base = 3\n"), "run.toml:1: \"base\" expects a path in quotes, got 3.");
  const std::string long_name(300, 'a');
  EXPECT_EQ(toml_error("base = \"" + long_name + "\"\n"),
            "run.toml:1: \"base\" expects an existing file, got " + long_name + ".");
}

TEST(ReadToml, OverridesComeLastAndReadAsToml) {
  const TestDirectory directory;
  const auto example =
      read(directory, "[training]\nsteps = 1\n[model]\nfirst_scale = 0.5\n",
           {"training.steps=5", "training.steps=6", "model.rate=1e-3", "model.name=runs/a=b",
            "model.first_scale=null", " model.max_loops = [2, 3] ", "training.resume=true"});
  EXPECT_EQ(example.steps, 6);
  EXPECT_EQ(example.rate, 1e-3);
  EXPECT_EQ(example.name, "runs/a=b");
  EXPECT_EQ(example.first_scale, std::nullopt);
  EXPECT_EQ(example.max_loops, (IntOrList{2, 3}));
  EXPECT_TRUE(example.resume);
}

TEST(ReadToml, OverridesAreAsStrictAsTheFile) {
  EXPECT_EQ(toml_error("", {"model.max_loop=3"}),
            "--set model.max_loop=3: unknown key \"max_loop\" in [model]. Did you mean "
            "\"max_loops\"?");
  EXPECT_EQ(toml_error("", {"modl.max_loops=3"}),
            "--set modl.max_loops=3: unknown section [modl]. Did you mean \"model\"?");
  EXPECT_EQ(toml_error("", {"training.steps=many"}),
            "--set training.steps=many: \"steps\" expects a whole number, got \"many\".");
  EXPECT_EQ(toml_error("", {"training.steps=3\nx = 1"}),
            "--set training.steps=3\nx = 1: \"steps\" expects a whole number, got \"3\\nx = 1\".");
  for (const std::string text : {"training.steps", "a=b.c"}) {
    EXPECT_EQ(toml_error("", {text}),
              "--set " + text + ": expected section.key=value, as in model.max_loops=3.");
  }
  for (const std::string text : {"steps=3", "steps"}) {
    EXPECT_EQ(toml_error("", {text}),
              "--set " + text +
                  ": expected section.key=value, as in model.max_loops=3. Did you mean "
                  "\"training.steps\"?");
  }
}

/// One setting of each kind that takes a text or a list.
struct Lists {
  TextOrList train;
  std::vector<double> weights;
  std::vector<Section> sections() {
    return {{"data", {{"train", &train, "paths"}, {"weights", &weights, "shares"}}}};
  }
};

TEST(TextOrList, StaysWhatItWasWrittenAs) {
  const TestDirectory directory;
  for (const char* text :
       {"[data]\ntrain = \"a.tokens\"\nweights = []\n",
        "[data]\ntrain = [\"a.tokens\"]\nweights = [0.5]\n",
        "[data]\ntrain = [\"a\",\"b, c\"]\nweights = [0.25,3.0]\n",
        "[data]\ntrain = []\nweights = []\n", "[data]\ntrain = \"\"\nweights = []\n"}) {
    Lists lists;
    read_toml(directory.write("run.toml", text), {}, lists.sections());
    EXPECT_EQ(write_toml(lists.sections()), text);
    Lists again;
    read_json(write_json(lists.sections()[0].fields), again.sections()[0].fields, "again");
    EXPECT_EQ(again.train, lists.train);
    EXPECT_EQ(again.weights, lists.weights);
  }
}

TEST(TextOrList, OneTextAndAListOfOneDiffer) {
  EXPECT_NE(TextOrList("a"), TextOrList(std::vector<std::string>{"a"}));
  EXPECT_EQ(TextOrList(), TextOrList(""));
  EXPECT_TRUE(TextOrList().empty());
  EXPECT_TRUE(TextOrList(std::vector<std::string>{}).empty());
  EXPECT_FALSE(TextOrList(std::vector<std::string>{"", "a"}).empty());
  EXPECT_EQ(TextOrList(std::vector<std::string>{"a", "b"}).joined(), "a, b");
}

TEST(TextOrList, OtherValuesAreRefused) {
  const TestDirectory directory;
  const auto refused = [&](const std::string& override_text) {
    Lists lists;
    return error_of(ErrorCode::kConfig, [&] {
      read_toml(directory.write("run.toml", ""), {override_text}, lists.sections());
    });
  };
  EXPECT_EQ(refused("data.train=5"),
            "--set data.train=5: \"train\" expects a text or a list of texts, got 5.");
  EXPECT_EQ(refused("data.train=[\"a\", 5]"),
            "--set data.train=[\"a\", 5]: \"train\" expects a text or a list of texts, got "
            "[\"a\",5].");
  EXPECT_EQ(refused("data.weights=0.5"),
            "--set data.weights=0.5: \"weights\" expects a list of finite numbers, got 0.5.");
  EXPECT_EQ(refused("data.weights=[1, inf]"),
            "--set data.weights=[1, inf]: \"weights\" expects a list of finite numbers, got "
            "[1,inf].");
}

TEST(ReadToml, OverridesThatNoFileCouldHoldAreRefused) {
  EXPECT_EQ(toml_error("", {"model.name=caf\xE9"}),
            "--set model.name=caf\xE9: expected a text in UTF-8, got other bytes.");
  EXPECT_EQ(toml_error("", {"training.steps=\xFF"}),
            "--set training.steps=\xFF: expected a text in UTF-8, got other bytes.");
}

TEST(WriteToml, ComesBackAsItWas) {
  const TestDirectory directory;
  Example written;
  written.steps = -5;
  written.rate = 1e-8;
  written.resume = true;
  written.name = "tab\t\"quote\" \\ and # \xC3\xA9 \x01\x1F\x7F\r\n";
  written.first_scale = 2.0;
  written.max_loops = {1, 2};
  written.train = {"a", "b c", "\x7F"};
  const auto read_back = read(directory, write_toml(written.sections()));
  EXPECT_EQ(read_back.steps, written.steps);
  EXPECT_EQ(read_back.rate, written.rate);
  EXPECT_EQ(read_back.resume, written.resume);
  EXPECT_EQ(read_back.name, written.name);
  EXPECT_EQ(read_back.first_scale, written.first_scale);
  EXPECT_EQ(read_back.max_loops, written.max_loops);
  EXPECT_EQ(read_back.train, written.train);
}

TEST(WriteToml, EveryDoubleComesBackBitForBit) {
  const TestDirectory directory;
  for (const double rate : {0.1, 1.0 / 3.0, 2.912e-3, 1e300, 5e-324, 100.0, -0.0}) {
    Example written;
    written.rate = rate;
    const auto read_back = read(directory, write_toml(written.sections())).rate;
    EXPECT_EQ(read_back, rate);
    EXPECT_EQ(std::signbit(read_back), std::signbit(rate));
  }
}

TEST(ReadJson, RefusesUnknownKeysUnlessTheyAreIgnored) {
  Example example;
  const auto fields = example.sections()[1].fields;
  const auto json = nlohmann::json::parse(R"({"rate": 2, "torch_dtype": "float32"})");
  EXPECT_EQ(error_of(ErrorCode::kConfig, [&] { read_json(json, fields, "config.json"); }),
            "config.json: unknown key \"torch_dtype\". Known: rate, name, first_scale, max_loops, "
            "train.");
  read_json(json, fields, "config.json", {"torch_dtype"});
  EXPECT_EQ(example.rate, 2.0);
  EXPECT_EQ(error_of(ErrorCode::kConfig,
                     [&] { read_json(nlohmann::json::array(), fields, "config.json"); }),
            "config.json: expected a JSON object, got array.");
}

TEST(ReadJson, ANumberAboveTheRangeIsRefusedNotWrapped) {
  Example example;
  const auto json = nlohmann::json::parse(R"({"steps": 9223372036854775808})");
  EXPECT_EQ(error_of(ErrorCode::kConfig,
                     [&] { read_json(json, example.sections()[0].fields, "config.json"); }),
            "config.json: \"steps\" expects a whole number, got 9223372036854775808.");
}

TEST(WriteJson, KeepsTheOrderAndWritesNullForWhatIsNotSet) {
  Example example;
  EXPECT_EQ(write_json(example.sections()[1].fields).dump(),
            R"({"rate":0.001,"name":"none","first_scale":null,"max_loops":3,"train":[]})");
  Example read_back;
  read_json(nlohmann::json::parse(write_json(example.sections()[1].fields).dump()),
            read_back.sections()[1].fields, "config.json");
  EXPECT_EQ(read_back.max_loops, example.max_loops);
}

TEST(DescribeSettings, ListsEveryKeyWithItsValuesDefaultAndMeaning) {
  Example example;
  const auto text = describe_settings(example.sections());
  testing::expect_contains(text, "## [training]");
  testing::expect_contains(text, "| `steps` | a whole number | `100` | optimizer steps |");
  testing::expect_contains(
      text, "| `first_scale` | a finite number | absent | scale of the first loop |");
  int64_t steps = 0;
  std::string precision = "bf16";
  const std::vector<Section> limited = {
      {"training",
       {Field("steps", &steps, "optimizer steps").range(1, 9).required(),
        Field("precision", &precision, "number type").choices({"fp32", "bf16"})}}};
  testing::expect_contains(describe_settings(limited),
                           "| `steps` | a whole number from 1 to 9 | required | optimizer steps |\n"
                           "| `precision` | \"fp32\" or \"bf16\" | `\"bf16\"` | number type |");
}

}  // namespace
}  // namespace loopbank
