"""The dashboard and the alerts ask for nothing that the gateway does not have: metrics, labels, and their values."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from gateway import metrics
from gateway.api.openai import HANDLERS
from model_store.errors import leaves

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "configs" / "prometheus"
DASHBOARD = json.loads((ROOT / "configs" / "grafana" / "voxgate.json").read_text("utf-8"))
ALERTS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]

OF_THE_SERVER = {"instance", "job"}  # labels that Prometheus itself adds
SUFFIXES = {"histogram": {"_bucket": {"le"}, "_sum": set[str](), "_count": set[str]()}}
KEYWORDS = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"


class Exposed(NamedTuple):
    """A series as it stands on /metrics."""

    labels: set[str]
    help: str


def exposed() -> Iterator[tuple[str, Exposed]]:
    for name, kind, labels, text in metrics.described():
        for suffix, more in SUFFIXES.get(kind, {"": set[str]()}).items():
            yield f"{name}{suffix}", Exposed({*labels, *more, *OF_THE_SERVER}, text)
    yield "up", Exposed(OF_THE_SERVER, "")


EXPOSED = dict(exposed())
QUERIES = [
    *((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]),
    *((rule["alert"], rule["expr"]) for rule in RULES),
]
NAMES = {name for _, query in QUERIES for name in re.findall(r"\b(?:voxgate_\w+|up(?=\{))", query)}


def selectors(query: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """The metrics of a query, each with its matchers as label, operator and value."""
    found = re.findall(r"\b(voxgate_\w+|up(?=\{))(?:\{([^}]*)\})?", query)
    return [(name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers)) for name, matchers in found]


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_query_asks_for_metrics_and_labels_that_there_are(title: str, query: str) -> None:
    found = selectors(query)
    assert found, query
    for name, matchers in found:
        assert name in EXPOSED, name
        assert {label for label, _, _ in matchers} <= EXPOSED[name].labels
    grouped = {label.strip() for labels in re.findall(KEYWORDS, query) for label in labels.split(",")} - {""}
    assert grouped <= set.union(*(EXPOSED[name].labels for name, _ in found))


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_query_matches_values_that_there_are(title: str, query: str) -> None:
    codes = {leaf.code for leaf in leaves()}
    routes = {path for handler in HANDLERS for path in handler.paths}
    for name, matchers in selectors(query):
        for label, operator, value in matchers:
            if label == "code":
                assert value in codes
            elif label == "route":
                assert any(re.fullmatch(value, route) for route in routes)
            elif label == "status":
                assert re.fullmatch(value, "503")
            elif label not in OF_THE_SERVER:
                # The help of a metric names the values of its labels.
                assert (operator, bool(re.search(rf"\b{value}\b", EXPOSED[name].help))) == ("=", True)


@pytest.mark.parametrize("name", [name for name, of in EXPOSED.items() if name.endswith("_bucket")])
def test_quantiles_keep_the_bounds_of_the_buckets(name: str) -> None:
    for _, query in QUERIES:
        if name in query and "histogram_quantile" in query:
            assert re.search(r"by \([^)]*\ble\)", query)


def test_dashboard_shows_all_that_operators_are_promised() -> None:
    promised = {
        *("voxgate_requests_total", "voxgate_stage_seconds_bucket", "voxgate_model_loads_total"),
        *("voxgate_model_evictions_total", "voxgate_transcripts_total", "voxgate_leases_total"),
        *("voxgate_device_memory_bytes", "voxgate_model_size_ratio_bucket", "voxgate_breakers"),
        *("voxgate_leases_waiting", "voxgate_residents", "voxgate_model_load_seconds_bucket"),
    }
    shown = {name for panel in PANELS for target in panel["targets"] for name, _ in selectors(target["expr"])}
    assert promised <= shown
    assert shown | {"up"} >= NAMES - {"voxgate_model_size_ratio_count", "voxgate_model_load_seconds_count"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_is_described_and_its_legends_name_labels_of_its_query(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    for target in panel["targets"]:
        grouped = {label.strip() for labels in re.findall(KEYWORDS, target["expr"]) for label in labels.split(",")}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_how_bad_it_is_and_where_to_look(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    told = rule["annotations"]
    assert told["summary"].endswith(".")
    assert told["description"].endswith(".")
    named = set(re.findall(r"\$labels\.(\w+)", told["summary"] + told["description"]))
    # An aggregation keeps only the labels that it is told to; without one, all of them stay.
    kept = re.findall(KEYWORDS, rule["expr"])
    assert named <= set(kept[0].replace(" ", "").split(",")) if kept else named <= OF_THE_SERVER


def test_scrape_example_has_the_job_that_the_alerts_go_by() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    asked = {value for _, query in QUERIES for value in re.findall(r'\bjob="(\w+)"', query)}
    assert asked == jobs
    assert [(PROMETHEUS / file).exists() for file in config["rule_files"]] == [True]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: it is in Debian's prometheus")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "configs/prometheus/prometheus.yml"),
        ("check", "rules", "configs/prometheus/alerts.yml"),
        ("test", "rules", "tests/data/prometheus/alerts.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
