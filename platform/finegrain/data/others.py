"""Data sets that differ from the MVTec-AD layout by the names of their folders alone.

    ROOT/breakfast_box/{train,test}/good, test/{logical,structural}_anomalies       MVTec LOCO AD
    ROOT/breakfast_box/ground_truth/logical_anomalies/000/*.png   one mask or several of an image
    ROOT/01/train/ok, test/ok, test/ko, ground_truth/ko                             BTAD
    ROOT/can/train/good, test_public/{good,bad}, test_public/ground_truth/bad       MVTec AD 2

MVTec LOCO and MVTec AD 2 have validation/good as well: nothing here is chosen on it. The private
test images of MVTec AD 2 have no labels, and are not read.
"""

from finegrain.data.folder import Layout
from finegrain.data.known import KnownDataset

LOCO = KnownDataset(
    name="mvtec_loco",
    source=(
        "MVTec LOCO AD (Bergmann et al., IJCV 2022), "
        "https://www.mvtec.com/company/research/datasets/mvtec-loco"
    ),
    categories=("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"),
    markers=("train/good",),
    below=("mvtec_loco", "mvtec_loco_anomaly_detection"),
    layout=(
        "CATEGORY/train/good/*.png, CATEGORY/test/{good,logical_anomalies,structural_anomalies} "
        "and CATEGORY/ground_truth/logical_anomalies/NAME/*.png"
    ),
)
BTAD = KnownDataset(
    name="btad",
    source="BTAD (Mishra et al., VT-ADL, ISIE 2021), https://github.com/pankajmishra000/VT-ADL",
    categories=("01", "02", "03"),
    markers=("train/ok",),
    below=("btad", "btech_dataset_transformed"),
    layout="CATEGORY/train/ok, CATEGORY/test/ok, CATEGORY/test/ko and CATEGORY/ground_truth/ko",
    names=Layout(good="ok"),
)
MVTEC_AD2 = KnownDataset(
    name="mvtec_ad2",
    source=(
        "MVTec AD 2 (Heckler-Kram et al., 2025), "
        "https://www.mvtec.com/company/research/datasets/mvtec-ad-2"
    ),
    categories=(
        "can", "fabric", "fruit_jelly", "rice", "sheet_metal", "vial", "wallplugs", "walnuts",
    ),
    markers=("test_public/good",),
    below=("mvtec_ad_2", "mvtec_ad2"),
    layout=(
        "CATEGORY/train/good, CATEGORY/test_public/good, CATEGORY/test_public/bad and "
        "CATEGORY/test_public/ground_truth/bad"
    ),
    names=Layout(test="test_public", masks="test_public/ground_truth"),
)  # fmt: skip
