/// loopbank data inspect: what a token file of any known format holds.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/cli/data_command.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/data/token_source.h"

namespace loopbank::cli {
namespace {

using Json = nlohmann::ordered_json;

struct DataInspectFlags {
  std::string path;
  std::string tokenizer;
  std::string dtype = "auto";
  int64_t documents = 0;
  bool json = false;
};

std::vector<TokenId> document_tokens(const TokenSource& source, int64_t index) {
  const auto [begin, end] = source.document(index);
  std::vector<int64_t> wide(static_cast<size_t>(end - begin));
  source.copy(begin, end - begin, wide.data());
  return {wide.begin(), wide.end()};
}

/// Lengths of the documents, which ids occur and the largest of them.
Json describe_content(const TokenSource& source) {
  std::vector<bool> seen(static_cast<size_t>(source.vocab_size()));
  std::vector<int64_t> lengths;
  constexpr int64_t kChunk = 4096;
  std::vector<int64_t> ids(kChunk);
  for (int64_t begin = 0; begin < source.num_tokens(); begin += kChunk) {
    const auto count = std::min(kChunk, source.num_tokens() - begin);
    source.copy(begin, count, ids.data());
    const auto largest = static_cast<size_t>(*std::max_element(ids.begin(), ids.begin() + count));
    seen.resize(std::max(seen.size(), largest + 1));
    for (int64_t i = 0; i < count; ++i) {
      seen[static_cast<size_t>(ids[static_cast<size_t>(i)])] = true;
    }
  }
  for (int64_t i = 0; i < source.num_documents(); ++i) {
    const auto [begin, end] = source.document(i);
    lengths.push_back(end - begin);
  }
  std::sort(lengths.begin(), lengths.end());
  const auto at = [&](double share) {
    return lengths.empty()
               ? int64_t{0}
               : lengths[static_cast<size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  const auto last = std::find(seen.rbegin(), seen.rend(), true);
  return {{"tokens_used", std::count(seen.begin(), seen.end(), true)},
          {"largest_id", static_cast<int64_t>(seen.rend() - last) - 1},
          {"document_tokens", {{"shortest", at(0)}, {"median", at(0.5)}, {"longest", at(1)}}}};
}

std::string vocabulary_line(const Json& json) {
  const auto used = json.at("tokens_used").get<int64_t>();
  const auto largest = json.at("largest_id").get<int64_t>();
  if (json.at("vocab_size").is_null()) {
    return fmt::format("not stated; {} ids occur, the largest {}", used, largest);
  }
  return fmt::format("{} ids, hash {}, {} of them occur", json.at("vocab_size").get<int64_t>(),
                     json.at("vocab_hash").get<std::string>(), used);
}

/// How the documents of a format that does not mark them came about.
const char* documents_note(const Json& json, const DataInspectFlags& flags) {
  if (json.at("documents_marked").get<bool>()) {
    return "";
  }
  return flags.tokenizer.empty() ? " (not marked; --tokenizer finds them)"
                                 : " (not marked; cut behind each end-of-text token)";
}

/// How the width of a format's ids that does not tell it came about.
const char* width_note(const DataInspectFlags& flags) {
  return flags.dtype == "auto" ? " (taken for that; the file does not say)"
                               : " (as --dtype says; the file does not)";
}

void print_inspection(const DataInspectFlags& flags, const Json& json) {
  const auto count = [&](const char* key) { return json.at(key).get<int64_t>(); };
  const bool has_checksum = json.at("checksum_verified").get<bool>();
  fmt::print("{}: in order, {}\n", flags.path,
             has_checksum ? "checksum verified" : "without a checksum of its own");
  fmt::print("  kind        {}\n", json.at("kind").get<std::string>());
  fmt::print("  tokens      {} of {} bytes each{}\n", count("tokens"), count("bytes_per_token"),
             json.at("bytes_per_token_stated").get<bool>() ? "" : width_note(flags));
  fmt::print("  documents   {}{}\n", count("documents"), documents_note(json, flags));
  fmt::print("  vocabulary  {}\n", vocabulary_line(json));
  const auto& lengths = json.at("document_tokens");
  fmt::print("  a document  {} to {} tokens, median {}\n", lengths.at("shortest").dump(),
             lengths.at("longest").dump(), lengths.at("median").dump());
  for (const auto& document : json.at("first_documents")) {
    fmt::print("---\n{}\n", document.get<std::string>());
  }
}

void run_data_inspect(const DataInspectFlags& flags) {
  std::optional<Tokenizer> tokenizer;
  if (!flags.tokenizer.empty()) {
    tokenizer = open_tokenizer(flags.tokenizer);
  }
  const auto source = open_tokens(
      flags.path,
      {.tokenizer = tokenizer ? &*tokenizer : nullptr, .verify = true, .bin_dtype = flags.dtype});
  const auto format = source->format();
  const bool is_known = format.vocab_size > 0;
  Json json = {{"file", flags.path},
               {"kind", format.name},
               {std::filesystem::is_directory(flags.path) ? "shards" : "files", format.num_files},
               {"tokens", source->num_tokens()},
               {"documents", source->num_documents()},
               {"documents_marked", format.marks_documents},
               {"checksum_verified", format.has_checksum},
               {"bytes_per_token", format.bytes_per_token},
               {"bytes_per_token_stated", format.states_width},
               {"vocab_size", is_known ? Json(format.vocab_size) : Json(nullptr)},
               {"vocab_hash", is_known ? Json(format.vocab_hash) : Json(nullptr)}};
  json.update(describe_content(*source));
  json["first_documents"] = Json::array();
  for (int64_t i = 0; tokenizer && i < std::min(flags.documents, source->num_documents()); ++i) {
    json["first_documents"].push_back(tokenizer->decode(document_tokens(*source, i)));
  }
  if (flags.json) {
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_inspection(flags, json);
  }
}

}  // namespace

void add_data_inspect(CLI::App& data) {
  auto* command = data.add_subcommand(
      "inspect",
      "What a token file or folder of any known format holds; ids and checksums verified");
  const auto flags = std::make_shared<DataInspectFlags>();
  command
      ->add_option(
          "PATH", flags->path,
          "A token file, a folder of shards, .bin (llm.c, nanoGPT), .pbin (Modalities), or a "
          "pattern of these")
      ->required();
  auto* tokenizer =
      command->add_option("--tokenizer", flags->tokenizer,
                          "Also check that the ids are of this one; finds the documents of .bin");
  add_setting_flag(*command,
                   Field("dtype", &flags->dtype,
                         "what the ids of a .bin file without a header are; auto: uint16, "
                         "if they fit")
                       .choices({"auto", "uint16", "uint32"}));
  add_setting_flag(
      *command,
      Field("documents", &flags->documents, "show the text of the first N (0)").minimum(0))
      ->needs(tokenizer);
  command->add_flag("--json", flags->json, "The result as JSON on stdout");
  command->callback([flags] { run_data_inspect(*flags); });
}

}  // namespace loopbank::cli
