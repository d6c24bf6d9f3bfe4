#include "loopbank/model/safetensors.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <fstream>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::TestDirectory;

fs::path fresh_file() {
  static const TestDirectory directory;
  const auto path = directory.path() / "model.safetensors";
  fs::remove(path);
  return path;
}

std::string length_bytes(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>(length >> (8 * i) & 0xFFU));
  }
  return bytes;
}

SafetensorsContent read_bytes(const std::string& bytes) {
  const auto path = fresh_file();
  write_file_atomically(path, bytes);
  return read_safetensors(path);
}

SafetensorsContent read_parts(const std::string& header, size_t data_bytes) {
  return read_bytes(length_bytes(header.size()) + header + std::string(data_bytes, '\0'));
}

/// The error must carry its code, the file and every part.
template <typename Read>
void expect_refused(const Read& read, const std::vector<std::string>& parts) {
  try {
    read();
    FAIL() << "accepted, although it should name " << parts.front();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpoint);
    const std::string text = error.what();
    EXPECT_NE(text.find("model.safetensors"), std::string::npos) << text;
    for (const auto& part : parts) {
      EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
    }
  }
}

void expect_header_refused(const std::string& header, size_t data_bytes,
                           const std::vector<std::string>& parts) {
  SCOPED_TRACE(header);
  expect_refused([&] { (void)read_parts(header, data_bytes); }, parts);
}

TEST(Safetensors, EveryDtypeComesBackAsItWasWritten) {
  NamedTensors tensors;
  for (const auto type : {at::kByte, at::kBool, at::kChar, at::kHalf, at::kBFloat16, at::kShort,
                          at::kInt, at::kFloat, at::kLong, at::kDouble}) {
    auto values = at::arange(-3, 4, at::kDouble).to(type);  // [7], an odd size in every width
    tensors.emplace_back(c10::toString(type), values);
  }
  tensors.emplace_back("scalar", at::scalar_tensor(2.5));
  tensors.emplace_back("empty", at::empty({0, 3}));
  tensors.emplace_back("transposed", at::arange(6, at::kFloat).view({2, 3}).t());
  const auto path = fresh_file();
  write_safetensors(path, tensors, {{"format", "pt"}, {"note", "a \"quoted\" text"}});
  const auto content = read_safetensors(path);
  ASSERT_EQ(content.tensors.size(), tensors.size());
  EXPECT_EQ(content.metadata.at("note"), "a \"quoted\" text");
  for (const auto& [name, values] : tensors) {
    const auto& wanted = name;
    const auto found = std::find_if(content.tensors.begin(), content.tensors.end(),
                                    [&](const auto& item) { return item.first == wanted; });
    ASSERT_NE(found, content.tensors.end()) << name;
    EXPECT_EQ(found->second.scalar_type(), values.scalar_type()) << name;
    EXPECT_TRUE(at::equal(found->second, values)) << name;
  }
}

TEST(Safetensors, TensorsOfOneTypeKeepTheirOrderInTheFile) {
  const auto path = fresh_file();
  write_safetensors(path, {{"z", at::ones({2})}, {"a", at::ones({3})}, {"m", at::ones({1})}});
  const auto content = read_safetensors(path);
  EXPECT_EQ(content.tensors[0].first, "z");
  EXPECT_EQ(content.tensors[1].first, "a");
  EXPECT_EQ(content.tensors[2].first, "m");
}

TEST(Safetensors, AFileOfAnotherWriterIsRead) {
  // Header order, padding and an odd offset are the writer's choice.
  const std::string header =
      R"({"b":{"dtype":"F32","shape":[1,2],"data_offsets":[3,11]},)"
      R"("a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"__metadata__":{"k":"v"}}   )";
  std::string data = "\x01\x02\x03";
  const float values[2] = {1.5F, -2.0F};
  data.append(reinterpret_cast<const char*>(values), sizeof(values));
  const auto content = read_bytes(length_bytes(header.size()) + header + data);
  EXPECT_EQ(content.tensors[0].first, "a");
  EXPECT_TRUE(at::equal(content.tensors[1].second, at::tensor({1.5F, -2.0F}).view({1, 2})));
  EXPECT_EQ(content.metadata.at("k"), "v");
}

TEST(Safetensors, TensorsOwnTheirMemoryAfterTheFileIsGone) {
  const auto path = fresh_file();
  write_safetensors(path, {{"a", at::full({4}, 7.0)}});
  const auto content = read_safetensors(path);
  fs::remove(path);
  EXPECT_EQ(content.tensors[0].second.sum().item<double>(), 28.0);
}

TEST(Safetensors, AHeaderLengthThatLiesIsRefusedBeforeAnyAllocation) {
  expect_refused([] { (void)read_bytes(""); }, {"8 bytes", "got 0"});
  expect_refused([] { (void)read_bytes("abc"); }, {"8 bytes", "got 3"});
  expect_refused([] { (void)read_bytes(length_bytes(~uint64_t{0}) + "{}"); },
                 {"18446744073709551615", "10"});
  expect_refused([] { (void)read_bytes(length_bytes(3) + "{}"); }, {"got a length of 3"});
  expect_refused([] { (void)read_bytes(length_bytes(0)); }, {"begins with '{'", "got none"});
}

/// As the format says, and its own package (safetensors 0.8.0) but for the blank in front, which that
/// still takes, and names that stand twice.
TEST(Safetensors, AHeaderBeginsWithItsBraceAndEndsInBlanks) {
  const std::string entry = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  for (const auto* padding : {"", " ", "       ", "\n", "\t "}) {
    EXPECT_EQ(read_parts("{" + entry + padding, 4).tensors.size(), 1U);
  }
  using namespace std::string_literals;
  for (const auto& padding : {"\0"s, "\0\0\0\0"s, " \0"s, " x"s, "{}"s}) {
    expect_header_refused("{" + entry + padding, 4, {"header:1:"});
  }
  for (const auto* before : {" ", "\n", "\xEF\xBB\xBF"}) {
    expect_header_refused(before + ("{" + entry), 4, {"expected a header that begins with '{'"});
  }
}

TEST(Safetensors, MetadataThatIsNullIsNone) {
  const auto content = read_parts(
      R"({"__metadata__":null,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  EXPECT_TRUE(content.metadata.empty());
  EXPECT_EQ(content.tensors.size(), 1U);
  for (const auto* other : {"[]", "5", R"({"x":null})", R"({"x":NaN})", R"({"x":"\ud800"})"}) {
    expect_header_refused(std::string(R"({"__metadata__":)") + other + "}", 0, {"__metadata__"});
  }
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":NaN}})", 4,
                        {"\"a\"", "NaN"});
}

TEST(Safetensors, ABrokenHeaderIsRefused) {
  expect_header_refused("{", 0, {"JSON"});
  expect_header_refused("[]", 0, {"expected a header that begins with '{', got \"[\"."});
  expect_header_refused(R"({"a": 3})", 0, {"\"a\"", "data_offsets"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1]}})", 4, {"\"a\"", "data_offsets"});
  expect_header_refused("{\"\xff\":1}", 0, {"JSON"});
  expect_header_refused(R"({"__metadata__":{"a":1}})", 0, {"__metadata__"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                        R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                        4, {"header:1:57: expected every key once", "\"a\" again"});
  expect_header_refused(R"({"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}})",
                        4, {"\"dtype\" again"});
}

TEST(Safetensors, AnUnknownDtypeIsRefusedWithTheNearest) {
  expect_header_refused(R"({"a":{"dtype":"BF15","shape":[1],"data_offsets":[0,2]}})", 2,
                        {"\"a\"", "BF15", "Did you mean \"BF16\"?"});
  expect_header_refused(R"({"a":{"dtype":32,"shape":[1],"data_offsets":[0,2]}})", 2, {"32"});
}

TEST(Safetensors, AShapeThatDoesNotFitItsBytesIsRefused) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
                        {"\"a\"", "12 bytes", "8 bytes"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})", 8, {"-1"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,8]}})", 8, {"1.5"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":"x","data_offsets":[0,8]}})", 8, {"\"x\""});
  // 2^32 * 2^32 * 4 wraps to 0 in 64 bits.
  expect_header_refused(
      R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
      {"63 bits"});
  expect_header_refused(
      R"({"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})", 0,
      {"63 bits"});
}

TEST(Safetensors, OffsetsOutsideTheFileOrBackwardsAreRefused) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4,
                        {"\"a\"", "4 data bytes", "[0, 8]"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, {"[4,0]"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, {"[0]"});
  expect_header_refused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,4]}})", 4,
      {"18446744073709551612"});
}

TEST(Safetensors, OverlapsHolesAndRestsAreRefused) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                        R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                        12, {"\"b\"", "overlap"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                        R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                        12, {"\"b\"", "hole"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 9,
                        {"4 data bytes", "got 9"});
  expect_header_refused("{}", 1, {"0 data bytes", "got 1"});
}

TEST(Safetensors, AHeaderThatNestsWithoutEndIsRefused) {
  const auto nested = std::string(300'000, '[') + std::string(300'000, ']');
  expect_refused([&] { (void)read_parts(R"({"a":)" + nested + "}", 0); },
                 {"expected JSON that nests at most 128 levels"});
}

TEST(Safetensors, MetadataOfAnotherKindIsRefusedEvenWhereItIsEmpty) {
  for (const std::string metadata : {"[]", "1", R"("a")", R"({"a":1})"}) {
    expect_header_refused(R"({"__metadata__":)" + metadata + "}", 0,
                          {"\"__metadata__\" expects texts by name", "got " + metadata});
  }
}

TEST(Safetensors, ABoolThatIsNeitherZeroNorOneIsRefused) {
  const std::string header = R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})";
  expect_refused([&] { (void)read_bytes(length_bytes(header.size()) + header + "\x01\x02"); },
                 {"\"a\"", "got 2 at element 1"});
}

TEST(Safetensors, EveryTruncationOfAFileIsRefused) {
  const auto path = fresh_file();
  write_safetensors(path, {{"a", at::ones({5})}, {"b", at::ones({3}, at::kBFloat16)}});
  const auto whole = read_file(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW((void)read_bytes(whole.substr(0, size)), Error) << size;
  }
  EXPECT_NO_THROW((void)read_bytes(whole));
}

TEST(Safetensors, WritingRefusesANameTwiceAndKeepsTheOldFile) {
  const auto path = fresh_file();
  write_safetensors(path, {{"a", at::ones({2})}});
  expect_refused(
      [&] {
        write_safetensors(path, {{"b", at::ones({2})}, {"b", at::ones({2})}});
      },
      {"\"b\" again"});
  EXPECT_EQ(read_safetensors(path).tensors[0].first, "a");
  EXPECT_EQ(std::distance(fs::directory_iterator(path.parent_path()), fs::directory_iterator()), 1);
}

TEST(Safetensors, AMissingFileIsNamed) {
  expect_refused([] { (void)read_safetensors(fresh_file()); }, {"No such file"});
}

}  // namespace
}  // namespace loopbank
