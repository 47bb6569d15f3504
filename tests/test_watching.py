"""A folder that photos arrive in, and any number of files: each is scored once, whole, in turn."""

import json
import os
import shutil
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from finegrain import fit
from finegrain.cli.watch import poster
from finegrain.data.listing import images_below
from finegrain.errors import ConfigError, ImageError
from finegrain.fitted import BATCH
from finegrain.watching import Watch
from tests.conftest import write_category


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    return write_category(tmp_path_factory.mktemp("photos"), "plate", seed=3) / "plate"


@pytest.fixture(scope="module")
def good(plate):
    return sorted((plate / "train" / "good").iterdir())[:3]


@pytest.fixture(scope="module")
def bad(plate):
    return sorted((plate / "test" / "hole").iterdir())


@pytest.fixture(scope="module")
def part(good):
    return fit(good, method="anomalydino")


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_each_image_of_many_is_inspected_as_it_would_be_alone(part, good, bad, tmp_path):
    torn = tmp_path / "torn.png"
    torn.write_bytes(good[0].read_bytes()[:200])
    images = [good[0], torn, bad[0], good[1], bad[1], good[2]]
    found = list(part.inspect_each(images))
    assert isinstance(found[1], ImageError)
    assert "torn.png" in str(found[1])
    for image, verdict in zip(images, found, strict=True):
        if image is not torn:
            alone = part.inspect(image)
            assert verdict.score == pytest.approx(alone.score, abs=1e-5)
            assert verdict.rejected == alone.rejected


def test_no_more_than_a_batch_is_read_ahead(part, good):
    taken = []

    def images():
        for number in range(100):
            taken.append(number)
            yield good[number % 3]

    outcomes = part.inspect_each(images())
    for _ in range(BATCH + 1):
        next(outcomes)
    assert len(taken) == 2 * BATCH


def test_a_photo_is_scored_once_when_it_no_longer_grows(part, bad, inbox, tmp_path):
    log, content = tmp_path / "log.jsonl", bad[0].read_bytes()
    watch = Watch(part, inbox, log)
    (inbox / "a.png").write_bytes(content[:100])
    assert watch.look() == 0  # seen for the first time
    (inbox / "a.png").write_bytes(content)
    assert watch.look() == 0  # it grew
    assert watch.look() == 1
    assert watch.look() == 0
    [line] = lines(log)
    assert (line["image"], line["bytes"], line["rejected"]) == ("a.png", len(content), True)
    assert line["score"] == pytest.approx(part.inspect(bad[0]).score, abs=1e-5)
    assert line["reason"].startswith("Rejected")


def test_a_restart_goes_on_and_a_replaced_photo_is_scored_again(part, good, bad, inbox, tmp_path):
    log = tmp_path / "log.jsonl"
    shutil.copy(good[0], inbox / "a.png")
    first = Watch(part, inbox, log)
    assert [first.look(), first.look()] == [0, 1]
    with log.open("a") as stream:
        stream.write('{"image": "cut')  # killed while it wrote
    shutil.copy(good[1], inbox / "b.png")
    second = Watch(part, inbox, log)
    assert [second.look(), second.look()] == [0, 1]
    shutil.copy(bad[0], inbox / "a.png")
    os.utime(inbox / "a.png", ns=(1, 1))
    assert [second.look(), second.look()] == [0, 1]
    assert [line["image"] for line in lines(log)] == ["a.png", "b.png", "a.png"]
    assert [line["rejected"] for line in lines(log)] == [False, False, True]


def test_what_is_no_photo_is_left_alone_or_named(part, good, inbox, tmp_path):
    log = tmp_path / "log.jsonl"
    (inbox / ".hidden.png").write_bytes(good[0].read_bytes())
    (inbox / ".cache").mkdir()
    shutil.copy(good[0], inbox / ".cache" / "a.png")
    (inbox / "notes.txt").write_text("no photo")
    (inbox / "torn.PNG").write_bytes(b"no image")
    assert [path.name for path in images_below(inbox)] == ["torn.PNG"]
    watch = Watch(part, inbox, log)
    watch.look()
    watch.look()
    [line] = lines(log)
    assert "torn.PNG is not an image" in line["error"]
    assert "score" not in line


def test_a_log_of_something_else_is_refused_and_kept(part, inbox, tmp_path):
    log = tmp_path / "notes.txt"
    log.write_text("dear diary\n")
    with pytest.raises(ConfigError, match=r"notes.txt, line 1 is no verdict"):
        Watch(part, inbox, log)
    assert log.read_text() == "dear diary\n"
    with pytest.raises(ConfigError, match="not a folder"):
        Watch(part, inbox / "none", log)


@contextmanager
def receiver(answers):
    """A web server that answers with these statuses, then 200, and the bodies it was sent."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(json.loads(body)["image"])
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/verdict", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_a_receiver_did_not_take_is_sent_again_after_a_restart_too(
    part, good, inbox, tmp_path, capsys
):
    log = tmp_path / "log.jsonl"
    with receiver([200, 500, 503]) as (url, heard):
        for name, photo in zip("ab", good, strict=False):
            shutil.copy(photo, inbox / f"{name}.png")
        watch = Watch(part, inbox, log, poster(url))
        watch.look()
        assert watch.look() == 2
        assert heard == ["a.png", "b.png"]  # the second was not taken
        assert "did not take a verdict" in capsys.readouterr().out
        watch.look()
        again = Watch(part, inbox, log, poster(url))
        again.look()
        again.look()
        assert heard == ["a.png", "b.png", "b.png", "b.png"]
    gone = Watch(part, inbox, log, poster(url))  # nobody answers: the verdicts are kept
    shutil.copy(good[2], inbox / "c.png")
    gone.look()
    assert gone.look() == 1
    assert len(lines(log)) == 3
