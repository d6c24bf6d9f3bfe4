#pragma once
/// configs/<scale>/base.toml and configs/study/*.toml as texts built into the program, so that a
/// study runs from any folder and from an installed binary. The build copies the files in; they are
/// not written twice.

#include <string_view>

namespace loopbank {

extern const std::string_view kDemoPreset;
extern const std::string_view kSmallPreset;
extern const std::string_view kPaperPreset;

extern const std::string_view kDemoStudy;
extern const std::string_view kSmallStudy;
extern const std::string_view kSmallTextStudy;
extern const std::string_view kPaperStudy;
extern const std::string_view kRetrofitStudy;

extern const std::string_view kStudyNoise;  // noise.h

}  // namespace loopbank
