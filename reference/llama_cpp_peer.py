"""Decoding beside llama.cpp: the same random weights in both, equal logits, tokens a second in turns.

    scripts/interop llama-cpp [--sizes 12x768x2048x12x50304] [--loops 1,3] [--dtypes bf16,int8,int4]
                              [--threads 1] [--tokens 64] [--turns 5] [--json]

llama.cpp's `hunyuan-dense` block is the block of the dense layer: norm, rotation in halves before the norm of
queries and keys, SwiGLU. N loops are N layers with the same weights there, each with its own cache, and the loop
scales are folded into the matrices that end a branch. A router whose probabilities are 0 before the last loop
makes the last loop's state the layer's output, which is what the unrolled layers give.

Equal answers: the logits of `--checked` random tokens, decoded one by one there, read in one pass here, in fp32
(largest difference over the largest logit). Speeds: `bench decode` and single steps of llama_decode behind the
same number of tokens, a process each, in turns; medians of the turns. int8 is Q8_0 and int4 is Q4_0: one scale
for 32 weights in all four.
"""

import argparse
import ctypes
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import load_file, save_file

EPSILON = 1e-5
ROTARY_BASE = 500000.0
FORMATS = {
    "fp32": gguf.GGMLQuantizationType.F32,
    "bf16": gguf.GGMLQuantizationType.BF16,
    "int8": gguf.GGMLQuantizationType.Q8_0,
    "int4": gguf.GGMLQuantizationType.Q4_0,
}
NEVER = -100.0  # a router's bias: sigmoid gives 0


class Sizes:
    def __init__(self, text: str):
        parts = [int(part) for part in text.split("x")]
        if len(parts) != 5:
            sys.exit(f'--sizes: expected LAYERSxWIDTHxFEED_FORWARDxHEADSxVOCABULARY, got "{text}".')
        self.layers, self.width, self.feed_forward, self.heads, self.vocabulary = parts


def random_weights(sizes: Sizes, loops: int, seed: int = 1) -> dict:
    """Names and shapes of model.safetensors. Larger than fresh weights: logits that differ visibly."""
    random = np.random.default_rng(seed)
    matrix = lambda *shape: random.normal(0.0, 0.05, shape).astype(np.float32)
    vector = lambda size: (1.0 + random.normal(0.0, 0.1, size)).astype(np.float32)
    width, wide = sizes.width, sizes.feed_forward
    weights = {
        "embedding.weight": matrix(sizes.vocabulary, width),
        "final_norm.weight": vector(width),
        "head.weight": matrix(sizes.vocabulary, width),
    }
    for layer in range(sizes.layers):
        block = f"layers.{layer}.block."
        for name in ("query", "key", "value", "output"):
            weights[f"{block}attention.{name}.weight"] = matrix(width, width)
        for name in ("query_norm", "key_norm"):
            weights[f"{block}attention.{name}.weight"] = vector(width // sizes.heads)
        weights[f"{block}feed_forward.gate.weight"] = matrix(wide, width)
        weights[f"{block}feed_forward.up.weight"] = matrix(wide, width)
        weights[f"{block}feed_forward.down.weight"] = matrix(width, wide)
        weights[f"{block}attention_norm.weight"] = vector(width)
        weights[f"{block}feed_forward_norm.weight"] = vector(width)
        if loops > 1:
            scale = random.uniform(0.3, 1.0, loops)
            weights[f"layers.{layer}.loop_scale"] = np.log(np.expm1(scale)).astype(np.float32)
            weights[f"layers.{layer}.router.weight"] = np.zeros((1, width + 1), np.float32)
            weights[f"layers.{layer}.router.bias"] = np.full(1, NEVER, np.float32)
    return weights


def write_model(folder: Path, sizes: Sizes, loops: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "loopbank",
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.width,
        "intermediate_size": sizes.feed_forward,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.heads,
        "max_position_embeddings": 512,
        "rope_theta": ROTARY_BASE,
        "rms_norm_eps": EPSILON,
        "max_loops": loops if loops > 1 else 0,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(random_weights(sizes, loops), str(folder / "model.safetensors"))


def write_gguf(path: Path, weights: dict, sizes: Sizes, loops: int, dtype: str) -> None:
    """The weights with loops unrolled: layer l in loop t is block l N + t."""
    writer = gguf.GGUFWriter(str(path), "hunyuan-dense")
    writer.add_context_length(512)
    writer.add_embedding_length(sizes.width)
    writer.add_block_count(sizes.layers * loops)
    writer.add_feed_forward_length(sizes.feed_forward)
    writer.add_head_count(sizes.heads)
    writer.add_head_count_kv(sizes.heads)
    writer.add_key_length(sizes.width // sizes.heads)
    writer.add_value_length(sizes.width // sizes.heads)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(ROTARY_BASE)
    writer.add_vocab_size(sizes.vocabulary)
    writer.add_tokenizer_model("no_vocab")
    kind = FORMATS[dtype]

    def matrix(name, value):
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)

    matrix("token_embd.weight", weights["embedding.weight"])
    matrix("output.weight", weights["head.weight"])
    writer.add_tensor("output_norm.weight", weights["final_norm.weight"])
    for layer in range(sizes.layers):
        block = f"layers.{layer}.block."
        scales = weights.get(f"layers.{layer}.loop_scale", np.full(1, np.log(np.expm1(1.0))))
        for loop in range(loops):
            scale = np.float32(np.log1p(np.exp(scales[loop])))
            blk = f"blk.{layer * loops + loop}."
            attention = f"{block}attention."
            matrix(blk + "attn_q.weight", weights[attention + "query.weight"])
            matrix(blk + "attn_k.weight", weights[attention + "key.weight"])
            matrix(blk + "attn_v.weight", weights[attention + "value.weight"])
            matrix(blk + "attn_output.weight", scale * weights[attention + "output.weight"])
            writer.add_tensor(blk + "attn_q_norm.weight", weights[attention + "query_norm.weight"])
            writer.add_tensor(blk + "attn_k_norm.weight", weights[attention + "key_norm.weight"])
            writer.add_tensor(blk + "attn_norm.weight", weights[block + "attention_norm.weight"])
            writer.add_tensor(blk + "ffn_norm.weight", weights[block + "feed_forward_norm.weight"])
            matrix(blk + "ffn_gate.weight", weights[block + "feed_forward.gate.weight"])
            matrix(blk + "ffn_up.weight", weights[block + "feed_forward.up.weight"])
            matrix(blk + "ffn_down.weight", scale * weights[block + "feed_forward.down.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Peer:
    """A model in llama.cpp that decodes single tokens."""

    def __init__(self, path: Path, vocabulary: int, threads: int, exact: bool = False):
        self._silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.vocabulary = vocabulary
        self.model = llama_cpp.llama_model_load_from_file(
            str(path).encode(), llama_cpp.llama_model_default_params()
        )
        if not self.model:
            sys.exit(f"{path}: llama.cpp does not open it.")
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = 512
        options.n_threads = options.n_threads_batch = threads
        if exact:  # keys and values in fp32, where fp16 is its own choice
            options.type_k = options.type_v = gguf.GGMLQuantizationType.F32.value
            options.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it rounds to fp16
        self.context = llama_cpp.llama_init_from_model(self.model, options)

    def read(self, tokens: list) -> np.ndarray:
        """Logits [V] behind the last token."""
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        if llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(tokens))):
            sys.exit("llama_decode failed.")
        logits = llama_cpp.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(logits, (self.vocabulary,))


def time_peer(arguments: argparse.Namespace) -> None:
    """In a process of its own: prints seconds of each step."""
    sizes = Sizes(arguments.sizes)
    peer = Peer(Path(arguments.time), sizes.vocabulary, arguments.threads)
    random = np.random.default_rng(2)
    prompt = random.integers(0, sizes.vocabulary, arguments.prompt_tokens).tolist()
    logits = peer.read(prompt)
    seconds = []
    for _ in range(arguments.tokens):
        start = time.perf_counter()
        logits = peer.read([int(logits.argmax())])
        seconds.append(time.perf_counter() - start)
    print(json.dumps(1.0 / statistics.median(seconds)))


def time_ours(program: str, folder: Path, dtype: str, arguments: argparse.Namespace, rule: str) -> float:
    line = subprocess.run(
        [program, "--quiet", "--threads", str(arguments.threads), "bench", "decode", str(folder), "--dtype", dtype]
        + ["--prompt-tokens", str(arguments.prompt_tokens), "--tokens", str(arguments.tokens)]
        + ["--exit", rule, "--json"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    return json.loads(line)["tokens_per_second"]


def largest_difference(program: str, folder: Path, path: Path, sizes: Sizes, checked: int) -> tuple:
    """Of the logits in fp32, over the largest one; and the share of positions with the same largest logit."""
    tokens = np.random.default_rng(3).integers(0, sizes.vocabulary, checked).tolist()
    given, probed = folder / "tokens.json", folder / "probe.safetensors"
    given.write_text(json.dumps({"tokens": [tokens]}))
    subprocess.run(
        [program, "--quiet", "probe", str(folder), "--tokens", str(given), "--out", str(probed)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    ours = load_file(str(probed))["logits"][0]
    peer = Peer(path, sizes.vocabulary, 1, exact=True)
    theirs = np.stack([peer.read([token]).copy() for token in tokens])
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    return difference, float((ours.argmax(-1) == theirs.argmax(-1)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="build/release/loopbank")
    parser.add_argument("--sizes", default="12x768x2048x12x50304", help="layers, width, feed-forward, heads, V")
    parser.add_argument("--loops", default="1,3")
    parser.add_argument("--dtypes", default="bf16,int8,int4")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--checked", type=int, default=48, help="tokens whose logits are compared; 0: none")
    parser.add_argument("--work", default="build/interop/llama-cpp", help="folder for the models")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--time", help=argparse.SUPPRESS)  # a .gguf file: the child's part
    arguments = parser.parse_args()
    if arguments.time:
        time_peer(arguments)
        return
    sizes, work, rows = Sizes(arguments.sizes), Path(arguments.work), []
    if not arguments.json:
        print(f"llama-cpp-python {llama_cpp.__version__}, {arguments.threads} threads, {arguments.sizes}")
        print("loops  dtype  llama.cpp  loopbank  ratio  (all: soft mixture)   tokens/s, medians of turns")
    for loops in map(int, arguments.loops.split(",")):
        folder = work / f"loops{loops}"
        write_model(folder, sizes, loops)
        weights = load_file(str(folder / "model.safetensors"))
        if arguments.checked:
            path = folder / "fp32.gguf"
            write_gguf(path, weights, sizes, loops, "fp32")
            difference, same = largest_difference(arguments.program, folder, path, sizes, arguments.checked)
            path.unlink()
            rows.append({"loops": loops, "logits_difference": difference, "same_argmax": same})
            if not arguments.json:
                print(f"{loops:5}  fp32   logits differ by {difference:.1e} of the largest, argmax equal {same:.1%}")
            if not (difference < 1e-3 and math.isfinite(difference)):
                sys.exit("llama-cpp: the two do not compute the same; speeds would compare different work.")
        for dtype in arguments.dtypes.split(","):
            path = folder / f"{dtype}.gguf"
            write_gguf(path, weights, sizes, loops, dtype)
            child = [sys.executable, __file__, "--time", str(path), "--sizes", arguments.sizes]
            child += ["--threads", str(arguments.threads), "--tokens", str(arguments.tokens)]
            child += ["--prompt-tokens", str(arguments.prompt_tokens)]
            theirs, ours, soft = [], [], []
            for _ in range(arguments.turns):
                theirs.append(json.loads(subprocess.run(child, check=True, stdout=subprocess.PIPE).stdout))
                ours.append(time_ours(arguments.program, folder, dtype, arguments, "all,hard"))
                soft.append(time_ours(arguments.program, folder, dtype, arguments, "all"))
            path.unlink()
            row = {"loops": loops, "dtype": dtype, "threads": arguments.threads}
            row |= {"llama_cpp": statistics.median(theirs), "loopbank": statistics.median(ours)}
            row |= {"loopbank_soft": statistics.median(soft)}
            row |= {"ratio": statistics.median(a / b for a, b in zip(ours, theirs))}
            rows.append(row)
            if not arguments.json:
                print(
                    f"{loops:5}  {dtype}   {row['llama_cpp']:9.1f} {row['loopbank']:9.1f} {row['ratio']:6.2f}"
                    f"  ({row['loopbank_soft']:.1f})",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps({"llama_cpp_python": llama_cpp.__version__, "sizes": arguments.sizes, "rows": rows}))


if __name__ == "__main__":
    main()
