"""What a cluster can't give is refused at once; what an autoscaler may bring is waited for."""

from types import SimpleNamespace

import pytest

from finegrain.cluster import connect
from finegrain.cluster.connect import Share, check_fits
from finegrain.errors import ConfigError


def cluster(monkeypatch, *nodes, known=None):
    """Nodes of (CPUs, GPUs), the last of them dead; `known`: what an autoscaler could bring."""
    listed = [{"Alive": True, "Resources": {"CPU": c, "GPU": g}} for c, g in nodes]
    dead = {"Alive": False, "Resources": {"CPU": 1000.0, "GPU": 1000.0}}
    total = {"CPU": sum(c for c, _ in nodes), "GPU": sum(g for _, g in nodes)}
    state = SimpleNamespace(get_max_resources_from_cluster_config=lambda: known)
    ray = SimpleNamespace(
        cluster_resources=lambda: total,
        nodes=lambda: [*listed, dead],
        _private=SimpleNamespace(state=SimpleNamespace(state=state)),
    )
    monkeypatch.setattr(connect, "ray", ray)
    monkeypatch.delenv("KUBERAY_GEN_RAY_START_CMD", raising=False)


@pytest.fixture(autouse=True)
def no_bootstrap(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("share", [Share(1, 1), Share(64), Share(1, 0.5), Share(3), Share(2.5)])
def test_what_no_node_has_is_refused_with_what_is_there(monkeypatch, share):
    cluster(monkeypatch, (2.0, 0.0))
    with pytest.raises(ConfigError, match=r"which no node has; the whole cluster has 2 CPUs and 0"):
        check_fits(share)


def test_two_halves_are_no_node(monkeypatch):
    cluster(monkeypatch, (4.0, 0.0), (4.0, 1.0), (1.0, 2.0))
    for share in (Share(8), Share(2, 2), Share(1, 3)):
        with pytest.raises(ConfigError, match="no node has"):
            check_fits(share)
    for share in (Share(4), Share(4, 1), Share(1, 2), Share(0.5, 0.25)):
        check_fits(share)


def test_an_autoscaler_is_waited_for(monkeypatch, tmp_path):
    cluster(monkeypatch, (2.0, 0.0), known={"CPU": 8, "GPU": 1})
    check_fits(Share(1, 1))
    cluster(monkeypatch, (2.0, 0.0))
    monkeypatch.setenv("KUBERAY_GEN_RAY_START_CMD", "ray start")
    check_fits(Share(1, 1))
    cluster(monkeypatch, (2.0, 0.0))
    (tmp_path / "ray_bootstrap_config.yaml").touch()
    check_fits(Share(1, 1))


def test_a_fraction_is_of_one_gpu():
    with pytest.raises(ConfigError, match=r"a fraction of one GPU, or whole ones; got .* 1\.5"):
        Share(1, 1.5)
    assert Share(1, 2).gpus == 2
