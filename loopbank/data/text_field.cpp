#include "loopbank/data/text_field.h"

#include <fmt/format.h>

#include <cstdint>

#include "loopbank/support/json_scanner.h"

namespace loopbank {
namespace {

/// Tells of every value which kind it is, and how deep it lies.
class KindEvents : public JsonEvents {
 public:
  bool null() final { return value("null"); }
  bool boolean(bool) final { return value("a boolean"); }
  bool integer(int64_t) final { return value("a number"); }
  bool count(uint64_t) final { return value("a number"); }
  bool number(double) final { return value("a number"); }
  bool text(std::string&) override { return value("a text"); }
  bool unreadable(std::string_view spelling) override {
    return value(spelling.front() == '"' ? "a text with half a surrogate pair" : "a number");
  }
  bool begin_object() override { return value("an object") && go_down(); }
  bool begin_list() final { return value("a list") && go_down(); }
  bool end_object() final { return go_up(); }
  bool end_list() final { return go_up(); }

 protected:
  /// A value, or the beginning of one that holds others.
  virtual bool value(const char* kind) = 0;
  [[nodiscard]] int64_t depth() const { return depth_; }

 private:
  bool go_down() {
    ++depth_;
    return true;
  }
  bool go_up() {
    --depth_;
    return true;
  }
  int64_t depth_ = 0;
};

class TextField final : public KindEvents {
 public:
  explicit TextField(std::string& text) : text_(text) {}

  /// Why what was read is no document; empty where it is one.
  [[nodiscard]] std::string problem() const {
    if (!is_object_) {
      return "expected a JSON object with the field \"text\", got another JSON value";
    }
    if (num_found_ != 1) {
      return num_found_ == 0 ? "the JSON object has no field \"text\""
                             : "expected one field \"text\", got another one";
    }
    return is_text_ ? "" : fmt::format("the field \"text\" must be a string, got {}", kind_);
  }

  bool key(std::string& name) override {
    key_is_text_ = name == "text";
    return true;
  }
  bool text(std::string& value) override {
    if (at_text()) {
      text_.swap(value);
      is_text_ = true;
      ++num_found_;  // of two texts nobody knows which is meant
    }
    return true;
  }
  bool begin_object() override {
    is_object_ = is_object_ || depth() == 0;
    return KindEvents::begin_object();
  }

 private:
  [[nodiscard]] bool at_text() const { return depth() == 1 && is_object_ && key_is_text_; }
  bool value(const char* kind) override {
    if (at_text()) {
      kind_ = kind;
      is_text_ = false;
      ++num_found_;
    }
    return true;
  }

  std::string& text_;
  const char* kind_ = "";
  int64_t num_found_ = 0;
  bool is_text_ = false;
  bool is_object_ = false;
  bool key_is_text_ = false;
};

/// Ends at the first key `text` of the object, or of the first one of a list.
class FirstObject final : public KindEvents {
 public:
  [[nodiscard]] bool has_text() const { return has_text_; }

  bool key(std::string& name) override {
    has_text_ = name == "text" && depth() == depth_of_object_;
    return !has_text_;
  }
  bool begin_object() override {
    depth_of_object_ = depth_of_object_ == 0 ? depth() + 1 : depth_of_object_;
    return KindEvents::begin_object();
  }

 private:
  bool value(const char*) override { return true; }

  int64_t depth_of_object_ = 0;
  bool has_text_ = false;
};

}  // namespace

std::string take_text_field(std::string_view line, std::string& text) {
  TextField field(text);
  if (const auto stop = scan_json(line, field)) {
    return fmt::format("broken JSON at column {}: {}", stop->byte + 1, stop->reason);
  }
  return field.problem();
}

bool begins_as_documents(std::string_view text) {
  FirstObject first;
  static_cast<void>(scan_json(text, first));
  return first.has_text();
}

}  // namespace loopbank
