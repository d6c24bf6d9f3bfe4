#pragma once
/// Where settings were given, so that an error about several of them names the place to change.
///
/// What a value may be on its own is checked as it is read (support/settings.h). How values fit
/// together is checked later, by code that knows the values alone and names them in quotes:
///
///     training: "micro_batch" expects a divisor of "batch" (6) or 0, got 4.
///
/// Here such an error gets its place: `--set training.micro_batch=4: "micro_batch" expects ...`.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/field.h"

namespace loopbank {

/// Where one setting was given.
struct SettingPlace {
  std::string where;       ///< `run.toml:14` or `--set training.batch=6`
  bool overrides = false;  ///< given by a command line, not by a file
};

/// Where each setting that was read was given, by `section.key`.
class SettingPlaces {
 public:
  /// What is read later replaces what was read before.
  void set(const std::string& section, const std::string& key, SettingPlace place);
  /// The place of a setting; null where it was not given.
  [[nodiscard]] const SettingPlace* find(const std::string& section, const std::string& key) const;
  /// Takes in places that were read later.
  void add(const SettingPlaces& later);

  /// A message about settings of `sections`, with the place to change: that of the first setting it
  /// quotes which overrides a file's, else that of the setting it begins with, else `otherwise`. A
  /// message may also begin with `section.key: `. One that begins otherwise gets `otherwise`, too.
  [[nodiscard]] std::string locate(const std::string& message, const std::vector<Section>& sections,
                                   const std::string& otherwise) const;

 private:
  std::map<std::string, SettingPlace> places_;
};

/// Runs a check of how settings fit together and gives its error a place.
/// @param otherwise  the place where none is known, such as the file; may be empty
/// @throws Error of the check, its message as SettingPlaces::locate has it
void check_together(const SettingPlaces& places, const std::vector<Section>& sections,
                    const std::string& otherwise, const std::function<void()>& check);

}  // namespace loopbank
