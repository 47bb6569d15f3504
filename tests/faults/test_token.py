"""A job is refused by our head where the token is absent or wrong."""

import subprocess
import sys

import pytest

from finegrain.cluster.head import local_head, ray_environment

pytestmark = pytest.mark.faults


def test_a_job_needs_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    written = tmp_path / "written"
    job = [sys.executable, "-c", f"open({str(written)!r}, 'w')"]
    others = {
        "Unauthorized: Missing authentication token": {"RAY_AUTH_MODE": "disabled"},
        "Forbidden: Invalid authentication token": {"RAY_AUTH_TOKEN": "0" * 64},
    }
    with local_head(log=tmp_path / "head.log", cpus=1) as address:

        def submit(**variables):
            command = ["ray", "job", "submit", "--address", address, "--", *job]
            environment = ray_environment() | variables
            return subprocess.run(command, env=environment, capture_output=True, text=True)

        for answer, variables in others.items():
            refused = submit(**variables)
            assert refused.returncode == 1
            assert answer in refused.stderr
            assert not written.exists()
        done = submit()
        assert done.returncode == 0, done.stderr
        assert written.exists()
