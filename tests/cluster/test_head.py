"""A head of our own: loopback, token, gone when its block ends."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from finegrain.cluster.head import accepts_jobs, free_ports, local_head, ray_environment
from finegrain.errors import ConfigError


def group_of(argument):
    """The process group of the process that was started with this argument."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if argument in (process / "cmdline").read_text().split("\0"):
                return os.getpgid(int(process.name))
    raise AssertionError(f"no process has {argument}")


def listeners(group):
    """Addresses on which processes of a process group listen, as the kernel lists them."""
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rsplit(")", 1)[1].split()[2]) == group:
                links = [str(fd.readlink()) for fd in (process / "fd").iterdir()]
                inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
        except (OSError, ValueError):
            continue
    rows = [line.split() for kind in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]  # fmt: skip
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


def test_a_head_is_private_and_leaves_nothing(tmp_path, monkeypatch):
    token = tmp_path / "ray" / "token"  # as on a machine where Ray never ran
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    with local_head(log=tmp_path / "head.log", cpus=1) as address:
        assert accepts_jobs(address)
        assert token.stat().st_mode & 0o777 == 0o600
        for given, answer in (({}, 401), ({"Authorization": "Bearer " + "0" * 64}, 403)):
            job = {"entrypoint": "touch here"}
            refused = httpx.post(f"{address}/api/jobs/", json=job, headers=given)
            assert refused.status_code == answer
            assert httpx.get(f"{address}/api/jobs/", headers=given).status_code == answer
        port = address.rsplit(":", 1)[1]
        group = group_of(f"--dashboard-port={port}")
        loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
        assert listeners(group)
        assert listeners(group) <= loopback
        with pytest.raises(ConfigError, match=f"port {port} is taken"), \
                local_head(log=tmp_path / "second.log", dashboard_port=int(port)):  # fmt: skip
            pass
    assert not accepts_jobs(address)
    assert listeners(group) == set()


def test_free_ports_differ():
    assert len(set(free_ports(5))) == 5


def test_a_job_runs_the_python_that_submits_it():
    found = subprocess.run(
        ["python", "-c", "import finegrain"], env=ray_environment(), capture_output=True
    )
    assert found.returncode == 0, found.stderr
