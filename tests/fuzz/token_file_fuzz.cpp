/// Token files, with the checksum that they state and with the right one.
///
/// Input: the file.

#include "loopbank/data/token_file.h"

#include <xxhash.h>

#include <cstring>

#include "token_source_claims.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static fuzz::InputFile input;
  std::string bytes(fuzz::as_text(data, size));
  (void)fuzz::accepted([&] { fuzz::read_all(TokenFile(input.with(bytes)), false); });
  (void)fuzz::accepted([&] { fuzz::read_all(TokenFile(input.path(), true), true); });
  constexpr size_t kChecksumAt = 40;
  constexpr size_t kHashedFrom = 48;
  if (bytes.size() >= kHashedFrom) {
    const uint64_t checksum = XXH3_64bits(bytes.data() + kHashedFrom, bytes.size() - kHashedFrom);
    std::memcpy(bytes.data() + kChecksumAt, &checksum, sizeof(checksum));
    (void)fuzz::accepted([&] { fuzz::read_all(TokenFile(input.with(bytes), true), true); });
  }
  return 0;
}
