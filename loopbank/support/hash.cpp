#include "loopbank/support/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace loopbank {

uint64_t hash_of(std::span<const std::byte> bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint64_t hash_of(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::string format_hash(uint64_t hash) {
  return fmt::format("{:016x}", hash);
}

struct Hasher::State {
  XXH3_state_t* state = XXH3_createState();
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  XXH3_64bits_reset(state_->state);
}

Hasher::~Hasher() {
  XXH3_freeState(state_->state);
}

void Hasher::add(const void* bytes, size_t num_bytes) {
  XXH3_64bits_update(state_->state, bytes, num_bytes);
}

uint64_t Hasher::hash() const {
  return XXH3_64bits_digest(state_->state);
}

}  // namespace loopbank
