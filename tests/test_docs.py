"""What README.md and docs/ show a reader is real: commands parse, Python runs, numbers agree."""

import argparse
import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from finegrain.captions.store import read_caption
from finegrain.cli.main import main as finegrain
from finegrain.detectors import DETECTORS, ON_REQUEST
from finegrain.factory import render
from finegrain.method.paper import PAPER, dotted
from finegrain.serving.schemas import Checkpoint, ImageAnswer, ScoreAnswer, Timing

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`((?:finegrain|make|python|ray job submit) [^`]+)`")
VARIABLE = re.compile(r'["$]((?:FINEGRAIN|MLFLOW|OPENAI|RAY|TUNE|KUBERAY)_[A-Za-z_]+)\b')
BARE = re.compile(r"finegrain \w+")  # a command's name: there is one
ENDS = {"|", "||", "&&", ";", "&"}
JOB = re.compile(r"(?:\./)?jobs/\w+\.py")


def name(page):
    return page.relative_to(ROOT).as_posix()


def commands(page):
    """The commands of the page's bash blocks and of its code spans, each a list of words."""
    text = page.read_text()
    spans = [span for span in SPAN.findall(BLOCK.sub("", text)) if "COMMAND" not in span]
    spans = [f"{span} --help" if BARE.fullmatch(span) else span for span in spans]
    for source in [*BLOCK.findall(text), *(re.sub(r"\s+", " ", span) for span in spans)]:
        for line in source.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
            lexer.whitespace_split = True
            yield from _between(list(lexer))


def _between(words):
    """Single commands of a line, without variables that are set before them."""
    command = []
    for word in [*words, ";"]:
        if word in ENDS:
            yield command
            command = []
        elif command or not re.fullmatch(r"\w+=\S*", word):
            command.append(word)


class ParsedError(Exception):
    """The arguments were understood; nothing is to be run."""


@pytest.fixture
def only_parse(monkeypatch):
    """Parsers that stop where they have understood their arguments."""
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *given, **named):
        raise ParsedError(parse(self, *given, **named))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)


def check(words):
    """Parse one command with its own parser; True if it is one of ours."""
    job = next((i for i, word in enumerate(words) if JOB.fullmatch(word)), None)
    program = Path(words[0]).name if words else ""
    if program == "finegrain":
        understood(lambda: finegrain(words[1:]), words)
    elif job is not None and program in ("python", "ray", "jobs"):
        script = ROOT / words[job]
        assert script.is_file(), f"there is no {words[job]}"
        understood(lambda: run_job(script, words[job + 1 :]), words)
    elif program == "make":
        check_make(words[1:])
    else:
        return False
    return True


def understood(call, words):
    try:
        with pytest.raises(ParsedError):
            call()
    except SystemExit as error:
        if words[-1] != "--help":
            pytest.fail(f"{shlex.join(words)} ends with {error}")


def run_job(script, arguments):
    before, sys.argv = sys.argv, [str(script), *arguments]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = before


def check_make(words):
    """Each target is in the Makefile; ARGS are understood by the job that gets them."""
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        if word.partition("=")[0].isupper():
            continue
        assert re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE), f"no target {word}"
    given = next((word.partition("=")[2] for word in words if word.startswith("ARGS=")), None)
    if given and words[0] == "demo":
        understood(lambda: finegrain(["benchmark", *shlex.split(given)]), words)


@pytest.mark.usefixtures("only_parse")
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_understood(page):
    ours = [check(words) for words in commands(page)]
    if page.name in ("README.md", "quickstart.md", "search.md"):
        assert any(ours)


@pytest.mark.usefixtures("only_parse")
def test_a_wrong_command_is_found():
    with pytest.raises(pytest.fail.Exception, match="ends with 2"):
        check(["finegrain", "benchmark", "--no-such-option"])
    with pytest.raises(AssertionError, match="no target"):
        check(["make", "no-such-target"])


ANSWER = ScoreAnswer(
    dataset="factory",
    category="pcb",
    checkpoint=Checkpoint(model="finegrain-factory-pcb", version="1", detector="finegrained"),
    results=[ImageAnswer(score=1.0, rejected=True, reason="Rejected.")] * 2,
    timing=Timing(
        decode_ms=1, encode_ms=1, score_ms=1, wait_ms=1, total_ms=4, batch_images=2
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text()], ids=name
)
def test_python_runs(page, monkeypatch, tmp_path):
    """Beside photos of boards, good/*.png, a.png and b.png, and a server that knows one answer."""
    monkeypatch.chdir(tmp_path)
    Path("good").mkdir()
    for index in range(4):
        good = render("pcb", "train", None, index, seed=0).image
        Image.fromarray(good).save(f"good/{index}.png")
    for index, image in enumerate(("a.png", "b.png")):
        scratched = render("pcb", "test", "scratch", index, seed=0).image
        Image.fromarray(scratched).save(image)
    answer = httpx.Response(200, json=ANSWER.model_dump(mode="json"))
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda *_: answer)
    examples = list(Sybil([PythonCodeBlockParser()]).parse(page).examples())
    assert examples
    for example in examples:
        example.evaluate()


def test_the_caption_by_hand_holds(tmp_path):
    [shown] = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "captions.md").read_text(), re.DOTALL
    )
    file = tmp_path / "bracket.yaml"
    file.write_text(shown)
    assert read_caption(file).key == "folder/bracket"


def test_every_environment_variable_is_explained():
    code = [*(ROOT / "platform").rglob("*.py"), *(ROOT / "jobs").glob("*.py"), ROOT / "Makefile"]
    named = {found for path in code for found in VARIABLE.findall(path.read_text())}
    explained = (ROOT / "docs" / "environment.md").read_text()
    assert {"FINEGRAIN_RUNS", "FINEGRAIN_API_KEY"} <= named
    assert not [name for name in sorted(named) if f"`{name}`" not in explained]


@pytest.mark.parametrize("name", [*DETECTORS, *ON_REQUEST, "serving"])
def test_tables_of_options_are_tables(name):
    hooks = runpy.run_path(str(ROOT / "docs" / "hooks.py"))
    lines = hooks["options_table"](name).splitlines()
    assert [line for line in lines if not re.fullmatch(r"\|( [^|]* \|){4}", line)] == []
    assert len(lines) - 2 == len(hooks["options"](name))


def test_options_come_with_their_words():
    hooks = runpy.run_path(str(ROOT / "docs" / "hooks.py"))
    found = {option.name: option[1:] for option in hooks["options"]("subspacead")}
    turned = "copies of each shot, turned by random angles, beside the shot itself."
    assert found["augmentations"] == ("whole number", "30", turned)
    assert {"features", "levels", "variance", "top_share"} < set(found)


def rows(page):
    """The rows of a page's table of results, method and shots -> scores."""
    lines = [line.split("|")[1:-1] for line in page.read_text().splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {tuple(row[:2]): row[2:] for row in cells if len(row) == 7 and row[1].isdecimal()}


def test_the_paper_s_preset_is_documented_switch_by_switch():
    """Each once, with its value, and no other."""
    page = (ROOT / "docs/methods/finegrained.md").read_text()
    section = page.partition("## The paper, line by line")[2].partition("\nWhere ")[0]
    said = re.findall(r"`([a-z]+\.[a-z_]+=[^`]+)`", section)
    values = {
        switch: value if isinstance(value, str) else json.dumps(value)
        for switch, value in dotted(PAPER).items()
    }
    assert sorted(said) == sorted(f"{switch}={value}" for switch, value in values.items())


def test_readme_shows_the_results_that_the_site_has():
    shown, known = rows(ROOT / "README.md"), rows(ROOT / "docs" / "results.md")
    assert {shots for _, shots in shown} == {"4"}
    assert shown == {key: row for key, row in known.items() if key[1] == "4"}


def test_the_page_of_methods_shows_them_too():
    page = (ROOT / "docs" / "methods" / "index.md").read_text()
    shown = re.findall(r"^\| \[`(\w+)`\].* ([\d.]+) / ([\d.]+) \|$", page, re.MULTILINE)
    known = rows(ROOT / "docs" / "results.md")
    means = {
        method: tuple(score.split()[0] for score in scores[:2])
        for (method, shots), scores in known.items()
        if shots == "4"
    }
    assert {method: tuple(scores) for method, *scores in shown} == {**means, "chance": ("50", "50")}


def test_readme_can_be_read_in_one_go():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
