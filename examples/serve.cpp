/// A server of a model directory in a program of your own: serve runs/example

#include <fmt/format.h>

#include <iostream>
#include <string>

#include "loopbank/infer/inference_model.h"
#include "loopbank/serve/server.h"

int main(int, char** argv) {
  const auto [model, tokenizer] = loopbank::load_inference_model(argv[1]);
  loopbank::ServerOptions options;
  options.http.port = 0;  // one that is free
  loopbank::Server server({.model = model, .tokenizer = tokenizer, .id = "example"}, options);
  server.start();
  fmt::print("serving at {} until the end of stdin\n", server.url());
  for (std::string line; std::getline(std::cin, line);) {
  }
  server.drain(/*seconds=*/30.0);
}
