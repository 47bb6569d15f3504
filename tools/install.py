#!/usr/bin/env python3
"""Install the package into .venv and say every ten seconds how far that is.

python3 tools/install.py VENV EXTRA...      pip's own bar is silent where there is no terminal
"""

import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

EVERY_S = 10
GIGABYTES = 7  # of a finished .venv on Linux: most of it is PyTorch's CUDA


class Progress:
    """What pip has said so far, and what lies in the folder."""

    def __init__(self, venv: Path, packages: int) -> None:
        self.venv, self.packages, self.start = venv, packages, time.monotonic()
        self.seen, self.now, self.unpacking = 0, "looking for packages", False

    def hear(self, line: str) -> None:
        """Take a line of pip's."""
        word, _, rest = line.strip().partition(" ")
        self.seen += word == "Collecting"
        if word in ("Collecting", "Downloading"):
            self.now = rest.replace(" (from", "\0").partition("\0")[0]
        self.unpacking = self.unpacking or line.startswith("Installing collected")

    def told(self) -> str:
        """The present state in one line."""
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        if self.unpacking:
            state = f"unpacking: {gigabytes(self.venv):.1f} of about {GIGABYTES} GB"
        else:
            state = f"fetching: {self.seen} of about {self.packages} packages, now {self.now}"
        return f"[{minutes}:{seconds:02}] {state}"


def gigabytes(folder: Path) -> float:
    """What lies in a folder that others are writing to."""
    counted = subprocess.run(
        ["du", "-sk", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return int(counted.stdout.split()[0]) / 1e6


def main() -> int:
    """Run pip, tell how far it is, and end as it ends; its last lines where it fails."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: sys.exit(1))
    venv, extras = Path(sys.argv[1]), ",".join(sys.argv[2:])
    root = Path(__file__).parents[1]
    lock = root / "requirements.lock"
    progress = Progress(venv, len(lock.read_text().splitlines()))
    print(f"Installing {progress.packages} packages into {venv}: about {GIGABYTES} GB on disk and "
          "3 to 10 minutes, once", flush=True)  # fmt: skip
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    what = ["--constraint", str(lock), "--editable", f"{root}[{extras}]"]
    with subprocess.Popen(
        [*pip, "--progress-bar", "off", *what],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stdout
        ended = threading.Event()
        threading.Thread(target=_tell, args=(progress, ended), daemon=True).start()
        last: deque[str] = deque(maxlen=15)
        try:
            for line in process.stdout:
                progress.hear(line)
                last.append(line)
        except BaseException:
            process.terminate()  # Ctrl-C, or make was ended
            raise
    ended.set()
    if process.returncode:
        print("".join(last), file=sys.stderr, end="")
    else:
        print(f"{progress.told()}, done", flush=True)
    return process.returncode


def _tell(progress: Progress, ended: threading.Event) -> None:
    while not ended.wait(EVERY_S):
        print(progress.told(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
