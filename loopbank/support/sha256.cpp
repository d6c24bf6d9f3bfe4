#include "loopbank/support/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

namespace loopbank {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 18;

struct Digest {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free};
  bool is_good = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;

  void add(const char* bytes, size_t num_bytes) {
    is_good = is_good && EVP_DigestUpdate(context.get(), bytes, num_bytes) == 1;
  }
  /// Empty where OpenSSL refused a step.
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    if (!is_good || EVP_DigestFinal_ex(context.get(), bytes.data(), &size) != 1) {
      return "";
    }
    return fmt::format("{:02x}", fmt::join(bytes.begin(), bytes.begin() + size, ""));
  }
};

[[noreturn]] void fail_reading(ErrorCode code, const std::filesystem::path& path,
                               const char* action) {
  fail(code, "{}: cannot {}: {}.", path.string(), action, std::strerror(errno));
}

}  // namespace

std::string sha256_of(const std::filesystem::path& path, ErrorCode code) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail_reading(code, path, "open");
  }
  Digest digest;
  std::vector<char> chunk(kChunkBytes);
  ssize_t count = 0;
  do {
    count = ::read(descriptor, chunk.data(), chunk.size());
    if (count > 0) {
      digest.add(chunk.data(), static_cast<size_t>(count));
    }
  } while (count > 0 || (count < 0 && errno == EINTR));
  const int reason = errno;
  ::close(descriptor);
  if (count < 0) {
    errno = reason;
    fail_reading(code, path, "read");
  }
  auto hex = digest.hex();
  if (hex.empty()) {
    fail(code, "{}: expected OpenSSL to compute SHA-256, got an error.", path.string());
  }
  return hex;
}

}  // namespace loopbank
