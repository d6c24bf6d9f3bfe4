#pragma once
/// The bytes of a file as they are after decompression, in constant memory.
///
/// The file name's ending decides: .gz (every member of the file), .zst (every frame), anything
/// else is read as it is. A broken stream is not an exception here: what came before the break is
/// still delivered, so that the reader above can name the line at which it ends.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace loopbank {

class ByteSource {
 public:
  /// @throws Error kData when the file cannot be opened
  static std::unique_ptr<ByteSource> open(const std::filesystem::path& path);
  virtual ~ByteSource() = default;

  /// Reads up to `capacity` bytes into `out`; returns 0 at the end and where the stream breaks.
  size_t read(char* out, size_t capacity);
  /// The next bytes, which `read` gives all the same: as many as asked for, fewer where the file
  /// ends or breaks. Only before the first `read`; valid up to it.
  std::string_view peek(size_t num_bytes);
  /// Skips `num_bytes` bytes, without reading them if the file is not compressed; false if it ends
  /// before.
  [[nodiscard]] bool skip(uint64_t num_bytes);
  /// Why `read` returned 0 before the end of the file; empty if the stream ended properly.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// Bytes of the (compressed) file consumed so far.
  [[nodiscard]] virtual uint64_t file_bytes_read() const = 0;

 protected:
  /// What `read` and `skip` do behind the bytes that were looked at before.
  virtual size_t read_on(char* out, size_t capacity) = 0;
  [[nodiscard]] virtual bool skip_on(uint64_t num_bytes);
  std::string problem_;

 private:
  std::string peeked_;    // what `peek` took from the file
  size_t num_given_ = 0;  // of these, by `read`
};

/// The path without a compression ending: `a.jsonl.zst` gives `a.jsonl`.
[[nodiscard]] std::filesystem::path without_compression(const std::filesystem::path& path);

}  // namespace loopbank
