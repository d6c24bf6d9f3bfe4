#include "loopbank/eval/document.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/olmes_text.h"
#include "loopbank/eval/python_text.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

std::string text_field(const nlohmann::json& row, const char* name, const std::string& where) {
  return values_of(row, where).text(name);
}

std::string id_of(const nlohmann::json& row) {
  for (const char* name : {"id", "qID"}) {
    if (const auto found = row.find(name); found != row.end()) {
      return found->is_string() ? found->get<std::string>() : show_json(*found);
    }
  }
  return "";
}

const std::string& choice_text(const nlohmann::json& value, const std::string& name,
                               const std::string& where) {
  if (!value.is_string()) {
    fail(ErrorCode::kData, "{}: expected a text in \"{}\", got {}.", where, name, show_json(value));
  }
  const auto& choice = value.get_ref<const std::string&>();
  if (python_strip(choice).empty()) {
    fail(ErrorCode::kData, "{}: expected a choice with a word in it in \"{}\", got {}.", where,
         name, show_json(value));
  }
  return choice;
}

std::vector<std::string> choice_list(const nlohmann::json& row, const char* name,
                                     const std::string& where) {
  const auto& list = values_of(row, where).at(name);
  if (!list.is_array() || list.empty()) {
    fail(ErrorCode::kData, "{}: expected a list of at least one text in \"{}\", got {}.", where,
         name, show_json(list));
  }
  std::vector<std::string> choices;
  for (const auto& choice : list) {
    choices.push_back(choice_text(choice, name, where));
  }
  return choices;
}

/// A label that counts the choices from `first`, as an index.
int64_t label_field(const nlohmann::json& row, const char* name, int64_t first, size_t num_choices,
                    const std::string& where) {
  const auto& value = values_of(row, where).at(name);
  int64_t label = first - 1;
  if (value.is_number_integer()) {
    label = value.get<int64_t>();
  } else if (value.is_string()) {
    const auto& digits = value.get_ref<const std::string&>();
    const bool is_digit = digits.size() == 1 && digits[0] >= '0' && digits[0] <= '9';
    label = is_digit ? digits[0] - '0' : label;
  }
  const int64_t last = first + static_cast<int64_t>(num_choices) - 1;
  if (label < first || label > last) {
    fail(ErrorCode::kData,
         "{}: expected \"{}\" from {} to {}, got {}. It counts the choices from {}.", where, name,
         first, last, show_json(value), first);
  }
  return label - first;
}

/// "1" to "5" stand for A to E.
std::string_view choice_letter(std::string_view key) {
  constexpr std::string_view kLetters = "ABCDE";
  const bool is_number = key.size() == 1 && key[0] >= '1' && key[0] <= '5';
  return is_number ? kLetters.substr(static_cast<size_t>(key[0] - '1'), 1) : key;
}

/// ARC, CommonsenseQA and OpenBookQA: choices with a name each, one of which is the answer's key.
Document read_keyed(const nlohmann::json& row, const std::string& where) {
  Document document;
  const bool nested = row.contains("question") && row["question"].is_object();
  const auto& holder = nested ? row["question"] : row;
  const char* stem = nested ? "stem" : row.contains("question_stem") ? "question_stem" : "question";
  document.question = text_field(holder, stem, where);
  std::vector<std::string> keys;
  const auto& choices = values_of(holder, where).at("choices");
  if (choices.is_array()) {
    for (const auto& choice : choices) {
      document.choices.push_back(choice_text(values_of(choice, where).at("text"), "text", where));
      keys.push_back(text_field(choice, "label", where));
    }
  } else {
    document.choices = choice_list(choices, "text", where);
    keys = choice_list(choices, "label", where);
  }
  if (keys.size() != document.choices.size() || keys.empty()) {
    fail(ErrorCode::kData, "{}: expected a label for each of the {} choices, got {}.", where,
         document.choices.size(), keys.size());
  }
  const auto answer = text_field(row, "answerKey", where);
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const std::string& key) {
    return choice_letter(key) == choice_letter(answer);
  });
  if (found == keys.end()) {
    fail(ErrorCode::kData, "{}: expected \"answerKey\" to be one of {}, got \"{}\".", where,
         fmt::join(keys, ", "), answer);
  }
  document.label = found - keys.begin();
  return document;
}

Document read_goal(const nlohmann::json& row, const std::string& where) {
  Document document;
  document.question = text_field(row, "goal", where);
  for (const char* name : {"sol1", "sol2"}) {
    document.choices.push_back(choice_text(values_of(row, where).at(name), name, where));
  }
  document.label = label_field(row, "label", 0, 2, where);
  return document;
}

Document read_situation(const nlohmann::json& row, const std::string& where) {
  Document document;
  document.context = text_field(row, "context", where);
  document.question = text_field(row, "question", where);
  for (const char* name : {"answerA", "answerB", "answerC"}) {
    document.choices.push_back(choice_text(values_of(row, where).at(name), name, where));
  }
  document.label = label_field(row, "label", 1, 3, where);
  return document;
}

Document read_hellaswag(const nlohmann::json& row, const std::string& where) {
  Document document;
  const auto label = text_field(row, "activity_label", where);
  const auto first = text_field(row, "ctx_a", where);
  const auto second = text_field(row, "ctx_b", where);
  document.context = hellaswag_context(label, first, second);
  for (const auto& ending : choice_list(row, "endings", where)) {
    document.choices.push_back(choice_text(clean_hellaswag(ending), "endings", where));
  }
  document.label = label_field(row, "label", 0, document.choices.size(), where);
  return document;
}

Document read_last_word(const nlohmann::json& row, const std::string& where) {
  Document document;
  const auto text = text_field(row, "text", where);
  const auto space = text.rfind(' ');
  if (space == std::string::npos || space + 1 == text.size()) {
    fail(ErrorCode::kData, "{}: expected a space and a last word in \"text\", got \"{}\".", where,
         text);
  }
  document.context = text.substr(0, space);
  document.choices = {text.substr(space + 1)};
  return document;
}

Document read_fill_in(const nlohmann::json& row, const std::string& where) {
  Document document;
  document.question = text_field(row, "sentence", where);
  for (const char* name : {"option1", "option2"}) {
    document.choices.push_back(choice_text(values_of(row, where).at(name), name, where));
  }
  document.label = label_field(row, "answer", 1, 2, where);
  return document;
}

Document read_problem(const nlohmann::json& row, const std::string& where) {
  Document document;
  document.question = text_field(row, "problem", where);
  document.choices = {choice_text(values_of(row, where).at("solution"), "solution", where)};
  return document;
}

Document read_word_problem(const nlohmann::json& row, const std::string& where) {
  Document document;
  document.question = text_field(row, "question", where);
  const auto answer = text_field(row, "answer", where);
  if (answer.find("####") == std::string::npos) {
    fail(ErrorCode::kData,
         "{}: expected \"####\" and a number at the end of \"answer\", got \"{}\".", where, answer);
  }
  document.choices = {gsm8k_solution(answer)};
  return document;
}

Document read_recorded_form(const nlohmann::json& row, const std::string& where) {
  Document document;
  document.query = text_field(row, "query", where);
  document.choices = choice_list(row, "choices", where);
  document.label = label_field(row, "gold", 0, document.choices.size(), where);
  return document;
}

/// What the program knows of the answers to its own questions.
void read_known_of_answer(const nlohmann::json& row, const std::string& where, Document& document) {
  if (row.contains("steps")) {
    for (const auto& steps : values_of(row, where).list("steps")) {
      document.steps.push_back(steps.is_number_integer() ? steps.get<int64_t>() : 0);
    }
    const auto& answer = document.choices[static_cast<size_t>(document.label)];
    const bool counts = std::all_of(document.steps.begin(), document.steps.end(),
                                    [](int64_t steps) { return steps >= 1; });
    if (!counts || document.steps.size() != answer.size()) {
      fail(ErrorCode::kData,
           "{}: expected \"steps\" with a whole number from 1 on for each of the {} bytes of the "
           "answer, got {}.",
           where, answer.size(), show_json(row["steps"]));
    }
  }
  if (row.contains("prior_bits")) {
    document.prior_bits = values_of(row, where).number("prior_bits");
  }
}

Document read_common(PromptForm form, const nlohmann::json& row, const std::string& where) {
  Document document;
  const bool has_context = form == PromptForm::kSituation || form == PromptForm::kVerbatim ||
                           form == PromptForm::kLastWord;
  if (has_context) {
    document.context = text_field(row, "context", where);
  }
  if (!has_context || form == PromptForm::kSituation) {
    document.question = text_field(row, "question", where);
  }
  document.choices = choice_list(row, "choices", where);
  const auto& label = values_of(row, where).at("label");
  const auto num_choices = static_cast<int64_t>(document.choices.size());
  if (!label.is_number_integer() || label.get<int64_t>() < 0 ||
      label.get<int64_t>() >= num_choices) {
    fail(ErrorCode::kData,
         "{}: expected a label from 0 to {}, got {}. Labels count the choices from 0.", where,
         num_choices - 1, show_json(label));
  }
  document.label = label.get<int64_t>();
  read_known_of_answer(row, where, document);
  return document;
}

/// The form in which a data set was published, and a field that no row of the common form has.
struct OfficialForm {
  PromptForm form;
  std::array<const char*, 2> marks;
  Document (*read)(const nlohmann::json& row, const std::string& where);
};
constexpr std::array<OfficialForm, 8> kOfficialForms = {{
    {PromptForm::kQuestion, {"answerKey", "question_stem"}, read_keyed},
    {PromptForm::kGoal, {"goal", "sol1"}, read_goal},
    {PromptForm::kSituation, {"answerA", "answerB"}, read_situation},
    {PromptForm::kVerbatim, {"ctx_a", "endings"}, read_hellaswag},
    {PromptForm::kLastWord, {"text", "text"}, read_last_word},
    {PromptForm::kFillIn, {"sentence", "option1"}, read_fill_in},
    {PromptForm::kProblem, {"problem", "solution"}, read_problem},
    {PromptForm::kWordProblem, {"answer", "answer"}, read_word_problem},
}};

const OfficialForm& official_form(PromptForm form) {
  return *std::find_if(kOfficialForms.begin(), kOfficialForms.end(),
                       [&](const OfficialForm& item) { return item.form == form; });
}

}  // namespace

bool is_official_row(PromptForm form, const nlohmann::json& row) {
  const auto& marks = official_form(form).marks;
  return std::any_of(marks.begin(), marks.end(),
                     [&](const char* mark) { return row.is_object() && row.contains(mark); });
}

Document read_document(PromptForm form, const nlohmann::json& row, const std::string& where) {
  if (!row.is_object()) {
    fail(ErrorCode::kData, "{}: expected a JSON object, got {}.", where, row.type_name());
  }
  const bool one_form = form == PromptForm::kProblem || form == PromptForm::kWordProblem;
  const bool is_recorded = row.contains("query") && row.contains("gold");
  Document document;
  if (is_official_row(form, row) || (one_form && !is_recorded)) {
    document = official_form(form).read(row, where);
  } else if (is_recorded) {
    document = read_recorded_form(row, where);
  } else {
    document = read_common(form, row, where);
  }
  if (form == PromptForm::kFillIn && document.question.find('_') == std::string::npos) {
    fail(ErrorCode::kData, "{}: expected a \"_\" in \"{}\", got \"{}\".", where,
         row.contains("sentence") ? "sentence" : "question", document.question);
  }
  document.id = id_of(row);
  return document;
}

}  // namespace loopbank
