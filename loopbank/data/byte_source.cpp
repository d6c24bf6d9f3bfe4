#include "loopbank/data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr size_t kInputBytes = size_t{1} << 17;

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(const fs::path& path) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) {
      fail(ErrorCode::kData, "{}: cannot open: {}.", path.string(), std::strerror(errno));
    }
  }
  ~PlainSource() override { ::close(descriptor_); }
  PlainSource(const PlainSource&) = delete;
  PlainSource& operator=(const PlainSource&) = delete;

  size_t read_on(char* out, size_t capacity) override {
    ssize_t count = 0;
    do {
      count = ::read(descriptor_, out, capacity);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
      problem_ = fmt::format("cannot read: {}", std::strerror(errno));
      return 0;
    }
    bytes_read_ += static_cast<uint64_t>(count);
    return static_cast<size_t>(count);
  }
  bool skip_on(uint64_t num_bytes) override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      return ByteSource::skip_on(num_bytes);  // a pipe
    }
    const bool is_there = bytes_read_ + num_bytes <= static_cast<uint64_t>(status.st_size);
    if (!is_there || ::lseek(descriptor_, static_cast<off_t>(num_bytes), SEEK_CUR) < 0) {
      return false;
    }
    bytes_read_ += num_bytes;
    return true;
  }
  uint64_t file_bytes_read() const override { return bytes_read_; }

 private:
  int descriptor_ = -1;
  uint64_t bytes_read_ = 0;
};

/// What both decoders share: a window of compressed input over a plain file.
class CompressedSource : public ByteSource {
 public:
  explicit CompressedSource(const fs::path& path) : file_(path), buffer_(kInputBytes) {}
  uint64_t file_bytes_read() const override { return file_.file_bytes_read() - input_.size(); }

 protected:
  /// False at the end of the file; a failed read is a problem.
  bool refill() {
    if (input_.empty()) {
      input_ = {buffer_.data(), file_.read(buffer_.data(), buffer_.size())};
      problem_ = file_.problem();
    }
    return !input_.empty();
  }
  size_t stop(std::string reason) {
    broken_ = true;
    if (problem_.empty()) {
      problem_ = std::move(reason);
    }
    return 0;
  }

  std::span<char> input_;
  bool broken_ = false;

 private:
  PlainSource file_;
  std::vector<char> buffer_;
};

class GzipSource final : public CompressedSource {
 public:
  explicit GzipSource(const fs::path& path) : CompressedSource(path) {
    constexpr int kGzipWindow = 15 + 16;  // the largest window, gzip header and checksum
    if (inflateInit2(&stream_, kGzipWindow) != Z_OK) {
      fail(ErrorCode::kData, "{}: zlib cannot start: out of memory.", path.string());
    }
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  size_t read_on(char* out, size_t capacity) override {
    size_t produced = 0;
    while (produced == 0 && !broken_) {
      if (!refill()) {
        return in_member_ ? stop("the gzip stream is truncated") : 0;
      }
      if (!in_member_ && !start_next_member()) {
        continue;
      }
      produced = inflate_some(out, capacity);
    }
    return produced;
  }

 private:
  /// Zeros may follow a member (tapes, some uploaders): these are passed over.
  bool start_next_member() {
    while (!input_.empty() && input_.front() == '\0') {
      input_ = input_.subspan(1);
    }
    if (input_.empty()) {
      return false;
    }
    inflateReset(&stream_);
    in_member_ = true;
    return true;
  }

  size_t inflate_some(char* out, size_t capacity) {
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(input_.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(capacity);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    input_ = input_.last(stream_.avail_in);
    const size_t produced = capacity - stream_.avail_out;
    if (status == Z_STREAM_END) {
      in_member_ = false;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      // What was unpacked in this call is given out; the next call finds the stream broken.
      stop(fmt::format("the gzip stream is corrupt ({})",
                       stream_.msg != nullptr ? stream_.msg : "no reason given"));
    }
    return produced;
  }

  z_stream stream_{};
  bool in_member_ = true;  // an empty file is a truncated stream too
};

class ZstdSource final : public CompressedSource {
 public:
  explicit ZstdSource(const fs::path& path) : CompressedSource(path), stream_(ZSTD_createDCtx()) {
    if (stream_ == nullptr) {
      fail(ErrorCode::kData, "{}: zstd cannot start: out of memory.", path.string());
    }
  }
  ~ZstdSource() override { ZSTD_freeDCtx(stream_); }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;

  size_t read_on(char* out, size_t capacity) override {
    ZSTD_outBuffer output{out, capacity, 0};
    while (output.pos == 0 && !broken_) {
      // A full output buffer may have left decoded bytes inside: ask for them before new input.
      const bool has_input = refill();
      if (!has_input && !in_frame_) {
        return 0;
      }
      ZSTD_inBuffer input{input_.data(), input_.size(), 0};
      const size_t status = ZSTD_decompressStream(stream_, &output, &input);
      input_ = input_.subspan(input.pos);
      if (ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge) {
        stop("the zstd stream needs more than 128 MiB to unpack; pack it again without --long");
      } else if (ZSTD_isError(status) != 0U) {
        stop(fmt::format("the zstd stream is corrupt ({})", ZSTD_getErrorName(status)));
      } else {
        in_frame_ = status != 0;
        if (!has_input && output.pos == 0) {
          return stop("the zstd stream is truncated");
        }
      }
    }
    return output.pos;
  }

 private:
  ZSTD_DCtx* stream_;
  bool in_frame_ = true;  // an empty file is a truncated stream too
};

}  // namespace

size_t ByteSource::read(char* out, size_t capacity) {
  if (num_given_ == peeked_.size()) {
    return read_on(out, capacity);
  }
  const auto count = peeked_.copy(out, capacity, num_given_);
  num_given_ += count;
  return count;
}

std::string_view ByteSource::peek(size_t num_bytes) {
  auto end = peeked_.size();
  peeked_.resize(std::max(end, num_bytes));
  while (end < num_bytes) {
    const auto count = read_on(peeked_.data() + end, num_bytes - end);
    if (count == 0) {
      break;
    }
    end += count;
  }
  peeked_.resize(end);
  return peeked_;
}

bool ByteSource::skip(uint64_t num_bytes) {
  const auto given = std::min<uint64_t>(num_bytes, peeked_.size() - num_given_);
  num_given_ += given;
  return num_bytes == given || skip_on(num_bytes - given);
}

bool ByteSource::skip_on(uint64_t num_bytes) {
  std::vector<char> dropped(kInputBytes);
  while (num_bytes > 0) {
    const auto count = read_on(dropped.data(), std::min<uint64_t>(num_bytes, dropped.size()));
    if (count == 0) {
      return false;
    }
    num_bytes -= count;
  }
  return true;
}

std::unique_ptr<ByteSource> ByteSource::open(const fs::path& path) {
  const auto ending = path.extension();
  if (ending == ".gz") {
    return std::make_unique<GzipSource>(path);
  }
  if (ending == ".zst") {
    return std::make_unique<ZstdSource>(path);
  }
  return std::make_unique<PlainSource>(path);
}

fs::path without_compression(const fs::path& path) {
  const auto ending = path.extension();
  return ending == ".gz" || ending == ".zst" ? fs::path(path).replace_extension() : path;
}

}  // namespace loopbank
