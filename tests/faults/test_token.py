"""A job is refused by our head where the token is absent or wrong."""

import subprocess
import sys

import pytest

from finegrain.cluster.local import local_head, ray_environment

pytestmark = pytest.mark.faults


def test_a_job_needs_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    written = tmp_path / "written"
    job = [sys.executable, "-c", f"open({str(written)!r}, 'w')"]
    others = {"none": {"RAY_AUTH_MODE": "disabled"}, "wrong": {"RAY_AUTH_TOKEN": "0" * 64}}
    with local_head(log=tmp_path / "head.log", cpus=1) as address:

        def submit(**variables):
            command = ["ray", "job", "submit", "--address", address, "--", *job]
            environment = ray_environment() | variables
            return subprocess.run(command, env=environment, capture_output=True, text=True)

        for kind, variables in others.items():
            refused = submit(**variables)
            print(kind, refused.returncode, refused.stdout, refused.stderr)
            assert refused.returncode != 0
            assert not written.exists()
        done = submit()
        assert done.returncode == 0, done.stderr
        assert written.exists()
