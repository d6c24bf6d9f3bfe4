#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/study/figures.h"
#include "loopbank/study/report.h"
#include "loopbank/support/files.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::expect_contains;
using testing::TestDirectory;
using Json = nlohmann::ordered_json;

constexpr const char* kChromium = "/usr/bin/chromium";

/// Keeps whatever the page complains of; stands before every other script.
constexpr std::string_view kCollector = R"(<script>
window.problems = [];
addEventListener("error", (event) => problems.push("error: " + (event.message || event.target.tagName)), true);
addEventListener("unhandledrejection", (event) => problems.push("rejection: " + event.reason));
document.addEventListener("securitypolicyviolation", (event) => problems.push("blocked: " + event.blockedURI));
for (const kind of ["error", "warn"]) console[kind] = (...words) => problems.push(kind + ": " + words.join(" "));
</script>)";

/// Tells the frame around the page what became of it.
constexpr std::string_view kInspector = R"(<script>
function colours(canvas) {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const found = new Set();
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i + 3] > 0) found.add((pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2]);
  }
  return found.size;
}
function inspect() {
  const figures = [...document.querySelectorAll("figure[data-figure]")];
  const root = document.documentElement;
  const wide = [...document.querySelectorAll("main *, header *")].filter((element) =>
    !element.closest(".table-box, pre") && element.getBoundingClientRect().right > root.clientWidth + 1);
  const unclear = figures.filter((figure) => {
    const canvases = [...figure.querySelectorAll("canvas")];
    return Number(figure.dataset.drawn) !== canvases.length || canvases.length === 0 ||
      canvases.some((canvas) => colours(canvas) < 4);
  });
  parent.postMessage(JSON.stringify({
    ready: root.dataset.ready === "true",
    figures: figures.length,
    unclear: unclear.map((figure) => figure.id),
    heats: document.querySelectorAll("table.heat").length,
    tokens: document.querySelectorAll(".token").length,
    sections: [...document.querySelectorAll("section")].map((section) => section.id),
    text: document.body.innerText,
    rows: [...document.querySelectorAll("table.scores tbody tr")].map((row) =>
      [...row.cells].map((cell) => cell.innerText.replace(/\s+/g, " ").trim())),
    marks: [...document.querySelectorAll("td .mark")].map((mark) => mark.textContent + " " + mark.title),
    headings: [...document.querySelectorAll("h1, h3")].map((one) => one.textContent),
    files: [...document.querySelectorAll("figure")].filter((figure) =>
      figure.querySelector("figcaption a").getAttribute("href") !== "csv/" + figure.id + ".csv").length,
    markup: document.querySelectorAll("h1 u, h3 i, th b, pre script, pre b, .token script").length,
    width: root.clientWidth,
    scroll_width: root.scrollWidth,
    wide: wide.map((element) => element.tagName + "." + element.className),
    requests: performance.getEntriesByType("resource").map((entry) => entry.name),
    problems: window.problems,
  }), "*");
}
addEventListener("load", () => setTimeout(inspect, 200));
</script>)";

std::string with_before(std::string page, std::string_view mark, std::string_view text) {
  const auto at = page.rfind(mark);
  EXPECT_NE(at, std::string::npos) << mark;
  return page.insert(at, text);
}

/// Opens the page in a frame of that many pixels and gives what the inspector found.
nlohmann::json open_page(const Json& results, int width) {
  const TestDirectory directory;
  auto page = with_before(make_report(study_result_from_json(results)).html, "<title>", kCollector);
  directory.write("report.html", with_before(std::move(page), "</body>", kInspector));
  const auto frame = directory.write(
      "frame.html",
      fmt::format(
          "<!DOCTYPE html><pre id=\"found\"></pre>\n"
          "<iframe src=\"report.html\" style=\"width:{}px;height:900px;border:0\"></iframe>\n"
          "<script>addEventListener('message', (event) => {{ document.getElementById("
          "'found').textContent = event.data.replace(/[<>&]/g, '_'); }});</script>\n",
          width));
  const auto out = directory.path() / "out";
  const auto err = directory.path() / "err";
  const auto command = fmt::format(
      "timeout 100 {} --headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
      "--disable-background-networking --disable-component-update --disable-sync "
      "--enable-logging=stderr --user-data-dir={} --window-size=1500,1000 "
      "--virtual-time-budget=30000 --dump-dom file://{} > {} 2> {}",
      kChromium, (directory.path() / "profile").string(), frame.string(), out.string(),
      err.string());
  EXPECT_EQ(std::system(command.c_str()), 0) << read_file(err);
  EXPECT_EQ(read_file(err).find(":CONSOLE"), std::string::npos) << read_file(err);
  const auto dom = read_file(out);
  constexpr std::string_view kOpen = "<pre id=\"found\">";
  const auto begin = dom.find(kOpen);
  const auto end = dom.find("</pre>", begin);
  if (begin == std::string::npos || end == std::string::npos || end == begin + kOpen.size()) {
    ADD_FAILURE() << "the page told nothing\n" << dom.substr(0, 2000) << read_file(err);
    return {};
  }
  return nlohmann::json::parse(dom.substr(begin + kOpen.size(), end - begin - kOpen.size()));
}

void expect_sound(const nlohmann::json& found, int width) {
  ASSERT_TRUE(found.is_object());
  const auto none = nlohmann::json::array();
  EXPECT_EQ(found["problems"], none);
  EXPECT_EQ(found["requests"], none);
  EXPECT_EQ(found["unclear"], none) << "figures that were not drawn";
  EXPECT_EQ(found["wide"], none) << "elements that stand out to the right";
  EXPECT_TRUE(found["ready"].get<bool>());
  EXPECT_LE(found["width"], width);
  EXPECT_GT(found["width"], width - 30);
  EXPECT_LE(found["scroll_width"], found["width"]);
}

class ReportBrowser : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kChromium)) {
      GTEST_SKIP() << "no " << kChromium;
    }
  }
};

TEST_P(ReportBrowser, EveryFigureIsDrawnAndNothingOverflows) {
  const auto results = testing::full_results();
  const auto found = open_page(results, GetParam());
  expect_sound(found, GetParam());
  size_t figures = 0;
  const auto study = study_result_from_json(results);
  for (const auto& part : study.parts) {
    for (const auto& figure : make_figures(shown_part(part))) {
      figures += figure.kind != FigureKind::kHeat ? 1 : 0;
    }
  }
  EXPECT_GT(figures, 30U);
  EXPECT_EQ(found["figures"], figures);
  EXPECT_EQ(found["heats"], 4 + 3);
  EXPECT_EQ(found["tokens"], 250);
}

TEST_P(ReportBrowser, TablesFindingsAndAnswersAreBuiltFromTheData) {
  auto results = testing::full_results();
  auto& part = results["parts"][0];
  auto& loop3 = part["systems"][1];
  loop3["scores"]["reasoning_bpb"]["mean"] = 1.234;
  loop3["scores"]["reasoning_bpb"]["spread"] = 0.017;
  loop3["against"]["isopar"]["reasoning_bpb"] = {
      {"difference", -0.8},
      {"low", -0.85},
      {"high", -0.75},
      {"p", 0.0001},
      {"seeds", {{"difference", -0.8}, {"low", -0.9}, {"high", -0.7}, {"p", 1e-6}}}};
  part["systems"][0]["label"] = "Iso<b>Par</b>";
  part["title"] = "<i>x</i>";
  part["settings"] = "</pre><script>";
  results["title"] = "{{data}}<u>";
  const auto found = open_page(results, GetParam());
  expect_sound(found, GetParam());
  EXPECT_EQ(found["sections"], (Json{"table", "findings", "question-1", "question-2", "question-3",
                                     "question-4", "question-5", "dead", "tokens", "making"}));
  const auto& rows = found["rows"];
  EXPECT_EQ(rows[0], Json::array({"THE PAPER'S SYSTEMS"}));
  expect_contains(rows[1][0], "Iso_b_Par_/b_");
  expect_contains(rows[2][0], "Loop-3 4 layers, 3 loops");
  expect_contains(rows[2][3], "1.234 P\u25b2");
  expect_contains(rows[2][3], "\u00b1 0.017");
  EXPECT_EQ(rows[2][11], "1.687");
  const auto& marks = found["marks"];
  EXPECT_TRUE(std::any_of(marks.begin(), marks.end(), [](const nlohmann::json& mark) {
    return mark.get<std::string>().starts_with(
        "P\u25b2 better than IsoPar: \u22120.800 (95&nbsp;% interval over seeds \u22120.900 to "
        "\u22120.700), ");
  })) << marks;
  EXPECT_EQ(found["headings"][0], "{{data}}_u_");
  EXPECT_EQ(found["headings"][1], "_i_x_/i_");
  const auto text = found["text"].get<std::string>();
  for (const char* sentence :
       {"These came out the other way:", "Of 5 findings of the paper ", "looped systems",
        "Late layers loop most.", "Loops and memory slots", "at equal perplexity.",
        "is the standard deviation over 3 seeds", "How near the matched baselines came",
        "Guessing scores 0.25 in facts accuracy"}) {
    expect_contains(text, sentence);
  }
  EXPECT_EQ(found["files"], 0) << "figures whose link is not their file";
  EXPECT_EQ(found["markup"], 0) << "texts that became elements";
}

TEST_P(ReportBrowser, SystemsOfOneLabelKeepTheirOwnMarks) {
  auto results = testing::full_results();
  results["parts"].erase(1);
  auto& systems = results["parts"][0]["systems"];
  const auto before = open_page(results, GetParam())["marks"];
  systems[1]["label"] = systems[2]["label"];
  EXPECT_EQ(open_page(results, GetParam())["marks"], before);
  EXPECT_FALSE(before.empty());
}

TEST_P(ReportBrowser, APoorStudyHasASoundPageToo) {
  const auto found = open_page(testing::poor_results(), GetParam());
  expect_sound(found, GetParam());
  EXPECT_GT(found["figures"], 0);
  EXPECT_EQ(found["tokens"], 0);
}

TEST_P(ReportBrowser, AnEmptyStudyHasASoundPageToo) {
  expect_sound(open_page(Json::object(), GetParam()), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Widths, ReportBrowser, ::testing::Values(400, 1400),
                         [](const auto& width) { return std::to_string(width.param); });

}  // namespace
}  // namespace loopbank
