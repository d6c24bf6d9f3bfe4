/// loopbank data tokenize and inspect: text to a packed token file, and what such a file holds.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/data_command.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/data/token_file.h"
#include "loopbank/data/tokenize.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"

namespace loopbank::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMega = 1e6;
constexpr size_t kBadLinesShown = 5;  // of a file; the rest is counted

struct TokenizeFlags {
  std::vector<std::string> files;
  std::string tokenizer;
  std::string out;
  bool strict = false;
  bool no_end_of_text = false;
  bool json = false;
};

void warn_of_bad_lines(const TokenizedFile& file) {
  const auto& report = file.report;
  for (size_t i = 0; i < std::min(report.bad_lines.size(), kBadLinesShown); ++i) {
    log_warning("{}:{}: {}; skipped", file.path.string(), report.bad_lines[i].line,
                report.bad_lines[i].reason);
  }
  if (report.num_bad_lines() > static_cast<int64_t>(kBadLinesShown)) {
    log_warning("{}: {} bad lines skipped in all. --strict stops at the first", file.path.string(),
                report.num_bad_lines());
  }
}

void print_report(const TokenizeFlags& flags, const TokenizeReport& report) {
  if (flags.json) {
    const Json json = {{"out", flags.out},
                       {"documents", report.documents},
                       {"tokens", report.tokens},
                       {"text_bytes", report.text_bytes},
                       {"bad_lines", report.num_bad_lines()},
                       {"empty_documents", report.num_empty_documents()},
                       {"seconds", report.seconds},
                       {"megabytes_per_second", report.megabytes_per_second()}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {} tokens of {} documents, {} of text ({:.3f} bytes a token)\n", flags.out,
             report.tokens, report.documents, format_bytes(static_cast<double>(report.text_bytes)),
             static_cast<double>(report.text_bytes) / static_cast<double>(report.tokens));
  fmt::print("  {:.1f} s, {:.1f} MB/s; skipped: {} bad lines, {} empty documents\n", report.seconds,
             report.megabytes_per_second(), report.num_bad_lines(), report.num_empty_documents());
}

void run_tokenize(const TokenizeFlags& flags) {
  const auto tokenizer = open_tokenizer(flags.tokenizer);
  TokenizeOptions options{.strict = flags.strict, .append_end_of_text = !flags.no_end_of_text};
  Progress progress;
  if (!runtime_settings().quiet) {
    options.on_progress = [&](const TokenizeProgress& now) {
      progress.update(
          fmt::format("{:.0f} % read, {:.2f} M tokens of {} documents, {:.1f} MB/s",
                      100.0 * static_cast<double>(now.bytes_read) /
                          static_cast<double>(std::max<uint64_t>(now.bytes_total, 1)),
                      static_cast<double>(now.tokens) / kMega, now.documents,
                      static_cast<double>(now.bytes_read) / kMega / std::max(now.seconds, 1e-9)));
    };
  }
  const auto report =
      tokenize_files({flags.files.begin(), flags.files.end()}, tokenizer, flags.out, options);
  progress.finish();
  for (const auto& file : report.files) {
    warn_of_bad_lines(file);
  }
  print_report(flags, report);
}

struct InspectFlags {
  std::string file;
  std::string tokenizer;
  int64_t documents = 0;
  bool json = false;
};

std::vector<TokenId> document_tokens(const TokenFile& file, int64_t index) {
  const auto [begin, end] = file.document(index);
  std::vector<int64_t> wide(static_cast<size_t>(end - begin));
  file.copy(begin, end - begin, wide.data());
  return {wide.begin(), wide.end()};
}

/// Lengths of the documents and how many ids occur.
Json describe_content(const TokenFile& file) {
  std::vector<bool> seen(static_cast<size_t>(file.vocab_size()));
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < file.num_documents(); ++i) {
    const auto tokens = document_tokens(file, i);
    lengths.push_back(static_cast<int64_t>(tokens.size()));
    for (const auto token : tokens) {
      seen[static_cast<size_t>(token)] = true;
    }
  }
  std::sort(lengths.begin(), lengths.end());
  const auto at = [&](double share) {
    return lengths.empty()
               ? int64_t{0}
               : lengths[static_cast<size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  return {{"tokens_used", std::count(seen.begin(), seen.end(), true)},
          {"document_tokens", {{"shortest", at(0)}, {"median", at(0.5)}, {"longest", at(1)}}}};
}

void print_inspection(const InspectFlags& flags, const Json& json) {
  const auto count = [&](const char* key) { return json.at(key).get<int64_t>(); };
  fmt::print("{}: in order, checksum verified\n", flags.file);
  fmt::print("  tokens      {} of {} bytes each\n", count("tokens"), count("bytes_per_token"));
  fmt::print("  documents   {}\n", count("documents"));
  fmt::print("  vocabulary  {} ids, hash {}, {} of them occur\n", count("vocab_size"),
             json.at("vocab_hash").get<std::string>(), count("tokens_used"));
  const auto& lengths = json.at("document_tokens");
  fmt::print("  a document  {} to {} tokens, median {}\n", lengths.at("shortest").dump(),
             lengths.at("longest").dump(), lengths.at("median").dump());
  for (const auto& document : json.at("first_documents")) {
    fmt::print("---\n{}\n", document.get<std::string>());
  }
}

void run_inspect(const InspectFlags& flags) {
  const TokenFile file(flags.file, /*verify_checksum=*/true);
  Json json = {{"file", flags.file},
               {"tokens", file.num_tokens()},
               {"documents", file.num_documents()},
               {"bytes_per_token", file.bytes_per_token()},
               {"vocab_size", file.vocab_size()},
               {"vocab_hash", file.vocab_hash()}};
  json.update(describe_content(file));
  json["first_documents"] = Json::array();
  if (!flags.tokenizer.empty()) {
    const auto tokenizer = open_tokenizer(flags.tokenizer);
    file.expect_vocabulary(tokenizer);
    for (int64_t i = 0; i < std::min(flags.documents, file.num_documents()); ++i) {
      json["first_documents"].push_back(tokenizer.decode(document_tokens(file, i)));
    }
  }
  if (flags.json) {
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_inspection(flags, json);
  }
}

}  // namespace

void add_data_tokenize(CLI::App& data) {
  auto* command = data.add_subcommand("tokenize", "Text files to one packed token file");
  const auto flags = std::make_shared<TokenizeFlags>();
  command->add_option("FILES", flags->files, ".jsonl (field text) or .txt, plain, .gz or .zst")
      ->required();
  command->add_option("--tokenizer", flags->tokenizer, "tokenizer.json, its folder, or bytes")
      ->required();
  command->add_option("--out", flags->out, "The token file to write")->required();
  command->add_flag("--strict", flags->strict, "Stop at the first bad line");
  command->add_flag("--no-end-of-text", flags->no_end_of_text,
                    "Do not end each document with the end-of-text token");
  command->add_flag("--json", flags->json, "The result as JSON on stdout");
  command->callback([flags] { run_tokenize(*flags); });
}

void add_data_inspect(CLI::App& data) {
  auto* command =
      data.add_subcommand("inspect", "What a token file holds, its checksum and ids verified");
  const auto flags = std::make_shared<InspectFlags>();
  command->add_option("FILE", flags->file, "A file of loopbank data tokenize")->required();
  auto* tokenizer = command->add_option("--tokenizer", flags->tokenizer,
                                        "Also check that the file was made with this one");
  command->add_option("--documents", flags->documents, "Show the text of the first N (0)")
      ->needs(tokenizer)
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", flags->json, "The result as JSON on stdout");
  command->callback([flags] { run_inspect(*flags); });
}

}  // namespace loopbank::cli
