"""lm-evaluation-harness as a client of `loopbank serve`, beside `loopbank eval` and `loopbank generate`.

    scripts/interop lm-eval --data DIR [--data DIR] [--model MODEL_DIR] [--limit 200]

`loopbank eval` scores ARC-Easy, HellaSwag and PIQA; its requests become task files for lm_eval's model
`local-completions`, once with the server's tokenizer (`tokenizer_backend=remote`, eight requests at once) and once
with the model's own files (`tokenizer_backend=huggingface`, eight prompts a request). Compared: the
log-probability of every choice (1e-4 nats), whether it is the greedy one, and both accuracies (equal). A fourth task
continues the questions of GSM8K at temperature 0; its texts must equal those of `loopbank generate`, which are the
targets of its exact match. `local-chat-completions` asks the same by a chat template that adds nothing.

lm_eval cuts what is longer than the model at another place than `loopbank eval` does: documents with a choice
of more than T tokens are left out of the comparison, and counted. Nothing is fetched: no hub, no data set.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from served import Served, add_arguments, expect, expect_equal, model_directory, versions

SCORED = ("arc_easy", "hellaswag", "piqa")
ASKED = "gsm8k"
TOLERANCE = 1e-4  # nats, the log-probability of a whole choice
NEW_TOKENS = 48
STOPS = ["\n\n", "Question:"]
CHAT = '[chat]\nuser = "{content}"\n'  # a prompt that is the message and nothing else
TASK = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
doc_to_text: query
target_delimiter: ""
metadata:
  version: 1.0
"""
CHOICES = """output_type: multiple_choice
doc_to_choice: choices
doc_to_target: gold
metric_list:
  - metric: acc
  - metric: acc_norm
"""
TEXTS = """output_type: generate_until
doc_to_target: text
generation_kwargs:
  until: {stops}
  max_gen_toks: {tokens}
  do_sample: false
  temperature: 0.0
metric_list:
  - metric: exact_match
"""


def rows_of(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def run_quietly(command: list, environment: dict = {}) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )
    expect(done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}.\n{done.stdout[-4000:]}")


def write_task(folder: Path, name: str, rows: list, kind: str) -> None:
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / f"{name}.yaml").write_text(TASK.format(name=name, data=data) + kind)


class Ours:
    """What `loopbank eval` and `loopbank generate` give, and the task files made of it."""

    def __init__(self, arguments: argparse.Namespace, model: Path, served: Served, folder: Path):
        self.folder, self.choices, self.left_out = folder, {}, {}
        command = [arguments.program, "--quiet", "eval", str(model), "--tasks", ",".join(SCORED + (ASKED,))]
        for data in arguments.data:
            command += ["--data", data]
        run_quietly(command + ["--limit", str(arguments.limit), "--out", str(folder / "eval")])
        longest = served.model()["max_model_len"]
        for index, task in enumerate(SCORED):
            self._take_choices(task, folder / "eval" / f"task-{index:03}-{task}", longest)
        self._take_texts(arguments, model, served, longest)

    def _take_choices(self, task: str, stem: Path, longest: int) -> None:
        asked = {}
        for row in rows_of(Path(f"{stem}-requests.jsonl")):
            asked.setdefault(row["doc_id"], []).append(row["request"])
        rows, self.choices[task], self.left_out[task] = [], [], 0
        for told in rows_of(Path(f"{stem}-predictions.jsonl")):
            requests = asked[told["doc_id"]]
            if max(choice["num_tokens_all"] for choice in told["model_output"]) > longest:
                self.left_out[task] += 1
                continue
            texts = [request["continuation"] for request in requests]
            rows.append({"query": requests[0]["context"], "choices": texts, "gold": told["label"]})
            self.choices[task].append(told)
        expect(rows != [], f"{task}: no document fits the model's {longest} tokens.")
        write_task(self.folder, f"served_{task}", rows, CHOICES)

    def _take_texts(self, arguments: argparse.Namespace, model: Path, served: Served, longest: int) -> None:
        requests = rows_of(self.folder / "eval" / f"task-{len(SCORED):03}-{ASKED}-requests.jsonl")
        contexts = [row["request"]["context"] for row in requests]
        room = longest - 1 - NEW_TOKENS
        fitting = [text for text in contexts if served.post("/tokenize", {"prompt": text}).json()["count"] <= room]
        expect(fitting != [], f"{ASKED}: no prompt leaves room for {NEW_TOKENS} tokens.")
        prompts, written = self.folder / "prompts.jsonl", self.folder / "texts.jsonl"
        settings = {"max_tokens": NEW_TOKENS, "temperature": 0, "stop": STOPS}
        prompts.write_text("".join(json.dumps({"prompt": text, **settings}) + "\n" for text in fitting))
        command = [arguments.program, "--quiet", "generate", str(model), "--prompts", str(prompts)]
        run_quietly(command + ["--out", str(written)])
        by_index = {row["index"]: row["text"] for row in rows_of(written)}
        self.texts = [by_index[index] for index in range(len(fitting))]
        self.left_out[ASKED] = len(contexts) - len(fitting)
        rows = [{"query": query, "text": text} for query, text in zip(fitting, self.texts)]
        write_task(self.folder, f"served_{ASKED}", rows, TEXTS.format(stops=json.dumps(STOPS), tokens=NEW_TOKENS))


def write_tokenizer(model: Path, folder: Path, end_of_text: str) -> None:
    """The folder that transformers' AutoTokenizer reads."""
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end_of_text}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def run_lm_eval(served: Served, ours: Ours, name: str, settings: list, more: list, chat: bool = False) -> tuple:
    """Results and samples, by task."""
    entry, out = served.model(), ours.folder / name
    path = "/v1/chat/completions" if chat else "/v1/completions"
    settings = [f"model={entry['id']}", f"base_url={served.base}{path}", f"max_length={entry['max_model_len']}"] + settings
    tasks = [f"served_{task}" for task in ((ASKED,) if chat else SCORED + (ASKED,))]
    command = [str(Path(sys.executable).parent / "lm_eval"), "run"]
    command += ["--model", "local-chat-completions" if chat else "local-completions"]
    command += ["--model_args", ",".join(settings), "--tasks", ",".join(tasks), "--include_path", str(ours.folder)]
    command += ["--log_samples", "--output_path", str(out)] + more
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(ours.folder / "hub")}
    run_quietly(command, offline)
    results = json.loads(next(out.glob("**/results_*.json")).read_text())["results"]
    samples = {task: rows_of(next(out.glob(f"**/samples_{task}_*.jsonl"))) for task in tasks}
    return results, {task: sorted(rows, key=lambda row: row["doc_id"]) for task, rows in samples.items()}


def compare_choices(task: str, ours: list, result: dict, samples: list) -> tuple:
    """The largest difference of a log-probability, and how many were compared."""
    expect_equal(len(samples), len(ours), f"{task}: documents")
    largest, count = 0.0, 0
    for told, sample in zip(ours, samples):
        expect_equal(len(sample["resps"]), len(told["model_output"]), f"{task}: choices")
        for choice, answers in zip(told["model_output"], sample["resps"]):
            theirs, greedy = float(answers[0][0]), str(answers[0][1]) == "True"
            difference = abs(theirs - choice["sum_logits"])
            where = f"{task}, document {told['doc_id']}"
            expect(difference <= TOLERANCE, f"{where}: expected {choice['sum_logits']} nats, got {theirs}.")
            expect_equal(greedy, choice["is_greedy"], f"{where}: greedy")
            largest, count = max(largest, difference), count + 1
    for metric, mine in (("acc,none", "acc_raw"), ("acc_norm,none", "acc_per_char")):
        mean = sum(told["metrics"][mine] for told in ours) / len(ours)
        expect(abs(result[metric] - mean) < 1e-9, f"{task}: {metric}: expected {mean}, got {result[metric]}.")
    return largest, count


def compare_scores(ours: Ours, name: str, results: dict, samples: dict) -> None:
    for task in SCORED:
        key = f"served_{task}"
        largest, count = compare_choices(task, ours.choices[task], results[key], samples[key])
        accuracies = f"acc {results[key]['acc,none']:.4f}, acc_norm {results[key]['acc_norm,none']:.4f} in both"
        print(
            f"{name:12} {task:10} {len(ours.choices[task]):5} documents ({ours.left_out[task]} too long), {count} choices:"
            f" largest difference {largest:.1e} nats; {accuracies}",
            flush=True,
        )


def compare_texts(ours: Ours, name: str, results: dict, samples: dict) -> None:
    answers = [sample["resps"][0][0] for sample in samples[f"served_{ASKED}"]]
    expect_equal(len(answers), len(ours.texts), f"{ASKED}: documents")
    for index, (theirs, mine) in enumerate(zip(answers, ours.texts)):
        expect_equal(theirs, mine, f"{ASKED}, document {index}: text")
    exact = results[f"served_{ASKED}"]["exact_match,none"]
    expect_equal(exact, 1.0, f"{ASKED}: exact match")
    print(
        f"{name:12} {ASKED:10} {len(answers):5} documents ({ours.left_out[ASKED]} too long), texts of up to {NEW_TOKENS}"
        f" tokens equal those of generate; exact match {exact}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--data", action="append", required=True, help="folder of evaluation data; several times")
    parser.add_argument("--limit", type=int, default=200, help="documents a task")
    arguments = parser.parse_args()
    print(versions("lm_eval", "transformers", "tokenizers", "datasets"), flush=True)
    model = model_directory(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "chat.toml").write_text(CHAT)
        with Served(arguments.program, model, "--chat-template", folder / "chat.toml") as served:
            ours = Ours(arguments, model, served, folder)
            write_tokenizer(model, folder / "tokenizer", served.get("/tokenizer_info").json()["eos_token"])
            files = ["tokenizer_backend=huggingface", f"tokenizer={folder}/tokenizer"]
            for backend, settings, more in (
                ("remote", ["tokenizer_backend=remote", "num_concurrent=8"], []),
                ("huggingface", files, ["--batch_size", "8"]),
            ):
                found = run_lm_eval(served, ours, backend, settings, more)
                compare_scores(ours, backend, *found)
                compare_texts(ours, backend, *found)
            found = run_lm_eval(served, ours, "chat", ["num_concurrent=8"], ["--apply_chat_template"], chat=True)
            compare_texts(ours, "chat", *found)
    print("lm-eval: all equal")


if __name__ == "__main__":
    main()
