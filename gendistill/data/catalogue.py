"""The subsets of ImageNet that papers on distillation use, by WordNet id, each from a public source.

The order of the classes is that of the source. Names and WordNet ids come from `wordnet`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from gendistill.data.messages import nearest
from gendistill.types import Class, UserError
from gendistill.wordnet import as_class, imagenet

GITHUB = "https://github.com"
IMAGENETTE = f"{GITHUB}/fastai/imagenette/blob/ba8db39155/noisy_imagenette.csv"
IMAGEWOOF = f"{GITHUB}/fastai/imagenette/blob/ba8db39155/noisy_imagewoof.csv"
MTT = f"{GITHUB}/GeorgeCazenavette/mtt-distillation/blob/50dccea47b/utils.py"
GLAD = f"{GITHUB}/GeorgeCazenavette/glad/blob/fe628635bf/utils.py"
IDC = f"{GITHUB}/snu-mllab/Efficient-Dataset-Condensation/blob/ceac95ab96/misc/class100.txt"
"""IDC (Kim et al., 2022) takes the first 10 for ImageNet-10 and all 100, the list of CMC, for ImageNet-100."""
CMC = f"{GITHUB}/HobbitLong/CMC/blob/7b227be0b1/imagenet100.txt"
"""ImageNet-100 of Tian et al. (2020). Other papers draw other hundreds under the same name."""
TINY = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
"""Its wnids.txt, sorted, as also kept at github.com/rmccorm4/Tiny-Imagenet-200/blob/4c57b45965/sets/wnids.txt."""
IMAGENET = "https://www.image-net.org/challenges/LSVRC/2012/"

TINY_ON_THE_HUB = {
    "n02666347": "n02666196",  # abacus
    "n03373237": "n02190166",  # fly
    "n04465666": "n04465501",  # tractor
    "n04598010": "n04597913",  # wooden spoon
    "n07056680": "n04067472",  # reel
    "n07646821": "n01855672",  # goose
    "n07647870": "n03250847",  # drumstick
    "n07657664": "n07579787",  # plate
    "n07975909": "n02206856",  # bee
    "n08496334": "n02730930",  # apron
    "n08620881": "n03976657",  # pole
    "n08742578": "n02085620",  # Chihuahua
    "n12520864": "n02906734",  # broom
    "n13001041": "n07734744",  # mushroom
    "n13652335": "n03804744",  # nail
    "n13652994": "n02999410",  # chain
    "n13719102": "n01945685",  # slug
    "n14991210": "n07747607",  # orange
}
"""18 classes that https://huggingface.co/datasets/zh-plus/tiny-imagenet lists under the id of another sense."""


class Listing(NamedTuple):
    """A subset: where its list was published, its WordNet ids, and ids that copies of it write for some of them."""

    source: str
    text: str
    aliases: Mapping[str, str] = MappingProxyType({})

    @property
    def wnids(self) -> tuple[str, ...]:
        """The WordNet ids, in the order of the source."""
        return tuple(self.text.split())


CATALOGUE: Mapping[str, Listing] = {
    "imagenette": Listing(
        IMAGENETTE,
        """
        n01440764 n02102040 n02979186 n03000684 n03028079 n03394916 n03417042 n03425413 n03445777 n03888257
        """,
    ),
    "imagewoof": Listing(
        IMAGEWOOF,
        """
        n02086240 n02087394 n02088364 n02089973 n02093754 n02096294 n02099601 n02105641 n02111889 n02115641
        """,
    ),
    "imagefruit": Listing(
        MTT,
        """
        n07753275 n07753592 n07745940 n07747607 n07749582 n07768694 n07753113 n07720875 n07718472 n07742313
        """,
    ),
    "imagesquawk": Listing(
        MTT,
        """
        n01806143 n02007558 n01818515 n02051845 n02056570 n01614925 n01843383 n01518878 n01860187 n01819313
        """,
    ),
    "imagemeow": Listing(
        MTT,
        """
        n02123045 n02123159 n02123394 n02123597 n02124075 n02129165 n02129604 n02128925 n02128757 n02127052
        """,
    ),
    "imageyellow": Listing(
        MTT,
        """
        n02206856 n12057211 n07753592 n07749582 n12144580 n04146614 n03530642 n02129165 n01773157 n01531178
        """,
    ),
    "imageblub": Listing(
        GLAD,
        """
        n02606052 n02607072 n01664065 n02655020 n01498041 n01910747 n02317335 n02526121 n01914609 n01983481
        """,
    ),
    "imageneta": Listing(
        GLAD,
        """
        n02111129 n02489166 n11879895 n02457408 n03042490 n12057211 n02342885 n03447447 n02071294 n02013706
        """,
    ),
    "imagenetb": Listing(
        GLAD,
        """
        n02006656 n06359193 n01820546 n02116738 n13044778 n04487081 n01872401 n02112018 n03841143 n02025239
        """,
    ),
    "imagenetc": Listing(
        GLAD,
        """
        n03393912 n01833805 n03344393 n03208938 n01828970 n02606052 n02129165 n02017213 n02280649 n01531178
        """,
    ),
    "imagenetd": Listing(
        GLAD,
        """
        n01518878 n02111889 n01534433 n02112706 n01592084 n02389026 n02276258 n01622779 n01829413 n02277742
        """,
    ),
    "imagenete": Listing(
        GLAD,
        """
        n04277352 n01843383 n01860187 n02056570 n03992509 n03924679 n04153751 n01774750 n03857828 n02281787
        """,
    ),
    "imageidc": Listing(
        IDC,
        """
        n02869837 n01749939 n02488291 n02107142 n13037406 n02091831 n04517823 n04589890 n03062245 n01773797
        """,
    ),
    "imagenet100": Listing(
        CMC,
        """
        n02869837 n01749939 n02488291 n02107142 n13037406 n02091831 n04517823 n04589890 n03062245 n01773797
        n01735189 n07831146 n07753275 n03085013 n04485082 n02105505 n01983481 n02788148 n03530642 n04435653
        n02086910 n02859443 n13040303 n03594734 n02085620 n02099849 n01558993 n04493381 n02109047 n04111531
        n02877765 n04429376 n02009229 n01978455 n02106550 n01820546 n01692333 n07714571 n02974003 n02114855
        n03785016 n03764736 n03775546 n02087046 n07836838 n04099969 n04592741 n03891251 n02701002 n03379051
        n02259212 n07715103 n03947888 n04026417 n02326432 n03637318 n01980166 n02113799 n02086240 n03903868
        n02483362 n04127249 n02089973 n03017168 n02093428 n02804414 n02396427 n04418357 n02172182 n01729322
        n02113978 n03787032 n02089867 n02119022 n03777754 n04238763 n02231487 n03032252 n02138441 n02104029
        n03837869 n03494278 n04136333 n03794056 n03492542 n02018207 n04067472 n03930630 n03584829 n02123045
        n04229816 n02100583 n03642806 n04336792 n03259280 n02116738 n02108089 n03424325 n01855672 n02090622
        """,
    ),
    "tiny-imagenet-200": Listing(
        TINY,
        """
        n01443537 n01629819 n01641577 n01644900 n01698640 n01742172 n01768244 n01770393 n01774384 n01774750
        n01784675 n01855672 n01882714 n01910747 n01917289 n01944390 n01945685 n01950731 n01983481 n01984695
        n02002724 n02056570 n02058221 n02074367 n02085620 n02094433 n02099601 n02099712 n02106662 n02113799
        n02123045 n02123394 n02124075 n02125311 n02129165 n02132136 n02165456 n02190166 n02206856 n02226429
        n02231487 n02233338 n02236044 n02268443 n02279972 n02281406 n02321529 n02364673 n02395406 n02403003
        n02410509 n02415577 n02423022 n02437312 n02480495 n02481823 n02486410 n02504458 n02509815 n02666196
        n02669723 n02699494 n02730930 n02769748 n02788148 n02791270 n02793495 n02795169 n02802426 n02808440
        n02814533 n02814860 n02815834 n02823428 n02837789 n02841315 n02843684 n02883205 n02892201 n02906734
        n02909870 n02917067 n02927161 n02948072 n02950826 n02963159 n02977058 n02988304 n02999410 n03014705
        n03026506 n03042490 n03085013 n03089624 n03100240 n03126707 n03160309 n03179701 n03201208 n03250847
        n03255030 n03355925 n03388043 n03393912 n03400231 n03404251 n03424325 n03444034 n03447447 n03544143
        n03584254 n03599486 n03617480 n03637318 n03649909 n03662601 n03670208 n03706229 n03733131 n03763968
        n03770439 n03796401 n03804744 n03814639 n03837869 n03838899 n03854065 n03891332 n03902125 n03930313
        n03937543 n03970156 n03976657 n03977966 n03980874 n03983396 n03992509 n04008634 n04023962 n04067472
        n04070727 n04074963 n04099969 n04118538 n04133789 n04146614 n04149813 n04179913 n04251144 n04254777
        n04259630 n04265275 n04275548 n04285008 n04311004 n04328186 n04356056 n04366367 n04371430 n04376876
        n04398044 n04399382 n04417672 n04456115 n04465501 n04486054 n04487081 n04501370 n04507155 n04532106
        n04532670 n04540053 n04560804 n04562935 n04596742 n04597913 n06596364 n07579787 n07583066 n07614500
        n07615774 n07695742 n07711569 n07715103 n07720875 n07734744 n07747607 n07749582 n07753592 n07768694
        n07871810 n07873807 n07875152 n07920052 n09193705 n09246464 n09256479 n09332890 n09428293 n12267677
        """,
        aliases=TINY_ON_THE_HUB,
    ),
}

EVERYTHING = "imagenet-1k"


def subset_names() -> list[str]:
    """The names of all subsets, and of ImageNet-1K itself."""
    return [*CATALOGUE, EVERYTHING]


def subset_classes(name: str) -> tuple[Class, ...]:
    """The classes of the subset of this name, in the order of its source."""
    if name == EVERYTHING:
        return imagenet()
    if name not in CATALOGUE:
        raise UserError(f"no subset of ImageNet is called {name!r} here: {nearest(name, subset_names())}")
    return tuple(as_class(wnid) for wnid in CATALOGUE[name].wnids)


def chosen_classes(classes: Sequence[Class], wanted: Sequence[str], where: str) -> tuple[Class, ...]:
    """Those of the classes that are wanted, each by WordNet id or name, in the order wanted."""
    by_name = {key: c for c in classes for key in (c.name, c.wnid or c.name)}
    for name in wanted:
        if name not in by_name:
            raise UserError(f"{where} has no class {name!r}: {nearest(name, by_name)}")
    return tuple(dict.fromkeys(by_name[name] for name in wanted))
