#include "loopbank/support/setting_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

std::string full_key(const std::string& section, const std::string& key) {
  return section + "." + key;
}

/// A setting that a message quotes.
struct QuotedSetting {
  std::string section;
  std::string key;
  size_t begin = 0;  ///< of its opening quote
  size_t end = 0;    ///< behind its closing quote
};

bool has_key(const Section& section, std::string_view key) {
  return std::any_of(section.fields.begin(), section.fields.end(),
                     [&](const Field& field) { return field.name == key; });
}

/// The section of a quoted word: the one that the message is about, or the first other one that has
/// such a key. None for other words in quotes.
std::optional<std::string> section_of(std::string_view key, const Section& subject,
                                      const std::vector<Section>& sections) {
  if (has_key(subject, key)) {
    return subject.name;
  }
  for (const auto& section : sections) {
    if (has_key(section, key)) {
      return section.name;
    }
  }
  return std::nullopt;
}

std::vector<QuotedSetting> quoted_settings(const std::string& message, const Section& subject,
                                           const std::vector<Section>& sections) {
  std::vector<QuotedSetting> found;
  for (size_t begin = message.find('"'); begin != std::string::npos;) {
    const auto close = message.find('"', begin + 1);
    if (close == std::string::npos) {
      break;
    }
    const auto key = message.substr(begin + 1, close - begin - 1);
    if (const auto section = section_of(key, subject, sections)) {
      found.push_back({.section = *section, .key = key, .begin = begin, .end = close + 1});
      begin = message.find('"', close + 1);
    } else {
      begin = close;  // a quote within a quoted text may open the next one
    }
  }
  return found;
}

}  // namespace

void SettingPlaces::set(const std::string& section, const std::string& key, SettingPlace place) {
  places_[full_key(section, key)] = std::move(place);
}

const SettingPlace* SettingPlaces::find(const std::string& section, const std::string& key) const {
  const auto found = places_.find(full_key(section, key));
  return found == places_.end() ? nullptr : &found->second;
}

void SettingPlaces::add(const SettingPlaces& later) {
  for (const auto& [key, place] : later.places_) {
    places_[key] = place;
  }
}

std::string SettingPlaces::locate(const std::string& message, const std::vector<Section>& sections,
                                  const std::string& otherwise) const {
  const auto unplaced = otherwise.empty() ? message : otherwise + ": " + message;
  // `training.device: expected a GPU ...`
  if (const auto colon = message.find(": "); colon != std::string::npos) {
    if (const auto place = places_.find(message.substr(0, colon)); place != places_.end()) {
      const auto& [where, overrides] = place->second;  // --set names the setting itself
      return where + (overrides ? message.substr(colon) : ": " + message);
    }
  }
  const auto subject = std::find_if(sections.begin(), sections.end(), [&](const Section& section) {
    return message.starts_with(section.name + ": ");
  });
  if (subject == sections.end()) {
    return unplaced;
  }
  const auto quoted = quoted_settings(message, *subject, sections);
  const auto place_of = [&](const QuotedSetting& setting) {
    return find(setting.section, setting.key);
  };
  const auto given = std::find_if(quoted.begin(), quoted.end(), [&](const QuotedSetting& setting) {
    const auto* place = place_of(setting);
    return place != nullptr && place->overrides;
  });
  const auto chosen = given == quoted.end() ? quoted.begin() : given;
  if (chosen == quoted.end() || place_of(*chosen) == nullptr) {
    return unplaced;
  }
  const auto head = subject->name.size() + 2;  // `section: `
  const auto& where = place_of(*chosen)->where;
  const auto* first = place_of(quoted.front());
  if (chosen == quoted.begin() || first == nullptr) {
    return fmt::format("{}: {}", where, message.substr(head));
  }
  // What is to change is not what the message begins with: that one keeps its own place.
  const auto end = quoted.front().end;
  return fmt::format("{}: {} ({}){}", where, message.substr(head, end - head), first->where,
                     message.substr(end));
}

void check_together(const SettingPlaces& places, const std::vector<Section>& sections,
                    const std::string& otherwise, const std::function<void()>& check) {
  try {
    check();
  } catch (const Error& error) {
    throw Error(error.code(), places.locate(error.what(), sections, otherwise));
  }
}

}  // namespace loopbank
