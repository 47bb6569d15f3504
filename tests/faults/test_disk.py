"""The disk that takes results, reports and MLflow's database is full, and later has space again."""

import errno
import subprocess
from contextlib import contextmanager

import pytest

from tests.benchmarks import (
    check_recorded_once,
    driving,
    grid,
    results_on_disk,
    without_timings,
)
from tests.faults.conftest import METHODS, SEEDS, SHOTS

pytestmark = pytest.mark.faults


@contextmanager
def small_disk(path, megabytes):
    """A file system of that size; skips where mounting is refused."""
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "finegrain-small"]
    mounted = subprocess.run(["mount", *options, path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is refused: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def fill(path):
    """Take what is left of the disk; true if it is full indeed."""
    try:
        with path.open("ab", buffering=0) as stream:
            while True:
                stream.write(bytes(1 << 16))
    except OSError as error:
        return error.errno == errno.ENOSPC


def test_a_full_disk_and_then_space_again(data, undisturbed, tmp_path):
    with small_disk(tmp_path / "disk", megabytes=400) as disk:
        directory = disk / "full"
        arguments = grid(data, directory, METHODS, SHOTS, SEEDS)
        with driving(tmp_path / "log", *arguments) as driver:
            driver.wait_for(lambda: len(results_on_disk(directory)) >= 3)
            assert fill(disk / "ballast")
            assert driver.end() == 1
        output = driver.output
        assert "[Errno 28] No space left on device" in output
        assert "The report could not be written" in output
        assert f"Run what is missing with --resume {directory}" in output
        done = {path: path.stat().st_mtime_ns for path in results_on_disk(directory)}
        assert 3 <= len(done) < len(undisturbed)
        reasons = output.partition("Why they are missing:")[2]
        for row in undisturbed:
            name = f"{row['category']}_{row['method']}_{row['shots']}shot_seed{row['seed']}"
            assert (name in reasons) != (directory / "trials" / name / "result.json" in done)

        (disk / "ballast").unlink()
        with driving(tmp_path / "resumed.log", "--resume", directory) as driver:
            assert driver.end() == 0
        assert f"{len(done)} of them done before" in driver.output
        assert all(path.stat().st_mtime_ns == then for path, then in done.items())
        assert without_timings(directory) == undisturbed
        check_recorded_once(directory)
