"""Values read from text, and frozen values changed at a path, on small parts made here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from gendistill.config import fields, overrides
from gendistill.config.overrides import alter, alter_all, override, read_value
from gendistill.types import UserError


class Paints(Protocol):
    def paint(self) -> str: ...


class Step:
    pass


@dataclass(frozen=True)
class Brush:
    width: float = 1.0
    colour: Literal["red", "blue"] = "red"

    def paint(self) -> str:
        return self.colour


@dataclass(frozen=True)
class Draw(Step):
    cfg: float = 1.0
    steps: int = 10
    window: tuple[float, float] = (0.0, 1.0)
    tool: Paints = Brush()


@dataclass(frozen=True, kw_only=True)
class Wash(Step):
    water: float | None = None
    names: tuple[str, ...] = ()
    brushes: tuple[Brush, ...] = ()


@dataclass(frozen=True)
class Studio:
    folder: str | Path
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    real: Studio = Studio("here")
    steps: tuple[Step, ...] = (Draw(), Wash())
    ipc: int = 10
    flip: bool = False
    where: Path = Path("out")
    anything: Any = None
    hidden: int = field(default=3, init=False)

    def __post_init__(self) -> None:
        if self.ipc < 1:
            raise UserError(f"ipc must be at least 1, got {self.ipc}")
        if self.flip and self.ipc > 50:
            raise UserError("no flips above 50")


@dataclass(frozen=True)
class Judge:
    students: int = 3


@pytest.fixture(autouse=True)
def known(monkeypatch):
    found = {cls.__name__: cls for cls in (Brush, Draw, Wash, Studio, Plan, Judge)}
    for module in (fields, overrides):
        monkeypatch.setattr(module, "parts", lambda: found)
    monkeypatch.setattr(overrides, "named_values", lambda: {"STRICT": Judge(students=9)})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10), ("-2", -2), ("+2", 2), ("1e-3", 1e-3), ("True", True), ("None", None), ("'a'", "a"), (" 3 ", 3),
        ("(1, 2)", (1, 2)), ("1, 2", (1, 2)), ("[1, -2.5]", [1, -2.5]), ("()", ()), ('{"a": 1}', {"a": 1}),
        ("DDIM", "DDIM"), ("/some/dir", "/some/dir"), ("a/DiT-XL-2-256", "a/DiT-XL-2-256"),
        ("C:\\data\\d", "C:\\data\\d"), ("{[1]: 2}", "{[1]: 2}"), ("{{}: 1}", "{{}: 1}"),
        ("a.b", "a.b"), ("no such thing", "no such thing"), ("", ""), ("1/3", "1/3"), ("data,v2/x", "data,v2/x"),
        ("Draw", Draw()), ("Draw()", Draw()), ("Draw(2, steps=5)", Draw(2.0, 5)), ("STRICT", Judge(9)),
        ('Studio("a b")', Studio("a b")), ("Studio(photos)", Studio("photos")), ("(", "("),
        ("Studio(PosixPath('x'))", Studio(Path("x"))),
        ("(Draw(), Wash(brushes=[Brush(width=-1)]))", (Draw(), Wash(brushes=(Brush(-1.0),)))),
        ("Draw(window=[0, 1])", Draw(window=(0.0, 1.0))),
    ],
)  # fmt: skip
def test_read_value(text, value):
    read = read_value(text)
    assert read == value and type(read) is type(value)


def test_what_prints_as_code_is_read_back():
    plan = Plan(real=Studio(Path("x"), 64), steps=(Wash(water=0.5, names=("a",)),), ipc=1)
    assert read_value(repr(plan).replace(", hidden=3", "")) == plan


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Drow()", "no part 'Drow'; did you mean 'Draw'"),
        ("Draw(cgf=1)", "Draw has no field 'cgf'; did you mean 'cfg'"),
        ("Draw(cfg='high')", "Draw.cfg must be a number, not 'high'"),
        ("Draw(1, cfg=2)", "got 'cfg' twice"),
        ("Draw(cfg=1, cfg=2)", "got 'cfg' twice"),
        ("Draw(1, 2, (0, 1), Brush(), 5)", "got 5 values without a name, only cfg, steps, window, tool"),
        ("Wash(1.0)", "none can be given"),
        ("Studio()", "Studio needs folder"),
        ("Studio", "Studio needs folder"),
        ("Draw(cfg=2*2)", "2 * 2 is neither a literal nor a part"),
        ("Draw(**options)", "neither a literal"),
        ("(Draw(), 1 + 1)", "1 + 1 is neither"),
        ("os.system('x')", "neither a literal"),
        ("__import__('os')", "no part '__import__'"),
        ("Plan(ipc=0)", "ipc must be at least 1"),
        ("Plan(anything={[1]: 2})", "{[1]: 2} is neither a literal"),
        ("Studio(Path(1))", "Path takes strings, not 1"),
    ],
)
def test_read_value_refuses(text, says):
    with pytest.raises(UserError) as error:
        read_value(text)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("path", "new", "expected"),
    [
        ("ipc", 5, Plan(ipc=5)),
        ("real.size", 64, Plan(real=Studio("here", 64))),
        ("real.size", None, Plan()),
        ("steps.0.cfg", 2, Plan(steps=(Draw(2.0), Wash()))),
        ("steps.-1.water", 1, Plan(steps=(Draw(), Wash(water=1.0)))),
        ("steps.Draw.cfg", 2.0, Plan(steps=(Draw(2.0), Wash()))),
        ("steps.Draw.window", [0.5, 1], Plan(steps=(Draw(window=(0.5, 1.0)), Wash()))),
        ("steps.Draw.window.0", 0.5, Plan(steps=(Draw(window=(0.5, 1.0)), Wash()))),
        ("steps.Draw.tool", Brush(3), Plan(steps=(Draw(tool=Brush(3)), Wash()))),
        ("steps.Draw.tool.colour", "blue", Plan(steps=(Draw(tool=Brush(colour="blue")), Wash()))),
        ("steps", [Draw()], Plan(steps=(Draw(),))),
        ("steps.1", Draw(), Plan(steps=(Draw(), Draw()))),
        ("where", "there", Plan(where=Path("there"))),
        ("anything", {"a": 1}, Plan(anything={"a": 1})),
    ],
)
def test_alter(path, new, expected):
    plan = Plan()
    altered = alter(plan, path, new)
    assert altered == expected and plan == Plan()
    assert type(altered.steps) is tuple
    assert repr(altered) == repr(expected)  # 2 as a number field is 2.0


@pytest.mark.parametrize(
    ("path", "new", "says"),
    [
        (
            "icp",
            5,
            "Plan has no field 'icp'; did you mean 'ipc'?\nits fields: real=Studio(folder='here', size=None), steps=",
        ),
        ("hidden", 5, "no field 'hidden'"),
        ("steps.0.cgf", 5, "steps.0 (a Draw) has no field 'cgf'; did you mean 'cfg'?\nits fields: cfg=1.0, steps=10"),
        ("steps.2.cfg", 5, "steps has no item '2'\nthere: 0 Draw("),
        ("steps.-3.cfg", 5, "steps has no item '-3'"),
        ("steps.Drew.cfg", 5, "steps has no item 'Drew'; did you mean 'Draw'"),
        ("ipc.x", 5, "ipc is 10, which has no field 'x'"),
        ("", 5, "'' names no field"),
        ("steps..cfg", 5, "names no field"),
        ("ipc", "ten", "ipc must be a whole number, not 'ten'"),
        ("ipc", 1.5, "ipc must be a whole number, not 1.5"),
        ("ipc", True, "ipc must be a whole number, not True"),
        ("ipc", 0, "ipc must be at least 1"),
        ("flip", 1, "flip must be True or False, not 1"),
        ("steps.0.cfg", "x", "steps.0.cfg must be a number, not 'x'"),
        ("steps.0.window", (1.0,), "steps.0.window must be a tuple of 2: a number, a number, not (1.0,)"),
        ("steps.0.window", (1.0, "a"), "steps.0.window.1 must be a number, not 'a'"),
        ("steps.0.tool", 3, "steps.0.tool must be a Paints (Brush), not 3"),
        ("steps.0.tool.colour", "green", "must be 'red' or 'blue', not 'green'"),
        ("steps.1.water", "wet", "steps.1.water must be a number or None, not 'wet'"),
        ("steps.1.names", "abc", "must be a tuple, each item a string, not 'abc'"),
        ("steps", ("Drow",), "steps.0 must be a Step (Draw, Wash), not 'Drow'; did you mean 'Draw'"),
        ("steps", Draw(), "steps must be a tuple, each item a Step"),
        ("real", "Studoi(here)", "did you mean 'Studio'"),
        ("real.folder", 12, "must be a string or a path, not 12; if you mean the string, quote it: '\"12\"'"),
    ],
)
def test_alter_refuses(path, new, says):
    """What is there is shown as far as it is short: a part of many settings by its kind."""
    with pytest.raises(UserError) as error:
        alter(Plan(), path, new)
    assert says in str(error.value)


def test_a_class_that_is_there_twice_is_addressed_by_position():
    with pytest.raises(UserError, match="has 2 items Draw, say which by position"):
        alter(Plan(steps=(Draw(), Draw())), "steps.Draw.cfg", 2.0)


def test_objects_of_other_libraries_are_passed_on():
    class Loaded:
        pass

    loaded = Loaded()
    assert alter(Plan(), "real", loaded).real is loaded


def test_changes_are_checked_together():
    crowded = Plan(ipc=20, flip=True)
    with pytest.raises(UserError):
        alter(crowded, "ipc", 60)
    assert alter_all(crowded, [("ipc", 60), ("flip", False)]) == Plan(ipc=60)


def test_a_change_of_the_whole_comes_before_changes_below_it():
    altered = alter_all(Plan(), [("steps.0.cfg", 9.0), ("steps", (Draw(),)), ("steps.0.steps", 7)])
    assert altered.steps == (Draw(steps=7),)


def test_override_speaks_to_recipe_and_protocol():
    plan, judge = override(Plan(), Judge(), ["ipc=3", "protocol.students=7", "real.folder=/a=b"])
    assert (plan, judge) == (Plan(ipc=3, real=Studio("/a=b")), Judge(7))
    assert override(Plan(), Judge(), ["protocol=STRICT"])[1] == Judge(9)
    assert override(Plan(), Judge(), ["protocol=STRICT", "protocol.students=8"])[1] == Judge(8)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("ipc", "'ipc' changes nothing; write path=value"),
        ("students=3", "write protocol.students=3"),
        ("protocol=3", "protocol must be a Judge (Judge), not 3"),
        ("protocol.studnets=3", "did you mean 'students'"),
    ],
)
def test_override_refuses(word, says):
    with pytest.raises(UserError) as error:
        override(Plan(), Judge(), [word])
    assert says in str(error.value)


def test_unchanged_is_equal():
    plan = Plan()
    assert override(plan, Judge(), []) == (plan, Judge()) and replace(plan) == plan
