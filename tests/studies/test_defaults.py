"""The study of the defaults: its numbers by hand, and its shared fits beside separate ones."""

import pytest
import yaml

from finegrain.benchmark.methods import with_options
from finegrain.captions import Caption
from finegrain.cli.main import main
from finegrain.data import load_category
from finegrain.data.images import read_rgb
from finegrain.data.shots import select_shots
from finegrain.detectors.finegrained import FineGrained
from finegrain.errors import ConfigError, DatasetError
from finegrain.evaluation.evaluate import evaluate, load_test_set, score_all
from finegrain.studies.defaults import run as study
from finegrain.studies.defaults.candidates import CANDIDATES, OF_PAPER, chosen_candidates
from finegrain.studies.defaults.report import (
    METRICS,
    Line,
    Ruling,
    against_default,
    leave_one_out,
    report,
    rulings,
    scores_of,
)
from finegrain.studies.defaults.run import Results, estimate, plan
from finegrain.studies.defaults.subjects import Subject, gather
from tests.conftest import PLATE

QUICK = {"training": {"epochs": 1}, "regions": {"fine_resolution": False}}


def line(kind, category, candidate, seed, value, **scores):
    found = dict.fromkeys(METRICS, value) | scores
    return Line(
        kind=kind, category=category, candidate=candidate, shots=4, seed=seed, settings="",
        scores=found,
    )  # fmt: skip


def lines(kind, values):
    """{category: {candidate: [score of seed 0, of seed 1, ...]}}"""
    return [
        line(kind, category, candidate, seed, value)
        for category, of in values.items()
        for candidate, found in of.items()
        for seed, value in enumerate(found)
    ]


BETTER = {
    "x": {"default": [80.0, 82.0], "new": [84.0, 84.0]},
    "y": {"default": [60.0, 60.0], "new": [61.0, 63.0]},
}
WORSE = {name: {"default": of["new"], "new": of["default"]} for name, of in BETTER.items()}
EQUAL = {name: {"default": of["new"], "new": of["new"]} for name, of in BETTER.items()}


def test_differences_are_paired_by_hand():
    found = {(one.method, one.metric): one for one in against_default(lines("k", BETTER))}
    new = found["new", "mean"]
    assert new.mean == pytest.approx(73)  # (84 + 62) / 2
    assert new.reference_mean == pytest.approx(70.5)  # (81 + 60) / 2
    assert new.difference == pytest.approx(2.5)  # (4 + 2) / 2 and (1 + 3) / 2
    # A category is drawn, then two of its seeds: its mean is 1 to 3 of y, or 2 to 4 of x, and that
    # of two categories is 1 in 1 of 64 draws, which is below 2.5 %, and 1.5 in 6 of 64.
    assert new.interval == pytest.approx((1.5, 3.5))
    assert {metric for _, metric in found} == {*METRICS, "mean"}


def test_the_mean_is_of_the_metrics_that_there_are():
    one = line("k", "x", "default", 0, 90.0, pixel_auroc=60.0, aupro_30=30.0)
    assert one.mean == 60
    bare = line("k", "x", "default", 0, 90.0, pixel_auroc=None, aupro_30=None)
    assert bare.mean == 90
    assert line("k", "x", "default", 0, None).mean is None


@pytest.mark.parametrize(
    ("kinds", "better", "worse", "of_paper", "text"),
    [
        ([BETTER, BETTER, EQUAL], 2, 0, False, "take it"),
        ([BETTER, EQUAL, EQUAL], 1, 0, False, "default stays"),
        ([BETTER, BETTER, WORSE], 2, 1, True, "take it"),
        ([WORSE, WORSE, EQUAL], 0, 2, True, "departure stays"),
        ([WORSE, BETTER, EQUAL], 1, 1, True, "not shown: back to the paper"),
        ([WORSE, WORSE, WORSE], 0, 3, False, "default stays"),
    ],
)
def test_two_kinds_of_data_have_to_speak_for_a_departure(kinds, better, worse, of_paper, text):
    compared = {str(n): against_default(lines(str(n), of)) for n, of in enumerate(kinds)}
    (found,) = rulings(compared, {"new"} if of_paper else ())
    assert (len(found.better), len(found.worse), found.text) == (better, worse, text)


def test_a_single_pair_proves_nothing():
    one = {"x": {"default": [80.0], "new": [99.0]}}
    compared = {kind: against_default(lines(kind, one)) for kind in ("k", "l")}
    assert rulings(compared) == [Ruling("new", (), (), of_paper=False)]


def test_what_is_chosen_without_a_category_is_scored_on_it():
    found = leave_one_out(
        {
            ("k", "x"): {"default": 70, "a": 90, "b": 75},
            ("k", "y"): {"default": 70, "a": 60, "b": 72},
            ("k", "z"): {"default": 70, "a": 60, "b": 72},
        }
    )
    assert (found.chosen, found.score, found.default) == ("b", 73, 70)  # a: 70
    assert found.without == {"x": "b", "y": "a", "z": "a"}  # without y: a 75, b 73.5
    assert found.left_out == 65  # 75, 60 and 60
    assert found.optimism == 8


def test_a_category_is_left_out_of_every_kind():
    scores = {
        (kind, category): of
        for kind in ("factory", "factory_turned")
        for category, of in {
            "gear": {"default": 50, "a": 90},
            "pcb": {"default": 50, "a": 40},
        }.items()
    }
    found = leave_one_out(scores)
    assert found.without == {"gear": "default", "pcb": "a"}
    assert (found.chosen, found.score, found.left_out) == ("a", 65, 45)


def test_kinds_of_data_count_alike():
    found = leave_one_out(
        {
            ("k", "x"): {"default": 10, "a": 20},
            ("k", "y"): {"default": 10, "a": 40},
            ("l", "z"): {"default": 50, "a": 10},
        }
    )
    assert (found.chosen, found.score) == ("default", 30)  # a: (30 + 10) / 2
    assert found.without == {"x": "default", "y": "default", "z": "a"}
    assert found.left_out == 10  # (10 + 10) / 2 and 10


def test_a_tie_is_the_defaults_and_one_category_can_not_be_left_out():
    scores = {("k", "x"): {"a": 50, "default": 50}, ("k", "y"): {"a": 50, "default": 50}}
    assert leave_one_out(scores).chosen == "default"
    assert leave_one_out({("k", "x"): {"default": 50}, ("l", "x"): {"default": 50}}) is None


def test_a_candidate_that_lacks_results_is_not_chosen_from():
    some = lines("k", BETTER)[:-1]
    scores, lacking = scores_of(some)
    assert lacking == ["new"]
    assert scores == {("k", "x"): {"default": 81}, ("k", "y"): {"default": 60}}
    assert "for want of results: new" in report(some)


def test_the_report_says_all_of_it():
    text = report([*lines("k", BETTER), *lines("l", BETTER)], {"new"})
    assert "4 shots" in text
    assert "73.0 (+2.5 [" in text
    assert "take it" in text
    row = next(row for row in text.splitlines() if row.startswith("| all kinds"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["new", "70.5", "73.0", "73.0", "0.0"]


@pytest.fixture
def subject(plates):
    caption = Caption.model_validate(PLATE)
    return Subject("photographs", load_category("folder", plates, "plate_a"), caption)


SHARED = (
    "memory.turned=false", "memory.near=1.0", "memory.joint=false", "scoring.image=map",
    "scoring.temperature=null", "scoring.matching=query", "scoring.fusion=prompt",
)  # fmt: skip


def test_shared_prompts_score_as_a_fit_of_ones_own(backbone, subject, tmp_path, monkeypatch):
    names = [*SHARED, "losses.mean=0.001"]
    tasks = plan(backbone, [subject], chosen_candidates(names), shots=2, seeds=[3], options=QUICK)
    assert [task.candidate for task in tasks] == ["default", *names]
    assert estimate(tasks).startswith("9 results to come from 2 fits")
    encoded = []

    def load(*given):
        encoded.append(given)
        return load_test_set(*given)

    monkeypatch.setattr(study, "load_test_set", load)
    results = Results(tmp_path)
    study.run(backbone, tasks, results, lambda _: None)
    assert len(encoded) == 1
    test = load_test_set(subject.category, backbone)
    images = [read_rgb(path) for path in select_shots(subject.category, 2, 3)]
    found = {one.candidate: one.scores for one in results.of(tasks)}
    assert len({tuple(scores.values()) for scores in found.values()}) > 4  # they do differ
    for name in ("default", *names):
        options = with_options({**QUICK, "caption": subject.caption}, CANDIDATES.get(name, {}))
        detector = FineGrained(backbone, options, seed=3).fit(images)
        alone = evaluate(score_all(detector, test.tokens), test)
        for metric in METRICS:
            assert found[name][metric] == pytest.approx(100 * getattr(alone, metric)), name


def test_what_is_there_is_skipped_until_its_settings_change(backbone, subject, tmp_path):
    def tasks(names=("scoring.fusion=visual",), shots=1, **changes):
        options = with_options(QUICK, {"training.epochs": 0} | changes)
        return plan(
            backbone, [subject], chosen_candidates(names), shots=shots, seeds=[0], options=options
        )

    study.run(backbone, tasks(), Results(tmp_path), lambda _: None)
    known = Results(tmp_path)
    assert len(known.of(tasks())) == 2
    assert known.missing(tasks()) == []
    more = known.missing(tasks(("scoring.fusion=visual", "scoring.fusion=prompt")))
    assert [task.candidate for task in more] == ["scoring.fusion=prompt"]
    assert len(known.missing(tasks(shots=2))) == 2
    assert len(known.missing(tasks(**{"prompts.context": 2}))) == 2
    subject.category.test[0].path.write_bytes(b"another picture")
    assert len(known.missing(tasks())) == 2

    (tmp_path / "results.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=r"line 1 of .* is no result of this study; remove it"):
        Results(tmp_path)


def test_every_candidate_is_an_option_and_none_is_the_default(backbone, subject):
    tasks = plan(backbone, [subject], chosen_candidates(), shots=1, seeds=[0])
    configs = [task.settings for task in tasks]
    assert len(configs) == len(set(configs))
    assert "memory.turned=true" not in {task.candidate for task in tasks}
    assert {"memory.near=0.0", "scoring.fusion=harmonic", "losses.mean=0.001"} <= OF_PAPER
    assert not OF_PAPER & {"memory.near=0.5", "scoring.fusion=visual", "scoring.image=visual"}
    with pytest.raises(ConfigError, match=r"no candidate 'luck'; known: memory.turned=false"):
        chosen_candidates(["luck"])
    with pytest.raises(DatasetError, match="5 normal training images; 6 shots were asked for"):
        plan(backbone, [subject], chosen_candidates(), shots=6, seeds=[0])


def test_the_data_are_two_factories_and_the_folders_given(plates, tmp_path):
    captions = own_captions(tmp_path, "plate_a")
    found = gather(tmp_path / "drawn", [plates / "plate_a"], ["gasket", "plate_a"], captions)
    assert [(s.kind, s.category.name, s.caption.key) for s in found] == [
        ("factory", "gasket", "factory/gasket"),
        ("factory_turned", "gasket", "factory/gasket"),
        ("photographs", "plate_a", "folder/plate_a"),
    ]
    sizes = [s.category.fingerprint() for s in found]
    assert len(set(sizes)) == 3
    with pytest.raises(ConfigError, match=r"no category 'nut'; known: blister_pack, .*plate_b"):
        gather(tmp_path, [plates / "plate_b"], ["nut"])
    with pytest.raises(ConfigError, match="no caption for folder/plate_b"):
        gather(tmp_path, [plates / "plate_b"], ["plate_b"], captions)
    (tmp_path / "plate_b").mkdir()
    with pytest.raises(ConfigError, match="the same name"):
        gather(tmp_path, [plates / "plate_b", tmp_path / "plate_b"])
    with pytest.raises(ConfigError, match=r"folders of a category; .*README.md is none"):
        gather(tmp_path, [plates / "plate_b", plates / "README.md"])


def own_captions(folder, *names):
    captions = folder / "captions"
    captions.mkdir()
    for name in names:
        (captions / f"{name}.yaml").write_text(yaml.safe_dump({**PLATE, "category": name}))
    return captions


def test_the_command_runs_reports_and_goes_on(plates, tmp_path, capsys):
    names = ("plate_a", "plate_b")
    command = [
        "study", "defaults", "--photographs", *(str(plates / name) for name in names),
        "--captions", str(own_captions(tmp_path, *names)), "--categories", *names,
        "--candidates", "scoring.fusion=visual", "--shots", "1", "--seeds", "0", "1",
        "--set", "finegrained.training.epochs=0", "--output", str(tmp_path / "study"),
        "--set", "finegrained.regions.fine_resolution=false",
    ]  # fmt: skip
    assert main([*command, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "8 results to come from 4 fits" in told
    assert not (tmp_path / "study" / "results.jsonl").exists()
    assert main(command) == 0
    table = (tmp_path / "study" / "table-1shot.md").read_text()
    assert "| scoring.fusion=visual |" in table
    assert table in capsys.readouterr().out
    assert main(command) == 0
    assert "0 results to come from 0 fits" in capsys.readouterr().out
    assert (tmp_path / "study" / "table-1shot.md").read_text() == table


def test_options_of_the_other_studies_are_refused(capsys):
    assert main(["study", "defaults", "--dataset", "factory"]) == 2
    assert "study defaults has its own data; leave out --dataset" in capsys.readouterr().err
    assert main(["study", "captions", "--dry-run"]) == 2
    assert "--dry-run is of `finegrain study defaults`" in capsys.readouterr().err
