"""The settings of a search over Ray Tune; what is on disk already is not run again.

    search.json         what is searched
    samples/KEY.json    a setting, its scores at each rung, and how it ended
    search.md, ...      see report.py
    mlflow.json         where it was recorded

Resuming begins a new study that knows the settings on disk and their scores, and runs what is left
of their number; a setting that was interrupted is forgotten. Only the scheduler forgets all: it
compares with what it sees from then on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler, TPESampler
from ray import tune
from ray.tune import TuneConfig
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from finegrain.benchmark.plan import Trial, plan
from finegrain.cluster.connect import Share, connect
from finegrain.cluster.tune import Config, Endings, process_worker, run_tune
from finegrain.errors import InputError
from finegrain.files import write_text
from finegrain.studies.search.spec import (
    REDUCTION,
    SAMPLES,
    Search,
    Setting,
    load_space,
    read_settings,
    setting_key,
)
from finegrain.studies.search.worker import SettingWorker

Report = Callable[[Setting], None]
UNSEEN = "its file is not to be seen here: is --output on storage all nodes share?"
RETRIES = 2  # of a setting whose process died


def setting_path(setting: Setting, directory: Path) -> Path:
    """Where it lies below the search's directory."""
    return directory / SAMPLES / f"{setting.key}.json"


def store_setting(setting: Setting, directory: Path) -> None:
    """Write it, whole or not at all."""
    write_text(setting_path(setting, directory), setting.model_dump_json(indent=1) + "\n")


def run_settings(search: Search, directory: Path, share: Share, report: Report) -> None:
    """Run as many settings as are missing, reporting each at its end."""
    known = []
    for setting in read_settings(directory).values():
        if setting.status == "running":
            setting_path(setting, directory).unlink()
        else:
            known.append(setting)
    missing = search.samples - len(known)
    if missing <= 0:
        return
    connect()
    trainable = tune.with_parameters(
        _trainable,
        search=search.model_dump(mode="json"),
        trials=[trial.model_dump(mode="json") for trial in plan(search.benchmark)],
        directory=str(directory),
        share=share,
    )
    settings = TuneConfig(
        metric="value",
        mode="max",
        num_samples=missing,
        search_alg=_searcher(search, known),
        scheduler=_scheduler(search),
        reuse_actors=True,
        trial_dirname_creator=lambda trial: str(trial.trial_id),
    )
    run_tune(trainable, share, _endings(directory, report), settings, retries=RETRIES)


def _endings(directory: Path, report: Report) -> Endings:
    """Says how each setting ended, on disk and to whoever listens."""

    def done(config: Config, _: Config) -> None:
        setting = read_settings(directory).get(setting_key(config))
        if setting and setting.status == "running":  # the scheduler stopped it
            setting = setting.model_copy(update={"status": "stopped"})
            store_setting(setting, directory)
        report(setting or Setting(options=dict(config), status="failed", error=UNSEEN))

    def died(config: Config, words: str) -> None:
        """Nothing stays: resuming tries the setting anew."""
        setting = Setting(options=dict(config), status="failed", error=words)
        setting_path(setting, directory).unlink(missing_ok=True)
        report(setting)

    return Endings(done, died)


def _searcher(search: Search, known: list[Setting]) -> OptunaSearch:
    """Random or TPE, seeded, and told of the settings that are known."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = search.benchmark.seeds[0] + len(known)  # resumed: not the same settings again
    random = search.searcher == "random"
    sampler = RandomSampler(seed=seed) if random else TPESampler(seed=seed)
    scored = [(s.options, value) for s in known if (value := s.value(search)) is not None]
    return OptunaSearch(
        space=OptunaSearch.convert_search_space(load_space(search.space)),
        metric="value",
        mode="max",
        sampler=sampler,
        points_to_evaluate=[options for options, _ in scored] or None,
        evaluated_rewards=[value for _, value in scored] or None,
    )


def _scheduler(search: Search) -> TrialScheduler | None:
    """Asynchronous successive halving over epochs (Li et al., MLSys 2020), or none."""
    if len(search.rungs) == 1:
        return None
    return ASHAScheduler(
        time_attr="epoch",
        max_t=search.epochs,
        grace_period=search.rungs[0],
        reduction_factor=REDUCTION,
    )


def _trainable(
    config: Config,
    search: dict[str, Any],
    trials: list[dict[str, Any]],
    directory: str,
    share: Share,
) -> None:
    """Runs in a Ray worker; each rung is on disk before Tune hears of it."""
    spec = Search.model_validate(search)
    setting = Setting(options=config)
    steps = process_worker(SettingWorker, share.device, share.threads).run(
        spec, [Trial.model_validate(trial) for trial in trials], config
    )
    try:
        for step in steps:
            last = step.epoch >= spec.epochs
            setting = setting.model_copy(
                update={"steps": (*setting.steps, step), "status": "ok" if last else "running"}
            )
            store_setting(setting, Path(directory))
            tune.report({"epoch": step.epoch, "value": setting.value(spec)})
    except InputError as error:  # the next try would end the same way
        failed = setting.model_copy(update={"status": "failed", "error": str(error)})
        store_setting(failed, Path(directory))
