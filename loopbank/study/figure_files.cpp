#include "loopbank/study/figure_files.h"

#include <algorithm>
#include <set>

#include "loopbank/study/csv.h"
#include "loopbank/study/figure_svg.h"
#include "loopbank/study/page_data.h"
#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

bool is_asked_for(const std::vector<std::string>& only, const std::string& id,
                  const std::string& file) {
  return only.empty() || std::any_of(only.begin(), only.end(), [&](const std::string& name) {
           return name == id || name == file;
         });
}

void expect_known(const std::vector<std::string>& only, const std::set<std::string>& known) {
  for (const auto& name : only) {
    if (!known.contains(name)) {
      fail(ErrorCode::kConfig, "study figures: expected figures of these studies, got \"{}\".{}",
           name, suggestion(name, {known.begin(), known.end()}));
    }
  }
}

}  // namespace

std::map<std::string, std::string> figure_files(const std::vector<NamedResults>& studies,
                                                const std::vector<std::string>& only) {
  std::map<std::string, int> parts;
  std::vector<std::vector<PartView>> views;
  for (const auto& study : studies) {
    views.push_back(views_of(study.results));
    for (const auto& view : views.back()) {
      ++parts[view.prefix];
    }
  }
  std::map<std::string, std::string> files;
  std::set<std::string> known;
  for (size_t i = 0; i < studies.size(); ++i) {
    for (const auto& view : views[i]) {
      const auto prefix =
          parts.at(view.prefix) > 1 ? studies[i].name + "-" + view.prefix : view.prefix;
      std::vector<Figure> drawn;
      for (const auto& figure : view.figures) {
        const auto name = prefix + figure.id;
        known.insert({figure.id, name});
        if (is_asked_for(only, figure.id, name)) {
          files[name + ".svg"] = figure_svg(figure);
          files[name + ".csv"] = figure_csv(figure);
          drawn.push_back(figure);
        }
      }
      if (!drawn.empty()) {
        files[prefix + "conclusions.csv"] = conclusions_csv(drawn);
      }
    }
  }
  expect_known(only, known);
  return files;
}

}  // namespace loopbank
