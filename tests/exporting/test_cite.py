"""BibTeX comes from the docstrings of what is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gendistill.config.pipeline import Pipeline
from gendistill.exporting.cite import Reference, cite, references, texts


@dataclass(frozen=True)
class Part:
    """Pull (MGD3: Chan-Santiago et al., ICML 2025), https://arxiv.org/abs/2505.18963."""

    number: int = 1


@dataclass(frozen=True)
class Holder:
    """Nothing is cited here: see https://example.org/code."""

    parts: tuple[Part, ...] = (Part(),)
    source: str = ""


def test_references_are_read_from_prose():
    assert references("Distribution matching (Zhao & Bilen, WACV 2023), https://arxiv.org/abs/2110.04181.") == [
        Reference("https://arxiv.org/abs/2110.04181", "", "Distribution matching", "Zhao and Bilen", "WACV", "2023")
    ]
    assert references('"Learning from X" (Gu, Li, and Roe, 2024):\nhttps://example.org/x, and more.') == [
        Reference("https://example.org/x", "Learning from X", "", "Gu and Li and Roe", "", "2024")
    ]
    assert references("Peebles & Xie, ICCV 2023, https://arxiv.org/abs/2212.09748: one")[0].url.endswith("09748")
    assert references("See https://example.org/code; made in 2024.") == []


def test_what_a_recipe_uses_is_cited_once():
    text = cite(Holder(parts=(Part(1), Part(2))))
    assert text.startswith("@software{gendistill,")
    assert text.count("@misc{") == 1
    assert "  author = {Chan-Santiago and others},\n" in text and "  eprint = {2505.18963},\n" in text


def test_a_pipeline_names_its_own_paper():
    doc = "Minimax Diffusion (Gu et al., CVPR 2024), https://arxiv.org/abs/2311.15529\n\nTune."
    source = "https://arxiv.org/abs/2311.15529"
    text = cite(Pipeline("minimax", Path("minimax.py"), doc, Holder(parts=(), source=source), None))
    assert text.count("@misc{") == 1 and "note = {Minimax Diffusion}" in text


def test_a_source_alone_is_looked_up_in_the_pipelines():
    assert "Chan-Santiago" in cite(Holder(parts=(), source="https://arxiv.org/abs/2505.18963"))
    assert "url = {https://example.org/unheard-of}" in cite(Holder(parts=(), source="https://example.org/unheard-of"))


def test_texts_walks_values_and_their_docstrings():
    assert any("Pull (MGD3" in text for text in texts(Holder()))
