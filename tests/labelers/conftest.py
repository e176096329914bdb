"""What tests of labels of views share."""

from __future__ import annotations

import pytest

from gendistill.labelers import relabel_views
from gendistill.labelers.relabel_views import RelabelViews


@pytest.fixture
def asked(monkeypatch):
    """The views that teachers have answered about, by number; they are killed at the one that is put into ``kill``."""
    views, real, kill = [], RelabelViews._said, []

    def watched(self, numbers, *rest):
        for view, said in zip(numbers, real(self, numbers, *rest), strict=True):
            if view in kill:
                kill.clear()
                raise KeyboardInterrupt
            views.append(view)
            yield said

    monkeypatch.setattr(relabel_views, "SHARD_BYTES", 1)  # a file for every view
    monkeypatch.setattr(RelabelViews, "_said", watched)
    return views, kill


@pytest.fixture
def made(monkeypatch):
    """How many blocks of views were made at once, time after time."""
    found, real = [], RelabelViews._made
    monkeypatch.setattr(
        RelabelViews, "_made", lambda self, looks, *rest: found.append(len(looks)) or real(self, looks, *rest)
    )
    return found
