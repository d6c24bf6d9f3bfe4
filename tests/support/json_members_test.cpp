#include "loopbank/support/json_members.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/test_directory.h"

namespace loopbank {

struct Leaf {
  std::string name;
  std::vector<double> values;
};

struct Branch {
  int64_t count = 0;
  double share = 0.5;
  std::optional<double> error = {};
  Leaf first;
  std::optional<Leaf> second = {};
  std::vector<Leaf> leaves;
  std::string note;
};

void members(auto& by, Either<Leaf> auto& leaf) {
  by("name", leaf.name);
  by.unless_empty("values", leaf.values);
}

void members(auto& by, Either<Branch> auto& branch) {
  by("count", branch.count);
  by("share", branch.share);
  by("error", branch.error);
  by.object("first", branch.first);
  by.object("second", branch.second);
  by.list("leaves", branch.leaves);
  by.unless_empty("note", branch.note);
}

namespace {

using Json = nlohmann::ordered_json;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

const MembersForm kAll = {.expected = "a branch", .remedy = "Grow another.", .all = true};
const MembersForm kSome = {.expected = "a branch"};

Branch read(const Json& json, const MembersForm& form) {
  Branch branch;
  JsonReader(json, "tree.json", form).read(branch);
  return branch;
}

TEST(JsonMembers, WhatIsWrittenIsReadInTheSameOrder) {
  Branch branch{
      .count = 3, .first = {"a", {1.5, 2.0}}, .leaves = {{"b", {}}, {"c", {0.25}}}, .note = {}};
  branch.error = 0.125;
  const auto json = JsonWriter::write(branch);
  EXPECT_EQ(json.dump(),
            R"({"count":3,"share":0.5,"error":0.125,"first":{"name":"a","values":[1.5,2.0]},)"
            R"("leaves":[{"name":"b"},{"name":"c","values":[0.25]}]})");
  EXPECT_EQ(JsonWriter::write(read(json, kSome)).dump(), json.dump());
}

TEST(JsonMembers, MissingKeysStayOrAreNamed) {
  const auto branch = read({{"count", 7}}, kSome);
  EXPECT_EQ(branch.count, 7);
  EXPECT_EQ(branch.share, 0.5);
  EXPECT_FALSE(branch.second);
  expect_contains(error_of(ErrorCode::kData,
                           [] {
                             (void)read({{"count", 7}}, kAll);
                           }),
                  "tree.json: expected a branch, got no \"share\". Grow another.");
}

TEST(JsonMembers, NumbersThatAreNotFiniteAreNulls) {
  auto json = JsonWriter::write(Branch{.first = {"a", {NAN, 1.0}}, .leaves = {}, .note = {}});
  json["share"] = nullptr;
  const auto branch = read(Json::parse(json.dump()), kSome);
  EXPECT_TRUE(std::isnan(branch.share));
  EXPECT_TRUE(std::isnan(branch.first.values.at(0)));
  EXPECT_EQ(branch.first.values.at(1), 1.0);
}

TEST(JsonMembers, WhatNobodyCanReadIsPassedOverOrNamed) {
  const auto parsed = [](const std::string& text) { return parse_json<Json>(text, "tree.json"); };
  EXPECT_EQ(read(parsed(R"({"other": [NaN, "\ud800"], "count": 7})"), kSome).count, 7);
  for (const auto* key : {"count", "share", "note"}) {
    for (const auto* spelling : {"NaN", "1e400", R"("\ud800")"}) {
      const auto json = parsed(fmt::format(R"({{"{}": {}}})", key, spelling));
      expect_contains(
          error_of(ErrorCode::kData, [&] { (void)read(json, kSome); }),
          fmt::format("tree.json: expected a branch, got {} as \"{}\".", spelling, key));
    }
  }
}

TEST(JsonMembers, ValuesOfAnotherTypeAreNamedWithTheirPlace) {
  const auto error = [](const Json& json) {
    return error_of(ErrorCode::kData, [&] { (void)read(json, kSome); });
  };
  expect_contains(error({{"count", "many"}}),
                  "tree.json: expected a branch, got string as \"count\".");
  expect_contains(error({{"leaves", {{{"name", "b"}}, {{"name", 2}}}}}),
                  "tree.json.leaves.1: expected a branch, got number as \"name\".");
  expect_contains(error({{"first", {{"values", "x"}}}}),
                  "tree.json.first: expected a branch, got string as \"values\".");
  expect_contains(error(Json::array()), "tree.json: expected a branch, got array.");
}

TEST(ReadMembersFile, NoFileIsNothingAndABrokenOneIsNamed) {
  const TestDirectory directory;
  EXPECT_FALSE(read_members_file<Leaf>(directory.path() / "none.json", kSome));
  const auto file = directory.write("leaf.json", "{\"name\": ");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)read_members_file<Leaf>(file, kSome); }),
                  "leaf.json:1:9: expected a branch, got broken JSON: unexpected end of input");
  (void)directory.write("leaf.json", std::string(100'000, '['));
  expect_contains(error_of(ErrorCode::kData, [&] { (void)read_members_file<Leaf>(file, kSome); }),
                  "leaf.json:1:129: expected JSON that nests at most 128 levels, got level 129.");
}

}  // namespace
}  // namespace loopbank
