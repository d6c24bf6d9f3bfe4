"""Parquet files through the one-line conversions of docs/data.md, for builds without Apache Arrow.

A file of FineWeb-Edu's ten columns is written by pyarrow, with texts that are hard to quote. The
program's own error tells DuckDB's line, which is run as it stands; docs/data.md has Polars' and
pyarrow's. What `loopbank data tokenize` makes of the lines must be the texts that went in, and a row
without a text must be told. A program that was built with Arrow reads the file itself as well.
"""

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile

import pyarrow
import pyarrow.parquet

TEXTS = [
    "one line",
    "two\nlines\r\nand\ttabs",
    'quotes " and \\ and {"text": "inner"}',
    "a NUL \0 within",
    "\x01\x1f\x7f control",
    "caf\u00e9 \u4e16\u754c \U0001f600 \u2028 \u2029 \ufeff",
    " blanks around \n",
    "long " * 60_000,
]
END = "<|endoftext|>"


def write_parquet(path, texts, compression):
    rows = len(texts)
    columns = {
        "text": texts,
        "id": [f"<urn:uuid:{i}>" for i in range(rows)],
        "dump": ["CC-MAIN-2024-10"] * rows,
        "url": ["https://example.org/"] * rows,
        "file_path": ["s3://x"] * rows,
        "language": ["en"] * rows,
        "language_score": [float("nan")] * rows,
        "token_count": list(range(rows)),
        "score": [float("inf")] * rows,
        "int_score": [3] * rows,
    }
    pyarrow.parquet.write_table(
        pyarrow.table(columns), path, row_group_size=3, compression=compression
    )


def run(words, **more):
    return subprocess.run(words, capture_output=True, text=True, **more)


def tokenized(program, path, *flags):
    """The texts of a file as the program reads them, and what it said."""
    out = path + ".tokens"
    made = run(
        [program, "data", "tokenize", path, "--tokenizer", "bytes", "--out", out, "--json", *flags]
    )
    if made.returncode not in (0, 8):
        return None, made.stderr
    shown = run(
        [program, "data", "inspect", out, "--tokenizer", "bytes", "--documents", "1000", "--json"]
    )
    documents = [text.removesuffix(END) for text in json.loads(shown.stdout)["first_documents"]]
    return documents, json.loads(made.stdout)


def conversions(program, path):
    """Names and commands: DuckDB's from the program, the others from docs/data.md."""
    error = run([program, "data", "tokenize", path, "--tokenizer", "bytes", "--out", "x"]).stderr
    told = re.search(r"&& (python3 -c '[^']*')", error)
    with open("docs/data.md", encoding="utf-8") as file:
        shown = re.findall(r"^(python3 -c '[^']*(?:polars|pyarrow)[^']*')$", file.read(), re.M)
    stem = path.removesuffix(".parquet")
    lines = ([told.group(1)] if told else []) + [line.replace("FILE", stem) for line in shown]
    if len(lines) < (3 if told else 2):
        sys.exit(f"parquet: expected DuckDB's line in the error and two in docs/data.md: {error}")
    return lines


def check(program, folder):
    table = []
    environment = dict(os.environ, PATH=os.path.dirname(sys.executable) + ":" + os.environ["PATH"])
    path = os.path.join(folder, "whole.parquet")
    write_parquet(path, TEXTS, "snappy")
    with_null = os.path.join(folder, "null.parquet")
    write_parquet(with_null, [TEXTS[0], None, TEXTS[1]], "zstd")
    for line, of_null in zip(conversions(program, path), conversions(program, with_null)):
        name = re.search(r"duckdb|polars|pyarrow", line).group(0)
        results = []
        for command, file in ((line, path), (of_null, with_null)):
            stem = file.removesuffix(".parquet")
            done = run(["bash", "-c", command], env=environment)
            made = [stem + end for end in (".jsonl", ".jsonl.zst") if os.path.exists(stem + end)]
            if done.returncode != 0 or len(made) != 1:
                sys.exit(f"parquet: {command} made {made}: {done.stderr}")
            results.append(tokenized(program, made[0], *(["--skip-bad", "1"] * (file == with_null))))
            os.remove(made[0])
        (documents, _), (kept, report) = results
        told = kept == TEXTS[:2] and report["bad_lines"] == 1
        row = (name, importlib.metadata.version(name), documents == TEXTS, told)
        print("| {} | {} | {} | {} |".format(*row), flush=True)
        table.append(row)
    documents, said = tokenized(program, path)
    if documents is not None:
        table.append(("loopbank with Arrow", "", documents == TEXTS, True))
        print("| {} | {} | {} | {} |".format(*table[-1]))
    elif "Apache Arrow" not in said:
        sys.exit(f"parquet: expected the error about Apache Arrow, got {said}")
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/release/loopbank")
    options = parser.parse_args()
    print("| reader | version | texts equal | a row without text is told |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        table = check(options.program, folder)
    if not all(same and told for *_, same, told in table):
        sys.exit("parquet: a conversion changed a text or lost a row in silence.")


if __name__ == "__main__":
    main()
