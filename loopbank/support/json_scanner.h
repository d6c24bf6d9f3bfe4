#pragma once
/// Reads JSON without building it: a text becomes events, and stays where it is.
///
/// The grammar is RFC 8259's, all of it and no more, but for what JSON's common writers emit beside
/// it: `NaN`, `Infinity`, `-Infinity`, numbers that no double holds, and texts with half a surrogate
/// pair. These are told as such, so that a field which nobody reads may hold them and one that is
/// read is refused. nlohmann::json's parser stops at them and drops what surrounds them, takes a NUL
/// byte for the end and cannot be told otherwise; fuzz target `json` holds this one to it in all
/// else.
///
/// Not here: which keys may stand twice, how deep is too deep (json.h), whether a text is UTF-8:
/// the caller has seen to that.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace loopbank {

/// What is read. A method that returns false ends the reading; texts may be moved from.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;

  virtual bool begin_object() = 0;
  virtual bool end_object() = 0;
  virtual bool begin_list() = 0;
  virtual bool end_list() = 0;
  virtual bool key(std::string& name) = 0;
  virtual bool null() = 0;
  virtual bool boolean(bool value) = 0;
  virtual bool integer(int64_t value) = 0;        ///< below 0
  virtual bool count(uint64_t value) = 0;         ///< from 0
  virtual bool number(double value) = 0;          ///< finite; also a whole number beyond 64 bits
  virtual bool text(std::string& value) = 0;      ///< in UTF-8
  virtual bool unreadable(std::string_view) = 0;  ///< of the kinds above, as it is spelt
};

/// Where reading ended before the end of the text.
struct JsonStop {
  size_t byte = 0;     ///< from 0, the one at which it showed
  std::string reason;  ///< what is no JSON; empty where an event ended it
};

/// Reads one value and nothing behind it. A byte order mark at the start is passed over.
/// @param text  in UTF-8; a key with half a surrogate pair is told as it is spelt
/// @return nothing where all was read
[[nodiscard]] std::optional<JsonStop> scan_json(std::string_view text, JsonEvents& events);

}  // namespace loopbank
