"""Times full training steps of the twin on random tokens: forward, backward, clip, AdamW.

    python3 reference/bench.py --config CONFIG.json|JSON --batch 8 --tokens 256 --dtype bf16
                               [--steps 10] [--device cpu|cuda] [--threads n] [--compile]

Prints one line of JSON: torch (its version), tokens_per_second (median step), seconds and
processor_seconds of each step, peak_memory_bytes. With --serve it reads numbers of steps from stdin, a line
each, and answers each with such a line: `loopbank bench train --against pytorch` lets it take turns with the
C++ program that way. Where torch.compile is not to be had the answer is {"torch": ..., "unavailable": WHY}.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

import torch

from twin.model import LanguageModel, compute
from twin.model_config import Config
from train import make_optimizer, train_step

LEARNING_RATE = 3e-4
CLIP_NORM = 1.0
WARMUP_STEPS = 3


class Steps:
    def __init__(self, arguments: argparse.Namespace):
        text = arguments.config
        if os.path.exists(text):
            with open(text) as file:
                text = file.read()
        config = Config.from_json(json.loads(text))
        self.device = arguments.device
        self.tokens_per_step = arguments.batch * arguments.tokens
        model = LanguageModel(config)
        model.initialize(0)
        model.to(self.device)
        self.parameters = list(model.parameters())
        options = {"fused": True} if self.device == "cuda" else {}
        self.optimizer = make_optimizer(model, **options)
        text = torch.randint(config.vocab_size, (arguments.batch, arguments.tokens + 1))
        tokens = text[:, :-1].contiguous().to(self.device)
        targets = text[:, 1:].contiguous().to(self.device)

        def plain(tokens, targets):
            return model.loss(tokens, targets)[0]

        forward = torch.compile(plain) if arguments.compile else plain

        def loss_of():
            with compute(arguments.dtype, self.device):
                return forward(tokens, targets)

        self.loss_of = loss_of

    def run(self, count: int) -> list:
        """(Seconds, the processor's seconds over all threads) of each of `count` steps."""
        seconds = []
        for _ in range(count):
            start, busy = time.perf_counter(), time.process_time()
            train_step(self.loss_of, self.parameters, self.optimizer, LEARNING_RATE, CLIP_NORM)
            if self.device == "cuda":
                torch.cuda.synchronize()
            seconds.append((time.perf_counter() - start, time.process_time() - busy))
        return seconds

    def peak_memory_bytes(self) -> int:
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def report(self, times: list) -> str:
        seconds, processor_seconds = (list(column) for column in zip(*times))
        return json.dumps(
            {
                "torch": torch.__version__,
                "tokens_per_second": self.tokens_per_step / statistics.median(seconds),
                "seconds": seconds,
                "processor_seconds": processor_seconds,
                "peak_memory_bytes": self.peak_memory_bytes(),
            }
        )


def unavailable(why: str) -> str:
    return json.dumps({"torch": torch.__version__, "unavailable": why})


def serve(arguments: argparse.Namespace) -> None:
    """Answers numbers of steps; torch.compile may be missing, or fail at the first step for want of g++."""
    if arguments.compile and not hasattr(torch, "compile"):
        for _ in sys.stdin:
            print(unavailable("it has no torch.compile"), flush=True)
        return
    steps = Steps(arguments)
    for line in sys.stdin:
        try:
            answer = steps.report(steps.run(int(line)))
        except Exception as error:
            if not arguments.compile:
                raise
            answer = unavailable(f"torch.compile failed: {str(error).strip().splitlines()[0]}")
        print(answer, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--serve", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.serve:
        serve(arguments)
        return
    steps = Steps(arguments)
    steps.run(WARMUP_STEPS)
    print(steps.report(steps.run(arguments.steps)))


if __name__ == "__main__":
    main()
