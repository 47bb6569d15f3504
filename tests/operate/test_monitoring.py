"""deploy/monitoring: alerts by promtool, on series that are quiet and series that are not."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.operate.services import DEPLOY, program

pytestmark = pytest.mark.operate


def test_alerts_fire_when_they_must_and_are_quiet_otherwise(tmp_path):
    promtool = program("promtool")
    rules = yaml.safe_load((DEPLOY / "monitoring" / "rules.yaml").read_text())["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    shutil.copy(Path(__file__).with_name("rules_test.yaml"), tmp_path)
    for arguments in (("check", "rules", "rules.yaml"), ("test", "rules", "rules_test.yaml")):
        done = subprocess.run([promtool, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    tried = (tmp_path / "rules_test.yaml").read_text()
    [group] = rules["groups"]
    assert all(rule["alert"] in tried for rule in group["rules"])
