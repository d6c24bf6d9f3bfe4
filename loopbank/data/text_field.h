#pragma once
/// The field `text` of a JSON object, taken out while the rest is checked and dropped.

#include <string>
#include <string_view>

namespace loopbank {

/// Takes the text of one document out of a line. Other fields may hold whatever JSON's common
/// writers emit, at any depth, and cost no memory.
/// @param line  in UTF-8
/// @return why the line is no document; empty where it is one
[[nodiscard]] std::string take_text_field(std::string_view line, std::string& text);

/// Whether a text begins as documents in JSON do: with an object that has the key `text`, or with a
/// list of these.
[[nodiscard]] bool begins_as_documents(std::string_view text);

}  // namespace loopbank
