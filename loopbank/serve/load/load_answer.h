#pragma once
/// What a load client makes of the bytes of one answer: when each token came, and what it all said.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

enum class LoadEnd {
  kWhole,      ///< the answer was there, whatever its status
  kCancelled,  ///< the client hung up on purpose
  kCutOff,     ///< the load was over before the answer was
  kBroken,     ///< the connection ended or fell silent, or the answer made no sense
};

struct LoadAnswer {
  LoadEnd end = LoadEnd::kWhole;
  int status = 0;       ///< of HTTP; 0 where no head came
  std::string failure;  ///< of kBroken, in words; of another status than 200, the body's beginning
  double began = 0.0;   ///< when it was asked, seconds of the client's clock
  double ended = 0.0;
  std::vector<double> token_times;        ///< of a stream's tokens, seconds of the client's clock
  std::string text;                       ///< of the first choice
  std::vector<double> log_probabilities;  ///< where they were asked for
  std::string finish_reason;              ///< empty before the end
  int64_t completion_tokens = 0;          ///< as its usage says, or as many as came
  double loops_mean = 0.0;                ///< as its usage says; 0: it does not
  double retry_after = 0.0;               ///< seconds, of the header; 0: none
};

/// Reads the body of one answer to POST /v1/completions, as it comes.
class LoadAnswerReader {
 public:
  /// @param began  seconds of the client's clock
  explicit LoadAnswerReader(double began) { answer_.began = began; }

  /// The head of the answer.
  /// @param is_stream  whether its body is text/event-stream
  void begin(int status, bool is_stream, double retry_after);
  /// Some bytes of the body, at a time.
  /// @throws Error kData for an event that is no object of the API, an error in the stream included
  void take(std::string_view bytes, double now);
  /// The body is whole.
  /// @throws Error kData for a stream without `data: [DONE]`, a body that is no completion
  void finish();
  /// Tokens of the stream so far.
  [[nodiscard]] int64_t tokens() const { return static_cast<int64_t>(answer_.token_times.size()); }
  /// The answer, which ends now.
  [[nodiscard]] LoadAnswer answer(LoadEnd end, double now, std::string failure = "");

 private:
  void take_event(std::string_view event, double now);
  void take_object(std::string_view text, double now);

  LoadAnswer answer_;
  bool is_stream_ = false;
  bool is_done_ = false;
  std::string bytes_;  // of an event that is not whole, or of the body
};

}  // namespace loopbank
