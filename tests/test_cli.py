"""The command line: what it hands on, what it says, how it exits."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from gendistill.cli import cli
from gendistill.commands import console
from gendistill.commands.console import execute
from gendistill.config import pipeline
from gendistill.evaluation.report import Report
from gendistill.experiments.experiment import Run
from gendistill.types import UserError

TOY = '''"""A toy (Doe, 2024), https://example.org/toy."""
from gendistill.anchors.real_pictures import RealPictures
from gendistill.data.digits import Digits
from gendistill.evaluation.protocols import SCREENING
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.steering.start import Start

recipe = Recipe(real=Digits(size=8), prior=Pixels(), steering=(Start(anchors=RealPictures()),), ipc=2)
protocol = SCREENING
'''


@pytest.fixture(autouse=True)
def toy(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(pipeline, "folder", lambda: tmp_path)
    log = logging.getLogger("gendistill")
    before = log.handlers[:], log.level
    yield
    log.handlers[:], log.level = before


@pytest.fixture
def ran(monkeypatch):
    """What `run` was called with, the run itself replaced."""
    calls = []

    def run(recipe, protocol, out, **words):
        calls.append(SimpleNamespace(recipe=recipe, protocol=protocol, out=out, **words))
        return Run(out, Report([]))

    monkeypatch.setattr("gendistill.experiments.experiment.run", run)
    return calls


def python(code: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env})


def test_help_and_list_do_not_wait_for_torch():
    done = python(
        "import sys\n"
        "from gendistill.cli import cli\n"
        "from gendistill.commands.console import execute\n"
        "words = [['--help'], ['--version'], ['list'], *([name, '--help'] for name in cli.commands)]\n"
        "assert [execute(cli, word) for word in words] == [0] * len(words)\n"
        "slow = {'torch', 'numpy', 'diffusers', 'datasets', 'transformers', 'tqdm'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    assert done.returncode == 0, done.stderr
    assert "--max_train_steps" in done.stdout and "--checkpoints_total_limit" in done.stdout


def test_every_command_of_the_design_is_there():
    assert set(cli.commands) == {
        "run", "list", "plan", "train-prior", "finetune", "generate", "evaluate", "rank", "relabel", "compare", "export",
        "cite", "env",
    }  # fmt: skip


def test_run_hands_on_what_was_asked(ran, tmp_path, capsys):
    words = ["run", "toy", "ipc=1", "real.size=16", "protocol.students=2", "--out", str(tmp_path / "out"), "--resume"]
    assert execute(cli, [*words, "--device", "cpu", "--dtype", "bfloat16"]) == 0
    (call,) = ran
    assert (call.recipe.ipc, call.recipe.real.size, call.protocol.students) == (1, 16, 2)
    assert call.out == tmp_path / "out" and (call.resume, call.overwrite) == (True, False)
    assert (call.device, call.dtype) == ("cpu", "bfloat16")
    assert call.command.startswith("gendistill ")
    assert str(tmp_path / "out" / "report.html") in capsys.readouterr().out


def test_a_pipeline_may_be_a_file(ran, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text(TOY)
    assert execute(cli, ["run", str(tmp_path / "elsewhere" / "mine.py"), "--out", str(tmp_path / "out")]) == 0
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "tyo", "--out", "x"], "Error: there is no pipeline 'tyo'; did you mean 'toy'?"),
        (["run", "toy", "icp=1", "--out", "x"], "Error: Recipe has no field 'icp'; did you mean 'ipc'?"),
        (["run", "toy", "ipc=0", "--out", "x"], "Error: a recipe needs ipc >= 1"),
        (["run", "toy", "ipc", "--out", "x"], "Error: 'ipc' changes nothing; write path=value"),
        (["run", "toy", "steering.Strat.anchors=Modes()", "--out", "x"], "did you mean 'Start'?"),
        (["run", "toy", "prior=Pixel()", "--out", "x"], "Error: there is no part 'Pixel'; did you mean 'Pixels'"),
        (["run", "toy", "--out", "x", "--resume", "--overwrite"], "--resume and --overwrite exclude each other"),
        (["run", "toy"], "Missing option '--out'"),
        (["rum"], "No such command 'rum'. Did you mean 'run'?"),
        (["train-prior", "--output_dir", "x", "--train_data", "Digits()", "--learning_rate", "fast"],
         "Error: PriorTraining.learning_rate must be a number or None, not 'fast'"),
        (["train-prior", "--output_dir", "x", "--train_data", "Digist()"], "no part 'Digist'; did you mean 'Digits'"),
        (["train-prior", "--output_dir", "x", "--train_data", "nowhere"], "Error: --train_data must be a Source ("),
        (["evaluate", "x", "--protocol", "SCRENING"], "there is no protocol 'SCRENING'; did you mean 'SCREENING'"),
        (["evaluate", "x", "studnets=3"], "Protocol has no field 'studnets'; did you mean 'students'"),
        (["export", "nowhere", "--to", "x"], "no run of gendistill in nowhere"),
        (["compare", "nowhere", "--to", "x"], "Error: nowhere is not there: give runs, or files of results"),
        (["compare"], "Missing argument 'RUN...'"),
        (["cite", "tyo"], "did you mean 'toy'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_block(words, says, ran, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python's own cache of a pipeline is not in question
    before = sorted(tmp_path.iterdir())
    assert execute(cli, words) == 2
    told = capsys.readouterr()
    assert says in told.err and told.out == ""
    assert "Traceback" not in told.err
    assert not ran and sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{TOY}x = = 1\n", "mine.py, line 11: invalid syntax\n  x = = 1\n"),
        (f"{TOY}return 1\n", "mine.py, line 11: 'return' outside function"),
        (f"{TOY}recipe = 1\n", "mine.py, line 11: recipe must be a Recipe, not 1\n"),
        (f"{TOY}from math import pi as protocol\n", "mine.py, line 11: protocol must be a Protocol, not 3.14"),
        ("x\0", "null bytes"),
    ],
)
def test_a_pipeline_that_is_none_is_told_with_its_line(text, says, ran, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text(text)
    assert execute(cli, ["run", str(tmp_path / "elsewhere" / "mine.py"), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ") and says in told and not ran


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST])
def test_a_path_that_cannot_be_written_is_told(number, monkeypatch, tmp_path, capsys):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number), "some/where")

    monkeypatch.setattr("gendistill.experiments.experiment.run", refused)
    assert execute(cli, ["run", "toy", "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert capsys.readouterr().err == f"Error: some/where: {os.strerror(number)}\n"


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch, tmp_path):
    def broken(*_, **__):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("gendistill.experiments.experiment.run", broken)
    with pytest.raises(ZeroDivisionError):
        execute(cli, ["run", "toy", "--out", str(tmp_path / "out")])


def test_the_process_says_whose_mistake_it_was(tmp_path):
    (tmp_path / "ours.py").write_text('"""Ours."""\nraise ZeroDivisionError\n')
    main = "import sys; from gendistill.cli import main; sys.argv = ['gendistill', *{}]; main()"
    ours = python(main.format(["run", str(tmp_path / "ours.py"), "--out", "x"]))
    assert ours.returncode == 1 and "Traceback" in ours.stderr
    theirs = python(main.format(["run", "no.py", "--out", "x"]))
    assert theirs.returncode == 2 and theirs.stderr.startswith("Error: there is no file no.py\n")


def test_an_interrupted_run_says_how_to_go_on(monkeypatch, tmp_path, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gendistill.experiments.experiment.run", interrupted)
    assert execute(cli, ["run", "toy", "--out", str(tmp_path / "out")]) == 130
    assert "Interrupted. Finished shards are kept; run the same command with --resume" in capsys.readouterr().err
    monkeypatch.setattr(pipeline, "list_pipelines", interrupted)
    assert execute(cli, ["list"]) == 130
    assert capsys.readouterr().err.strip() == "Interrupted."


def test_train_prior_speaks_diffusers(monkeypatch, tmp_path, capsys):
    calls = []
    monkeypatch.setattr(
        "gendistill.priors.train.train_prior", lambda *given, **words: calls.append((given, words)) or given[1]
    )
    words = ["--train_data", "Digits(size=16)", "--output_dir", str(tmp_path / "prior"), "--max_train_steps", "20"]
    words += [
        "--learning_rate",
        "1e-3",
        "--mixed_precision",
        "bf16",
        "--random_flip",
        "--seed",
        "3",
        "--block_out_channels",
        "8,16",
    ]
    assert execute(cli, ["train-prior", *words, "--resume_from_checkpoint", "latest", "--device", "cpu"]) == 0
    (((images, folder, settings), given),) = calls
    assert images.shape == (1, 16, 16) and folder == tmp_path / "prior"
    assert (settings.max_train_steps, settings.learning_rate, settings.mixed_precision) == (20, 1e-3, "bf16")
    assert settings.random_flip is True and settings.block_out_channels == (8, 16)
    assert (given["seed"], given["resume_from_checkpoint"], given["device"]) == (3, "latest", "cpu")
    assert capsys.readouterr().out.strip() == str(tmp_path / "prior")


def test_photographs_are_brought_to_the_resolution_that_is_asked_for(monkeypatch, tmp_path):
    shapes = []
    monkeypatch.setattr(
        "gendistill.priors.train.train_prior", lambda images, folder, *_, **__: shapes.append(images.shape) or folder
    )
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (40, 32)).save(tmp_path / "photos" / name / "0.png")
    words = ["train-prior", "--train_data", str(tmp_path / "photos"), "--output_dir", str(tmp_path / "prior")]
    assert execute(cli, [*words, "--resolution", "16", "--device", "cpu"]) == 0 and shapes == [(3, 16, 16)]


def test_settings_are_the_fields_of_the_dataclass():
    import dataclasses

    from gendistill.commands.priors import FAMILIES, PRIOR_SETTINGS
    from gendistill.priors.train import PriorTraining
    from gendistill.priors.train_gan import GanTraining

    for family, kind in (("diffusion", PriorTraining), ("gan", GanTraining)):
        names = [field.name for field in dataclasses.fields(kind)]
        assert [setting.name for setting in FAMILIES[family]] == names
        assert all(setting.meaning for setting in FAMILIES[family])
        assert set(names) <= {setting.name for setting in PRIOR_SETTINGS}
    told = {setting.name: setting for setting in PRIOR_SETTINGS}
    assert len(told) == len(PRIOR_SETTINGS) and told["mixed_precision"].default == "'no'"
    assert told["hidden_size"].meaning.startswith("diffusion: ")
    assert told["noise_size"].meaning.startswith("gan: ")
    assert not told["resolution"].meaning.startswith(("gan", "diffusion"))


def test_train_prior_of_a_gan(monkeypatch, tmp_path, capsys):
    calls = []
    monkeypatch.setattr(
        "gendistill.priors.train_gan.train_gan", lambda *given, **words: calls.append((given, words)) or given[1]
    )
    words = [
        "train-prior",
        "--family",
        "gan",
        "--train_data",
        "Digits(size=8)",
        "--output_dir",
        str(tmp_path / "prior"),
    ]
    more = ["--noise_size", "16", "--augment", 'Siamese(("crop",))', "--max_train_steps", "7", "--device", "cpu"]
    assert execute(cli, [*words, *more]) == 0
    ((_, _, settings), given) = calls[0]
    assert (settings.noise_size, settings.max_train_steps, settings.augment.operations) == (16, 7, ("crop",))
    assert given["name"] == "digits"
    assert execute(cli, [*words, "--hidden_size", "8"]) == 2
    assert "GanTraining has no field 'hidden_size'" in capsys.readouterr().err


def test_plan_prints_the_plan(monkeypatch, capsys):
    monkeypatch.setattr(
        "gendistill.experiments.plan.plan", lambda *given: f"plan of ipc {given[0].ipc} on {given[2]} in {given[3]}"
    )
    assert execute(cli, ["plan", "toy", "ipc=5", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "plan of ipc 5 on cpu in float32\n"


def test_a_number_that_is_said_goes_before_the_cases_of_the_protocol_of_a_run(ran, tmp_path):
    words = ["run", "toy", "--out", str(tmp_path / "out"), "protocol=IGD", "protocol.training.epochs=7"]
    assert execute(cli, words) == 0
    assert ran[0].protocol.training_for(1, 10).epochs == 7


def test_the_protocols_are_listed_and_named_in_the_help(capsys):
    from gendistill.config.parts import named_values
    from gendistill.evaluation.protocol import Protocol

    names = {name for name, value in named_values().items() if isinstance(value, Protocol)}
    assert execute(cli, ["list", "--protocols"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in told} == names and all(len(line.split()) > 3 for line in told)
    for command in ("evaluate", "rank", "relabel"):
        assert execute(cli, [command, "--help"]) == 0
        assert names <= set(capsys.readouterr().out.replace(",", " ").replace(";", " ").split())


def test_comparing_does_not_wait_for_torch(tmp_path):
    row = {"set": "a", "labels": "hard", "student": "ConvNet-3", "protocol": "demo", "mean": 40.0, "n": 1}
    (tmp_path / "a.json").write_text(json.dumps({"rows": [row]}))
    done = python(
        "import sys\nfrom gendistill.cli import cli\nfrom gendistill.commands.console import execute\n"
        f"assert execute(cli, ['compare', {str(tmp_path / 'a.json')!r}]) == 0\n"
        "assert execute(cli, ['compare', 'nowhere']) == 2 and 'torch' not in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr
    assert "data not stated · ConvNet-3 · demo · test" in done.stdout and "Traceback" not in done.stderr


def test_cite_and_env(capsys):
    assert execute(cli, ["cite", "toy"]) == 0
    assert "author = {Doe}" in capsys.readouterr().out
    assert execute(cli, ["env"]) == 0
    told = capsys.readouterr().out
    assert "torch " in told and "cores" in told and "memory" in told and "missing          nothing" in told


def test_a_torchvision_that_does_not_fit_is_named(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    (tmp_path / "mine.py").write_text("import diffusers\ndiffusers.DiTPipeline\n")
    main = (
        f"from gendistill.cli import cli, execute\nraise SystemExit(execute(cli, ['cite', '{tmp_path / 'mine.py'}']))"
    )
    done = python(main, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "Error: torchvision does not fit torch (torch " in done.stderr
    assert "pip install --upgrade torch torchvision" in done.stderr


def test_a_library_that_is_not_there_is_named(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("import no_such_library\n")
    assert execute(cli, ["cite", str(tmp_path / "mine.py")]) == 2
    assert "no_such_library is not installed here" in capsys.readouterr().err


def test_the_public_surface_is_what_it_says(tmp_path):
    code = (
        "import sys, gendistill, inspect\n"
        "assert 'torch' not in sys.modules and gendistill.__version__\n"
        "import gendistill.exporting.export, gendistill.exporting.cite\n"
        "for name in gendistill.__all__:\n"
        "    thing = getattr(gendistill, name)\n"
        "    assert name in dir(gendistill) and thing.__name__ == name and not inspect.ismodule(thing), name\n"
        "from gendistill import export, cite\n"
        "assert callable(export) and callable(cite)\n"
        "from gendistill.exporting.export import imagefolder\n"
        "assert not hasattr(gendistill, 'nonsense')\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_lines_are_told_once(capsys):
    console.prepare()
    log = logging.getLogger("gendistill")
    log.info("working on %s", "it")
    log.error("raised as well")
    assert capsys.readouterr().err == "working on it\n"


def test_other_processes_of_a_run_keep_quiet(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    console.prepare()
    logging.getLogger("gendistill").info("working")
    assert capsys.readouterr().err == ""


def test_picking_a_device():
    from gendistill.system.environment import pick_device

    assert pick_device("cpu") == "cpu" and pick_device() in ("cpu", "cuda", "mps")
    with pytest.raises(UserError, match="auto takes"):
        pick_device("cuda:99")


def test_the_makefile_and_ci_call_what_the_readme_says():
    root = Path(__file__).resolve().parent.parent
    assert "make test\nmake check" in (root / ".ci" / "run").read_text()
    assert all(f"\n{target}: " in (root / "Makefile").read_text() for target in ("demo", "test", "check"))
