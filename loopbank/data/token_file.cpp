#include "loopbank/data/token_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

#include "loopbank/data/packed_ids.h"
#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"

namespace loopbank {

static_assert(std::endian::native == std::endian::little, "the file format is little endian");

/// The first 64 bytes of a file, as they lie there. A member of TokenFileWriter::Impl, and so
/// outside the anonymous namespace.
struct TokenFileHeader {
  std::array<char, kTokenFileMagic.size()> magic{};
  uint32_t version = kTokenFileVersion;
  uint32_t bytes_per_token = 0;
  uint64_t vocab_size = 0;
  uint64_t num_tokens = 0;
  uint64_t num_documents = 0;
  uint64_t checksum = 0;
  std::array<char, 16> vocab_hash{};
};
static_assert(sizeof(TokenFileHeader) == 64 && std::is_trivially_copyable_v<TokenFileHeader>);

namespace {

constexpr size_t kOffsetBytes = sizeof(uint64_t);
constexpr size_t kHashedFrom = offsetof(TokenFileHeader, vocab_hash);

int bytes_per_token_of(int64_t vocab_size) {
  return vocab_size <= 65536 ? 2 : 4;
}

size_t padding_after(size_t num_bytes) {
  return (8 - num_bytes % 8) % 8;
}

std::string_view as_text(const TokenFileHeader& header) {
  return {reinterpret_cast<const char*>(&header), sizeof(header)};
}

TokenFileHeader read_header(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  TokenFileHeader header;
  if (bytes.size() < sizeof(header)) {
    fail(ErrorCode::kData, "{}: expected a token file with a header of {} bytes, got {} bytes.",
         path.string(), sizeof(header), bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::string_view(header.magic.data(), header.magic.size()) != kTokenFileMagic) {
    fail(ErrorCode::kData,
         "{}: expected a token file, which starts with \"LBTOKENS\", got another kind of file. "
         "Make one with loopbank data tokenize.",
         path.string());
  }
  if (header.version != kTokenFileVersion) {
    fail(ErrorCode::kData,
         "{}: expected a token file of version {}, got version {}. Make it again with loopbank "
         "data tokenize.",
         path.string(), kTokenFileVersion, header.version);
  }
  return header;
}

}  // namespace

struct TokenFileWriter::Impl {
  std::filesystem::path path;
  AtomicFile file;
  TokenFileHeader header;
  std::vector<uint64_t> offsets{0};
  Hasher hash;
  std::vector<char> packed;

  explicit Impl(const std::filesystem::path& destination) : path(destination), file(destination) {}

  void write_hashed(const void* bytes, size_t num_bytes) {
    hash.add(bytes, num_bytes);
    file.writer().write(bytes, num_bytes);
  }

  template <typename Stored>
  void pack(std::span<const TokenId> ids) {
    packed.resize(ids.size() * sizeof(Stored));
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto id = ids[i];
      if (id < 0 || static_cast<uint64_t>(id) >= header.vocab_size) {
        fail(ErrorCode::kData, "{}: expected token ids in [0, {}), got {} in document {}.",
             path.string(), header.vocab_size, id, header.num_documents);
      }
      const auto stored = static_cast<Stored>(id);
      std::memcpy(packed.data() + i * sizeof(Stored), &stored, sizeof(Stored));
    }
  }
};

TokenFileWriter::TokenFileWriter(const std::filesystem::path& path, int64_t vocab_size,
                                 const std::string& vocab_hash)
    : impl_(std::make_unique<Impl>(path)) {
  auto& header = impl_->header;
  std::copy(kTokenFileMagic.begin(), kTokenFileMagic.end(), header.magic.begin());
  const bool printable =
      std::all_of(vocab_hash.begin(), vocab_hash.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (vocab_hash.empty() || vocab_hash.size() > header.vocab_hash.size() || !printable) {
    fail(ErrorCode::kData,
         "{}: expected a vocabulary hash of 1 to {} printable characters, got \"{}\".",
         path.string(), header.vocab_hash.size(), vocab_hash);
  }
  constexpr int64_t kMaxVocabulary = int64_t{1} << 31;
  if (vocab_size < 1 || vocab_size > kMaxVocabulary) {
    fail(ErrorCode::kData, "{}: expected a vocabulary of 1 to {} ids, got {}.", path.string(),
         kMaxVocabulary, vocab_size);
  }
  header.vocab_size = static_cast<uint64_t>(vocab_size);
  header.bytes_per_token = static_cast<uint32_t>(bytes_per_token_of(vocab_size));
  std::copy(vocab_hash.begin(), vocab_hash.end(), header.vocab_hash.begin());
  impl_->file.writer().write(as_text(header).substr(0, kHashedFrom));
  impl_->write_hashed(header.vocab_hash.data(), header.vocab_hash.size());
}

TokenFileWriter::~TokenFileWriter() = default;

void TokenFileWriter::append(std::span<const TokenId> ids) {
  if (ids.empty()) {
    fail(ErrorCode::kData, "{}: expected documents of at least one token, got none in document {}.",
         impl_->path.string(), num_documents());
  }
  if (impl_->header.bytes_per_token == sizeof(uint16_t)) {
    impl_->pack<uint16_t>(ids);
  } else {
    impl_->pack<uint32_t>(ids);
  }
  impl_->write_hashed(impl_->packed.data(), impl_->packed.size());
  impl_->header.num_tokens += ids.size();
  impl_->header.num_documents += 1;
  impl_->offsets.push_back(impl_->header.num_tokens);
}

void TokenFileWriter::finish() {
  auto& header = impl_->header;
  constexpr std::array<char, 8> kZeros{};
  impl_->write_hashed(kZeros.data(), padding_after(header.num_tokens * header.bytes_per_token));
  impl_->write_hashed(impl_->offsets.data(), impl_->offsets.size() * kOffsetBytes);
  header.checksum = impl_->hash.hash();
  impl_->file.writer().write_at(0, as_text(header));
  impl_->file.commit();
}

int64_t TokenFileWriter::num_tokens() const {
  return static_cast<int64_t>(impl_->header.num_tokens);
}

int64_t TokenFileWriter::num_documents() const {
  return static_cast<int64_t>(impl_->header.num_documents);
}

TokenFile::TokenFile(const std::filesystem::path& path, bool verify_checksum)
    : path_(path), file_(path) {
  check_sizes();
  check_offsets();
  if (verify_checksum) {
    check_content();
  }
}

void TokenFile::check_sizes() {
  const auto bytes = file_.bytes();
  const auto header = read_header(path_, bytes);
  constexpr uint64_t kMaxVocabulary = uint64_t{1} << 31U;
  if (header.vocab_size < 1 || header.vocab_size > kMaxVocabulary) {
    fail(ErrorCode::kData, "{}: expected a vocabulary of 1 to {} ids, got {}.", path_.string(),
         kMaxVocabulary, header.vocab_size);
  }
  vocab_size_ = static_cast<int64_t>(header.vocab_size);
  bytes_per_token_ = bytes_per_token_of(vocab_size_);
  if (header.bytes_per_token != static_cast<uint32_t>(bytes_per_token_)) {
    fail(ErrorCode::kData, "{}: expected {} bytes per token for a vocabulary of {}, got {}.",
         path_.string(), bytes_per_token_, vocab_size_, header.bytes_per_token);
  }
  // Counts that lie must not overflow the sum below: none can be larger than the file.
  const uint64_t room = bytes.size();
  const bool possible = header.num_tokens <= room && header.num_documents <= room;
  const uint64_t token_bytes = possible ? header.num_tokens * header.bytes_per_token : 0;
  const uint64_t expected = sizeof(header) + token_bytes + padding_after(token_bytes) +
                            (possible ? header.num_documents + 1 : 0) * kOffsetBytes;
  if (!possible || expected != room) {
    fail(ErrorCode::kData,
         "{}: the header promises {} tokens in {} documents{}, got a file of {} bytes. The file is "
         "truncated or damaged: make it again with loopbank data tokenize.",
         path_.string(), header.num_tokens, header.num_documents,
         possible ? fmt::format(" ({} bytes)", expected) : "", room);
  }
  num_tokens_ = static_cast<int64_t>(header.num_tokens);
  num_documents_ = static_cast<int64_t>(header.num_documents);
  tokens_ = bytes.data() + sizeof(header);
  offsets_ = tokens_ + token_bytes + padding_after(token_bytes);
  const std::string_view hash(header.vocab_hash.data(), header.vocab_hash.size());
  vocab_hash_ = hash.substr(0, hash.find('\0'));
}

void TokenFile::check_offsets() const {
  const auto* offsets = reinterpret_cast<const uint64_t*>(offsets_);
  const auto last = static_cast<uint64_t>(num_tokens_);
  if (offsets[0] != 0 || offsets[num_documents_] != last) {
    fail(ErrorCode::kData, "{}: expected document offsets from 0 to {} tokens, got {} to {}.",
         path_.string(), last, offsets[0], offsets[num_documents_]);
  }
  for (int64_t i = 0; i < num_documents_; ++i) {
    if (offsets[i] >= offsets[i + 1]) {
      fail(ErrorCode::kData,
           "{}: expected ascending document offsets, got {} before {} at document {}.",
           path_.string(), offsets[i], offsets[i + 1], i);
    }
  }
}

void TokenFile::check_content() const {
  const auto bytes = file_.bytes();
  const auto header = read_header(path_, bytes);
  const auto found = hash_of(bytes.subspan(kHashedFrom));
  if (found != header.checksum) {
    fail(ErrorCode::kData,
         "{}: expected checksum {:016x}, got {:016x}. The file is damaged: make it again with "
         "loopbank data tokenize.",
         path_.string(), header.checksum, found);
  }
  constexpr int64_t kChunk = 4096;
  std::array<int64_t, kChunk> ids{};
  for (int64_t begin = 0; begin < num_tokens_; begin += kChunk) {
    copy(begin, std::min(kChunk, num_tokens_ - begin), ids.data());
  }
}

int64_t TokenFile::num_tokens() const {
  return num_tokens_;
}

int64_t TokenFile::num_documents() const {
  return num_documents_;
}

int64_t TokenFile::vocab_size() const {
  return vocab_size_;
}

const std::string& TokenFile::vocab_hash() const {
  return vocab_hash_;
}

TokenFormat TokenFile::format() const {
  return {.name = "token file",
          .bytes_per_token = bytes_per_token_,
          .has_checksum = true,
          .vocab_size = vocab_size_,
          .vocab_hash = vocab_hash_};
}

std::pair<int64_t, int64_t> TokenFile::document(int64_t index) const {
  expect_document(*this, index);
  const auto* offsets = reinterpret_cast<const uint64_t*>(offsets_);
  return {static_cast<int64_t>(offsets[index]), static_cast<int64_t>(offsets[index + 1])};
}

void TokenFile::copy(int64_t begin, int64_t count, int64_t* out) const {
  expect_token_range(*this, begin, count);
  const auto* ids = tokens_ + begin * bytes_per_token_;
  const auto largest = widen_ids(ids, bytes_per_token_, count, out);
  if (count > 0 && largest >= static_cast<uint64_t>(vocab_size_)) {
    fail(ErrorCode::kData,
         "{}: {}. The file is damaged: make it again with loopbank data tokenize.", path_.string(),
         unknown_id(vocab_size_, ids, bytes_per_token_, begin, count));
  }
}

void TokenFile::expect_vocabulary(const Tokenizer& tokenizer) const {
  if (vocab_hash_ != tokenizer.hash() || vocab_size_ != tokenizer.vocab_size()) {
    fail(ErrorCode::kData,
         "{}: expected tokens of the vocabulary {} ({} ids), got those of {} ({} ids). Make the "
         "file again: loopbank data tokenize TEXTS --tokenizer FILE --out {}.",
         path_.string(), tokenizer.hash(), tokenizer.vocab_size(), vocab_hash_, vocab_size_,
         path_.string());
  }
}

}  // namespace loopbank
