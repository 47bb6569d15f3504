"""The intrinsic representations: of different units they differ, and each lies at its own unit."""

import torch
import torch.nn.functional as F

from finegrain.method.config import TrainingConfig
from finegrain.method.losses import query_loss
from finegrain.method.query_former import QueryFormer
from finegrain.method.training import descend

UNITS, WIDTH = 6, 64


def unit_pairs():
    """Normal features of six units at cosine .9 to each other, as a category's are; flawed ones."""
    generator = torch.Generator().manual_seed(0)
    shared = F.normalize(torch.randn(1, WIDTH, generator=generator), dim=-1)
    own = F.normalize(torch.randn(UNITS, WIDTH, generator=generator), dim=-1)
    flaw = F.normalize(torch.randn(1, WIDTH, generator=generator), dim=-1)
    normal = F.normalize(3 * shared + own, dim=-1)
    return normal, F.normalize(normal + 0.3 * flaw, dim=-1)


def trained(normal, abnormal):
    former = QueryFormer(UNITS, WIDTH, seed=0)

    def objectives():
        return {"query": query_loss(former(normal, abnormal), normal, abnormal)}

    before = float(objectives()["query"].detach())
    for _ in descend(list(former.parameters()), objectives, {"query": 1.0}, TrainingConfig()):
        pass
    return former, before, float(objectives()["query"].detach())


def test_queries_of_different_units_differ_and_lie_at_their_own():
    normal, abnormal = unit_pairs()
    former, before, after = trained(normal, abnormal)
    queries = F.normalize(former(normal, abnormal).detach(), dim=-1)
    alike = (queries @ queries.T).masked_fill(torch.eye(UNITS) > 0, -1)
    assert alike.max() < 0.99
    assert torch.equal((queries @ normal.T).argmax(1), torch.arange(UNITS))
    assert after <= before


def test_a_query_starts_half_way_between_its_unit_s_features():
    normal, abnormal = unit_pairs()
    queries = QueryFormer(UNITS, WIDTH, seed=3)(normal, abnormal).detach()
    torch.testing.assert_close(queries, (normal + abnormal) / 2, atol=5e-3, rtol=0)


def test_the_attention_learns():
    normal, abnormal = unit_pairs()
    former = QueryFormer(UNITS, WIDTH, seed=0)
    query_loss(former(normal, abnormal), normal, abnormal).backward()
    for name in ("normal", "abnormal"):
        assert getattr(former, name).out_proj.weight.grad.abs().max() > 0
