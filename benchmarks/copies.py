"""Copies behind another header: how much of a copied document is left, and how long it takes to find that out.

The first documents of each corpus, cut to 4,000 characters, are written down, then half of them again behind a header
of other words of the corpus. *Left* is how many of the copies' passages are still in the set; *apart* the number of
copies that are not one document with their original. Last, 1,000 such documents of made-up text. Seconds are those of
reading the domain, on the processor.

Run it with::

    python benchmarks/copies.py --corpora FOLDER --out benchmarks/results/copies.csv
"""

import argparse
import csv
import json
import random
import tempfile
import time
from pathlib import Path

from calibration import DomainSource, Recipe, read_passages

HEADERS = (40, 150, 300, 500)
"""Characters of a header."""
CORPORA = ("biomedical", "code_python", "legal_statute", "literature_en", "tech_docs")
ORIGINALS, LENGTH = 20, 4000


def main() -> None:
    """Copy documents of every corpus behind every header; write the CSV and the table beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, help="folder of JSONL files, one a corpus")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    rng = random.Random(0)
    made_up = [" ".join(f"w{rng.randrange(20_000)}" for _ in range(700)) for _ in range(667)]
    measured(made_up[:10], made_up[-1], 40)  # what is imported on the way is no part of the seconds
    for corpus in CORPORA:
        texts = [json.loads(line)["text"] for line in (arguments.corpora / f"{corpus}.jsonl").open()]
        long = [text[:LENGTH] for text in texts if len(text) >= LENGTH]
        for header in HEADERS:
            found = measured(long[:ORIGINALS], " ".join(long[ORIGINALS:]), header)
            rows.append({"corpus": corpus, "header": header, **found})
            print(rows[-1], flush=True)
    rows.append({"corpus": "1,000 made-up documents", "header": 300, **measured(made_up, made_up[-1] * 40, 300)})
    with arguments.out.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    arguments.out.with_suffix(".md").write_text(table(rows))


def measured(originals: list[str], words: str, header: int) -> dict[str, object]:
    """Read originals and copies of half of them; count what is left of the copies."""
    copied = originals[: len(originals) // 2]
    heads = [words[i * header : (i + 1) * header] for i in range(len(copied))]
    copies = [f"{head} {text}" for head, text in zip(heads, copied, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*originals, *copies]))
        start = time.process_time()
        passages = read_passages(Recipe(domains=[DomainSource(name="d", source=str(path))])).passages
        seconds = time.process_time() - start
    names = {f"#{i}" for i in range(len(originals), len(originals) + len(copies))}
    left = [p for p in passages if any(p.plain in copy for copy in copies) and not any(p.plain in o for o in originals)]
    apart = {p.document for p in left if f"#{p.document.rpartition('#')[2]}" in names}
    return {
        "documents": len(originals) + len(copies),
        "passages": len(passages),
        "left": len(left),
        "of": sum(len(copy) // 1000 for copy in copies),
        "apart": len(apart),
        "seconds": round(seconds, 2),
    }


def table(rows: list[dict[str, object]]) -> str:
    """Make the table: a row per corpus and header."""
    lines = [
        "| corpus | header | documents | left of the copies' passages | apart | CPU seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['corpus']} | {row['header']} | {row['documents']} | {row['left']} of {row['of']} | {row['apart']} "
        f"| {row['seconds']} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
