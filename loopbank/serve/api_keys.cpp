#include "loopbank/serve/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

constexpr std::string_view kScheme = "bearer ";

bool begins_with_scheme(std::string_view header) {
  return header.size() >= kScheme.size() &&
         std::equal(kScheme.begin(), kScheme.end(), header.begin(), [](char wanted, char found) {
           return wanted == static_cast<char>(std::tolower(static_cast<unsigned char>(found)));
         });
}

bool is_visible(char c) {
  return c > ' ' && c <= '~';
}

}  // namespace

ApiKeys::ApiKeys(const std::vector<std::string>& keys) {
  for (const auto& key : keys) {
    if (key.empty() || !std::all_of(key.begin(), key.end(), is_visible)) {
      fail(ErrorCode::kConfig,
           "API key: expected visible ASCII characters without blanks, got {}. Give another key.",
           key.empty() ? "an empty key" : "a key with others");
    }
    digests_.push_back(digest(key));
  }
}

std::vector<std::string> ApiKeys::read(const std::filesystem::path& path) {
  const auto text = read_file(path, ErrorCode::kConfig);
  std::vector<std::string> keys;
  for (size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    auto line = text.substr(begin, end - begin);
    while (!line.empty() && !is_visible(line.back())) {
      line.pop_back();
    }
    if (!line.empty() && line.front() != '#') {
      keys.push_back(std::move(line));
    }
    begin = end + 1;
  }
  if (keys.empty()) {
    fail(ErrorCode::kConfig, "{}: expected an API key a line, got none.", path.string());
  }
  return keys;
}

ApiKeys::Digest ApiKeys::digest(std::string_view key) {
  Digest bytes{};
  unsigned size = 0;
  if (EVP_Digest(key.data(), key.size(), bytes.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("API key: OpenSSL gave no SHA-256");
  }
  return bytes;
}

std::optional<size_t> ApiKeys::find(std::string_view authorization) const {
  if (!begins_with_scheme(authorization)) {
    return std::nullopt;
  }
  authorization.remove_prefix(kScheme.size());
  const auto given = digest(authorization);
  std::optional<size_t> found;
  for (size_t i = 0; i < digests_.size(); ++i) {  // all of them: how long it takes tells nothing
    if (CRYPTO_memcmp(given.data(), digests_[i].data(), given.size()) == 0) {
      found = i;
    }
  }
  return found;
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" ||
         (host.starts_with("127.") && std::all_of(host.begin(), host.end(), [](char c) {
            return c == '.' || (c >= '0' && c <= '9');
          }));
}

}  // namespace loopbank
