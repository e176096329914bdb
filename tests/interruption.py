"""A run that is killed while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


def stopping(after: int) -> Callable[..., Iterator]:
    """Progress that lets so many items through, of all that it is asked to show together, and is interrupted at the next."""
    left = after

    def show(items: Iterable, what: str, total: int | None = None) -> Iterator:
        nonlocal left
        for item in items:
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            yield item

    return show
