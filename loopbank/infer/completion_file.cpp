#include "loopbank/infer/completion_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/infer/text_stream.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/json.h"
#include "loopbank/support/settings.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// How every line of completions begins.
constexpr std::string_view kLineBegin = "{\"index\":";

/// Calls take with each line, its place `file:line`, and whether it has its end.
template <typename Take>
void for_each_line(std::string_view text, const std::string& file, const Take& take) {
  for (int64_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    take(text.substr(0, end), fmt::format("{}:{}", file, number), end != std::string_view::npos);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

Prompt parse_prompt(const Json& line, const std::string& where) {
  const auto found = line.find("prompt");
  const auto refuse = [&](const std::string& got) {
    fail(ErrorCode::kConfig, "{}: \"prompt\" expects a text or a list of token ids, got {}.", where,
         got);
  };
  if (found == line.end()) {
    refuse("no such key");
  }
  if (found->is_string()) {
    return found->get<std::string>();
  }
  if (!found->is_array()) {
    refuse(show_json(*found));
  }
  std::vector<TokenId> tokens;
  for (const auto& id : *found) {
    const bool fits = id.is_number_unsigned() &&
                      id.get<uint64_t>() <= uint64_t{std::numeric_limits<TokenId>::max()};
    if (!fits) {
      refuse(fmt::format("{} in the list", show_json(id)));
    }
    tokens.push_back(id.get<TokenId>());
  }
  return tokens;
}

void expect_known_keys(const Json& line, const std::vector<Field>& fields,
                       const std::string& where) {
  std::vector<std::string> known = {"prompt", "id"};
  for (const auto& field : fields) {
    known.push_back(field.name);
  }
  for (const auto& [key, value] : line.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail(ErrorCode::kConfig, "{}: unknown key \"{}\".{}", where, key, suggestion(key, known));
    }
  }
}

/// Of everything that decides a completion but the model: `n` only says how many there are.
std::string fingerprint(CompletionRequest request) {
  auto settings = write_json(request.options.fields());
  if (const auto* text = std::get_if<std::string>(&request.prompt)) {
    settings["prompt"] = *text;
  } else {
    settings["prompt"] = std::get<1>(request.prompt);
  }
  settings["dtype"] = static_cast<int>(request.compute_dtype);
  return format_hash(hash_of(settings.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

}  // namespace

std::vector<Field> CompletionRequest::fields() {
  auto fields = options.fields();
  fields.push_back(
      Field("n", &n, "completions of the prompt, each with draws of its own").range(1.0, 1 << 20));
  return fields;
}

CompletionRequest parse_completion_request(const Json& line, const std::string& where,
                                           CompletionRequest defaults) {
  if (!line.is_object()) {
    fail(ErrorCode::kConfig, "{}: expected a JSON object, got {}.", where, show_json(line));
  }
  auto request = std::move(defaults);
  request.where = where;
  const auto fields = request.fields();
  expect_known_keys(line, fields, where);
  request.prompt = parse_prompt(line, where);
  if (const auto id = line.find("id"); id != line.end()) {
    if (!id->is_string() && !id->is_number_integer()) {
      fail(ErrorCode::kConfig, "{}: \"id\" expects a text or a whole number, got {}.", where,
           show_json(*id));
    }
    request.id = id->dump();
  }
  read_json(line, fields, where, {"prompt", "id"});
  check_stop_strings(request.options.stop, where);
  return request;
}

std::vector<CompletionRequest> read_completion_requests(const fs::path& path,
                                                        const CompletionRequest& defaults) {
  std::vector<CompletionRequest> requests;
  const auto text = read_file(path, ErrorCode::kData, kLargestJsonBytes);
  for_each_line(text, path.string(), [&](std::string_view line, const std::string& where, bool) {
    if (!is_blank(line)) {
      const auto json = parse_json_line(
          line, where, {.expected = "a line of JSON", .remedy = "Correct or drop the line."});
      requests.push_back(parse_completion_request(json, where, defaults));
      requests.back().index = static_cast<int64_t>(requests.size()) - 1;
    }
  });
  return requests;
}

nlohmann::ordered_json to_json(const Generation& generation) {
  nlohmann::ordered_json json = {{"text", generation.text},
                                 {"tokens", generation.tokens},
                                 {"token_logprobs", generation.log_probabilities}};
  if (!generation.top.empty()) {
    auto& lists = json["top_logprobs"] = nlohmann::ordered_json::array();
    for (const auto& top : generation.top) {
      auto list = nlohmann::ordered_json::array();
      for (const auto& entry : top) {
        list.push_back({{"token", entry.token}, {"logprob", entry.log_probability}});
      }
      lists.push_back(std::move(list));
    }
  }
  json["loops"] = generation.loops;
  json["text_offsets"] = generation.text_offsets;
  json["mean_loops"] = generation.mean_loops;
  json["prompt_tokens"] = generation.prompt_tokens;
  json["stop_reason"] = stop_reason_name(generation.stop_reason);
  return json;
}

CompletionLog::CompletionLog(fs::path path, const std::vector<CompletionRequest>& requests)
    : path_(std::move(path)) {
  if (fs::exists(path_)) {
    read(requests);
  }
  file_.open(path_, std::ios::app | std::ios::binary);
  if (!file_) {
    fail(ErrorCode::kData, "{}: expected a file that can be written, got none.", path_.string());
  }
}

void CompletionLog::read(const std::vector<CompletionRequest>& requests) {
  const auto text = read_file(path_, ErrorCode::kData);
  size_t whole = 0;
  for_each_line(
      text, path_.string(), [&](std::string_view line, const std::string& where, bool has_end) {
        const auto begin = line.substr(0, kLineBegin.size());
        if (begin != kLineBegin.substr(0, has_end ? kLineBegin.size() : begin.size())) {
          fail(ErrorCode::kData,
               "{}: expected a line of completions, got another text. Give another --out.", where);
        }
        if (!has_end) {
          return;
        }
        whole += line.size() + 1;
        const auto json = parse_json_line(line, where, {.expected = "a line of completions"});
        const JsonValues values(json, where, {.expected = "a line of completions"});
        const auto index = values.count("index");
        if (index >= static_cast<int64_t>(requests.size()) ||
            values.text("request") != fingerprint(requests[static_cast<size_t>(index)])) {
          fail(
              ErrorCode::kData,
              "{}: expected completions of these prompts under these settings, got one of another. "
              "Give another --out.",
              where);
        }
        done_.emplace(index, values.count("completion"));
      });
  if (whole < text.size()) {
    fs::resize_file(path_, whole);
  }
}

bool CompletionLog::is_done(const CompletionRequest& request, int64_t completion) const {
  return done_.contains({request.index, completion});
}

void CompletionLog::append(const CompletionRequest& request, int64_t completion,
                           const Generation& generation) {
  nlohmann::ordered_json json = {
      {"index", request.index}, {"completion", completion}, {"request", fingerprint(request)}};
  if (!request.id.empty()) {
    json["id"] = nlohmann::ordered_json::parse(request.id);
  }
  json.update(to_json(generation));
  file_ << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  file_.flush();
  if (!file_) {
    fail(ErrorCode::kData, "{}: expected room for another line, got a failed write.",
         path_.string());
  }
  done_.emplace(request.index, completion);
}

}  // namespace loopbank
