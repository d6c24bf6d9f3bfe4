#include "loopbank/support/progress_board.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "loopbank/support/log.h"

namespace loopbank {
namespace {

/// What is written to a stream that is no terminal: 24 rows of 120 characters are taken for granted.
class Stream {
 public:
  Stream() : out_(::open_memstream(&text_, &size_)) {}
  ~Stream() {
    std::fclose(out_);
    std::free(text_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] std::FILE* file() const { return out_; }
  [[nodiscard]] std::string text() const {
    std::fflush(out_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  size_t size_ = 0;
  std::FILE* out_;
};

TEST(ProgressBoard, DrawsItsLinesAndReturnsToTheFirst) {
  const Stream stream;
  {
    ProgressBoard board(stream.file());
    board.show({"one", "two"});
    EXPECT_EQ(stream.text(), "\r\033[Jone\ntwo\n\033[2A");
  }
  EXPECT_EQ(stream.text(), "\r\033[Jone\ntwo\n\033[2A\r\033[J");
}

TEST(ProgressBoard, LongLinesAreCutAndOfTooManyTheLastStays) {
  const Stream stream;
  ProgressBoard board(stream.file());
  board.show({std::string(500, 'x')});
  EXPECT_EQ(stream.text(), "\r\033[J" + std::string(119, 'x') + "\n\033[1A");
  std::vector<std::string> lines;
  for (int i = 0; i < 40; ++i) {
    lines.push_back(std::to_string(i));
  }
  board.show(lines);
  const auto text = stream.text();
  EXPECT_NE(text.find("\n21\n39\n\033[23A"), std::string::npos) << text;
  EXPECT_EQ(text.find("\n22\n"), std::string::npos) << text;
}

TEST(ProgressBoard, MessagesEraseWhatStandsBelowThemWhileThereIsABoard) {
  // The log's own pattern, seen by its messages: it writes to stderr.
  const Stream stream;
  const auto shown_while = [&](bool board_is_there) {
    std::unique_ptr<ProgressBoard> board;
    if (board_is_there) {
      board = std::make_unique<ProgressBoard>(stream.file());
    }
    ::testing::internal::CaptureStderr();
    log_info("word");
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(shown_while(true), "\r\033[Jword\n");
  EXPECT_EQ(shown_while(false), "word\n");
}

TEST(ProgressBar, FillsItsWidthAtTheEndAlone) {
  EXPECT_EQ(progress_bar(0.0, 4), "....");
  EXPECT_EQ(progress_bar(0.49, 4), "#...");
  EXPECT_EQ(progress_bar(0.999, 4), "###.");
  EXPECT_EQ(progress_bar(1.0, 4), "####");
  EXPECT_EQ(progress_bar(7.0, 4), "####");
}

}  // namespace
}  // namespace loopbank
