#include "loopbank/serve/api_keys.h"

#include <gtest/gtest.h>

#include <fstream>

#include "loopbank/support/error.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

TEST(ApiKeys, AKeyIsFoundBehindBearerAlone) {
  const ApiKeys keys({"first-key", "second"});
  EXPECT_EQ(keys.find("Bearer first-key"), 0U);
  EXPECT_EQ(keys.find("bearer second"), 1U);
  for (const char* other : {"", "Bearer", "Bearer ", "Bearer first-ke", "Bearer first-keyy",
                            "Bearer  second", "first-key", "Basic second", "Bearer third"}) {
    EXPECT_FALSE(keys.find(other)) << other;
  }
}

TEST(ApiKeys, AFileHoldsOneALine) {
  const testing::TestDirectory folder;
  const auto path = folder.path() / "keys";
  std::ofstream(path) << "# of the lab\nabc\r\n\n  \nd-e \n";
  EXPECT_EQ(ApiKeys::read(path), (std::vector<std::string>{"abc", "d-e"}));
  std::ofstream(path) << "# nothing\n";
  EXPECT_THROW((void)ApiKeys::read(path), Error);
  EXPECT_THROW((void)ApiKeys::read(folder.path() / "missing"), Error);
}

TEST(ApiKeys, AKeyThatNoHeaderCarriesIsRefused) {
  EXPECT_THROW(ApiKeys({""}), Error);
  EXPECT_THROW(ApiKeys({"two words"}), Error);
  EXPECT_THROW(ApiKeys({"line\n"}), Error);
}

TEST(IsLoopback, HoldsForThisMachinesOwnNamesAlone) {
  for (const char* own : {"127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"}) {
    EXPECT_TRUE(is_loopback(own)) << own;
  }
  for (const char* other : {"0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.org", "localhost.evil",
                            "example.org", "", "128.0.0.1"}) {
    EXPECT_FALSE(is_loopback(other)) << other;
  }
}

}  // namespace
}  // namespace loopbank
