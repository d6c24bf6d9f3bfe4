#include "loopbank/eval/task_name.h"

#include <gtest/gtest.h>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;

std::string name_refusal(const std::string& name) {
  return error_of(ErrorCode::kConfig, [&] { (void)parse_task_name(name); });
}

TEST(TaskNames, ShortNamesKeepTheHeadline) {
  for (const char* name : {"arc_challenge", "arc_challenge:rc"}) {
    const auto task = parse_task_name(name);
    EXPECT_EQ(task.form.name, "arc_challenge");
    EXPECT_EQ(task.spelled, name);
    EXPECT_EQ(task.form.metric, Metric::kAccUncond);
    EXPECT_FALSE(task.olmes_documents);
    EXPECT_FALSE(task.shots.has_value());
  }
}

TEST(TaskNames, TheNamesOfOlmesAskForItsDocumentsAndShots) {
  const auto task = parse_task_name("arc_easy:rc::olmes");
  EXPECT_EQ(task.form.metric, Metric::kAccPerChar);
  EXPECT_TRUE(task.olmes_documents);
  EXPECT_EQ(task.shots, 5);
  const auto full = parse_task_name("arc_easy:rc::olmes:full");
  EXPECT_FALSE(full.olmes_documents);
  EXPECT_EQ(full.shots, 5);
}

TEST(TaskNames, BpbChangesTheHeadline) {
  for (const char* name : {"arc_easy:bpb", "arc_easy:rc:bpb", "arc_easy:rc:bpb::olmes",
                           "arc_easy:rc:bpb::olmes:full", "lambada:bpb", "facts:bpb"}) {
    EXPECT_EQ(parse_task_name(name).form.metric, Metric::kBitsPerByte) << name;
  }
}

TEST(TaskNames, MathIsBitsAByteInEverySpelling) {
  for (const char* name :
       {"minerva_math_algebra", "minerva_math_algebra:bpb", "minerva_math_algebra::bpb",
        "minerva_math_algebra::olmes", "minerva_math_algebra:bpb::olmes"}) {
    EXPECT_EQ(parse_task_name(name).form.metric, Metric::kBitsPerByte) << name;
  }
  EXPECT_EQ(parse_task_name("minerva_math_algebra:bpb::olmes").shots, 4);
}

TEST(TaskNames, UnknownVariantsMeetTheNearest) {
  EXPECT_EQ(
      name_refusal("arc_easy:mc::olmes"),
      "--tasks: unknown variant \"arc_easy:mc::olmes\". Did you mean \"arc_easy:rc::olmes\"?");
  EXPECT_EQ(name_refusal("arc_easy:bbp"),
            "--tasks: unknown variant \"arc_easy:bbp\". Did you mean \"arc_easy:bpb\"?");
  EXPECT_EQ(name_refusal("minerva_math_algebra:rc::olmes"),
            "--tasks: unknown variant \"minerva_math_algebra:rc::olmes\". Did you mean "
            "\"minerva_math_algebra::olmes\"?");
  EXPECT_EQ(name_refusal("commonsense:rc:olmes"),
            "--tasks: unknown variant \"commonsense:rc:olmes\". Did you mean "
            "\"commonsense:rc::olmes\"?");
  EXPECT_EQ(name_refusal("arc-eazy:rc::olmes"),
            "--tasks: unknown task \"arc-eazy:rc::olmes\". Did you mean \"arc_easy\"?");
}

}  // namespace
}  // namespace loopbank
