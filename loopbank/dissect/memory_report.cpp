#include "loopbank/dissect/memory_report.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace loopbank {
namespace {

/// The text with what acts on a terminal, or would end a line, written out.
std::string shown(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (byte < 32 || byte == 127) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::string quoted(const std::string& text) {
  return fmt::format("\"{}\"", shown(text));
}

std::string head_of(const MemoryReport& report) {
  auto text = fmt::format("{} on {}: {:.4f} BPB\n{} tokens in {} rows of {}, {} bytes to predict",
                          report.model, report.text, report.bpb, report.num_tokens, report.num_rows,
                          report.row_tokens, report.num_bytes);
  if (report.max_loops > 0) {
    text += fmt::format(", at most {} loops", report.max_loops);
  }
  return text + "\n";
}

std::string table_of_reads(const MemoryReport& report) {
  std::string text =
      "\nReads: the weights are softmax(q K^T / sqrt D). A token spreads its read over\n"
      "effective slots, exp(entropy); all tokens together use so many. reach: the share\n"
      "of the layer's output that passed the loop.\n\n"
      "bank     layer loop  reach   gate  largest  entropy  effective       used       of\n";
  for (const auto& read : report.reads) {
    text += fmt::format(
        "{:<8} {:>5} {:>4} {:>6.3f} {:>6.3f} {:>8.3f} {:>8.3f} {:>10.1f} {:>10.1f} {:>8}\n",
        bank_name(read.bank), read.layer, read.loop, read.reach, read.gate, read.largest_weight,
        read.entropy, std::exp(read.entropy), effective_slots(read.weight), read.weight.numel());
  }
  return text;
}

std::string cost_of(const AblationCost& cost) {
  return cost.standard_error ? fmt::format("{:+.4f} +- {:.4f}", cost.cost, *cost.standard_error)
                             : fmt::format("{:+.4f}", cost.cost);
}

std::string table_of_costs(const MemoryReport& report) {
  if (report.ablations.empty()) {
    return {};
  }
  std::string text =
      "\nCosts: BPB with the change less BPB without it, +- one standard error over the\n"
      "rows. Above 0: what was taken away helps on this text. zero: nothing is read of\n"
      "it; mean: every read gives what the bank gives on the mean, so that the choice of\n"
      "slots is lost and what a bias could do stays.\n\n"
      "change               BPB  cost\n";
  for (const auto& cost : report.ablations) {
    const auto change = fmt::format("{} {}", change_name(cost.kind), cost.what);
    text += fmt::format("{:<17} {:>6.4f}  {}\n", change, cost.bpb, cost_of(cost));
  }
  return text;
}

/// Where a slot is read most, each read counted by its reach.
const BankReads& most_read_at(const MemoryReport& report, const BankId& bank, int64_t slot) {
  const auto counted = [slot](const BankReads& read) {
    return read.weight[slot].item<double>() * read.reach;
  };
  const BankReads* most = nullptr;
  for (const auto& read : report.reads) {
    if (read.bank == bank && (most == nullptr || counted(read) > counted(*most))) {
      most = &read;
    }
  }
  return *most;
}

std::string tokens_line(const char* what, const std::vector<PromotedToken>& tokens) {
  std::vector<std::string> parts;
  for (const auto& token : tokens) {
    parts.push_back(fmt::format("{} {:+.2f}", quoted(token.token), token.logit));
  }
  return fmt::format("    {:<8}{}\n", what, fmt::join(parts, "  "));
}

std::string describe(const SlotReport& slot, const BankReport& bank, const MemoryReport& report) {
  const auto weight = bank.use.weight[slot.slot].item<double>();
  const auto& most = most_read_at(report, bank.use.bank, slot.slot);
  auto text = fmt::format(
      "  slot {}: weight {:.4f} ({:.1f} x uniform), gated {:.4f}, largest at {:.1f} % of tokens{}\n"
      "    most    in layer {} loop {}: weight {:.4f}\n",
      slot.slot, weight, weight * static_cast<double>(bank.use.weight.numel()),
      bank.use.gated_weight[slot.slot].item<double>(),
      100.0 * bank.use.top_share[slot.slot].item<double>(),
      slot.zeroed ? ", zeroed " + cost_of(*slot.zeroed) : "", most.layer, most.loop,
      most.weight[slot.slot].item<double>());
  for (const auto& promoted : slot.promoted) {
    if (promoted.layer == most.layer) {
      text += tokens_line("raises", promoted.raised);
      text += tokens_line("lowers", promoted.lowered);
    }
  }
  std::vector<std::string> tokens;
  for (const auto& token : slot.tokens) {
    tokens.push_back(fmt::format("{} {:.0f} % (x{:.1f})", quoted(token.token),
                                 100.0 * token.top.share, token.top.lift));
  }
  text += fmt::format("    at      {}\n",
                      tokens.empty() ? "no token" : fmt::format("{}", fmt::join(tokens, "  ")));
  for (const auto& context : slot.contexts) {
    text += fmt::format("    {:.3f}   layer {} loop {}  {}[{}]{}\n", context.read.weight,
                        context.read.layer, context.read.loop, shown(context.before),
                        shown(context.token), shown(context.after));
  }
  return text;
}

std::string describe(const BankReport& bank, const MemoryReport& report) {
  const auto slots = bank.use.weight.numel();
  auto text = fmt::format(
      "\n{}: {} slots, {:.1f} used, {} dead ({:.1f} %): largest at no token and weight below "
      "{:.2g}\n",
      bank_name(bank.use.bank), slots, effective_slots(bank.use.weight), bank.use.dead.size(),
      100.0 * static_cast<double>(bank.use.dead.size()) / static_cast<double>(slots),
      kDeadShare / static_cast<double>(slots));
  for (const auto& slot : bank.slots) {
    text += describe(slot, bank, report);
  }
  return text;
}

}  // namespace

std::string format_report(const MemoryReport& report) {
  auto text = head_of(report) + table_of_reads(report) + table_of_costs(report);
  if (!report.banks.empty() && !report.banks.front().slots.empty()) {
    text +=
        "\nThe most read slots. raises, lowers: tokens by head(final_norm.weight * W V_slot) of\n"
        "that layer. at: tokens whose largest weight it is, and how much more often than in the\n"
        "text. Then the tokens that read it most, in their text. All by weight x reach.\n";
  }
  for (const auto& bank : report.banks) {
    text += describe(bank, report);
  }
  return text;
}

}  // namespace loopbank
