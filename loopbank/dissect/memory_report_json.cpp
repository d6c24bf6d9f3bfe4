/// A memory report as JSON.

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "loopbank/dissect/memory_report.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// Six significant digits: what follows is noise and makes files long.
double to_six_digits(double value) {
  return std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr);
}

Json numbers(const at::Tensor& values) {
  auto list = Json::array();
  const auto flat = values.to(at::kDouble).contiguous();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    list.push_back(to_six_digits(flat.data_ptr<double>()[i]));
  }
  return list;
}

Json to_json(const AblationCost& cost) {
  Json json = {{"change", change_name(cost.kind)},
               {"what", cost.what},
               {"bpb", to_six_digits(cost.bpb)},
               {"cost", to_six_digits(cost.cost)}};
  if (cost.standard_error) {
    json["standard_error"] = to_six_digits(*cost.standard_error);
  }
  return json;
}

Json to_json(const BankReads& read) {
  return {{"bank", bank_name(read.bank)},
          {"layer", read.layer},
          {"loop", read.loop},
          {"reach", to_six_digits(read.reach)},
          {"gate", to_six_digits(read.gate)},
          {"entropy", to_six_digits(read.entropy)},
          {"effective_slots", to_six_digits(std::exp(read.entropy))},
          {"used_slots", to_six_digits(effective_slots(read.weight))},
          {"largest_weight", to_six_digits(read.largest_weight)},
          {"weight", numbers(read.weight)},
          {"gated_weight", numbers(read.gated_weight)},
          {"top_share", numbers(read.top_share)}};
}

Json to_json(const ContextText& context) {
  return {{"weight", to_six_digits(context.read.weight)},
          {"layer", context.read.layer},
          {"loop", context.read.loop},
          {"position", context.read.token},
          {"before", context.before},
          {"token", context.token},
          {"after", context.after}};
}

Json to_json(const std::vector<PromotedToken>& tokens) {
  auto list = Json::array();
  for (const auto& token : tokens) {
    list.push_back(
        {{"id", token.id}, {"word", token.token}, {"logit", to_six_digits(token.logit)}});
  }
  return list;
}

Json to_json(const SlotReport& slot, const BankUse& use) {
  Json json = {{"slot", slot.slot},
               {"weight", to_six_digits(use.weight[slot.slot].item<double>())},
               {"gated_weight", to_six_digits(use.gated_weight[slot.slot].item<double>())},
               {"top_share", to_six_digits(use.top_share[slot.slot].item<double>())},
               {"tokens", Json::array()},
               {"contexts", Json::array()},
               {"words", Json::array()}};
  if (slot.zeroed) {
    json["zeroed"] = to_json(*slot.zeroed);
  }
  for (const auto& token : slot.tokens) {
    json["tokens"].push_back({{"id", token.top.id},
                              {"token", token.token},
                              {"share", to_six_digits(token.top.share)},
                              {"lift", to_six_digits(token.top.lift)}});
  }
  for (const auto& context : slot.contexts) {
    json["contexts"].push_back(to_json(context));
  }
  for (const auto& promoted : slot.promoted) {
    json["words"].push_back({{"layer", promoted.layer},
                             {"raised", to_json(promoted.raised)},
                             {"lowered", to_json(promoted.lowered)}});
  }
  return json;
}

Json to_json(const BankReport& bank) {
  const auto& use = bank.use;
  const auto slots = use.weight.numel();
  Json json = {{"bank", bank_name(use.bank)},
               {"slots", slots},
               {"used_slots", to_six_digits(effective_slots(use.weight))},
               {"dead_below", to_six_digits(kDeadShare / static_cast<double>(slots))},
               {"dead_share",
                to_six_digits(static_cast<double>(use.dead.size()) / static_cast<double>(slots))},
               {"dead", use.dead},
               {"weight", numbers(use.weight)},
               {"gated_weight", numbers(use.gated_weight)},
               {"top_share", numbers(use.top_share)},
               {"most_read", Json::array()}};
  for (const auto& slot : bank.slots) {
    json["most_read"].push_back(to_json(slot, use));
  }
  return json;
}

template <typename Part>
Json list_of_reports(const std::vector<Part>& parts) {
  auto list = Json::array();
  for (const auto& part : parts) {
    list.push_back(to_json(part));
  }
  return list;
}

}  // namespace

nlohmann::ordered_json to_json(const MemoryReport& report) {
  return {{"model", report.model},
          {"text", report.text},
          {"tokens", report.num_tokens},
          {"rows", report.num_rows},
          {"sequence_length", report.row_tokens},
          {"bytes", report.num_bytes},
          {"skipped_lines", report.num_skipped},
          {"max_loops", report.max_loops},
          {"bpb", to_six_digits(report.bpb)},
          {"ablations", list_of_reports(report.ablations)},
          {"reads", list_of_reports(report.reads)},
          {"banks", list_of_reports(report.banks)}};
}

}  // namespace loopbank
