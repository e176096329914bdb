"""No test reaches the hub, none reads or fills the user's own caches."""

import os
import tempfile

import pytest

_caches = tempfile.TemporaryDirectory(prefix="gendistill-tests-")

# Before anything is imported: the libraries read these once. Processes that tests start inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = os.path.join(_caches.name, "huggingface")
os.environ["GENDISTILL_CACHE"] = os.path.join(_caches.name, "gendistill")


def pytest_unconfigure() -> None:
    _caches.cleanup()


@pytest.fixture(autouse=True, scope="session")
def on_the_cpu(request):
    """What picks its device picks the CPU, on every machine, unless tests are asked for that need an accelerator."""
    with pytest.MonkeyPatch.context() as patch:
        if "not gpu" in request.config.option.markexpr:
            patch.setattr("torch.cuda.is_available", lambda: False)
            patch.setattr("torch.backends.mps.is_available", lambda: False)
        yield


@pytest.fixture
def guessing(monkeypatch):
    """Teachers may guess: of a few steps they do, and are refused otherwise; here they only have to answer."""
    monkeypatch.setattr("gendistill.nets.guessing.SURE", -1e9)
