"""The server on two machines with Redis: its head falls, its log, what Prometheus sees of it."""

import json
import re
import threading
import time

import httpx
import pytest
import yaml

from finegrain.loopback import free_ports
from finegrain.serving.drift import FEWEST
from finegrain.serving.examples import EXAMPLES, example_png
from tests.operate.plant import HEAD, WORKER, plant
from tests.operate.services import DEPLOY, Service, answers, program, running, wait_for
from tests.serving.champions import CATEGORIES
from tests.serving.conftest import Champions

pytestmark = pytest.mark.operate
PARTS = CATEGORIES[:1]


@pytest.fixture(scope="module")
def image():
    category = PARTS[0]
    return example_png(category, EXAMPLES[category][0])


@pytest.fixture(scope="module")
def running_plant(tmp_path_factory, image):
    champions = Champions(tmp_path_factory.mktemp("champions"), PARTS)
    folder = tmp_path_factory.mktemp("plant")
    with plant(folder, champions.uri, f"factory/{PARTS[0]}", image) as made:
        yield made


class Load:
    """Requests one after the other, for as long as the block lasts."""

    def __init__(self, made, image):
        self.failed, self.ended = [], [time.monotonic()]
        self._made, self._image, self._stop = made, image, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self):
        while not self._stop.is_set():
            try:
                answer = self._made.score(f"factory/{PARTS[0]}", self._image)
                good, why = answer.status_code == 200, answer.text
            except httpx.TransportError as error:
                good, why = False, repr(error)
            if good:
                self.ended.append(time.monotonic())
            else:
                self.failed.append(why)
                time.sleep(0.2)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    @property
    def longest(self):
        """Seconds without an answer."""
        return max(b - a for a, b in zip(self.ended, self.ended[1:], strict=False))


def test_an_answer_names_its_lines_in_the_log(running_plant, image):
    answer = running_plant.score(f"factory/{PARTS[0]}", image, **{"X-Request-ID": "line-1-0042"})
    assert answer.headers["x-request-id"] == "line-1-0042"
    assert running_plant.score(f"factory/{PARTS[0]}", image).headers["x-request-id"]
    lines = [line for log in running_plant.logs() for line in log.read_text().splitlines()]
    assert lines
    kinds = {json.loads(line)["levelname"] for line in lines if line.startswith("{")}
    assert "INFO" in kinds


def rules():
    return yaml.safe_load((DEPLOY / "monitoring" / "rules.yaml").read_text())["spec"]


def panels():
    """What each line of each dashboard asks Prometheus."""
    return {
        f"{file.stem}: {panel['title']}": target["expr"]
        for file in DEPLOY.glob("monitoring/dashboards/*.json")
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    }


@pytest.fixture
def prometheus(running_plant, tmp_path):
    """Prometheus as its operator would run it: it scrapes both nodes, with our alerts."""
    assert running_plant
    port = free_ports(1)[0]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules()))
    targets = [f"{address}:8080" for address in (HEAD, WORKER)]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "ray", "static_configs": [{"targets": targets}]}],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    service = Service(
        [program("prometheus"), f"--config.file={tmp_path / 'prometheus.yml'}",
         f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}"],
        tmp_path / "log",
    )  # fmt: skip
    with running(service, lambda: answers(port)):

        def query(expression):
            url = f"http://127.0.0.1:{port}/api/v1/query"
            told = httpx.get(url, params={"query": expression}).json()
            assert told["status"] == "success", told
            return told["data"]["result"]

        yield query


def test_dashboards_show_something_and_alerts_name_real_series(running_plant, prometheus, image):
    names = set(
        re.findall(r"\bray_\w+", " ".join(r["expr"] for r in rules()["groups"][0]["rules"]))
    )
    names -= {"ray_finegrain_unusable_scores_total"}  # there after the first fault

    for _ in range(FEWEST):  # of accepted parts, before drift is told
        assert running_plant.score(f"factory/{PARTS[0]}", image).status_code == 200

    def missing():
        running_plant.score(f"factory/{PARTS[0]}", image)
        series = [name for name in names if not prometheus(f"last_over_time({name}[5m])")]
        return series + [title for title, asked in panels().items() if not prometheus(asked)]

    wait_for(lambda: not missing(), 90, lambda: str(missing()))
    firing = prometheus('ALERTS{alertstate="firing"}')
    assert [alert["metric"]["alertname"] for alert in firing] == []
    [healthy] = prometheus("sum(up)")
    assert healthy["value"][1] == "2"


def test_a_head_that_falls_loses_no_request(running_plant, image):
    with Load(running_plant, image) as load:
        wait_for(lambda: len(load.ended) > 10)
        running_plant.head.stop()
        time.sleep(15)  # until a pod is there again
        running_plant.head.start()
        running_plant.head.wait(running_plant.answers, 120)
        back = len(load.ended)
        wait_for(lambda: len(load.ended) > back + 50, 120)
        time.sleep(20)  # the controller comes back and looks at its replicas
    print(f"{len(load.ended)} answered, {len(load.failed)} lost, {load.longest:.1f} s without one")
    assert not load.failed, load.failed[:3]
    assert load.longest < 5
    state = running_plant.dashboard("GET", "/api/serve/applications/").json()
    assert state["applications"]["scoring"]["status"] == "RUNNING"
