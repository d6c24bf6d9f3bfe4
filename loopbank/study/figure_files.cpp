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

/// The files of one set of figures after another.
class FigureFiles {
 public:
  explicit FigureFiles(const std::vector<std::string>& only) : only_(only) {}

  void add(const std::string& prefix, const std::vector<Figure>& figures) {
    std::vector<Figure> drawn;
    for (const auto& figure : figures) {
      const auto name = prefix + figure.id;
      known_.insert({figure.id, name});
      if (is_asked_for(figure.id, name)) {
        files_[name + ".svg"] = figure_svg(figure);
        files_[name + ".csv"] = figure_csv(figure);
        drawn.push_back(figure);
      }
    }
    if (!drawn.empty()) {
      files_[prefix + "conclusions.csv"] = conclusions_csv(drawn);
    }
  }

  /// @throws Error kConfig for a name asked for that no figure bears
  [[nodiscard]] std::map<std::string, std::string> take() {
    for (const auto& name : only_) {
      if (!known_.contains(name)) {
        fail(ErrorCode::kConfig, "study figures: expected figures of these studies, got \"{}\".{}",
             name, suggestion(name, {known_.begin(), known_.end()}));
      }
    }
    return std::move(files_);
  }

 private:
  [[nodiscard]] bool is_asked_for(const std::string& id, const std::string& file) const {
    return only_.empty() || std::any_of(only_.begin(), only_.end(), [&](const std::string& name) {
             return name == id || name == file;
           });
  }

  const std::vector<std::string>& only_;
  std::map<std::string, std::string> files_ = {};
  std::set<std::string> known_ = {};
};

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
  FigureFiles files(only);
  for (size_t i = 0; i < studies.size(); ++i) {
    for (const auto& view : views[i]) {
      files.add(parts.at(view.prefix) > 1 ? studies[i].name + "-" + view.prefix : view.prefix,
                view.figures);
    }
    files.add(studies[i].name + "-", studies[i].others);
  }
  return files.take();
}

}  // namespace loopbank
