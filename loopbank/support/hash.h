#pragma once
/// The project's hash: XXH3 in 64 bits, of xxHash. Quick and not cryptographic: it finds damage and
/// equal texts, not forgery (sha256.h).
///
/// Checksums of token files and checkpoints, the hash of a vocabulary, the fingerprint of a task's
/// prompts. Not the seeds of random streams, which keep a hash of their own (random.h).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace loopbank {

[[nodiscard]] uint64_t hash_of(std::span<const std::byte> bytes, uint64_t seed = 0);
[[nodiscard]] uint64_t hash_of(std::string_view bytes, uint64_t seed = 0);

/// As 16 digits to the base 16.
[[nodiscard]] std::string format_hash(uint64_t hash);

/// The hash of bytes that come one part after another.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void add(const void* bytes, size_t num_bytes);
  void add(std::string_view bytes) { add(bytes.data(), bytes.size()); }
  /// Of all bytes so far: hash_of what they are together.
  [[nodiscard]] uint64_t hash() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace loopbank
