"""Pictures look like the prompt of their class to CLIP (Radford et al., ICML 2021), https://arxiv.org/abs/2103.00020.

loss_picture = - log softmax_k( scale cos( image(picture), text(prompt k) ) )[label]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import nn

from gendistill.context import Context
from gendistill.nets.zero_shot import LoadedCLIP, ZeroShotClassifier, load_clip, zero_shot
from gendistill.objectives.base import Objective
from gendistill.types import Loss, Losses, Synthetic, UserError


@dataclass(frozen=True)
class ZeroShot(Objective):
    """Cross-entropy of a zero-shot classifier, which knows the classes by their names alone.

    model       of open_clip, by name, or loaded (with another tokenizer than CLIP's own: LoadedCLIP(model, tokenizer))
    pretrained  open_clip's name of the weights, or the path of a file (one of OpenAI's needs the model's -quickgelu name);
                without meaning for a loaded model
    templates   prompts with {} where the name of the class goes; their embeddings are averaged
    """

    model: Any = "ViT-B-32"
    pretrained: str = "openai"
    templates: tuple[str, ...] = ("a photo of a {}.",)
    weight: float = 1.0
    scope = "picture"

    def __post_init__(self) -> None:
        if isinstance(self.model, nn.Module):
            object.__setattr__(self, "model", LoadedCLIP(self.model))
        if not isinstance(self.model, str | LoadedCLIP):
            raise UserError(f"model={self.model!r}: give open_clip's name of a model, or a loaded one")
        object.__setattr__(self, "templates", tuple(self.templates))
        wrong = [template for template in self.templates if template.count("{}") != 1]
        if wrong or not self.templates:
            raise UserError(
                f"templates={self.templates}: give prompts with one {{}} each, such as 'a photo of a {{}}.'"
            )

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The model."""
        return [
            {"name": repr(self.model) if isinstance(self.model, LoadedCLIP) else f"{self.model}, {self.pretrained}"}
        ]

    def bind(self, context: Context) -> Loss:
        """One number per picture, in nats."""
        net = context.once(("zero-shot", self.model, self.pretrained, self.templates), lambda: self._load(context))

        def loss(synthetic: Synthetic) -> Losses:
            labels = synthetic.labels.to(synthetic.pixels.device)
            return F.cross_entropy(net(synthetic.pixels), labels, reduction="none")

        return loss

    def _load(self, context: Context) -> ZeroShotClassifier:
        loaded = self.model
        if not isinstance(loaded, LoadedCLIP):
            loaded = load_clip(loaded, self.pretrained, weights=not context.dry)
        return zero_shot(loaded, context.real.classes, self.templates, context.device)
