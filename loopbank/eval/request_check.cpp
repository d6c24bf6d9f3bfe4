#include "loopbank/eval/request_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "loopbank/eval/few_shot.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFirstTwin = 1000000;

/// One recorded request.
struct Recorded {
  std::string where;
  std::string task;
  std::string context;
  std::string continuation;
  std::string native_id;         ///< empty: none
  std::string position;          ///< of the document in its split; empty: not recorded
  std::optional<int64_t> label;  ///< of the correct choice, where it is a number
  size_t choice = 0;
  bool is_twin = false;
  nlohmann::json document;
};

/// A text or a number as a text; empty for anything else.
std::string id_text(const nlohmann::json& row, const char* name) {
  const auto found = row.find(name);
  if (found == row.end() || !(found->is_string() || found->is_number_integer())) {
    return "";
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

Recorded read_request(const nlohmann::json& row, const std::string& where) {
  Recorded recorded;
  const auto values = values_of(row, where);
  const auto request = values_of(values.at("request"), where);
  recorded.where = where;
  recorded.task = values.text("task_name");
  recorded.context = request.text("context");
  recorded.continuation = request.text("continuation");
  recorded.is_twin = values.integer("doc_id") >= kFirstTwin;
  const int64_t choice = values.integer("idx");
  if (choice < 0) {
    fail(ErrorCode::kData, "{}: expected \"idx\" of 0 or more, got {}.", where, choice);
  }
  recorded.choice = static_cast<size_t>(choice);
  recorded.document = values.at("doc");
  recorded.native_id = id_text(row, "native_id");
  recorded.position = id_text(recorded.document, "index");
  if (const auto label = row.find("label"); label != row.end() && label->is_number_integer()) {
    recorded.label = label->get<int64_t>();
  }
  return recorded;
}

/// Documents of a task's file, found by id or by text.
class Documents {
 public:
  Documents(PromptForm form, std::vector<Document> documents)
      : form_(form), documents_(std::move(documents)) {
    for (const auto& document : documents_) {
      by_id_.emplace(document.id, &document);
      // The part behind the last dash of `val-12` or `algebra-test-12` is the position in the
      // split.
      by_position_.emplace(document.id.substr(document.id.rfind('-') + 1), &document);
      by_query_.emplace(query_of(form, document), &document);
    }
  }

  /// Those that the request may have been made from; none: the file does not hold its document.
  [[nodiscard]] std::vector<const Document*> find(const Recorded& recorded) const {
    if (const auto found = by_id_.find(recorded.native_id);
        !recorded.native_id.empty() && found != by_id_.end()) {
      return {found->second};
    }
    if (!recorded.position.empty()) {
      if (const auto found = by_position_.find(recorded.position); found != by_position_.end()) {
        return {found->second};
      }
    }
    std::vector<const Document*> found;
    const auto query = query_of(form_, read_document(form_, recorded.document, recorded.where));
    const auto [first, last] = by_query_.equal_range(query);
    for (auto item = first; item != last; ++item) {
      found.push_back(item->second);
    }
    return found;
  }

 private:
  PromptForm form_;
  std::vector<Document> documents_;
  std::map<std::string, const Document*> by_id_;
  std::map<std::string, const Document*> by_position_;
  std::multimap<std::string, const Document*> by_query_;
};

size_t first_difference(const std::string& left, const std::string& right) {
  const auto [at, ignored] = std::mismatch(left.begin(), left.end(), right.begin(), right.end());
  return static_cast<size_t>(at - left.begin());
}

std::optional<RequestDifference> compare(const Recorded& recorded, const Instance& instance) {
  const auto differ = [&](const char* part, const std::string& theirs, const std::string& ours) {
    return RequestDifference{.where = recorded.where,
                             .part = part,
                             .byte = first_difference(theirs, ours),
                             .recorded = theirs,
                             .made = ours};
  };
  if (recorded.choice >= instance.choices.size()) {
    return differ("choice", std::to_string(recorded.choice),
                  fmt::format("{} choices", instance.choices.size()));
  }
  const auto& choice = instance.choices[recorded.choice];
  const auto& context = recorded.is_twin ? std::string(kBareContext) : choice.context;
  if (recorded.context != context) {
    return differ("context", recorded.context, context);
  }
  if (recorded.continuation != choice.continuation) {
    return differ("continuation", recorded.continuation, choice.continuation);
  }
  if (recorded.label && *recorded.label != instance.label) {
    return differ("label", std::to_string(*recorded.label), std::to_string(instance.label));
  }
  return std::nullopt;
}

/// Counts the request against the nearest of the documents that it may have been made from.
void count(RequestCount& total, const Recorded& recorded, PromptForm form,
           const std::vector<const Document*>& documents, const std::string& prefix) {
  if (documents.empty()) {
    ++total.not_found;
    return;
  }
  ++total.requests;
  std::optional<RequestDifference> difference;
  for (const auto* document : documents) {
    auto found = compare(recorded, make_instance(form, *document, prefix));
    if (!found) {
      ++total.equal;
      return;
    }
    difference = difference ? difference : std::move(found);
  }
  if (!total.first_difference) {
    total.first_difference = std::move(difference);
  }
}

/// The check of one file: all that belongs to its task is read at its first row.
class FileChecker {
 public:
  FileChecker(const fs::path& file, const RequestCheckOptions& options,
              const std::optional<FewShotFile>& few_shot)
      : options_(options), few_shot_(few_shot) {
    check_.file = file;
    check_.recorded.origin = file;
  }

  void add(const Recorded& recorded) {
    if (check_.task.empty()) {
      begin(recorded);
    }
    if (recorded.task != check_.task) {
      fail(ErrorCode::kData, "{}: expected requests of one task per file, got {} after {}.",
           recorded.where, recorded.task, check_.task);
    }
    const auto document = read_document(form_.prompt, recorded.document, recorded.where);
    count(check_.recorded, recorded, form_.prompt, {&document}, prefix_);
    for (size_t i = 0; i < documents_.size(); ++i) {
      count(check_.data[i], recorded, form_.prompt, documents_[i]->find(recorded), prefix_);
    }
  }

  [[nodiscard]] const RequestFileCheck& check() const { return check_; }

 private:
  void begin(const Recorded& recorded) {
    form_ = task_form(recorded.task);
    if (form_.split_size == 0) {
      fail(ErrorCode::kConfig, "{}: expected the name of a task in \"task_name\", got \"{}\".",
           recorded.where, recorded.task);
    }
    check_.task = recorded.task;
    check_.shots = options_.shots.value_or(0);
    if (few_shot_) {
      check_.shots = options_.shots.value_or(few_shot_->num_shots(form_).value_or(0));
      prefix_ = few_shot_->prefix(form_, check_.shots);
    }
    for (const auto& directory : options_.data) {
      if (const auto file = find_task_file(form_, directory)) {
        documents_.push_back(
            std::make_unique<Documents>(form_.prompt, read_documents(form_, *file)));
        check_.data.push_back({});
        check_.data.back().origin = file->rows;
      }
    }
  }

  const RequestCheckOptions& options_;
  const std::optional<FewShotFile>& few_shot_;
  RequestFileCheck check_;
  TaskForm form_;
  std::string prefix_;
  std::vector<std::unique_ptr<Documents>> documents_;
};

std::vector<fs::path> request_files(const fs::path& directory) {
  if (!fs::is_directory(directory)) {
    fail(ErrorCode::kData, "{}: expected a folder of recorded requests, got {}.",
         directory.string(), fs::exists(directory) ? "a file" : "nothing of that name");
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (!task_of_file(entry.path().filename().string()).empty()) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Some of a text around a byte, quoted, so that blanks and line ends show.
std::string around(const std::string& text, size_t byte) {
  constexpr size_t kReach = 32;
  const size_t begin = byte > kReach ? byte - kReach : 0;
  const auto part = text.substr(std::min(begin, text.size()), 2 * kReach);
  return (begin > 0 ? "..." : "") +
         nlohmann::json(part).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
         (begin + part.size() < text.size() ? "..." : "");
}

/// The origins of a check, the requests' own documents first.
std::vector<const RequestCount*> origins(const RequestFileCheck& check) {
  std::vector<const RequestCount*> counts = {&check.recorded};
  for (const auto& item : check.data) {
    counts.push_back(&item);
  }
  return counts;
}

}  // namespace

std::vector<RequestFileCheck> check_requests(const fs::path& directory,
                                             const RequestCheckOptions& options) {
  std::optional<FewShotFile> few_shot;
  if (!options.few_shot_file.empty()) {
    few_shot.emplace(options.few_shot_file);
  } else if (options.shots.value_or(1) > 0) {
    fail(ErrorCode::kConfig,
         "--check-requests: expected the file of the shots that the requests were made with, got "
         "none. Name it with --fewshot FILE, or use --shots 0.");
  }
  for (const auto& folder : options.data) {
    if (!fs::is_directory(folder)) {
      fail(ErrorCode::kData, "{}: expected a folder of .jsonl files, got {}.", folder.string(),
           fs::exists(folder) ? "a file" : "nothing of that name");
    }
  }
  std::vector<RequestFileCheck> checks;
  for (const auto& file : request_files(directory)) {
    FileChecker checker(file, options, few_shot);
    for_each_json_line(file, [&](const nlohmann::json& row, const std::string& where) {
      checker.add(read_request(row, where));
      return true;
    });
    if (checker.check().recorded.requests > 0) {
      checks.push_back(checker.check());
    }
  }
  if (checks.empty()) {
    fail(ErrorCode::kData, "{}: expected at least one recorded request in a .jsonl file, got none.",
         directory.string());
  }
  return checks;
}

int64_t count_differences(const std::vector<RequestFileCheck>& checks) {
  int64_t differences = 0;
  for (const auto& check : checks) {
    for (const auto* item : origins(check)) {
      differences += item->requests - item->equal;
    }
  }
  return differences;
}

std::string describe(const std::vector<RequestFileCheck>& checks) {
  std::string text;
  RequestCount own;
  RequestCount data;
  for (const auto& check : checks) {
    for (const auto* item : origins(check)) {
      const bool is_own = item == &check.recorded;
      auto& total = is_own ? own : data;
      total.requests += item->requests;
      total.equal += item->equal;
      text +=
          fmt::format("{}{}: {} of {} equal{}\n", is_own ? "" : "  from ",
                      is_own ? check.file.filename().string() : item->origin.string(), item->equal,
                      item->requests,
                      item->not_found > 0
                          ? fmt::format(", {} with a document that is not in it", item->not_found)
                          : "");
      if (const auto& first = item->first_difference) {
        text += fmt::format("  {}: the {} differs at byte {}\n    recorded {}\n    made     {}\n",
                            first->where, first->part, first->byte,
                            around(first->recorded, first->byte), around(first->made, first->byte));
      }
    }
  }
  text += fmt::format("all: {} of {} equal", own.equal, own.requests);
  if (data.requests > 0) {
    text += fmt::format("; from data files {} of {}", data.equal, data.requests);
  }
  return text + "\n";
}

nlohmann::ordered_json to_json(const std::vector<RequestFileCheck>& checks) {
  auto files = nlohmann::ordered_json::array();
  for (const auto& check : checks) {
    auto list = nlohmann::ordered_json::array();
    for (const auto* item : origins(check)) {
      nlohmann::ordered_json json = {{"origin", item->origin.string()},
                                     {"requests", item->requests},
                                     {"equal", item->equal},
                                     {"not_found", item->not_found},
                                     {"first_difference", nullptr}};
      if (const auto& first = item->first_difference) {
        json["first_difference"] = {{"where", first->where},
                                    {"part", first->part},
                                    {"byte", first->byte},
                                    {"recorded", first->recorded},
                                    {"made", first->made}};
      }
      list.push_back(std::move(json));
    }
    files.push_back({{"file", check.file.filename().string()},
                     {"task", check.task},
                     {"shots", check.shots},
                     {"origins", std::move(list)}});
  }
  return {{"equal", count_differences(checks) == 0}, {"files", std::move(files)}};
}

}  // namespace loopbank
