"""MVTec-AD as its authors ship it: 15 categories in the layout of folder.py.

    ROOT/bottle/train/good/000.png
    ROOT/bottle/test/{good,broken_large,...}/000.png
    ROOT/bottle/ground_truth/broken_large/000_mask.png

License and readme files beside them are ignored.
"""

from finegrain.data.known import KnownDataset

MVTEC = KnownDataset(
    name="mvtec",
    source=(
        "MVTec AD (Bergmann et al., CVPR 2019), "
        "https://www.mvtec.com/company/research/datasets/mvtec-ad"
    ),
    categories=(
        "bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill",
        "screw", "tile", "toothbrush", "transistor", "wood", "zipper",
    ),
    markers=("train/good",),
    below=("mvtec", "mvtec_ad", "mvtec_anomaly_detection"),
    layout=(
        "CATEGORY/train/good/*.png, CATEGORY/test/DEFECT/*.png and "
        "CATEGORY/ground_truth/DEFECT/NAME_mask.png"
    ),
)  # fmt: skip
