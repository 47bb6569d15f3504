"""The caption builder against a real HTTP server that speaks the chat protocol and misbehaves."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finegrain.captions.chat import BudgetSpentError, CallBudget, Chat, ChatError, Endpoint
from finegrain.captions.llm import LONGEST_SIDE, Order, build_captions, last_object
from finegrain.captions.store import read_caption
from finegrain.errors import ConfigError
from tests.conftest import PLATE

RECORD = {k: v for k, v in PLATE.items() if k not in ("dataset", "category", "provenance")}
GOOD = json.dumps(RECORD)
WRONG_WORD = GOOD.replace('"black"', '"ultraviolet"')
JOB = Path(__file__).parents[2] / "jobs" / "build_captions.py"


class Server:
    """Plays one act a call: a text to answer, a status, or a function of the handler."""

    def __init__(self, acts):
        self.acts, self.seen, self.headers = list(acts), [], []
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    outer.seen.append((self.path, body))
                    outer.headers.append(dict(self.headers))
                    act = outer.acts.pop(0) if outer.acts else GOOD
                act(self) if callable(act) else self.answer(act)

            def answer(self, act, headers=()):
                status, text = (act, "no") if isinstance(act, int) else (200, completion(act))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        # it looks for its end that often: by itself every half second, in each of these tests
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def completion(text):
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


def too_many(handler):
    handler.answer(429, [("Retry-After", "7")])


def cut(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')
    handler.close_connection = True


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(60):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def flood(handler):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b" " * (2 << 20))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "good.png"
    Image.fromarray(np.full((900, 1200, 3), 120, np.uint8)).save(path)
    return path


@pytest.fixture
def build(image, tmp_path):
    def build(acts, names=("plate",), calls=20, **options):
        pauses = []
        endpoint = {"model": "seer", "timeout_s": 5.0, "tries": 3, **options}
        with Server(acts) as server:
            chat = Chat(Endpoint(server.url, **endpoint), CallBudget(calls), sleep=pauses.append)
            orders = [Order("folder", name, image) for name in names]
            try:
                built = build_captions(orders, tmp_path / "captions", chat, concurrency=2)
            finally:
                chat.close()
        return built, server, pauses

    return build


def test_a_good_answer_is_stored_with_its_provenance(build, image, tmp_path):
    (built,), server, _ = build([f"Here it is:\n```json\n{GOOD}\n```"], key="secret")
    assert (built.status, built.questions) == ("built", 1)
    caption = read_caption(tmp_path / "captions" / "folder-plate.json")
    assert caption.key == "folder/plate"
    assert caption.components[1].name == "bore"
    assert caption.provenance.model == "seer"
    assert caption.provenance.prompt_version
    assert caption.provenance.image_sha256 == hashlib.sha256(image.read_bytes()).hexdigest()
    path, question = server.seen[0]
    assert (path, question["model"]) == ("/v1/chat/completions", "seer")
    assert server.headers[0]["Authorization"] == "Bearer secret"
    url = question["messages"][1]["content"][1]["image_url"]["url"]
    sent = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
    assert max(sent.size) == LONGEST_SIDE
    assert "kidney-shaped" in question["messages"][0]["content"]  # the closed lists are told


@pytest.mark.parametrize(
    "answer",
    [
        '<think>Is it {"name": "plate"}? No: {braces}.</think>\n{}',
        '<think>{"half": </think>```json\n{}\n```',
        '<think>never closed, with {"a": 1} in it\n{}',
        'A draft: {"object": {"name": "x"}}. The answer: {} I hope so.',
    ],
)
def test_the_last_whole_object_of_an_answer_counts(answer):
    assert last_object(answer.replace("{}", GOOD)) == RECORD


@pytest.mark.parametrize("broken", [GOOD.replace("{", "{broken, ", 1), '{"a":' * 100_000 + "}"])
def test_an_object_within_a_broken_one_does_not_count(build, broken):
    (built,), server, _ = build([broken, GOOD])
    assert (built.status, built.questions) == ("built", 2)
    assert "no JSON object" in str(server.seen[1][1]["messages"][-1])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [("I see a plate.", "no JSON"), (WRONG_WORD, "ultraviolet"), ("{}", "summary")],
)
def test_what_does_not_hold_goes_back_with_the_reason(build, wrong, told):
    (built,), server, _ = build([wrong])
    assert (built.status, built.questions) == ("built", 2)
    second = server.seen[1][1]["messages"]
    assert second[-2] == {"role": "assistant", "content": wrong}
    assert told in second[-1]["content"]


def test_a_model_that_never_learns_fails_and_its_answer_is_kept(build, tmp_path):
    (built,), server, _ = build([WRONG_WORD] * 9)
    assert (built.status, built.questions, len(server.seen)) == ("failed", 4, 4)
    assert "ultraviolet" in built.why
    kept = tmp_path / "captions" / "failed" / "folder-plate.txt"
    assert kept.read_text() == WRONG_WORD
    assert not (tmp_path / "captions" / "folder-plate.json").exists()


def test_a_busy_server_is_asked_again_when_it_says(build):
    (built,), server, pauses = build([too_many, 500])
    assert (built.status, len(server.seen)) == ("built", 3)
    assert pauses[0] == 7
    assert 1 <= pauses[1] <= 2  # the second pause of a base of one second, up to half less


@pytest.mark.parametrize("fault", [cut, endless, 503])
def test_faults_of_the_line_are_tried_again_and_then_told(build, fault):
    (built,), server, _ = build([fault], timeout_s=0.5)
    assert (built.status, len(server.seen)) == ("built", 2)
    (built,), server, pauses = build([fault] * 3, names=("other",), timeout_s=0.5)
    assert (built.status, len(server.seen), len(pauses)) == ("failed", 3, 2)
    assert "3 tries" in built.why


@pytest.mark.parametrize(("fault", "told"), [(401, "key"), (400, "400"), (flood, "longer than")])
def test_a_refusal_is_not_tried_again(build, fault, told):
    (built,), server, _ = build([fault])
    assert (built.status, len(server.seen)) == ("failed", 1)
    assert told in built.why


def test_nobody_there(image, tmp_path):
    with Server([]) as server:
        url = server.url
    chat = Chat(Endpoint(url, "seer", tries=2), CallBudget(9), sleep=lambda _s: None)
    (built,) = build_captions([Order("folder", "plate", image)], tmp_path, chat)
    chat.close()
    assert (built.status, chat.budget.made) == ("failed", 2)


def test_the_budget_counts_every_call(build):
    built, server, _ = build([500], names=("a", "b", "c", "d"), calls=3)
    assert len(server.seen) == 3
    assert sorted(one.status for one in built) == ["built", "built", "failed", "failed"]
    assert "budget of 3 calls" in next(one.why for one in built if one.status == "failed")


def test_the_budget_is_exact_over_threads():
    budget, refused = CallBudget(50), []

    def spend():
        for _ in range(20):
            try:
                budget.spend()
            except BudgetSpentError:
                refused.append(1)

    threads = [threading.Thread(target=spend) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (budget.made, len(refused)) == (50, 50)


def test_a_second_run_builds_only_what_is_missing(build):
    names = ("a", "b")
    first, _, _ = build([GOOD, *[WRONG_WORD] * 4], names=names, calls=5)
    assert sorted(one.status for one in first) == ["built", "failed"]
    second, server, _ = build([], names=names)
    assert sorted(one.status for one in second) == ["built", "kept"]
    assert len(server.seen) == 1
    third, server, _ = build([], names=names, model="other")  # another model: built again
    assert {one.status for one in third} == {"built"}


def test_an_unreadable_image_costs_no_call(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    with Server([]) as server:
        chat = Chat(Endpoint(server.url, "seer"), CallBudget(9))
        (built,) = build_captions([Order("folder", "plate", path)], tmp_path / "out", chat)
        chat.close()
    assert (built.status, chat.budget.made, server.seen) == ("failed", 0, [])


def test_an_endpoint_is_checked():
    with pytest.raises(ConfigError, match="http"):
        Endpoint("localhost:80", "seer")
    with pytest.raises(ConfigError, match="at least 1 call"):
        CallBudget(0)
    assert issubclass(BudgetSpentError, ChatError)


def test_the_job_builds_then_checks(plates, tmp_path):
    folder = tmp_path / "captions"
    with Server([]) as server:
        command = [sys.executable, JOB, "--dataset", "folder", "--data-root", plates]
        command += ["--categories", "plate_a", "--endpoint", server.url, "--model", "seer"]
        made = subprocess.run([*command, "--output", folder], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "built  folder/plate_a" in made.stdout
    assert "| folder/plate_a | built | 1 |" in (folder / "report.md").read_text()
    (folder / "wrong.yaml").write_text("foreground: plate\n")
    checked = subprocess.run(
        [sys.executable, JOB, "--check", folder], capture_output=True, text=True
    )
    assert checked.returncode == 1
    assert "ok     " in checked.stdout
    assert "wrong  " in checked.stdout
    assert "Field required" in checked.stdout
