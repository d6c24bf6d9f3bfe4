/// loopbank data: tokenizers and token files. Here: encode, decode and train-tokenizer.

#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/data_command.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/data/text_reader.h"
#include "loopbank/support/error.h"
#include "loopbank/support/json.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/tokenize/bpe_trainer.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank::cli {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse_line(const std::string& where, const char* expected,
                              const std::string& got) {
  fail(ErrorCode::kData, "{}: expected {}, got {}.", where, expected, got);
}

/// Calls `convert` with the value of `key` of every line on stdin; blank lines are passed over.
template <typename Convert>
void for_each_line(const char* key, const char* expected, Convert&& convert) {
  const auto next_line = [](std::string& line) {
    return static_cast<bool>(std::getline(std::cin, line));
  };
  for_each_json_line(next_line, "stdin", {.expected = expected},
                     [&](const nlohmann::json& json, const std::string& where) {
                       if (!json.is_object() || !json.contains(key)) {
                         refuse_line(where, expected,
                                     json.is_object() ? "no such key" : "no object");
                       }
                       convert(json[key], where);
                       return true;
                     });
}

struct EncodeFlags {
  std::string tokenizer;
  bool parse_special = false;
  bool add_special_tokens = false;
};

void run_encode(const EncodeFlags& flags) {
  const auto tokenizer = open_tokenizer(flags.tokenizer);
  const char* expected = "{\"text\": \"...\"}";
  for_each_line("text", expected, [&](const nlohmann::json& text, const std::string& where) {
    if (!text.is_string()) {
      refuse_line(where, expected, fmt::format("{} in \"text\"", show_json(text)));
    }
    const auto& document = text.get_ref<const std::string&>();
    const auto ids = flags.add_special_tokens
                         ? tokenizer.encode_framed(document, flags.parse_special)
                         : tokenizer.encode(document, flags.parse_special);
    fmt::print("{{\"ids\":[{}]}}\n", fmt::join(ids, ","));
  });
}

void run_decode(const std::string& tokenizer_name) {
  const auto tokenizer = open_tokenizer(tokenizer_name);
  const char* expected = "{\"ids\": [...]} with ids of the tokenizer";
  for_each_line("ids", expected, [&](const nlohmann::json& list, const std::string& where) {
    if (!list.is_array()) {
      refuse_line(where, expected, fmt::format("{} in \"ids\"", show_json(list)));
    }
    std::vector<TokenId> ids;
    for (const auto& id : list) {
      if (!id.is_number_integer() || id < 0 || id >= tokenizer.vocab_size()) {
        refuse_line(
            where, expected,
            fmt::format("{} in \"ids\" (vocabulary of {})", show_json(id), tokenizer.vocab_size()));
      }
      ids.push_back(id.get<TokenId>());
    }
    const Json text = {{"text", tokenizer.decode(ids)}};
    fmt::print("{}\n", text.dump(-1, ' ', false, Json::error_handler_t::replace));
  });
}

struct TrainTokenizerFlags {
  std::vector<std::string> files;
  std::string out;
  TokenizerTrainingOptions options;
  int64_t skip_bad = 0;
  bool json = false;
};

/// The documents of several files one after another, with what was met on the way.
class Documents {
 public:
  Documents(const std::vector<std::string>& files, int64_t skip_bad)
      : files_(files), skip_bad_(skip_bad) {}

  bool next(std::string& document) {
    while (true) {
      if (reader_ == nullptr) {
        if (next_file_ == files_.size()) {
          return false;
        }
        reader_ = std::make_unique<TextReader>(files_[next_file_++],
                                               BadLinePolicy::of_job(skip_bad_, bad_lines_));
      }
      if (reader_->next(document)) {
        ++documents_;
        bytes_ += static_cast<int64_t>(document.size());
        return true;
      }
      const auto& report = reader_->report();
      if (report.num_bad_lines() > 0) {
        bad_lines_ += report.num_bad_lines();
        log_warning("{}: {} bad lines skipped, the first is line {}", files_[next_file_ - 1],
                    report.num_bad_lines(), report.first_bad_line);
      }
      reader_.reset();
    }
  }
  [[nodiscard]] int64_t documents() const { return documents_; }
  [[nodiscard]] int64_t bytes() const { return bytes_; }
  [[nodiscard]] int64_t bad_lines() const { return bad_lines_; }

 private:
  const std::vector<std::string>& files_;
  int64_t skip_bad_;
  size_t next_file_ = 0;
  std::unique_ptr<TextReader> reader_;
  int64_t documents_ = 0;
  int64_t bytes_ = 0;
  int64_t bad_lines_ = 0;
};

void report_training(const TrainTokenizerFlags& flags, const Documents& documents,
                     const Tokenizer& tokenizer, double seconds) {
  if (flags.json) {
    const Json json = {{"out", flags.out},
                       {"vocab_size", tokenizer.vocab_size()},
                       {"hash", tokenizer.hash()},
                       {"documents", documents.documents()},
                       {"text_bytes", documents.bytes()},
                       {"bad_lines", documents.bad_lines()},
                       {"seconds", seconds}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}: {} tokens from {} documents ({}) in {:.1f} s; skipped: {} bad lines\n",
               flags.out, tokenizer.vocab_size(), documents.documents(),
               format_bytes(static_cast<double>(documents.bytes())), seconds,
               documents.bad_lines());
  }
}

void run_train_tokenizer(const TrainTokenizerFlags& flags) {
  const Stopwatch watch;
  Documents documents(flags.files, flags.skip_bad);
  Progress progress;
  auto options = flags.options;
  if (!runtime_settings().quiet) {
    options.on_progress = [&](int64_t vocab_size) {
      progress.update(vocab_size == 0
                          ? fmt::format("words of {} documents, {}", documents.documents(),
                                        format_bytes(static_cast<double>(documents.bytes())))
                          : fmt::format("{} of {} tokens", vocab_size, options.vocab_size));
    };
  }
  const auto tokenizer =
      train_bpe([&](std::string& document) { return documents.next(document); }, options);
  tokenizer.save(flags.out);
  progress.finish();
  if (tokenizer.vocab_size() < options.vocab_size) {
    log_warning("{}: {} tokens instead of {}: the text has no more pairs met {} times", flags.out,
                tokenizer.vocab_size(), options.vocab_size, options.min_frequency);
  }
  report_training(flags, documents, tokenizer, watch.seconds());
  note_skipped_lines(documents.bad_lines());
}

void add_encode(CLI::App& data) {
  auto* command = data.add_subcommand("encode", "{\"text\"} lines on stdin to {\"ids\"} lines");
  const auto flags = std::make_shared<EncodeFlags>();
  command->add_option("--tokenizer", flags->tokenizer, "tokenizer.json, its folder, or bytes")
      ->required();
  command->add_flag("--parse-special", flags->parse_special,
                    "Special tokens spelled out in the text become their ids");
  command->add_flag("--add-special-tokens", flags->add_special_tokens,
                    "With the tokens that the tokenizer's files put around a text");
  command->callback([flags] { run_encode(*flags); });
}

void add_decode(CLI::App& data) {
  auto* command = data.add_subcommand("decode", "{\"ids\"} lines on stdin to {\"text\"} lines");
  const auto tokenizer = std::make_shared<std::string>();
  command->add_option("--tokenizer", *tokenizer, "tokenizer.json, its folder, or bytes")
      ->required();
  command->callback([tokenizer] { run_decode(*tokenizer); });
}

void add_train_tokenizer(CLI::App& data) {
  auto* command = data.add_subcommand("train-tokenizer", "Train a byte-level BPE on text files");
  const auto flags = std::make_shared<TrainTokenizerFlags>();
  command
      ->add_option("FILES", flags->files,
                   "Lines of JSON (field text), .parquet or texts, plain, .gz or .zst")
      ->required();
  command->add_option("--vocab-size", flags->options.vocab_size, "Tokens, <|endoftext|> included")
      ->required();
  command->add_option("--out", flags->out, "Where to write tokenizer.json")->required();
  command->add_flag("--individual-digits", flags->options.individual_digits,
                    "Every digit is a token of its own");
  command
      ->add_option("--min-frequency", flags->options.min_frequency,
                   "Less frequent pairs do not become tokens")
      ->capture_default_str();
  add_setting_flag(*command, skip_bad_field(&flags->skip_bad));
  command->add_flag("--json", flags->json, "The result as JSON on stdout");
  command->callback([flags] { run_train_tokenizer(*flags); });
}

}  // namespace

Field skip_bad_field(int64_t* skip_bad) {
  return Field("skip_bad", skip_bad,
               "pass over so many lines that are no document (0); status 8 where one was")
      .minimum(0);
}

Tokenizer open_tokenizer(const std::string& name) {
  return name == "bytes" ? Tokenizer::bytes() : Tokenizer::load(name);
}

void add_data(CLI::App& app) {
  auto* data = app.add_subcommand("data", "Tokenizers, token files and the embedded benchmark");
  data->require_subcommand(1);
  add_train_tokenizer(*data);
  add_encode(*data);
  add_decode(*data);
  add_data_tokenize(*data);
  add_data_inspect(*data);
  add_data_make_benchmark(*data);
  add_data_make_task(*data);
}

}  // namespace loopbank::cli
