#include "loopbank/study/study_data.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "loopbank/data/text_reader.h"
#include "loopbank/data/tokenize.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"
#include "loopbank/tokenize/bpe_trainer.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const std::vector<std::string> kTokenFiles = {"tokenizer.json", "train.tokens",
                                              "validation.tokens"};
/// Where no file is held out, one document of so many is.
constexpr int64_t kDocumentsToOneHeldOut = 50;

/// What the program makes itself, and under which name the recipe has it.
struct OwnData {
  Generated generated;
  std::string name;  ///< benchmark | synthetic
};

OwnData generate(const StudyDataOptions& options) {
  if (!options.synthetic.task.empty()) {
    return {.generated = make_synthetic(options.synthetic), .name = "synthetic"};
  }
  return {.generated = generated_of(make_benchmark(options.benchmark)), .name = "benchmark"};
}

std::vector<std::string> files_of(const Generated& generated) {
  auto files = kTokenFiles;
  files.insert(files.end(), {"train.jsonl", "validation.jsonl"});
  for (const auto& task : generated.tasks) {
    files.push_back(task.name + ".jsonl");
  }
  return files;
}

/// What decides every byte of the folder.
Json recipe_of(const OwnData& data, const StudyDataOptions& options) {
  Json recipe = {{data.name, parse_json<Json>(data.generated.description, data.name)}};
  if (options.tokenizer.empty() && data.generated.symbols_are_bytes) {
    recipe["tokenizer"] = "bytes";
  } else if (options.tokenizer.empty()) {
    recipe["vocab_size"] = options.vocab_size;
  } else {
    recipe["tokenizer"] = Tokenizer::load(options.tokenizer).hash();
  }
  return recipe;
}

Json read_description(const fs::path& path) {
  const JsonForm form{.expected = "what the data of a study was made from",
                      .remedy = "Remove the file to make the data anew."};
  auto json = read_json_file<Json>(path, form);
  if (!json.is_object() || !json.contains("recipe")) {
    fail(ErrorCode::kData, "{}: expected {}, got something else. {}", path.string(), form.expected,
         form.remedy);
  }
  return json;
}

/// The first value that differs between two objects of the same form, as "benchmark.seed".
std::string first_difference(const Json& a, const Json& b) {
  const auto left = a.flatten();
  const auto right = b.flatten();
  for (const auto& [key, value] : right.items()) {
    if (!left.contains(key) || left[key] != value) {
      auto name = key.substr(1);
      std::replace(name.begin(), name.end(), '/', '.');
      return fmt::format("{} = {}, got {}", name,
                         left.contains(key) ? left[key].dump() : std::string("nothing"),
                         value.dump());
    }
  }
  return "no key more, got some";
}

/// Whether the folder holds all that its data.json tells of, made from this recipe.
bool is_ready(const fs::path& directory, const Json& recipe,
              const std::vector<std::string>& files) {
  const auto path = directory / "data.json";
  if (!fs::exists(path)) {
    return false;
  }
  const auto stored = read_description(path)["recipe"];
  if (stored != recipe) {
    fail(ErrorCode::kConfig,
         "{}: expected {}. Continue the study as it was started or choose another --out.",
         path.string(), first_difference(stored, recipe));
  }
  return std::all_of(files.begin(), files.end(),
                     [&](const std::string& name) { return fs::exists(directory / name); });
}

/// Tokens of both texts and, last of all, data.json.
void write_tokens(const fs::path& directory, const Json& recipe, const Tokenizer& tokenizer,
                  const std::vector<fs::path>& train, const std::vector<fs::path>& validation) {
  tokenizer.save(directory / "tokenizer.json");
  const auto tokenize = [&](const std::vector<fs::path>& texts, const char* name) {
    const auto report = tokenize_files(texts, tokenizer, directory / name);
    return Json{{"tokens", report.tokens}, {"bytes", report.text_bytes}};
  };
  const Json description = {{"recipe", recipe},
                            {"tokenizer", {{"tokens", tokenizer.vocab_size()}}},
                            {"training", tokenize(train, "train.tokens")},
                            {"validation", tokenize(validation, "validation.tokens")}};
  write_file_atomically(directory / "data.json", description.dump(2) + "\n");
}

Tokenizer learn_tokenizer(const std::vector<fs::path>& inputs, int64_t vocab_size) {
  size_t next = 0;
  std::unique_ptr<TextReader> reader;
  const auto next_document = [&](std::string& document) {
    while (true) {
      if (reader && reader->next(document)) {
        return true;
      }
      if (next == inputs.size()) {
        return false;
      }
      reader = std::make_unique<TextReader>(inputs[next++]);
    }
  };
  return train_bpe(next_document, {.vocab_size = vocab_size, .individual_digits = true});
}

void make(const fs::path& directory, const OwnData& data, const Json& recipe,
          const StudyDataOptions& options) {
  write_generated(data.generated, directory, data.name + ".json");
  const std::vector<fs::path> train = {directory / "train.jsonl"};
  const auto tokenizer = !options.tokenizer.empty() ? Tokenizer::load(options.tokenizer)
                         : data.generated.symbols_are_bytes
                             ? Tokenizer::bytes()
                             : learn_tokenizer(train, options.vocab_size);
  write_tokens(directory, recipe, tokenizer, train, {directory / "validation.jsonl"});
}

StudyData data_in(const fs::path& directory, std::vector<fs::path> tasks) {
  const auto place = fs::absolute(directory).lexically_normal();
  return {.tasks = std::move(tasks),
          .files = {.train = (place / "train.tokens").string(),
                    .validation = (place / "validation.tokens").string(),
                    .tokenizer = (place / "tokenizer.json").string()},
          .description = read_description(directory / "data.json").dump(2)};
}

/// The text files of a folder, by name, parted into those to train on and those held out.
struct TextFiles {
  std::vector<fs::path> train;
  std::vector<fs::path> held_out;
};

bool is_held_out(const std::string& name) {
  std::string part;
  for (const char c : name + ".") {
    if (c != '.' && c != '-' && c != '_') {
      part += c;
      continue;
    }
    if (part == "val" || part == "valid" || part == "validation") {
      return true;
    }
    part.clear();
  }
  return false;
}

TextFiles text_files_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    auto name = entry.path().filename().string();
    for (const char* packed : {".zst", ".gz"}) {
      name = name.ends_with(packed) ? name.substr(0, name.rfind('.')) : name;
    }
    if (name.ends_with(".jsonl") || name.ends_with(".txt")) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  TextFiles files;
  for (const auto& path : paths) {
    auto& part = is_held_out(path.filename().string()) ? files.held_out : files.train;
    part.push_back(path);
  }
  if (files.train.empty()) {
    fail(ErrorCode::kData,
         "{}: expected a folder with text to train on, .jsonl or .txt, plain, .gz or .zst, got {}.",
         folder.string(),
         error                    ? error.message()
         : files.held_out.empty() ? "none"
                                  : "held-out files alone");
  }
  return files;
}

/// Parts the documents of all files into train.jsonl and validation.jsonl.
TextFiles split_documents(const fs::path& directory, const std::vector<fs::path>& inputs) {
  std::string train;
  std::string held_out;
  int64_t number = 0;
  for (const auto& input : inputs) {
    TextReader reader(input);
    for (std::string document; reader.next(document);) {
      auto& part = ++number % kDocumentsToOneHeldOut == 0 ? held_out : train;
      part += Json{{"text", document}}.dump() + "\n";
    }
  }
  if (held_out.empty()) {
    fail(ErrorCode::kData,
         "{}: expected {} documents or more, of which one is held out, or a file with \"val\" in "
         "its name, got {} documents.",
         inputs.front().parent_path().string(), kDocumentsToOneHeldOut, number);
  }
  write_file_atomically(directory / "train.jsonl", train);
  write_file_atomically(directory / "validation.jsonl", held_out);
  return {.train = {directory / "train.jsonl"}, .held_out = {directory / "validation.jsonl"}};
}

/// What decides every byte of the folder: the files by name and size.
Json recipe_of(const TextFiles& files, const TextDataOptions& options) {
  const auto list = [](const std::vector<fs::path>& paths) {
    auto json = Json::object();
    for (const auto& path : paths) {
      json[path.filename().string()] = fs::file_size(path);
    }
    return json;
  };
  Json recipe = {{"train", list(files.train)}, {"held_out", list(files.held_out)}};
  if (options.tokenizer.empty()) {
    recipe["vocab_size"] = options.vocab_size;
  } else {
    recipe["tokenizer"] = options.tokenizer.string();
  }
  return {{"text", recipe}};
}

}  // namespace

StudyData prepare_study_data(const fs::path& directory, const StudyDataOptions& options) {
  const auto data = generate(options);
  const auto recipe = recipe_of(data, options);
  if (!is_ready(directory, recipe, files_of(data.generated))) {
    make(directory, data, recipe, options);
  }
  return data_in(directory, {fs::absolute(directory).lexically_normal()});
}

void check_study_data(const fs::path& directory, const StudyDataOptions& options) {
  if (fs::exists(directory / "data.json")) {
    (void)is_ready(directory, recipe_of(generate(options), options), {});
  }
}

void check_text_folder(const fs::path& folder) {
  (void)text_files_of(folder);
}

StudyData prepare_text_data(const fs::path& directory, const TextDataOptions& options) {
  auto files = text_files_of(options.folder);
  const auto recipe = recipe_of(files, options);
  if (!is_ready(directory, recipe, kTokenFiles)) {
    loopbank::create_directories(directory);
    if (files.held_out.empty()) {
      files = split_documents(directory, files.train);
    }
    const auto tokenizer = options.tokenizer.empty()
                               ? learn_tokenizer(files.train, options.vocab_size)
                               : Tokenizer::load(options.tokenizer);
    write_tokens(directory, recipe, tokenizer, files.train, files.held_out);
  }
  return data_in(directory, {});
}

}  // namespace loopbank
