#include "loopbank/study/exit_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "loopbank/study/exit_conclusions.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

std::string_view words_for(ExitWhere where) {
  return where == ExitWhere::kDecode       ? "decoding"
         : where == ExitWhere::kEverywhere ? "with the policy in the prompt too"
                                           : "scoring";
}

std::string interval_words(const Difference& difference) {
  return fmt::format("{:+.4f} to {:+.4f}", difference.low, difference.high);
}

const ExitNoise* noise_at(const ExitStudy& study, ExitWhere where) {
  const auto found = std::find_if(study.noise.begin(), study.noise.end(),
                                  [&](const auto& noise) { return noise.where == where; });
  return found == study.noise.end() ? nullptr : &*found;
}

std::string time_text(const ExitStudy& study, const ExitResult& result) {
  const auto text = percent_of(result.time_saved_share);
  const auto* noise = noise_at(study, result.where);
  if (noise == nullptr) {
    return text + " of the time";
  }
  const bool is_noise = std::abs(result.time_saved_share) <= noise->half_width;
  return fmt::format("{} +- {} of the time{}, {} +- {} of the processor's", text,
                     percent_of(noise->half_width), is_noise ? " (within the noise)" : "",
                     percent_of(result.cpu_saved_share), percent_of(noise->cpu_half_width));
}

std::string saving_text(const ExitStudy& study, const ExitResult& result) {
  return fmt::format("{} with {} saves {} of the FLOPs and {}, for {:+.4f} bits per byte ({})",
                     result.rule, result.kv, percent_of(result.flops_saved_share),
                     time_text(study, result), result.bpb_difference.difference,
                     intervals_of(result.bpb_difference, result.bpb_over_seeds, study.models));
}

/// What may be lost at most: by FLOPs and by time, once where it is the same.
ExitAnswer answer_within(const ExitStudy& study, std::string headline, double share) {
  ExitAnswer answer{.headline = std::move(headline), .sentences = {}};
  for (const auto where : kExitPlaces) {
    const auto* all = all_of(study, where);
    if (all == nullptr) {
      continue;
    }
    const auto* flops = most_saved(study, where, share, &ExitResult::flops_saved_share);
    const auto* time = most_saved(study, where, share, &ExitResult::time_saved_share);
    auto text = std::string(words_for(where)) + ": ";
    text += flops == all ? "nothing, no rule that saves is as near to all loops"
                         : saving_text(study, *flops);
    if (time != flops && time != all) {
      text += fmt::format("; most time: {}", saving_text(study, *time));
    }
    text[0] = static_cast<char>(std::toupper(text[0]));
    answer.sentences.push_back(text + ".");
  }
  return answer;
}

std::string verdict_text(const ExitStudy& study, const ExitComparison& comparison) {
  const double change = comparison.bpb_difference.difference;
  const auto intervals =
      intervals_of(comparison.bpb_difference, comparison.over_seeds, study.models);
  const auto* const said = comparison.verdict == Verdict::kOpen     ? "not told apart"
                           : comparison.verdict == Verdict::kBetter ? "better"
                                                                    : "worse";
  return fmt::format("{:+.4f} bits per byte ({}), {}", change, intervals, said);
}

std::string points_text(const ExitComparison& comparison, std::string_view what) {
  return comparison.points == 1 ? fmt::format("at one {}", what)
                                : fmt::format("mean of {} {}s", comparison.points, what);
}

std::string sentence_of(const ExitStudy& study, const ExitComparison& answer) {
  const auto verdict = verdict_text(study, answer);
  if (answer.question == "gate") {
    return fmt::format("{} in place of {} at equal FLOPs, {}: {}.",
                       answer.b == "budget" ? "budgets drawn at random" : answer.b, answer.a,
                       points_text(answer, "threshold"), verdict);
  }
  if (answer.question == "hard") {
    return fmt::format("{} hard in place of soft, {}: {}.", answer.a, points_text(answer, "rule"),
                       verdict);
  }
  return fmt::format("{}: in the prompt too in place of decoding alone, {}: {}.", answer.kv,
                     points_text(answer, "rule"), verdict);
}

/// The headline's own answer: how often b came out worse, better, or open.
std::string verdict_counts(const std::vector<const ExitComparison*>& answers,
                           std::string_view worse, std::string_view better) {
  const auto count = [&](Verdict verdict) {
    return std::count_if(answers.begin(), answers.end(),
                         [&](const auto* answer) { return answer->verdict == verdict; });
  };
  return fmt::format("{} {}, {} {}, {} not told apart.", count(Verdict::kWorse), worse,
                     count(Verdict::kBetter), better, count(Verdict::kOpen));
}

ExitAnswer answer_to(const ExitStudy& study, std::string headline, std::string_view question,
                     std::string_view worse, std::string_view better) {
  ExitAnswer answer{.headline = std::move(headline), .sentences = {}};
  auto& asked = answer.comparisons;
  for (const auto& one : study.answers) {
    // With `full` a token sees the same in scoring as where it is decoded: said once.
    const bool is_said = one.where == ExitWhere::kScoring && !asked.empty() &&
                         asked.front()->where == ExitWhere::kDecode;
    if (one.question == question && !is_said) {
      asked.push_back(&one);
    }
  }
  if (asked.empty()) {
    return answer;
  }
  answer.sentences.push_back(verdict_counts(asked, worse, better));
  for (const auto* one : asked) {
    answer.sentences.push_back(sentence_of(study, *one));
  }
  return answer;
}

ExitAnswer answer_on_times(const ExitStudy& study) {
  ExitAnswer answer{.headline = "How far are the times to be trusted?", .sentences = {}};
  for (const auto& noise : study.noise) {
    auto text = fmt::format(
        "{}: all loops in turns with themselves, in the turns of {} rows, save {} by the median, "
        "and {} or less either way in {}; of the processor's time, {} or less.",
        words_for(noise.where), noise.rows, percent_of(noise.median), percent_of(noise.half_width),
        noise.rows < kRowsOfQuantile ? "all of them" : "95 of 100",
        percent_of(noise.cpu_half_width));
    text[0] = static_cast<char>(std::toupper(text[0]));
    answer.sentences.push_back(std::move(text));
  }
  return answer;
}

std::string line_of(const ExitResult& result, double bpb_of_all) {
  auto line = fmt::format(
      "  {:<18} {:<10} {:>8.4f} {:>+7.2f} % {:>8.4f} {:>6.1f} % {:>6.2f} {:>9} {:>6.1f} % {:>6.1f} "
      "% "
      "{:>6.1f} %",
      result.rule, result.kv, result.bpb, 100 * (result.bpb / bpb_of_all - 1), result.kl,
      100 * result.top1_agreement, result.mean_loops, format_count(result.flops_per_token),
      100 * result.flops_saved_share, 100 * result.time_saved_share, 100 * result.cpu_saved_share);
  for (const auto& task : result.tasks) {
    line += fmt::format("  {} {:.4f}", task.task, task.value);
  }
  line += result.on_front_of_flops ? "  F" : "";
  line += result.on_front_of_time ? "  T" : "";
  return line + "\n";
}

}  // namespace

std::string percent_of(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

std::string scored_by(const ExitStudy& study) {
  if (study.models == 1) {
    return "";
  }
  return study.counts_together ? fmt::format(" by {} models together", study.models)
                               : fmt::format(" by each of {} models", study.models);
}

std::string intervals_of(const PairedDifference& documents, const std::optional<Difference>& models,
                         int64_t num_models) {
  auto text = "95 % interval over documents " + interval_words(documents);
  if (models) {
    text += fmt::format(", over {} models {}", num_models, interval_words(*models));
  }
  return text;
}

std::vector<ExitAnswer> exit_answers(const ExitStudy& study) {
  std::vector<ExitAnswer> answers = {
      answer_within(study, "What is saved at equal perplexity (within 0.1 % of the bits per byte)?",
                    kEqualBpb),
      answer_within(study, "What is saved within half a percent?", kCloseBpb),
      answer_to(study, "Does the trained gate beat a rule without one?", "gate", "for the gate",
                "for the rule without one"),
      answer_to(study, "Soft mixture or hard exit?", "hard", "for the mixture",
                "for the hard exit"),
      answer_to(study, "May a policy of keys and values hold in the prompt too?", "prefill",
                "for decoding alone", "for the prompt too"),
      answer_on_times(study)};
  std::erase_if(answers, [](const auto& answer) { return answer.sentences.empty(); });
  return answers;
}

std::string describe(const ExitStudy& study) {
  auto text =
      fmt::format("{} scored tokens of {} documents{}; F and T: on the front of FLOPs, of time\n",
                  study.scored_tokens, study.documents, scored_by(study));
  const ExitResult* all = nullptr;
  for (const auto& result : study.results) {
    if (all == nullptr || all->where != result.where) {
      all = &result;
      text += fmt::format(
          "\n{}\n  {:<18} {:<10} {:>8} {:>9} {:>8} {:>8} {:>6} {:>9} {:>8} {:>8} {:>8}\n",
          name_of(result.where), "rule", "kv", "BPB", "to all", "KL", "top 1", "loops", "FLOPs",
          "saved", "time", "CPU");
    }
    text += line_of(result, all->bpb);
  }
  for (const auto& answer : exit_answers(study)) {
    text += "\n" + answer.headline + "\n";
    for (const auto& sentence : answer.sentences) {
      text += "  " + sentence + "\n";
    }
  }
  return text;
}

}  // namespace loopbank
