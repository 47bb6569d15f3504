"""What the lines of the study say: how sure a difference is, and what choosing costs.

A category's score is the mean of its metrics, in percent, and of its seeds; the score of several
categories is the mean over kinds of data of the mean over their categories.
"""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from finegrain.evaluation.compare import Comparison, Expense, Measurement, compare
from finegrain.studies.defaults.candidates import DEFAULT
from finegrain.tables import UNDEFINED, Row, markdown

METRICS = ("image_auroc", "pixel_auroc", "aupro_30")
MEAN = "mean"  # of those metrics: what is chosen by
NEEDED = 2  # kinds of data whose interval has to exclude 0

Place = tuple[str, str]  # kind of data and category
Scores = Mapping[Place, Mapping[str, float]]  # of each candidate


class Line(BaseModel):
    """One candidate on one category with one draw of the shots; scores in percent.

    Args:
        settings: a hash of all that decides the scores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    category: str
    candidate: str
    shots: int
    seed: int
    settings: str
    scores: dict[str, float | None]

    @property
    def mean(self) -> float | None:
        """Of the metrics that the category has: without masks there is but one."""
        found = [v for m in METRICS if (v := self.scores.get(m)) is not None]
        return fmean(found) if found else None

    @property
    def measurement(self) -> Measurement:
        """As `evaluation.compare` takes it."""
        scores = {**self.scores, MEAN: self.mean}
        row = Row(self.category, self.candidate, self.shots, self.seed, scores)
        return Measurement(row, Expense())


@dataclass(frozen=True)
class Ruling:
    """On which kinds of data a candidate is better or worse than the default beyond chance."""

    candidate: str
    better: tuple[str, ...]
    worse: tuple[str, ...]
    of_paper: bool

    @property
    def text(self) -> str:
        """What the rule makes of it: where two kinds don't speak for a departure, it goes."""
        if len(self.better) >= NEEDED:
            return "take it"
        if self.of_paper and len(self.worse) < NEEDED:
            return "not shown: back to the paper"
        return "departure stays" if self.of_paper else "default stays"


@dataclass(frozen=True)
class Choice:
    """The best candidate, and what choosing it so promises too much.

    Args:
        chosen: with all categories.
        score: of the chosen one, on the categories that it was chosen on.
        left_out: the mean of what is chosen without a category on that very category.
        default: the default's score.
        without: what is chosen without each category.
    """

    chosen: str
    score: float
    left_out: float
    default: float
    without: Mapping[str, str]

    @property
    def optimism(self) -> float:
        """How much higher the score is than that of categories that had no say."""
        return self.score - self.left_out


def report(lines: Sequence[Line], of_paper: Container[str] = ()) -> str:
    """All tables as Markdown.

    Args:
        lines: of one number of shots.
        of_paper: the candidates that give an option the paper's value.
    """
    by_kind = {kind: of_kind(lines, kind) for kind in dict.fromkeys(line.kind for line in lines)}
    compared = {kind: against_default(found) for kind, found in by_kind.items()}
    parts = [_head(lines)]
    parts += [f"## {kind}\n\n{_differences(found)}" for kind, found in compared.items()]
    parts.append(f"## The rule\n\n{_rule(rulings(compared, of_paper), list(by_kind))}")
    parts.append(f"## Leave one category out\n\n{_choices(lines, by_kind)}")
    return "\n\n".join(parts) + "\n"


def of_kind(lines: Sequence[Line], kind: str) -> list[Line]:
    """The lines of one kind of data."""
    return [line for line in lines if line.kind == kind]


def against_default(lines: Sequence[Line]) -> list[Comparison]:
    """Every candidate against the default on one kind of data, by metric, paired."""
    return compare([line.measurement for line in lines], DEFAULT, metrics=(*METRICS, MEAN))


def rulings(
    compared: Mapping[str, Sequence[Comparison]], of_paper: Container[str] = ()
) -> list[Ruling]:
    """The rule on the mean of the metrics: an interval above 0 is better, one below is worse."""
    better, worse = defaultdict(list), defaultdict(list)
    names: dict[str, None] = {}
    for kind, found in compared.items():
        for one in found:
            if one.metric != MEAN or one.method == DEFAULT:
                continue
            names[one.method] = None
            if one.interval and one.interval.low > 0:
                better[one.method].append(kind)
            if one.interval and one.interval.high < 0:
                worse[one.method].append(kind)
    return [
        Ruling(name, tuple(better[name]), tuple(worse[name]), name in of_paper) for name in names
    ]


def scores_of(lines: Sequence[Line]) -> tuple[Scores, list[str]]:
    """The candidates' scores, and the names of those left out, which lack some of the default's."""
    found: dict[str, dict[tuple[Place, int], float]] = defaultdict(dict)
    for line in lines:
        if (mean := line.mean) is not None:
            found[line.candidate][(line.kind, line.category), line.seed] = mean
    expected = found[DEFAULT].keys()
    lacking = [name for name, of in found.items() if not expected <= of.keys()]
    scores: dict[Place, dict[str, float]] = {}
    for place in dict.fromkeys(place for place, _ in expected):
        scores[place] = {
            name: fmean(of[key] for key in expected if key[0] == place)
            for name, of in found.items()
            if name not in lacking
        }
    return scores, lacking


def leave_one_out(scores: Scores) -> Choice | None:
    """Choose with all categories, and without each; None where there is but one.

    A category is left out of every kind of data that has it: a turned gear is no new part.
    """
    names = sorted({category for _, category in scores})
    if len(names) < 2:
        return None
    chosen, without = _best(scores), {}
    left_out: dict[Place, float] = {}
    for name in names:
        rest = {place: found for place, found in scores.items() if place[1] != name}
        without[name] = _best(rest)
        for place in scores.keys() - rest.keys():
            left_out[place] = scores[place][without[name]]
    return Choice(chosen, _of(scores, chosen), _mean(left_out), _of(scores, DEFAULT), without)


def _best(scores: Scores) -> str:
    """The candidate with the highest score; the default, where it is as good."""
    names = next(iter(scores.values()))
    return max(names, key=lambda name: (_of(scores, name), name == DEFAULT))


def _of(scores: Scores, candidate: str) -> float:
    return _mean({place: found[candidate] for place, found in scores.items()})


def _mean(values: Mapping[Place, float]) -> float:
    """The mean over kinds of the mean over categories."""
    kinds: dict[str, list[float]] = defaultdict(list)
    for (kind, _), value in values.items():
        kinds[kind].append(value)
    return fmean(fmean(found) for found in kinds.values())


def _head(lines: Sequence[Line]) -> str:
    seeds = sorted({line.seed for line in lines})
    return (
        f"# Candidates against the default, {lines[0].shots} shots\n\n"
        f"Seeds {', '.join(map(str, seeds))}. Percent; in brackets the difference to the default, "
        "and its paired interval of 95 percent over categories and seeds."
    )


def _differences(compared: Sequence[Comparison]) -> str:
    cells = {(one.method, one.metric): _cell(one) for one in compared}
    names = dict.fromkeys(one.method for one in compared)
    columns = (*METRICS, MEAN)
    rows = [[name, *(cells[name, metric] for metric in columns)] for name in names]
    return markdown(["candidate", *columns], rows)


def _cell(one: Comparison) -> str:
    if one.mean is None:
        return UNDEFINED
    if one.difference is None:
        return f"{one.mean:.1f}"
    between = f" [{one.interval.low:+.1f}, {one.interval.high:+.1f}]" if one.interval else ""
    return f"{one.mean:.1f} ({one.difference:+.1f}{between})"


def _rule(found: Sequence[Ruling], kinds: Sequence[str]) -> str:
    rows = [
        [
            one.candidate,
            ", ".join(one.better) or UNDEFINED,
            ", ".join(one.worse) or UNDEFINED,
            one.text,
        ]
        for one in found
    ]
    table = markdown(["candidate", "better on", "worse on", "so"], rows)
    text = (
        f"Better or worse: the interval of the mean excludes 0. {NEEDED} kinds of data are needed "
        f"for a change, and for a departure from the paper to stay; measured: {', '.join(kinds)}."
    )
    return f"{text}\n\n{table}"


def _choices(lines: Sequence[Line], by_kind: Mapping[str, Sequence[Line]]) -> str:
    groups = {**by_kind, "all kinds": lines} if len(by_kind) > 1 else dict(by_kind)
    rows, notes = [], []
    for name, some in groups.items():
        scores, lacking = scores_of(some)
        if lacking:
            notes.append(f"{name}: not chosen from, for want of results: {', '.join(lacking)}.")
        choice = leave_one_out(scores)
        if choice is None:
            notes.append(f"{name}: a single category, so that none can be left out.")
            continue
        numbers = (choice.default, choice.score, choice.left_out)
        rows.append([name, choice.chosen, *(f"{n:.1f}" for n in numbers), f"{choice.optimism:.1f}"])
        if others := {c: n for c, n in choice.without.items() if n != choice.chosen}:
            told = ", ".join(f"{chosen} without {category}" for category, chosen in others.items())
            notes.append(f"{name}: chosen otherwise: {told}.")
    header = ["on", "chosen", "default", "its score", "left out", "optimism"]
    table = [markdown(header, rows)] if rows else []
    return "\n\n".join([*table, *notes])
