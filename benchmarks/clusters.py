"""Do clusters come out again? Agreement of k-means over seeds and over halves of the text, by embedder.

For each corpus, some passages are read as ``evop calibrate`` reads them, embedded, and clustered into a few numbers of
clusters. *Seeds* is the mean adjusted Rand index (ARI) between clusterings of the same vectors from other starts;
*halves* the mean ARI between the clusterings that two random halves give to all passages, by which ``--clusters auto``
decides (0.6 and more counts as stable). 1 is the same clusters, 0 is chance. Last, what ``--clusters auto`` takes.

Run it with::

    python benchmarks/clusters.py --corpora FOLDER --out benchmarks/results/clusters.csv
    python benchmarks/clusters.py --table benchmarks/results/clusters.csv   # writes the .md beside it
"""

import argparse
import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from calibration import DomainSource, Recipe, read_passages
from calibration.clustering.cluster import cluster_domain
from calibration.clustering.embed import embedder
from calibration.clustering.stability import kmeans, stability_of
from calibration.seeded import one_thread

NUMBERS = (2, 4, 6)
SEEDS = 5
EMBEDDERS = ("lexical", "minilm")
Row = dict[str, object]


def main() -> None:
    """Measure every corpus in a folder by every embedder, or make the table of what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, help="folder of JSONL files, one a corpus")
    parser.add_argument("--out", type=Path, help="CSV to write; rows are added to those that are there")
    parser.add_argument("--passages", type=int, default=120, help="passages per corpus")
    parser.add_argument("--passage-chars", type=int, default=400)
    parser.add_argument("--embedders", nargs="+", default=list(EMBEDDERS), choices=EMBEDDERS)
    parser.add_argument("--table", type=Path, help="CSV to make the table of")
    arguments = parser.parse_args()
    if arguments.table:
        arguments.table.with_suffix(".md").write_text(table(list(csv.DictReader(arguments.table.open()))))
        return
    for kind, path in itertools.product(arguments.embedders, sorted(arguments.corpora.glob("*.jsonl"))):
        rows = list(measured(path, kind, arguments.passages, arguments.passage_chars))
        fresh = not arguments.out.exists()
        with arguments.out.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerows(rows)
        print(path.stem, kind, rows, flush=True)


def measured(path: Path, kind: str, passages: int, chars: int) -> Iterator[Row]:
    """Measure one corpus by one embedder, a row per number of clusters."""
    source = DomainSource(name=path.stem, source=str(path))
    read = read_passages(Recipe(domains=[source], passage_chars=chars, limit=passages)).passages
    vectors = embedder(kind, 0).embed(read)
    auto = cluster_domain(path.stem, vectors, "auto", 0)
    for k in NUMBERS:
        with one_thread():
            labels = [kmeans(vectors, k, seed).labels_ for seed in range(SEEDS)]
            halves = stability_of(vectors, k, 0, path.stem)
        seeds = [adjusted_rand_score(a, b) for a, b in itertools.combinations(labels, 2)]
        yield {
            "corpus": path.stem,
            "embedder": kind,
            "passages": len(read),
            "passage_chars": chars,
            "clusters": k,
            "seeds": round(float(np.mean(seeds)), 4),
            "halves": halves,
            "auto": auto.k,
        }


def table(rows: Sequence[dict[str, str]]) -> str:
    """Make the table: a row per corpus, seeds and halves of each number of clusters, lexical and MiniLM."""
    kinds = [kind for kind in EMBEDDERS if any(row["embedder"] == kind for row in rows)]
    heads = [f"{kind}, {k}" for kind in kinds for k in NUMBERS]
    lines = [
        f"| corpus | n | {' | '.join(heads)} | {' | '.join(f'{kind}, auto' for kind in kinds)} |",
        f"|---|---|{'---|' * (len(heads) + len(kinds))}",
    ]
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        mine = {(row["embedder"], int(row["clusters"])): row for row in rows if row["corpus"] == corpus}
        n = next(iter(mine.values()))["passages"]
        cells = [_pair(mine.get((kind, k))) for kind in kinds for k in NUMBERS]
        autos = [mine[kind, NUMBERS[0]]["auto"] if (kind, NUMBERS[0]) in mine else "–" for kind in kinds]
        lines.append(f"| {corpus} | {n} | {' | '.join([*cells, *autos])} |")
    return "\n".join(lines) + "\n"


def _pair(row: dict[str, str] | None) -> str:
    """Write the agreement of seeds and of halves."""
    return "–" if row is None else f"{float(row['seeds']):.2f} / {float(row['halves']):.2f}"


if __name__ == "__main__":
    main()
