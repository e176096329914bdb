"""The protocols of the field as values, each with its source and with what differs from the code of its authors.

What differs in all of them: an accuracy is that of the last epoch, where nearly all authors report the best of
several on the test pictures; pictures are not resized between storage and network; every picture draws the share and
the box of a mix, where authors draw one for a batch; and partners come from the whole set, not from the batch.

    MATCHING, MATCHING_NOAUG    what matching methods report          hard labels
    MINIMAX, IGD                what diffusion methods report         hard labels
    RDED, FKD                   what decoupled methods report         soft labels of teachers that are trained in place
    RD3, STANDARD               one for all, to compare them          soft labels; STANDARD hard ones, too
    SCREENING, DIGITS, RESNET   this project's own                    hard labels, and those a set has

Those that end in _SMALL are for pictures of 32 and 64 px. CVDD, GLAD and RDED_CROSS, which need networks of timm, are
in `timm_protocols`. Teachers are trained as the authors train theirs; where ready ones know the classes, put them in
their place: protocol.labelers.1.teachers='(TimmClassifier("resnet18.tv_in1k"),)'.
"""

from __future__ import annotations

from dataclasses import replace

from gendistill.anchors.herding import Herding
from gendistill.anchors.k_centre import KCentre
from gendistill.evaluation.protocol import Protocol as Protocol
from gendistill.evaluation.protocol import When as When
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.label_losses import Divergence
from gendistill.learning.schedules import CosineDecay, StepDecay
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.resnet import ResNet
from gendistill.nets.trained import Trained
from gendistill.views.color_jitter import ColorJitter
from gendistill.views.crop import RandomResizedCrop, Shift
from gendistill.views.cutmix import CutMix
from gendistill.views.flip import Flip
from gendistill.views.lighting import Lighting
from gendistill.views.mixup import MixUp
from gendistill.views.numbered import Views
from gendistill.views.shuffle_patches import ShufflePatches
from gendistill.views.siamese import Siamese

MATCHING = Protocol(
    name="matching line",
    source="https://arxiv.org/abs/2102.08259",
    training=Training(
        epochs=1000, batch=256, optimizer="SGD", lr=0.01, momentum=0.9, weight_decay=5e-4, schedule=StepDecay()
    ),
)
"""DSA (Zhao & Bilen, ICML 2021): ConvNet-3, 1000 epochs, SGD, lr / 10 at half time, siamese augmentation.

The authors take 20 students of each of 5 sets, 1001 epochs, and a new optimiser at half time: its momentum begins
anew there.
"""

MATCHING_NOAUG = Protocol(
    name="matching line, no augmentation",
    source="https://arxiv.org/abs/2006.05929",
    training=replace(MATCHING.training, epochs=300, augment=None),
)
"""DC (Zhao, Mopuri & Bilen, ICLR 2021): ConvNet-3, 300 epochs, else as `MATCHING`; on CIFAR nothing is augmented.

On digits the authors train for 1000 epochs, and crop, scale or rotate each picture (by 4 px, 0.8 to 1.2, 45 degrees);
nearest to it here is training.epochs=1000 training.augment='Siamese(("crop", "scale", "rotate"))', one operation a batch and
15 degrees. Their ConvNet frames pictures of 28 px to 32, ours does not.
"""

_MINIMAX_EPOCHS = (
    When(most_ipc=500, epochs=500), When(most_ipc=200, epochs=1000), When(most_ipc=50, epochs=1500),
    When(most_ipc=10, epochs=2000), When(most_ipc=1, epochs=3000),
    # Two thirds of these, in hundreds, where there are 100 classes, not more and not fewer.
    *(
        When(least_classes=100, most_classes=100, most_ipc=ipc, epochs=epochs)
        for ipc, epochs in ((None, 200), (500, 300), (200, 600), (50, 1000), (10, 1300), (1, 2000))
    ),
    When(least_classes=101, batch=128),
)  # fmt: skip
_MINIMAX = Training(
    epochs=300, batch=64, optimizer="SGD", lr=0.01, momentum=0.9, weight_decay=5e-4,
    schedule=StepDecay(at=(2 / 3, 5 / 6), by=0.2),
    augment=Views((RandomResizedCrop(scale=(0.5, 1.0)), Flip(), ColorJitter(clip=False), Lighting()), CutMix()),
)  # fmt: skip
MINIMAX = Protocol(
    name="Minimax",
    source="https://arxiv.org/abs/2311.15529",
    student=ResNet(depth=10, norm="instance", stem="large", pool=True),
    also=(ResNet(depth=18, norm="instance", stem="large"), ConvNet(depth=6)),
    training=_MINIMAX,
    cases=(*_MINIMAX_EPOCHS, When(least_classes=101, lr=0.1, weight_decay=1e-4)),
    students=3,
    full=_MINIMAX,
)
"""Minimax Diffusion (Gu et al., CVPR 2024), as IDC (Kim et al., ICML 2022): hard labels at 224 px, epochs by IPC.

Reported by Minimax, MGD3, VLCP, CoDA, TGDD and D4M on subsets of ImageNet, each network apart, the best of about 100
tests. The mean over the three networks is this project's. For 128 px take ConvNet(depth=5); for grey pictures leave
out Lighting().
"""

_IGD = replace(_MINIMAX, optimizer="AdamW", lr=1e-3, weight_decay=0.01)
IGD = replace(
    MINIMAX, name="IGD", source="https://github.com/mchen725/DD_IGD", training=_IGD, full=_IGD, students=5,
    cases=_MINIMAX_EPOCHS,
)  # fmt: skip
"""IGD (Chen et al., ICLR 2025): as `MINIMAX` but for AdamW at lr 1e-3 with decay 0.01, which moves accuracies by points.

Reported by IGD, LGD and RSM; the best epoch of 5 seeds. Its rows do not belong beside those of `MINIMAX`.
"""

TEACHING = Training(
    epochs=90, batch=256, optimizer="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4, schedule=StepDecay(at=(1 / 3, 2 / 3)),
    augment=Views((RandomResizedCrop(), Flip()), mix=None),
)  # fmt: skip
"""How teachers of decoupled methods learn at 224 px: torchvision's reference training, 90 epochs."""

TEACHING_SMALL = replace(
    TEACHING,
    epochs=200,
    batch=128,
    weight_decay=5e-4,
    schedule=CosineDecay(),
    augment=Views((Shift(), Flip()), mix=None),
)
"""How they learn at 32 and 64 px: 200 epochs, pictures moved by 4 px."""

TEACHER = Trained(ResNet(depth=18, stem="large"), TEACHING)
"""The teacher of decoupled methods at 224 px."""

TEACHER_SMALL = Trained(ResNet(depth=18), TEACHING_SMALL)
"""Their teacher at 32 and 64 px."""

DECOUPLED = Training(
    epochs=300, batch=128, optimizer="AdamW", lr=1e-3, weight_decay=0.01, decay_vectors=False, schedule=CosineDecay(),
    loss=Divergence(squared=False),
)  # fmt: skip
"""What students of decoupled methods share; the divergence is not multiplied by the square of the temperature."""

LOOKS = Views((RandomResizedCrop(), Flip()), CutMix())
"""What they see: crops of 8 to 100 %, half of them mirrored, mixed by CutMix."""

_MOSAIC = Views((ShufflePatches(2), RandomResizedCrop(scale=(0.5, 1.0)), Flip()), CutMix())
_FLIPPED = Views((Flip(),), CutMix())
RDED = Protocol(
    name="RDED",
    source="https://arxiv.org/abs/2312.03526",
    student=ResNet(depth=18, stem="large"),
    training=replace(DECOUPLED, batch=100, schedule=CosineDecay(stretch=2.0), augment=_MOSAIC),
    cases=(
        When(most_ipc=10, batch=50), When(most_ipc=1, batch=10),
        When(least_classes=100, batch=200), When(least_classes=100, most_ipc=10, batch=100),
        When(least_classes=100, most_ipc=1, batch=20), When(least_classes=200, batch=100),
        When(least_classes=1000, batch=200), When(least_classes=1000, most_ipc=10, batch=100),
        When(least_classes=1000, most_ipc=1, batch=20),
    ),
    labelers=(Hard(), Online((TEACHER,), average="logits", temperature=20.0, views=_MOSAIC)),
    students=3,
    full=TEACHING,
)  # fmt: skip
"""RDED (Sun et al., CVPR 2024): a teacher labels every view that the student sees; the rate ends at half; batches by IPC.

The authors report the best of tests in the last fifth of the epochs. Before each step their student also sees the
batch in train mode without a gradient, so that the running statistics of its batch norms move twice towards the same;
here they move once. Hard labels with the same views are this project's row. For 1 picture of 10 classes a
batch is all pictures. Teachers of single subsets reach 75 to 90 %.
"""

RDED_SMALL = replace(
    RDED, name="RDED, small pictures", student=ResNet(depth=18), training=replace(RDED.training, augment=_FLIPPED),
    labelers=(Hard(), Online((TEACHER_SMALL,), average="logits", temperature=20.0, views=_FLIPPED)),
    full=TEACHING_SMALL,
)  # fmt: skip
"""`RDED` below 128 px: pictures are no mosaics, so they are only mirrored and mixed.

The authors' teacher has 93.9 % on CIFAR-10. For ConvNet-3 from ConvNet-3, both with batch norm, on CIFAR-100 they take
batch=25 and lr=2e-3.
"""

FKD = Protocol(
    name="SRe2L",
    source="https://arxiv.org/abs/2306.13092",
    student=ResNet(depth=18, stem="large"),
    training=replace(DECOUPLED, batch=1024, augment=LOOKS),
    labelers=(Hard(), RelabelViews((TEACHER,), average="logits", temperature=20.0, views=LOOKS)),
    students=3,
    full=TEACHING,
)
"""SRe2L (Yin et al., NeurIPS 2023) with the stored labels of FKD (Shen & Xing, ECCV 2022): 300 views, batches of 1024.

The authors report the best of tests every 10 epochs, of one student; they measure ResNet-50 and 101 likewise. Their
teacher is torchvision's, 69.8 % on ImageNet. CDA and LPLD take batch=128. Hard labels with the same views are this
project's row.
"""

_MIXED = Views((Shift(), Flip()), MixUp(beta=0.8))
FKD_SMALL = replace(
    FKD, name="SRe2L, small pictures", student=ResNet(depth=18),
    training=replace(DECOUPLED, epochs=400, batch=128, decay_vectors=True, augment=_MIXED),
    labelers=(Hard(), Online((TEACHER_SMALL,), average="logits", temperature=30.0, views=_MIXED)),
    full=TEACHING_SMALL,
)  # fmt: skip
"""SRe2L on CIFAR-100: nothing is stored, a teacher labels every view, shifted by up to 4 px and mixed by MixUp; 400 epochs.

The authors' teacher has 78.7 %; they report the last epoch, of one student. Not their recipe for Tiny ImageNet, which is
crops and SGD.
"""

RD3 = replace(
    RDED, name="RD3", source="https://arxiv.org/abs/2509.19743",
    training=replace(RDED.training, optimizer="Adam", weight_decay=0.0, epochs=400, batch=50),
    cases=(),
)  # fmt: skip
"""RD3 (Zhong et al., ICLR 2026): one protocol for decoupled methods, whose spread it shrinks from 27 points to 7.

One ResNet-18 labels every view; Adam, a rate that ends at half, 400 epochs, batches of 50, RDED's views. From notes
on the paper: its temperature and decay are not in them, 20 and none are taken.
"""

RD3_SMALL = replace(
    RDED_SMALL,
    name="RD3, small pictures",
    source=RD3.source,
    training=replace(RD3.training, augment=_FLIPPED),
    cases=(),
)
"""`RD3` with the views and the teacher of `RDED_SMALL`."""

STANDARD = Protocol(
    name="standard",
    source="https://arxiv.org/abs/2502.06434",
    student=ResNet(depth=18, stem="large"),
    training=replace(DECOUPLED, augment=Views((RandomResizedCrop(), Flip()), mix=None)),
    labelers=(Hard(), Online((TEACHER,), average="logits", temperature=20.0, views=LOOKS)),
    students=3,
    full=TEACHING,
)
"""The benchmark of Xiao et al. 2025 ("Rethinking Large-scale Dataset Compression"): hard labels without, soft ones with
CutMix.

ResNet-18, 300 epochs, AdamW, batches of 128, temperature 20. It reports the last epoch, and the best.
"""

STANDARD_SMALL = replace(
    STANDARD, name="standard, small pictures", student=ResNet(depth=18),
    labelers=(Hard(), Online((TEACHER_SMALL,), average="logits", temperature=20.0, views=LOOKS)), full=TEACHING_SMALL,
)  # fmt: skip
"""`STANDARD` with a ResNet-18 for small pictures; the authors measure ImageNet only."""

_SCREENING = Training(
    epochs=1, least_steps=300, batch=50, optimizer="AdamW", lr=2e-3, weight_decay=0.01, schedule=CosineDecay()
)
_ALL = replace(_SCREENING, epochs=10, least_steps=0, batch=128)
_SEEN = (Trained(ConvNet(depth=3, width=32), _ALL),)
SCREENING = Protocol(
    name="screening",
    student=ConvNet(depth=3, width=32),
    training=_SCREENING,
    coresets=(Herding(_SEEN), KCentre(_SEEN)),
    students=3,
    full=_ALL,
)
"""This project's own, to compare many sets in minutes on two cores: a narrow ConvNet-3, 300 steps of AdamW.

Real pictures chosen by herding and by k-centre stand beside random ones, in the features of such a student of all real
pictures: its training, once, and two sets more to learn from, which coresets=() leaves out.

How far it puts sets in the order of `MATCHING` is measured in benchmarks/agreement.md.
"""

DIGITS = Protocol(
    name="digits",
    student=ConvNet(depth=3, width=32),
    training=Training(
        epochs=1, least_steps=200, batch=100, optimizer="AdamW", lr=3e-3, weight_decay=0.01, schedule=CosineDecay(),
        augment=Siamese(("crop", "scale", "rotate")),
    ),
    sets=5,
    students=1,
    full=Training(
        epochs=20, batch=100, optimizer="AdamW", lr=3e-3, weight_decay=0.01, schedule=CosineDecay(),
        augment=Siamese(("crop", "scale", "rotate")),
    ),
)  # fmt: skip
"""This project's own for the demo: a narrow ConvNet-3 that two cores train in seconds; digits are not flipped or
recoloured."""

RESNET = replace(SCREENING, name="screening, ResNet-18", student=ResNet(depth=18))
"""The screening protocol with a ResNet-18 for small pictures; chosen real pictures stay those of `SCREENING`."""
