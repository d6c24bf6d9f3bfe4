"""`loopbank import` beside transformers: tiny random models of each family and option, made by transformers.

    scripts/interop import [--program build/release/loopbank] [--prompts 8] [--tokens 24] [--only NAME] [--keep DIR]
    scripts/interop import --frozen       the logits that tests/interop/import_test.cpp expects

Each model is saved in fp32 and in shards in bf16, imported, and compared with transformers' own model of the same
files, computed in fp32: logits of `loopbank probe` within 1e-5, and for fp32 files the tokens of greedy `loopbank
generate` equal. Then it is imported with loops and memory, which must change neither. Models of the wrong kind and
broken files must be refused by name, and leave no folder. A tokenizer trained here by `tokenizers` goes with every
model.

Ends with a table and the versions; the status is 1 where anything differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tokenizers
import torch
import transformers
from import_cases import CASES, TEXT, UNSUPPORTED, make_model, print_frozen, save, train_tokenizer
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-5
LENGTH = 64  # behind the positions that the scaled models were "trained" for


class Program:
    def __init__(self, path: str):
        self.path = path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True)

    def must(self, *arguments: str) -> str:
        done = self(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class Peer:
    def __init__(self, arguments: argparse.Namespace, work: Path):
        self.program = Program(arguments.program)
        self.work = work
        self.count = arguments.tokens
        self.tokenizer_path = work / "tokenizer.json"
        self.tokenizer = train_tokenizer(self.tokenizer_path)
        generator = torch.Generator().manual_seed(7)
        self.vocabulary = self.tokenizer.get_vocab_size() + 3  # padded, as models are
        self.padding = list(range(self.tokenizer.get_vocab_size(), self.vocabulary))
        self.end = self.tokenizer.token_to_id("<|endoftext|>")
        rows = torch.randint(1, self.tokenizer.get_vocab_size(), (2, LENGTH), generator=generator)
        self.rows = rows
        (work / "tokens.json").write_text(json.dumps({"tokens": rows.tolist()}))
        self.prompts = [self.tokenizer.encode(TEXT[i % len(TEXT)][: 9 + 5 * i]).ids for i in range(arguments.prompts)]
        (work / "prompts.jsonl").write_text("".join(json.dumps({"prompt": ids}) + "\n" for ids in self.prompts))

    def until_end(self, ids: list) -> list:
        return ids[: ids.index(self.end)] if self.end in ids else ids

    @torch.no_grad()
    def expected(self, folder: Path, texts: bool = True):
        """transformers' logits and greedy tokens of the files, in fp32."""
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        logits = model(self.rows).logits
        greedy = []
        for ids in self.prompts if texts else []:
            given = torch.tensor([ids])
            made = model.generate(
                given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=self.count,
                do_sample=False,
                eos_token_id=self.end,
                pad_token_id=self.end,
                suppress_tokens=self.padding,  # loopbank writes no id that its tokenizer lacks
            )
            greedy.append(self.until_end(made[0, len(ids) :].tolist()))
        return logits, greedy

    def computed(self, folder: Path, texts: bool):
        """The same of a model directory of ours."""
        out = self.work / "probe.safetensors"
        self.program.must("probe", folder, "--tokens", self.work / "tokens.json", "--out", out)
        logits = load_file(out)["logits"]
        if not texts:
            return logits, []
        answers = self.work / "answers.jsonl"
        answers.unlink(missing_ok=True)
        self.program.must(
            "generate", folder, "--prompts", self.work / "prompts.jsonl", "--out", answers,
            "--temperature", "0", "--max-tokens", str(self.count),
        )  # fmt: skip
        lines = sorted(map(json.loads, answers.read_text().splitlines()), key=lambda line: line["index"])
        return logits, [self.until_end(line["tokens"]) for line in lines]

    def compare(self, name: str, folder: Path, extra: list, expected) -> dict:
        made = self.work / "imported"
        shutil.rmtree(made, ignore_errors=True)
        report = json.loads(self.program.must("import", folder, "--out", made, "--json", *extra))
        logits, greedy = self.computed(made, texts=bool(expected[1]))
        difference = (logits - expected[0]).abs().max().item()
        equal = sum(a == b for a, b in zip(greedy, expected[1], strict=True))
        good = difference <= TOLERANCE and equal == len(greedy)
        print(
            f"| {name} | {report['files']} | {difference:.1e} | {expected[0].abs().max().item():.1f} "
            f"| {f'{equal} of {len(greedy)}' if greedy else ''} | {'yes' if good else 'NO'} |",
            flush=True,
        )
        return {"good": good, "difference": difference}

    def check_model(self, name: str, kind: str, arguments: dict, seed: int) -> list:
        results = []
        forms = [("fp32", "float32", False), ("bf16, shards", "bfloat16", True)]
        if name == "llama":  # the other way round, once
            forms += [("fp32, shards", "float32", True), ("bf16", "bfloat16", False)]
        for form, dtype, shards in forms:
            folder = self.work / "model"
            shutil.rmtree(folder, ignore_errors=True)
            save(make_model(kind, arguments, self.vocabulary, seed), folder, self.tokenizer_path, dtype, shards)
            expected = self.expected(folder, texts=form == "fp32")
            results.append(self.compare(f"{name} | {form}", folder, [], expected))
            if form == "fp32":
                grown = ["--max-loops", "3", "--local-slots", "8", "--global-slots", "4", "--gate-init", "1"]
                results.append(self.compare(f"{name} | fp32, 3 loops and memory", folder, grown, expected))
        return results

    def refused(self, name: str, folder: Path, fragments: list, extra: list = ()) -> dict:
        made = self.work / "refused"
        done = self.program("import", folder, "--out", made, *extra)
        missing = [fragment for fragment in fragments if fragment not in done.stderr]
        left = made.exists() or any(path.name.startswith("refused") for path in self.work.iterdir())
        good = done.returncode in (2, 4, 5) and not missing and not left and done.stderr.count("\n") == 1
        print(f"| {name} | {done.stderr.strip()[:200]} | {'yes' if good else 'NO'} |", flush=True)
        if not good:
            print(f"  status {done.returncode}, without {missing}, folder left: {left}", file=sys.stderr)
        return {"good": good}

    def check_unsupported(self) -> list:
        results = []
        folder = self.work / "model"
        for name, kind, arguments, text in UNSUPPORTED:
            shutil.rmtree(folder, ignore_errors=True)
            torch.manual_seed(1)
            config = getattr(transformers, kind)(**{"vocab_size": self.vocabulary, **arguments})
            transformers.AutoModel.from_config(config).save_pretrained(folder)
            shutil.copy(self.tokenizer_path, folder / "tokenizer.json")
            results.append(self.refused(name, folder, [text]))
        return results

    def check_broken(self) -> list:
        """A good folder, one thing wrong in it at a time."""
        whole = self.work / "whole"
        save(make_model("LlamaConfig", {}, self.vocabulary, 1), whole, self.tokenizer_path, "float32", False)
        sharded = self.work / "sharded"
        save(make_model("LlamaConfig", {}, self.vocabulary, 1), sharded, self.tokenizer_path, "float32", True)

        def weights(change):
            def spoil(folder: Path) -> None:
                tensors = load_file(folder / "model.safetensors")
                change(tensors)
                save_file(tensors, folder / "model.safetensors", {"format": "pt"})

            return spoil

        def config(**values):
            def spoil(folder: Path) -> None:
                keys = json.loads((folder / "config.json").read_text())
                keys.update(values)
                (folder / "config.json").write_text(json.dumps(keys))

            return spoil

        def pickled(folder: Path) -> None:
            torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()

        def reshaped(tensors: dict) -> None:
            tensors["model.norm.weight"] = torch.ones(65)
            del tensors["model.layers.1.mlp.up_proj.weight"]
            tensors["model.layers.0.extra"] = torch.ones(2)

        first = sorted(path.name for path in sharded.glob("model-*.safetensors"))[0]
        cases = [
            ("a missing, an unknown and a wrong tensor", whole, weights(reshaped),
             ['"model.layers.1.mlp.up_proj.weight" is missing', '"model.layers.0.extra" [2] is not known',
              '"model.norm.weight" has shape [65], expected [64]']),
            ("pytorch_model.bin", whole, pickled, ["pytorch_model.bin", "save_pretrained"]),
            ("a shard missing", sharded, lambda folder: (folder / first).unlink(), [first]),
            ("half a file", whole,
             lambda folder: (folder / "model.safetensors").write_bytes(
                 (folder / "model.safetensors").read_bytes()[:4000]), ["model.safetensors"]),
            ("mlp_bias", whole, config(mlp_bias=True), ['"mlp_bias" expects false, got true']),
            ("gelu", whole, config(hidden_act="gelu"), ['"hidden_act" expects "silu", got "gelu"']),
            ("longrope", whole, config(rope_scaling={"rope_type": "longrope"}, rope_parameters=None),
             ['"longrope", which is not supported']),
            ("part of a head", whole, config(partial_rotary_factor=0.5), ['"partial_rotary_factor"']),
            ("quantized", whole, config(quantization_config={"quant_method": "gptq", "bits": 4}), ["gptq"]),
            ("another width", whole, config(hidden_size=128), ["[320, 64]".replace("320", str(self.vocabulary))]),
            ("a classifier", whole, config(architectures=["LlamaForSequenceClassification"]), ["LlamaForCausalLM"]),
            ("an unknown family", whole, config(model_type="lama", architectures=None), ['Did you mean "llama"?']),
            ("ids above the vocabulary", whole, config(vocab_size=100), ["[100, 64]"]),
            ("no tokenizer", whole, lambda folder: (folder / "tokenizer.json").unlink(), ["tokenizer.json"]),
        ]  # fmt: skip
        results = []
        for name, source, spoil, fragments in cases:
            folder = self.work / "model"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(source, folder)
            spoil(folder)
            results.append(self.refused(name, folder, fragments))
        results.append(self.refused("slots without loops", whole, ["max_loops"], ["--local-slots", "4"]))
        return results

    def check_tied_head(self) -> list:
        """A tied head that was stored: the equal one is passed over, another one refused."""
        folder = self.work / "model"
        shutil.rmtree(folder, ignore_errors=True)
        tied = make_model("LlamaConfig", {"tie_word_embeddings": True}, self.vocabulary, 1)
        save(tied, folder, self.tokenizer_path, "float32", False)
        expected = self.expected(folder)
        tensors = load_file(folder / "model.safetensors")
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        results = [self.compare("llama, tied, head and inv_freq stored | fp32", folder, [], expected)]
        tensors["lm_head.weight"][0, 0] += 1
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        results.append(self.refused("another head beside a tied one", folder, ["lm_head.weight", "tie_word_embeddings"]))
        return results

    def check_own_export(self) -> list:
        """A model with loops and memory, exported for transformers and imported again."""
        folder, ours, exported = self.work / "model", self.work / "ours", self.work / "exported"
        for path in (folder, ours, exported):
            shutil.rmtree(path, ignore_errors=True)
        save(make_model("LlamaConfig", {}, self.vocabulary, 1), folder, self.tokenizer_path, "float32", False)
        self.program.must("import", folder, "--out", ours, "--max-loops", "2", "--local-slots", "4")
        self.program.must("export", ours, "--to", "hf", "--out", exported)
        return [self.compare("loopbank's own export | fp32", exported, [], self.computed(ours, texts=True))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/loopbank")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--only", default="", help="models whose name holds this")
    parser.add_argument("--frozen", action="store_true", help="print what the C++ tests expect")
    parser.add_argument("--keep", help="a folder to work in, which stays")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    os.environ.setdefault("LOOPBANK_THREADS", "1")  # tiny models: threads would wait for each other
    if arguments.frozen:
        print_frozen()
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(arguments.keep or temporary)
        work.mkdir(parents=True, exist_ok=True)
        peer = Peer(arguments, work)
        print(f"transformers {transformers.__version__}, torch {torch.__version__}, tokenizers {tokenizers.__version__}")
        print("| model | stored as | files | largest difference | largest logit | greedy texts equal | good |")
        print("|---|---|---|---|---|---|---|")
        results = []
        for seed, (name, (kind, options)) in enumerate(CASES.items()):
            if arguments.only in name:
                results += peer.check_model(name, kind, options, seed + 1)
        if not arguments.only:
            results += peer.check_tied_head() + peer.check_own_export()
            print("| refused | error | good |")
            print("|---|---|---|")
            results += peer.check_unsupported() + peer.check_broken()
        bad = sum(not result["good"] for result in results)
        differences = [result["difference"] for result in results if "difference" in result]
        print(f"{len(results) - bad} of {len(results)} good; largest difference {max(differences):.1e}")
        return 1 if bad or not results else 0


if __name__ == "__main__":
    sys.exit(main())
