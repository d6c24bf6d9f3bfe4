"""Ids and texts beside Hugging Face's `tokenizers`; speed beside it and tiktoken.

    scripts/interop tokenizers [--files 400] [--seed 1] [--texts 60] [--text FILE]... [--trials DIR]
                               [--tokenizer DIR] [--speed FILE] [--program FILE] [--keep DIR] [--json]

Files: the layouts of known families around small vocabularies, and --files random combinations of normalizers,
pre-tokenizers, patterns, added tokens, post-processors, decoders and options of BPE (reference/tokenizer_files.py).
Each encodes the corpus (reference/tokenizer_corpus.py; the random files a sample of it and --texts random texts) here
by `loopbank data encode --parse-special` and there by `encode(add_special_tokens=False)`. A file is

    equal     every text has the same ids, and these decode to the same text, or to the text that was encoded
    refused   loopbank says in one line what is not supported
    decoding  the ids are the same, and a decoded text is neither
    wrong     other ids; the exit status is 1 if there is any, or any `decoding`

Texts that stop `tokenizers` itself are left out. --trials adds the cases of a folder with expected ids. --tokenizer
(GPT-2's) and --speed (a .jsonl, may be .zst) time one core: seconds of CPU, loopbank's with reading and writing files.
"""

import argparse
import collections
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1")

import tokenizer_corpus
import tokenizer_files
from tokenizers import Tokenizer

SPEED_CHARACTERS = 12_000_000  # enough that the start of a process, which is taken off, is little
ROOT = Path(__file__).resolve().parent.parent


def ours(program: str, command: str, file: Path, lines: list[dict], *flags: str) -> tuple[list[dict], str]:
    """Answers, and why they end where they do."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([program, "data", command, "--tokenizer", str(file), *flags], input=text, capture_output=True,
                          text=True, encoding="utf-8")
    return [json.loads(line) for line in done.stdout.split("\n") if line], done.stderr.strip() if done.returncode else ""


def theirs(file: Path, texts: list[str]) -> tuple[list[list[int] | None], list[str | None], str]:
    """Ids and decoded texts; None where the library stops, and why it refuses the file."""
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except BaseException as error:  # its panics are no Exception
        return [], [], str(error)
    ids, decoded = [], []
    for text in texts:
        try:
            ids.append(tokenizer.encode(text, add_special_tokens=False).ids)
            decoded.append(tokenizer.decode(ids[-1], skip_special_tokens=False))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            ids[len(decoded):] = [None]
            decoded.append(None)
    return ids, decoded, ""


def compare(program: str, case: tokenizer_files.Case, texts: list[str], folder: Path) -> tuple[str, str]:
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(case.file, ensure_ascii=False), encoding="utf-8")
    want, want_text, refused_there = theirs(file, texts)
    if refused_there:
        return "not a file", refused_there
    kept = [i for i, ids in enumerate(want) if ids is not None]
    got, error = ours(program, "encode", file, [{"text": texts[i]} for i in kept], "--parse-special")
    for i, answer in zip(kept, got):
        if answer["ids"] != want[i]:
            return "wrong", f"{texts[i]!r}: got {answer['ids']}, expected {want[i]}"
    if error:
        return "refused", error
    got_text, error = ours(program, "decode", file, [{"ids": want[i]} for i in kept])
    for i, answer in zip(kept, got_text):
        lost = "\ufffd" in want_text[i]  # there, added tokens are read as bytes where their characters allow it
        if answer["text"] not in (want_text[i], texts[i]) and not lost:
            return "decoding", f"{texts[i]!r} {want[i]}: got {answer['text']!r}, expected {want_text[i]!r}"
    return ("decoding", error) if error else ("equal", f"{len(kept)} texts")


def run_trials(program: str, folder: Path) -> collections.Counter:
    counts = collections.Counter()
    for line in (folder / "cases.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n"):
        case = json.loads(line)
        if case["kind"] == "json-lines":
            continue
        file = folder / case["files"][0]
        got, error = ours(program, "encode", file, [{"text": case["text"]}], "--parse-special")
        text, _ = ours(program, "decode", file, [{"ids": case.get("ids", [])}])
        right = not case.get("load_error") and got == [{"ids": case.get("ids")}] and text == [{"text": case["decoded"]}]
        fine = bool(error) and (case.get("load_error") or case.get("error_is_as_good"))
        verdict = "right" if right or fine else "refused" if error else "wrong"
        counts[verdict] += 1
        if verdict != "right":
            print(f"{case['id']}: {verdict}: {error or got}", file=sys.stderr)
    return counts


def read_documents(path: Path) -> list[str]:
    data = subprocess.run(["zstd", "-dcq", str(path)], stdout=subprocess.PIPE, check=True).stdout \
        if path.suffix == ".zst" else path.read_bytes()
    return [json.loads(line)["text"] for line in data.decode("utf-8").split("\n") if line]


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_speed(program: str, tokenizer: Path, path: Path) -> dict[str, float]:
    """MB of text a second of one core, GPT-2's tokenizer; the best of three turns each."""
    import tiktoken

    documents = read_documents(path)
    while sum(map(len, documents)) > SPEED_CHARACTERS:
        documents.pop()
    megabytes = sum(len(text.encode("utf-8")) for text in documents) / 1e6
    library = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    vocab = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    alphabet = {character: byte for byte, character in bytes_spelled().items()}
    ranks = {bytes(alphabet[character] for character in token): number for token, number in vocab.items()
             if token != "<|endoftext|>"}
    encoding = tiktoken.Encoding("gpt2", pat_str=tokenizer_files.GPT2, mergeable_ranks=ranks,
                                 special_tokens={"<|endoftext|>": 50256})
    sample = documents[0]
    if library.encode(sample).ids != encoding.encode_ordinary(sample):
        sys.exit("tokenizers: expected equal ids of tiktoken and tokenizers, got others.")

    def program_seconds(lines: list[str]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "text.jsonl"
            file.write_text("".join(json.dumps({"text": text}) + "\n" for text in lines), encoding="utf-8")
            before = children_seconds()
            subprocess.run([program, "data", "tokenize", str(file), "--tokenizer", str(tokenizer), "--out",
                            f"{folder}/out.tokens"], check=True, capture_output=True)
            return children_seconds() - before

    def cpu_seconds(action) -> float:
        before = time.process_time()
        action()
        return time.process_time() - before

    best = collections.defaultdict(lambda: float("inf"))
    for _ in range(3):
        best["loopbank"] = min(best["loopbank"], program_seconds(documents) - program_seconds(["a"]))
        best["tokenizers"] = min(best["tokenizers"], cpu_seconds(lambda: [library.encode(text) for text in documents]))
        best["tiktoken"] = min(best["tiktoken"], cpu_seconds(lambda: [encoding.encode_ordinary(text) for text in documents]))
    return {name: round(megabytes / seconds, 2) for name, seconds in best.items()}


def bytes_spelled() -> dict[int, str]:
    """The character of each byte in a byte-level vocabulary."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in itself]
    return {byte: chr(byte) for byte in itself} | {byte: chr(0x100 + i) for i, byte in enumerate(others)}


def arguments() -> argparse.Namespace:
    shared = ROOT.parent / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=400, help="random files")
    parser.add_argument("--first", type=int, default=0, help="the first random file that is compared")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", type=int, default=60, help="random texts for each random file")
    parser.add_argument("--text", type=Path, action="append", default=[], help="a text file for the corpus")
    parser.add_argument("--trials", type=Path, default=shared / "trials")
    parser.add_argument("--tokenizer", type=Path, default=shared / "data/tokenizer/gpt2")
    parser.add_argument("--speed", type=Path, default=shared / "data/text/openstax.train.jsonl.zst")
    parser.add_argument("--program", default=str(ROOT / "build/release/loopbank"))
    parser.add_argument("--keep", type=Path, help="a folder for the files that are wrong")
    parser.add_argument("--json", action="store_true", help="the last line of stdout as JSON")
    return parser.parse_args()


def main() -> int:
    flags = arguments()
    corpus = tokenizer_corpus.texts(flags.seed)
    for path in flags.text:
        corpus += path.read_text(encoding="utf-8").splitlines(keepends=True)
    counts: dict[str, collections.Counter] = {"families": collections.Counter(), "random files": collections.Counter()}
    refusals: collections.Counter = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def check(kind: str, case: tokenizer_files.Case, texts: list[str]) -> None:
            verdict, detail = compare(flags.program, case, texts, folder)
            counts[kind][verdict] += 1
            if verdict == "refused":
                refusals[detail.replace(name, "").split(" What")[0][:150]] += 1
            if kind == "families" or verdict in ("wrong", "decoding"):
                print(f"{case.name}: {verdict}: {detail}", flush=True)
            if verdict in ("wrong", "decoding") and flags.keep:
                flags.keep.mkdir(parents=True, exist_ok=True)
                (flags.keep / f"{case.name}.json").write_text((folder / "tokenizer.json").read_text("utf-8"), "utf-8")

        for case in tokenizer_files.families(corpus):
            check("families", case, corpus + tokenizer_corpus.random_texts(random.Random(flags.seed), flags.texts, case.words))
        generator = tokenizer_files.RandomFiles(flags.seed, corpus)
        for number in range(flags.first + flags.files):
            case = generator.case(number)
            if number >= flags.first:
                rng = random.Random(flags.seed * 100_003 + number)
                texts = rng.sample(corpus, 40) + tokenizer_corpus.random_texts(rng, flags.texts, case.words)
                check("random files", case, texts)
    if (flags.trials / "cases.jsonl").exists():
        counts["trials"] = run_trials(flags.program, flags.trials)
    return report(flags, counts, refusals)


def report(flags: argparse.Namespace, counts: dict[str, collections.Counter], refusals: collections.Counter) -> int:
    versions = {name: metadata.version(name) for name in ("tokenizers", "tiktoken")}
    for message, times in refusals.most_common(12):
        print(f"refused {times} times: {message}")
    print("\n| files | equal | refused | decoding | wrong | not a file there |\n|---|---|---|---|---|---|")
    for kind, found in counts.items():
        equal = found["equal"] + found["right"]
        print(f"| {kind} | {equal} | {found['refused']} | {found['decoding']} | {found['wrong']} | {found['not a file']} |")
    speed = {}
    if flags.speed.exists() and (flags.tokenizer / "tokenizer.json").exists():
        speed = measure_speed(flags.program, flags.tokenizer, flags.speed)
        print("\n| GPT-2's tokenizer, one core | MB/s |\n|---|---|")
        for name, value in speed.items():
            print(f"| {name} {versions.get(name, '')} | {value} |")
    print("versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    if flags.json:
        print(json.dumps({"counts": counts, "megabytes_per_second": speed, "versions": versions}))
    return int(any(found["wrong"] or found["decoding"] for found in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
