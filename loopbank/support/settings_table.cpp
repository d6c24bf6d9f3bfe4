/// Settings as tables for people: docs/settings.md.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/support/setting_values.h"
#include "loopbank/support/settings.h"

namespace loopbank {

std::string describe_settings(const std::vector<Section>& sections) {
  std::string text;
  for (const auto& section : sections) {
    text += fmt::format("## [{}]\n\n| key | expects | default | meaning |\n|---|---|---|---|\n",
                        section.name);
    for (const auto& field : section.fields) {
      const auto value = value_of(field);
      const auto default_value = field.is_required ? "required"
                                 : value.is_null() ? "absent"
                                                   : fmt::format("`{}`", value.dump());
      text += fmt::format("| `{}` | {} | {} | {} |\n", field.name, expected_value(field),
                          default_value, field.doc);
    }
    text += "\n";
  }
  return text;
}

}  // namespace loopbank
