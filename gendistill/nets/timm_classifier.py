"""Classifiers of timm, https://github.com/huggingface/pytorch-image-models: by its names, from the hub, or from files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from gendistill import wordnet
from gendistill.hub import published
from gendistill.nets.pretrained import Pretrained, Sight
from gendistill.nets.zero_shot import close
from gendistill.types import UserError


@dataclass(frozen=True)
class TimmClassifier(Pretrained):
    """A classifier of timm, which sees pictures as it was trained to and answers for the data's classes alone.

    name        timm's ("resnet50.a1_in1k"), a hub id ("timm/resnet50.a1_in1k", "owner/name@revision"), or a folder with the
                config.json that timm writes and the weights beside it
    checkpoint  a .safetensors or .pth file of weights, in the place of the published ones; with ``classes``, it may have
                another number of outputs than they
    classes     what its outputs are, in their order: a WordNet id or a name for each, or the name of one of timm's subsets of
                ImageNet; empty where the network itself says it
    size        side that pictures are brought to; None for the network's own
    saw         the pictures it was trained on, for the card; empty for what its own card says
    """

    name: str
    checkpoint: str = ""
    classes: tuple[str, ...] | str = ()
    size: int | None = None
    saw: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", self.classes if isinstance(self.classes, str) else tuple(self.classes))
        if self.size is not None and self.size < 1:
            raise UserError(f"size={self.size} must be above 0, or None")

    @cached_property
    def checked(self) -> set[str]:
        """Fingerprints of the pictures whose class order it was found to share."""
        return set()

    @property
    def whose(self) -> str:
        """The name, and the file."""
        return f"{self.checkpoint} ({self.name})" if self.checkpoint else repr(self.name)

    @property
    def files(self) -> tuple[str, ...]:
        """The checkpoint, and the folder."""
        return tuple(one for one in (self.checkpoint, self.name) if Path(one).exists())

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """What timm knows of the network: its classes and how it sees. Reads no weights.

        Raises:
            UserError: there is no such network.
        """
        from timm.models import get_pretrained_cfg, is_model, list_models, load_model_config_from_hf, parse_model_name
        from timm.models._hub import load_model_config_from_path

        with self._reading():
            kind, name = parse_model_name(self._told)
            if kind == "local-dir":
                return load_model_config_from_path(name)[0]
            if kind == "hf-hub":
                return load_model_config_from_hf(name)[0]
            bare, _, tag = name.partition(".")
            if not is_model(bare):
                raise UserError(f"timm has no network called {bare!r}{close(bare, list_models())}")
            known = [one.partition(".")[2] for one in list_models(f"{bare}.*", pretrained=True)]
            if tag and tag not in known:
                raise UserError(f"timm has no weights {tag!r} of {bare}, but {', '.join(known) or 'none'}")
            found: Any = get_pretrained_cfg(name)
            return {} if found is None else found.to_dict()

    def labels(self) -> Mapping[int, str]:
        """As the config says; else ImageNet, where it has as many outputs as one of its subsets."""
        from timm.data import infer_imagenet_subset

        named = self.config.get("label_names")
        if named:
            rows = named.items() if isinstance(named, Mapping) else enumerate(named)
            return {int(row): str(name) for row, name in rows}
        subset = infer_imagenet_subset(dict(self.config))
        return {} if subset is None else dict(enumerate(wordnet.synsets(subset)))

    def outputs(self) -> int:
        """As the config says; those of a checkpoint as ``classes`` says."""
        if self.checkpoint and self.classes:
            return len(wordnet.synsets(self.classes) if isinstance(self.classes, str) else self.classes)
        return int(self.config.get("num_classes", 0))

    def build(self, weights: bool) -> tuple[nn.Module, Sight]:
        """What timm makes of the name."""
        from timm import create_model
        from timm.data import resolve_data_config
        from timm.models import load_checkpoint

        config, more = dict(self.config), {}
        if self.checkpoint:
            more["num_classes"] = self.outputs()
        if self.size is not None and config.get("fixed_input_size"):
            more["img_size"] = self.size
        with self._reading():
            net = create_model(self._told, pretrained=weights and not self.checkpoint, **more)
            if weights and self.checkpoint:
                load_checkpoint(net, self.checkpoint, strict=True)
        seen = resolve_data_config({}, pretrained_cfg=config)
        size = seen["input_size"][1:] if self.size is None else (self.size, self.size)
        mode = "bilinear" if seen["interpolation"] == "bilinear" else "bicubic"
        return net, Sight((size[0], size[1]), mode, tuple(seen["mean"]), tuple(seen["std"]))

    def fetch(self) -> None:
        """Bring the file of the weights into the hub's cache. Weights that lie elsewhere are fetched when they are loaded."""
        if self.checkpoint:
            if not Path(self.checkpoint).is_file():
                raise UserError(f"checkpoint={self.checkpoint!r} is not there")
            return
        if Path(self.name).is_dir():
            published.weighed(Path(self.name), self.whose)
            return
        id, file = self.config.get("hf_hub_id"), self.config.get("hf_hub_filename")
        if not (id or self.config.get("url") or self.config.get("file")):
            raise UserError(f"timm has no weights of {self.name}: give a checkpoint, or another name with weights")
        if id:
            id, _, revision = id.partition("@")
            endings = (file,) if file else ("config.json", "model.safetensors")
            folder = published.folder_of(id, endings, revision or None)
            if not file and not any(folder.glob("*.safetensors")):
                published.folder_of(id, ("pytorch_model.bin",), revision or None)

    def card(self) -> dict[str, str]:
        """Of the repository with the weights; what it saw also by timm's tags."""
        known = {"name": f"{self.whose}, timm"}
        if self.checkpoint:
            return known
        id = self.name if Path(self.name).is_dir() else str(self.config.get("hf_hub_id") or "").partition("@")[0]
        tags = re.findall(r"in(\d+k)(?=_|$)", str(self.config.get("tag", "")))
        saw = {"saw": ", ".join(f"imagenet-{size}" for size in tags)} if tags else {}
        licence = {"licence": str(self.config["license"])} if self.config.get("license") else {}
        return {**saw, **licence, **(published.card(id) if id else {}), **known}

    @property
    def _told(self) -> str:
        """The name, as timm is told of it."""
        if Path(self.name).is_dir():
            return f"local-dir:{self.name}"
        return f"hf-hub:{self.name}" if "/" in self.name and ":" not in self.name else self.name

    @contextmanager
    def _reading(self) -> Iterator[None]:
        source = self._told.partition(":")[2].partition("@")[0]
        if not source:  # one of timm's names; its weights are in a repository
            source = str(vars(self).get("config", {}).get("hf_hub_id") or self.name)
        try:
            with published.reading(source, "classifier of timm", "config.json and weights"):
                yield
        except RuntimeError as error:
            raise UserError(
                f"the weights of {self.whose} do not load: {error}\nWhere they answer for other classes than those of the "
                "published ones, say which by classes=(...), a WordNet id or a name for each output in their order"
            ) from error
