/// loopbank data tokenize: text to packed token files.

#include <fmt/format.h>

#include <ATen/Parallel.h>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/data_command.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/cli/stop_signal.h"
#include "loopbank/data/tokenize.h"
#include "loopbank/data/tokenize_shards.h"
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
  int64_t shard_tokens = 0;  // 0: not given
  int64_t skip_bad = 0;
  bool no_end_of_text = false;
  bool json = false;
};

/// Thrown where a signal asked to stop: the writers then remove what is not finished.
struct Stopped {};

void warn_of_bad_lines(const TokenizedFile& file) {
  const auto& report = file.report;
  for (size_t i = 0; i < std::min(report.bad_lines.size(), kBadLinesShown); ++i) {
    log_warning("{}:{}: {}; skipped", file.path.string(), report.bad_lines[i].line,
                report.bad_lines[i].reason);
  }
  if (report.num_bad_lines() > static_cast<int64_t>(kBadLinesShown)) {
    log_warning("{}: {} bad lines skipped in all", file.path.string(), report.num_bad_lines());
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
                       {"shards", report.num_shards},
                       {"resumed_shards", report.resumed_shards},
                       {"seconds", report.seconds},
                       {"megabytes_per_second", report.megabytes_per_second()}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {} tokens of {} documents, {} of text ({:.3f} bytes a token)\n", flags.out,
             report.tokens, report.documents, format_bytes(static_cast<double>(report.text_bytes)),
             static_cast<double>(report.text_bytes) / static_cast<double>(report.tokens));
  if (report.num_shards > 0) {
    fmt::print("  {} shards, {} of them from before; index.json lists them\n", report.num_shards,
               report.resumed_shards);
  }
  fmt::print("  {:.1f} s, {:.1f} MB/s; skipped: {} bad lines, {} empty documents\n", report.seconds,
             report.megabytes_per_second(), report.num_bad_lines(), report.num_empty_documents());
}

std::string progress_line(const TokenizeProgress& now) {
  return fmt::format("{:.0f} % read, {:.2f} M tokens of {} documents, {:.1f} MB/s",
                     100.0 * static_cast<double>(now.bytes_read) /
                         static_cast<double>(std::max<uint64_t>(now.bytes_total, 1)),
                     static_cast<double>(now.tokens) / kMega, now.documents,
                     static_cast<double>(now.text_bytes) / kMega / std::max(now.seconds, 1e-9));
}

bool is_folder(const TokenizeFlags& flags) {
  return flags.shard_tokens > 0 || flags.out.ends_with('/') ||
         std::filesystem::is_directory(flags.out);
}

TokenizeReport tokenize(const TokenizeFlags& flags, const Tokenizer& tokenizer) {
  const std::vector<std::filesystem::path> inputs(flags.files.begin(), flags.files.end());
  Progress progress;
  const TokenizeOptions options{.skip_bad = flags.skip_bad,
                                .num_threads = at::get_num_threads(),
                                .append_end_of_text = !flags.no_end_of_text,
                                .on_progress = [&](const TokenizeProgress& now) {
                                  if (stop_signal() != 0) {
                                    throw Stopped();
                                  }
                                  if (!runtime_settings().quiet) {
                                    progress.update(progress_line(now));
                                  }
                                }};
  auto report = is_folder(flags) ? tokenize_to_shards(inputs, tokenizer, flags.out,
                                                      flags.shard_tokens > 0 ? flags.shard_tokens
                                                                             : kDefaultShardTokens,
                                                      options)
                                 : tokenize_files(inputs, tokenizer, flags.out, options);
  progress.finish();
  return report;
}

void run_tokenize(const TokenizeFlags& flags) {
  const auto tokenizer = open_tokenizer(flags.tokenizer);
  watch_signals();
  try {
    const auto report = tokenize(flags, tokenizer);
    for (const auto& file : report.files) {
      warn_of_bad_lines(file);
    }
    print_report(flags, report);
    note_skipped_lines(report.num_bad_lines());
  } catch (const Stopped&) {
    log_info("stopped: {}", is_folder(flags)
                                ? "finished shards stay, the same command continues after them"
                                : "nothing was written; shards (--out DIR/) can be resumed");
    end_by_signal();
  }
}

}  // namespace

void add_data_tokenize(CLI::App& data) {
  auto* command = data.add_subcommand(
      "tokenize", "Text files to a packed token file, or to shards that resume");
  const auto flags = std::make_shared<TokenizeFlags>();
  command
      ->add_option("FILES", flags->files,
                   "Lines of JSON (field text), .parquet or texts, plain, .gz or .zst")
      ->required();
  command->add_option("--tokenizer", flags->tokenizer, "tokenizer.json, its folder, or bytes")
      ->required();
  command->add_option("--out", flags->out, "The token file to write, or a folder/ of shards")
      ->required();
  add_setting_flag(*command, Field("shard_tokens", &flags->shard_tokens,
                                   fmt::format("tokens after which a shard ends ({}); --out is a "
                                               "folder",
                                               kDefaultShardTokens))
                                 .minimum(1));
  add_setting_flag(*command, skip_bad_field(&flags->skip_bad));
  command->add_flag("--no-end-of-text", flags->no_end_of_text,
                    "Do not end each document with the end-of-text token");
  command->add_flag("--json", flags->json, "The result as JSON on stdout");
  command->callback([flags] { run_tokenize(*flags); });
}

}  // namespace loopbank::cli
