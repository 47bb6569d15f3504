"""What an operator is told."""

import pytest

from finegrain.decision.regions import Region
from finegrain.serving.fusion import reason

SPOT = Region(box=(10, 20, 31, 40), area=0.013, score=0.4, component="bolts", caption="four bolts")
PLAIN = Region(box=(0, 0, 4, 4), area=0.0, score=0.3)


@pytest.mark.parametrize(
    ("rejected", "regions", "suspect", "told"),
    [
        (None, [], None, "No decision: this checkpoint was not calibrated."),
        (False, [], None, "Accepted: nothing stands out."),
        (False, [SPOT], None, "Accepted, though there is a trace: 1 region above the threshold, "
                              "the highest at the bolts (1.3 % of the image)."),
        (True, [SPOT, PLAIN], None, "Rejected: 2 regions above the threshold, "
                                    "the highest at the bolts (1.3 % of the image)."),
        (True, [], SPOT, "Rejected: the image as a whole scores above its threshold, though no "
                         "region does; the highest is around pixel 20, 30 at the bolts."),
        (True, [], PLAIN, "Rejected: the image as a whole scores above its threshold, though no "
                          "region does; the highest is around pixel 2, 2."),
    ],
)  # fmt: skip
def test_a_decision_is_told_with_its_place(rejected, regions, suspect, told):
    assert reason(rejected, regions, suspect) == told
