"""Exported models in Hugging Face transformers, beside `loopbank` itself.

    scripts/interop hf [--model MODEL_DIR]... [--data DIR] [--prompts 200] [--documents 50]

The models: tiny ones of random weights (dense, loops, memory, and two with the further config keys), and those of
--model, or else three of configs/demo trained for some seconds. Each is exported by `loopbank export --to hf` and
opened by AutoModelForCausalLM; compared are logits, loops, halting and gates with `loopbank probe` (1e-5), greedy
texts with `loopbank generate` token by token (cached, by batches padded on the left, under a loop budget and under
the exit rule cdf), scores with `loopbank eval` through `lm_eval --model hf` (1e-4 nats, accuracies equal), and what
save_pretrained writes with what was read. Trainer, the `safetensors` package and bf16 are tried too. A row for each
thing shown; the first difference ends the check with exit status 1.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from hf_train_peer import check_fresh, check_trainer
from lm_eval_peer import CHOICES, compare_choices, rows_of, run_quietly, write_task
from make_case import scatter_parameters
from served import expect, expect_equal, versions
from twin.model import LanguageModel
from twin.model_config import Config

TOLERANCE = 1e-5  # fp32 logits, loops, halting, gates; of the largest value where that is above 1
NEW_TOKENS = 24
BATCH = 20
EXIT = "cdf:0.6"
TRAINED = Path("build/interop/hf-models")
DATA = "runs/demo/data"
TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
MEMORY = {"local_memory_slots": 6, "global_memory_slots": 4, "memory_gate_bias_init": 1.0}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
RANDOM = {
    "dense": {},
    "loops": {"max_loops": 3, "num_key_value_heads": 2, "ponder_weight": 0.1},
    "memory": {"max_loops": 3, **MEMORY},
    "dense, imported": {
        "qk_norm": "before",
        "attention_bias": True,
        "attention_output_bias": True,
        "head_dim": 12,
        "rope_scaling": LLAMA3,
        "tie_word_embeddings": True,
    },
    "loops, imported": {
        "qk_norm": "none",
        "max_loops": [3, 0, 2],
        "loop_scale_kind": "linear",
        "loop_scale_init": 0.5,
        "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64},
        "num_key_value_heads": 1,
        **MEMORY,
    },
}


def report(name: str, what: str, measured: str) -> None:
    print(f"| {name} | {what} | {measured} |", flush=True)


def make_random(folder: Path, tokenizer: Path, changes: dict, seed: int) -> Path:
    """A model directory of random weights, large enough that every part of the model is seen in its logits."""
    folder.mkdir(parents=True)
    vocabulary = json.loads(tokenizer.read_text())
    size = 1 + max([*vocabulary["model"]["vocab"].values(), *(each["id"] for each in vocabulary["added_tokens"])])
    values = {"model_type": "loopbank", "vocab_size": size, **TINY, **changes}
    model = LanguageModel(Config.from_json(values))
    scatter_parameters(model, seed)
    save_file(model.state_dict(), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(values))
    shutil.copy(tokenizer, folder)
    return folder


def trained_models(program: str) -> list:
    """Dense, with loops and with memory, trained for some seconds the first time."""
    for name in ("isopar", "loop3", "mem-g3"):
        if not (TRAINED / name / "model.safetensors").exists():
            print(f"training {name} into {TRAINED}", file=sys.stderr, flush=True)
            command = [program, "--quiet", "train", f"configs/demo/{name}.toml", "--out", str(TRAINED / name)]
            run_quietly(command + ["--set", "training.steps=120", "--resume"])
    return [TRAINED / name for name in ("isopar", "loop3", "mem-g3")]


class Exported:
    """A model directory, its export, and the model in transformers."""

    def __init__(self, arguments: argparse.Namespace, name: str, source: Path, folder: Path):
        self.program, self.name, self.source, self.folder = arguments.program, name, source, folder
        folder.mkdir()
        self.path = self.export("fp32")
        self.model = self.open(self.path)
        self.tokenizer = AutoTokenizer.from_pretrained(self.path, trust_remote_code=True)
        self.end = self.tokenizer.eos_token_id

    def export(self, dtype: str, *options: str) -> Path:
        path = self.folder / f"{re.sub('[^a-z0-9]+', '_', self.name)}_{dtype}"  # also the name of a Python module
        command = [self.program, "--quiet", "export", str(self.source), "--to", "hf", "--out", str(path)]
        run_quietly(command + ["--dtype", dtype, *options])
        return path

    def open(self, path: Path, **options) -> torch.nn.Module:
        model, told = AutoModelForCausalLM.from_pretrained(
            path, trust_remote_code=True, output_loading_info=True, **{"dtype": torch.float32, **options}
        )
        for what, names in told.items():
            expect(not names, f"{self.name}: from_pretrained: {what}: {names}.")
        return model.eval()

    def probe(self, model: Path, tokens: torch.Tensor, *options: str) -> dict:
        text, out = self.folder / "tokens.json", self.folder / "probe.safetensors"
        text.write_text(json.dumps({"tokens": tokens.tolist()}))
        run_quietly([self.program, "--quiet", "probe", str(model), "--tokens", str(text), "--out", str(out), *options])
        return load_file(out)

    def generated(self, prompts: list, *options: str) -> list:
        """The ids that `loopbank generate` continues each prompt with."""
        asked, out = self.folder / "prompts.jsonl", self.folder / "completions.jsonl"
        asked.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        out.unlink(missing_ok=True)
        command = [self.program, "--quiet", "generate", str(self.source), "--prompts", str(asked), "--out", str(out)]
        run_quietly(command + ["--max-tokens", str(NEW_TOKENS), "--temperature", "0", *options])
        rows = {row["index"]: row["tokens"] for row in rows_of(out)}
        return [self.up_to_end(rows[index]) for index in range(len(prompts))]

    def up_to_end(self, ids: list) -> list:
        return ids[: ids.index(self.end)] if self.end in ids else ids

    def continued(self, prompts: list, **options) -> list:
        """The same from transformers, all prompts in one batch, padded on the left."""
        inputs = self.tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
        out = self.model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, **options)
        start = inputs.input_ids.shape[1]
        return [self.up_to_end(row[start:].tolist()) for row in out]


def difference_of(ours: torch.Tensor, theirs: torch.Tensor, what: str) -> float:
    """Largest difference, in units of the largest value where that is above 1: logits of trained models reach 30, where
    both sides are 6e-5 off the same model in fp64."""
    difference = (ours - theirs.float()).abs().max().item() / max(1.0, ours.abs().max().item())
    expect(difference <= TOLERANCE, f"{what}: expected within {TOLERANCE}, got {difference:.2e}.")
    return difference


def largest(ours: dict, theirs: dict, name: str) -> float:
    """Largest difference over the tensors that the probe holds."""
    found = 0.0
    for key in ("logits", "expected_loops", "halting", "local_gate", "global_gate"):
        if key in ours:
            expect(theirs[key] is not None, f"{name}: {key}: expected a tensor, got none.")
            found = max(found, difference_of(ours[key], theirs[key], f"{name}: {key}"))
    return found


@torch.no_grad()
def check_forward(it: Exported) -> None:
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(it.model.config.vocab_size, (3, 100), generator=generator)
    whole = it.model(tokens, output_loops=True, use_cache=False)
    report(it.name, "logits, loops, gates", f"within {largest(it.probe(it.path, tokens), whole, it.name):.1e}")
    if it.model.settings.most_loops > 1:
        ours, theirs = it.probe(it.path, tokens, "--max-loops", "1"), it.model(tokens, max_loops=1, output_loops=True)
        report(it.name, "the same with max_loops=1", f"within {largest(ours, theirs, it.name):.1e}")
    pieces, cache = [], None
    name = "cache" if hasattr(whole, "cache") else "past_key_values"
    for piece in (tokens[:, :40], tokens[:, 40:41], tokens[:, 41:]):
        out = it.model(piece, use_cache=True, **{name: cache})
        cache = out[name]
        pieces.append(out.logits)
    difference = difference_of(torch.cat(pieces, 1), whole.logits, f"{it.name}: logits by a cache")
    padded = torch.full((3, 107), it.end)
    padded[:, 7:] = tokens
    mask = (torch.arange(107) >= 7).long().expand(3, -1)
    behind = it.model(padded, attention_mask=mask).logits[:, 7:]
    moved = difference_of(behind, whole.logits, f"{it.name}: logits behind padding")
    report(it.name, "logits by a cache; behind padding", f"within {difference:.1e}; {moved:.1e}")


def expect_texts(name: str, what: str, ours: list, theirs: list) -> None:
    for index, (mine, other) in enumerate(zip(ours, theirs)):
        expect_equal(other, mine, f"{name}: {what}: prompt {index}")


@torch.no_grad()
def check_generate(it: Exported, prompts: list) -> None:
    ours = it.generated(prompts)
    alone = [it.continued([prompt])[0] for prompt in prompts]
    expect_texts(it.name, "greedy", ours, alone)
    tokens = sum(map(len, ours))
    report(it.name, "greedy text with a cache", f"{len(prompts)} prompts, {tokens} tokens equal")
    batches = [prompts[i : i + BATCH] for i in range(0, len(prompts), BATCH)]
    expect_texts(it.name, "batches", ours, [ids for batch in batches for ids in it.continued(batch)])
    report(it.name, f"in batches of {BATCH}, padded on the left", f"{len(prompts)} equal")
    few = prompts[:BATCH]
    expect_texts(it.name, "without a cache", ours, it.continued(few, use_cache=False))
    expect_texts(it.name, "3 beams", it.continued(few, num_beams=3), it.continued(few, num_beams=3, use_cache=False))
    report(it.name, "without a cache; 3 beams with and without", f"{BATCH} equal each")
    if it.model.settings.most_loops > 1:
        ours = it.generated(prompts, "--exit", EXIT, "--kv", "full")
        batched = [ids for batch in batches for ids in it.continued(batch, exit_rule=EXIT)]
        expect_texts(it.name, EXIT, ours, batched)
        expect_texts(it.name, EXIT, ours, [it.continued([prompt], exit_rule=EXIT)[0] for prompt in few])
        expect_texts(it.name, EXIT, ours, it.continued(few, exit_rule=EXIT, use_cache=False))
        report(it.name, f"exit {EXIT}: batches, alone, without a cache", f"{len(prompts)}, {BATCH}, {BATCH} equal")


@torch.no_grad()
def check_files(it: Exported) -> None:
    """safetensors by its own package, bf16, shards, save_pretrained and back into loopbank."""
    stored, source = load_file(it.path / "model.safetensors"), load_file(it.source / "model.safetensors")
    expect_equal(sorted(stored), sorted(source), f"{it.name}: names of tensors")
    with safe_open(it.path / "model.safetensors", "pt") as file:
        expect_equal(file.metadata(), {"format": "pt"}, f"{it.name}: metadata")
    half = {}
    for shard in sorted(it.export("bf16", "--shard-size", "40kB").glob("*.safetensors")):
        half.update(load_file(shard))
    for name, value in source.items():
        expect(torch.equal(stored[name], value), f"{it.name}: {name}: other values in fp32.")
        expect(torch.equal(half[name], value.bfloat16()), f"{it.name}: {name}: other values in bf16.")
    report(it.name, "safetensors read by its package", f"{len(stored)} tensors equal in fp32, and in shards of bf16")

    tokens = torch.arange(60).view(2, 30) * 7 % it.model.config.vocab_size
    logits = it.model(tokens).logits
    rounded = it.open(it.folder / f"{it.path.name[:-4]}bf16", dtype=torch.bfloat16)
    difference = ((rounded(tokens).logits - logits).abs().max() / logits.abs().max()).item()
    expect(difference < 0.05, f"{it.name}: bf16: logits differ by {difference:.3f} of the largest.")
    rounded.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=4, do_sample=False)
    report(it.name, "weights and products in bf16", f"logits within {difference:.3f} of the largest")

    again = it.folder / f"{it.path.name}_saved"
    it.model.save_pretrained(again, max_shard_size="60KB")
    it.tokenizer.save_pretrained(again)
    expect(torch.equal(it.open(again)(tokens).logits, logits), f"{it.name}: save_pretrained: other logits.")
    read = difference_of(it.probe(again, tokens)["logits"], logits, f"{it.name}: loopbank probe of what was saved")
    run_quietly([it.program, "--quiet", "generate", str(again), "--prompt", "Question", "--max-tokens", "2"])
    report(it.name, "save_pretrained and back, into loopbank too", f"equal; within {read:.1e}")


def check_scores(it: Exported, arguments: argparse.Namespace) -> None:
    """`lm_eval --model hf` beside `loopbank eval` on the facts that the demo models are trained on."""
    out, task = it.folder / "eval", "facts"
    command = [it.program, "--quiet", "eval", str(it.source), "--tasks", task, "--data", arguments.data]
    run_quietly(command + ["--limit", str(arguments.documents), "--out", str(out)])
    stem = f"{out}/task-000-{task}"
    asked = {}
    for row in rows_of(Path(f"{stem}-requests.jsonl")):
        asked.setdefault(row["doc_id"], []).append(row["request"])
    ours = rows_of(Path(f"{stem}-predictions.jsonl"))
    rows = []
    for told in ours:
        requests = asked[told["doc_id"]]
        texts = [request["continuation"] for request in requests]
        rows.append({"query": requests[0]["context"], "choices": texts, "gold": told["label"]})
    write_task(it.folder, f"hf_{task}", rows, CHOICES)
    command = [str(Path(sys.executable).parent / "lm_eval"), "run", "--model", "hf", "--tasks", f"hf_{task}"]
    command += ["--model_args", f"pretrained={it.path},trust_remote_code=True,dtype=float32", "--device", "cpu"]
    command += ["--include_path", str(it.folder), "--batch_size", "8", "--log_samples", "--output_path", str(out / "hf")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(it.folder / "hub")}
    run_quietly(command, offline)
    result = json.loads(next((out / "hf").glob("**/results_*.json")).read_text())["results"][f"hf_{task}"]
    samples = sorted(rows_of(next((out / "hf").glob("**/samples_*.jsonl"))), key=lambda row: row["doc_id"])
    difference, count = compare_choices(task, ours, result, samples)
    accuracy = f"acc {result['acc,none']:.4f} in both"
    report(it.name, "lm_eval --model hf", f"{len(ours)} documents, {count} choices within {difference:.1e} nats; {accuracy}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="build/release/loopbank")
    parser.add_argument("--model", action="append", type=Path, help="a trained model directory; several times")
    parser.add_argument("--data", help="folder with validation.jsonl and facts.jsonl of that model (made by training)")
    parser.add_argument("--only", default="", help="those whose name holds this, such as random or memory")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--documents", type=int, default=50)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    disable_progress_bar()
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the models are tiny
    trained = arguments.model or trained_models(arguments.program)
    arguments.data = arguments.data or DATA
    texts = [row["text"] for row in rows_of(Path(arguments.data) / "validation.jsonl")]
    prompts = [text[: 20 + index % 60] for index, text in enumerate(texts[: arguments.prompts])]
    expect_equal(len(prompts), arguments.prompts, "prompts in validation.jsonl")
    print(f"\n{versions('transformers', 'torch', 'safetensors', 'accelerate', 'lm_eval')}\n")
    print("| model | what | measured |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = trained[0] / "tokenizer.json"
        random = [
            (f"random {kind}", make_random(folder / "sources" / str(seed), tokenizer, changes, seed))
            for seed, (kind, changes) in enumerate(RANDOM.items())
        ]
        for number, (kind, source) in enumerate(random + [(f"trained {path.name}", path) for path in trained]):
            if arguments.only not in kind:
                continue
            it = Exported(arguments, kind, source, folder / str(number))
            check_forward(it)
            check_generate(it, prompts if number >= len(random) else prompts[:BATCH])
            check_files(it)
            if number < len(random):
                check_trainer(report, it, texts)
                check_fresh(report, it, AutoConfig, AutoModelForCausalLM)
            else:
                check_scores(it, arguments)
    print("\nhf: all equal")


if __name__ == "__main__":
    main()
