"""Where the embedded corpora came from, and under which licences. NOTICE says the same in words."""

from dataclasses import dataclass

__all__ = ["NOT_TAKEN", "SOURCES", "Source"]


@dataclass(frozen=True)
class Source:
    """One repository that texts were taken from.

    Attributes:
        repository: `owner/name` on GitHub.
        commit: Commit the texts were read at.
        licence: SPDX expression of the text.
        document: What one document is: the `file`, one `row` of a file that holds many, or a `title`d article
            (the text before the first colon) of such a file.
    """

    repository: str
    commit: str
    licence: str
    document: str = "file"


SOURCES: dict[str, tuple[Source, ...]] = {
    "biomedical": (
        Source("abachaa/MedQuAD", "577bd37b96c0", "CC-BY-4.0"),
        Source("UCDenver-ccp/CRAFT", "2abe82b8bb80", "LicenseRef-CC-BY"),
    ),
    "code_python": (
        Source("pallets/flask", "2ac89889f4cc", "BSD-3-Clause"),
        Source("sympy/sympy", "e950d313a932", "BSD-3-Clause"),
        Source("TheAlgorithms/Python", "f5988cc09713", "MIT"),
    ),
    "dialogue_task": (
        Source("google-research-datasets/dstc8-schema-guided-dialogue", "e852981ae349", "CC-BY-SA-4.0", "row"),
        Source("google-research-datasets/Taskmaster", "d92cb6af3005", "CC-BY-4.0", "row"),
    ),
    "encyclopedic": (
        Source("factbook/factbook.json", "8662a8b17a78", "CC0-1.0"),
        Source("emorynlp/selqa", "fef3d6ac6944", "CC-BY-SA-3.0", "title"),
        Source("shaggyday/evaluating-human-rationales", "d2499ef29a91", "CC-BY-SA-3.0"),
    ),
    "legal_statute": (Source("DCCouncil/law-xml", "9123af018003", "CC0-1.0"),),
    "literature_en": (Source("COST-ELTeC/ELTeC-eng", "3db3b6738a83", "CC-BY-4.0"),),
    "math_word": (Source("openai/grade-school-math", "3101c7d50724", "MIT", "row"),),
    "tech_docs": (
        Source("MicrosoftDocs/cpp-docs", "a2e592a8fc39", "CC-BY-4.0"),
        Source("rust-lang/book", "917544888a55", "MIT OR Apache-2.0"),
    ),
}

NOT_TAKEN: dict[str, tuple[str, ...]] = {
    # parts with a licence of their own
    "sympy/sympy": ("sympy/multipledispatch/", "sympy/parsing/autolev/", "sympy/parsing/latex/"),
    "UCDenver-ccp/CRAFT": tuple(
        f"articles/txt/{pmid}.txt"
        for pmid in (
            # Nucleic Acids Research: not for commercial use
            *(15784609, 15917436, 16027110, 16221973, 16517939, 16870721),
            # BioMed Central before mid-2004: verbatim copies only
            *(11319941, 11532192, 11597317, 11604102, 11897010, 12079497, 12546709, 12585968, 12925238),
            *(14609438, 14611657, 14675480, 14723793, 15005800, 15018652, 15040800, 15061865, 15070402),
        )
    ),
}
"""Beginnings of paths left out of a repository that is taken otherwise: their licence is another."""
