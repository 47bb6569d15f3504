"""Python runs this first, where it is on PYTHONPATH: trials of some categories crash.

plate_raises raises what is no InputError, plate_dies kills its own process.
"""

import os
import signal
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec


def crashing(run):
    def run_or_crash(self, trial, *arguments):
        if trial.category == "plate_raises":
            raise RuntimeError("the detector is broken")
        if trial.category == "plate_dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return run(self, trial, *arguments)

    return run_or_crash


class Patched(MetaPathFinder):
    """Changes finegrain.benchmark.trial when it is imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "finegrain.benchmark.trial":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            module.Worker._run = crashing(module.Worker._run)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Patched())
