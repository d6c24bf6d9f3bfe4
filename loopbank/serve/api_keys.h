#pragma once
/// Who may ask a server: API keys, kept as digests alone and compared in constant time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

class ApiKeys {
 public:
  ApiKeys() = default;
  /// @throws Error kConfig for a key that is empty or holds a character that no header can carry
  explicit ApiKeys(const std::vector<std::string>& keys);

  /// The keys of a file, one a line; blank lines and those that begin with # are passed over.
  /// @throws Error kConfig when it cannot be read or holds none
  [[nodiscard]] static std::vector<std::string> read(const std::filesystem::path& path);

  /// Whether there is none, so that everybody may ask.
  [[nodiscard]] bool empty() const { return digests_.empty(); }
  /// Which key a header holds, from 0.
  /// @param authorization  value of the header: `Bearer KEY`
  [[nodiscard]] std::optional<size_t> find(std::string_view authorization) const;

 private:
  using Digest = std::array<unsigned char, 32>;  // SHA-256
  [[nodiscard]] static Digest digest(std::string_view key);

  std::vector<Digest> digests_;
};

/// Whether an address is this machine's own: 127.0.0.0/8, ::1 or localhost.
[[nodiscard]] bool is_loopback(std::string_view host);

}  // namespace loopbank
