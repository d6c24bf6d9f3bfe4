#pragma once
/// Small inputs that are in order, for tests that spoil one of them: a run config, its token
/// files, a model directory. All are made in the test; nothing is read from outside.

#include <cstdint>
#include <filesystem>
#include <string>

namespace loopbank::testing {

/// Longest sequence of the fixture's models, tokens.
constexpr int64_t kFixturePositions = 32;

/// Fills `directory` with
///   run.toml              two steps of a model of 2 layers, 2 loops and both memory banks
///   train.tokens, validation.tokens   byte tokens of a few sentences
///   corpus.jsonl, corpus.txt          the same sentences as text
///   tokenizer.json        the byte tokenizer
void write_fixture(const std::filesystem::path& directory);

/// Writes a model directory of the fixture's sizes with random weights.
/// @param vocab_size  below 257 the byte tokenizer that stands beside it does not fit
void write_model(const std::filesystem::path& directory, int64_t vocab_size = 257,
                 uint64_t seed = 1);

/// Writes a token file of the fixture's sentences under another vocabulary's hash.
void write_foreign_tokens(const std::filesystem::path& path);

/// Writes a token file without a document.
void write_empty_tokens(const std::filesystem::path& path);

/// Cuts a file down to its first `num_bytes` bytes.
void truncate_file(const std::filesystem::path& path, uint64_t num_bytes);

/// Replaces the first `from` in a text file; throws where there is none.
void replace_in_file(const std::filesystem::path& path, const std::string& from,
                     const std::string& to);

/// Overwrites the bytes at `offset`.
void patch_file(const std::filesystem::path& path, uint64_t offset, const std::string& bytes);

}  // namespace loopbank::testing
