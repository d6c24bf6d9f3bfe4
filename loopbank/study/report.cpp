#include "loopbank/study/report.h"

#include <nlohmann/json.hpp>

#include "loopbank/study/csv.h"
#include "loopbank/study/page_data.h"
#include "loopbank/study/page_files.h"
#include "loopbank/study/page_template.h"

namespace loopbank {

StudyReport make_report(const StudyResult& results) {
  const auto views = views_of(results);
  const auto data = script_json(page_data(results, views));
  StudyReport report{.html = fill_template(kPageHtml, {{"head", page_head("loopbank study")},
                                                       {"data", data},
                                                       {"chart_js", kChartJs},
                                                       {"page_js", kPageJs}}),
                     .csv = {}};
  for (const auto& view : views) {
    report.csv[view.prefix + "table.csv"] = table_csv(*view.source.part);
    report.csv[view.prefix + "claims.csv"] = claims_csv(*view.source.part);
    report.csv[view.prefix + "exits.csv"] = exits_csv(*view.source.part);
    report.csv[view.prefix + "conclusions.csv"] = conclusions_csv(view.figures);
    for (const auto& figure : view.figures) {
      report.csv[view.prefix + figure.id + ".csv"] = figure_csv(figure);
    }
  }
  return report;
}

}  // namespace loopbank
