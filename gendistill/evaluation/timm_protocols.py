"""Protocols with networks of timm, as teachers or as students. They stand apart: to name such a network takes seconds.

See `gendistill.evaluation.protocols` for what differs from the authors' code in all of them.

    CVDD        soft labels of a committee, by the statistics of small batches
    GLAD        hard labels, the mean over four students
    RDED_CROSS  soft labels, other students than the teacher
"""

from __future__ import annotations

from dataclasses import replace

from gendistill.evaluation.protocol import Protocol, When
from gendistill.evaluation.protocols import DECOUPLED, LOOKS, RDED, TEACHER, TEACHING
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.schedules import CosineDecay, Warmup
from gendistill.learning.training import Training
from gendistill.nets.alexnet import AlexNet
from gendistill.nets.resnet import ResNet
from gendistill.nets.timm_net import Timm
from gendistill.nets.vgg import VGG

_MOBILE, _EFFICIENT = Timm("mobilenetv2_100"), Timm("efficientnet_b0")
_SWIN, _VIT = Timm("swinv2_cr_tiny_224"), Timm("vit_base_patch16_224")

CVDD = Protocol(
    name="CV-DD",
    source="https://arxiv.org/abs/2501.07575",
    student=ResNet(depth=18, stem="large"),
    training=replace(DECOUPLED, batch=16, schedule=CosineDecay(stretch=2.0), augment=LOOKS),
    cases=(When(most_ipc=1, least_classes=1000, batch=10),),
    labelers=(
        Hard(),
        RelabelViews(
            tuple(
                replace(TEACHER, net=net)
                for net in (ResNet(18, stem="large"), ResNet(50, stem="large"), Timm("densenet121"), _MOBILE)
            ),
            average="logits", temperature=20.0, batch_statistics=8, views=LOOKS,
        ),
    ),
    students=3,
    full=TEACHING,
)  # fmt: skip
"""CV-DD (Cui et al. 2025): a committee labels 8 pictures at once by their own statistics, 300 views, students of batches of 16.

The authors' committee has a ShuffleNetV2, too, which timm has not, and its members count by the softmax of an accuracy in
percent over 10: by their numbers (a ResNet-50 below a ResNet-18) that of students of what each member alone distilled. Here
they count alike. Their members label in train mode as a whole, with dropout where there is some; here only their batch norms
do. Their students see the very batches that were labelled, in halves of 8, so that their batch norms go by 8 pictures, too;
here by 16. They chose rate and schedule by test accuracy for each data set, IPC and student: here are those of ImageNet with
a ResNet-18 at IPC 10; at IPC 50 their schedule is CosineDecay().
"""

_GLAD = Training(
    epochs=1000, batch=256, optimizer="SGD", lr=1e-3, momentum=0.9, weight_decay=5e-4,
    schedule=Warmup(CosineDecay(), share=0.5, start=1e-7), ema=0.995,
)  # fmt: skip
GLAD = Protocol(
    name="GLaD",
    source="https://arxiv.org/abs/2305.01649",
    student=AlexNet(),
    also=(
        VGG(depth=11), ResNet(depth=18, norm="instance", init="torch"),
        Timm("vit_base_patch16_224", options=(("embed_dim", 512), ("depth", 10), ("num_heads", 8), ("mlp_ratio", 1.0))),
    ),
    training=_GLAD,
    cases=(When(student=VGG(depth=11), lr=1e-4),),
    full=replace(_GLAD, epochs=100),
)  # fmt: skip
"""GLaD (Cazenavette et al., CVPR 2023): pictures of 128 px, judged by networks they were not made for; what counts is
the mean.

Reported by GLaD, H-GLaD and LD3M: the best over the iterations of a distillation, each time of 5 students. The rate rises
over the first half and falls over the second; siamese augmentation, hard labels; what is tested is a running mean of the
weights. The authors' ViT has dropout 0.1, no layer norms and no biases of its queries, and its positions begin at deviation
1; here it is timm's. For 32 px they take patches of 4 px and 6 blocks. Their VGG-11 ends in maxima over 7 x 7 fields of any
picture, here in the 4 x 4 that 128 px leave. That real pictures are learned for 100 epochs is this project's choice.
"""

RDED_CROSS = replace(
    RDED, name="RDED, other students",
    also=(ResNet(depth=50, stem="large"), ResNet(depth=101, stem="large"), _EFFICIENT, _MOBILE, _SWIN),
    cases=(
        *RDED.cases, When(student=_EFFICIENT, lr=2e-3), When(student=_MOBILE, lr=2.5e-3), When(student=_SWIN, lr=1e-4),
        When(student=_VIT, lr=1e-4), When(student=AlexNet(), lr=1e-4), When(student=VGG(depth=11), lr=5e-4),
    ),
)  # fmt: skip
"""`RDED` with other students than its teacher, a ResNet-18, each at the rate the authors chose for it.

They also take AlexNet, VGG-11 and ViT-B/16, whose rates are here for those who name them in ``also``; the first two
are this project's, for small pictures. The mean over all students is this project's.
"""
