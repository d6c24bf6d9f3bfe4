#include "loopbank/data/tokenize.h"

#include <numeric>
#include <span>

#include "loopbank/data/encode_pipeline.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"

namespace loopbank {

namespace fs = std::filesystem;

int64_t TokenizeReport::num_bad_lines() const {
  return std::accumulate(files.begin(), files.end(), int64_t{0},
                         [](int64_t sum, const auto& f) { return sum + f.report.num_bad_lines(); });
}

int64_t TokenizeReport::num_empty_documents() const {
  return std::accumulate(files.begin(), files.end(), int64_t{0},
                         [](int64_t sum, const auto& f) { return sum + f.report.empty_documents; });
}

double TokenizeReport::megabytes_per_second() const {
  return seconds > 0.0 ? static_cast<double>(text_bytes - resumed_text_bytes) / 1e6 / seconds : 0.0;
}

void TokenizeReport::add(TokenizedFile file) {
  documents += file.report.documents;
  text_bytes += file.report.document_bytes;
  files.push_back(std::move(file));
}

void TokenizeReport::expect_documents() const {
  if (documents == 0) {
    fail(ErrorCode::kData,
         "{}: expected at least one document, got none ({} empty, {} bad lines) in {} files.",
         files.front().path.string(), num_empty_documents(), num_bad_lines(), files.size());
  }
}

TokenizeReport tokenize_files(const std::vector<fs::path>& inputs, const Tokenizer& tokenizer,
                              const fs::path& output, const TokenizeOptions& options) {
  const TokenizeProgress start{.bytes_total = check_inputs(inputs)};
  if (output.has_parent_path()) {
    loopbank::create_directories(output.parent_path());
  }
  TokenFileWriter writer(output, tokenizer.vocab_size(), tokenizer.hash());
  EncodePipeline pipeline(
      tokenizer, options,
      [&](std::span<const TokenId> ids, const DocumentEnd&) { writer.append(ids); }, start);
  TokenizeReport report;
  for (size_t i = 0; i < inputs.size(); ++i) {
    TextReader reader(inputs[i], BadLinePolicy::of_job(options.skip_bad, report.num_bad_lines()));
    pipeline.read(reader, i);
    report.add({inputs[i], reader.report()});
  }
  report.expect_documents();
  pipeline.finish();
  writer.finish();
  report.tokens = writer.num_tokens();
  report.seconds = pipeline.seconds();
  return report;
}

}  // namespace loopbank
