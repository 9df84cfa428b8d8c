"""Each alert fires for what it is about and for nothing else, and is quiet again afterwards."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from components.monitoring.alerts import PAGE, rule_spec, speed_rule_spec
from planning.settings.quantities import duration_text, seconds_of
from tests.monitoring.promtool import SETTINGS, STACK, Series, all_rules, problem, rules

HOURS = 3
DAY = 86400
STEPS = HOURS * 120
OF = 'namespace="deepseek"'
SUPERVISOR = f'{OF}, pod="serve-x", container="supervisor", job="deepseek/deepseek-supervisor"'
VLLM = f'{OF}, pod="deepseek-head-x", container="ray", model_name="m", engine="0"'
DOWNLOAD = f'{OF}, pod="download-x", container="fetch"'
SERVING, SILENCE = (
    f"deepseek_supervisor_serving{{{SUPERVISOR}}}",
    f"deepseek_supervisor_silence_seconds{{{SUPERVISOR}}}",
)
WAITING, RUNNING = f"vllm:num_requests_waiting{{{VLLM}}}", f"vllm:num_requests_running{{{VLLM}}}"
GENERATED = f"vllm:generation_tokens_total{{{VLLM}}}"
CACHE = f"vllm:kv_cache_usage_perc{{{VLLM}}}"
WANTED, RECEIVED = (f"deepseek_download_{what}_bytes{{{DOWNLOAD}}}" for what in ("wanted", "received"))

ASKED, REFUSED = (
    f'haproxy_frontend_{counted}_total{{{OF}, pod="deepseek-endpoint-x", proxy="door"}}'
    for counted in ("http_requests", "requests_denied")
)
CERTIFICATE_END = f'deepseek_endpoint_certificate_end_seconds{{{OF}, pod="deepseek-endpoint-x"}}'
FIRST_START = f"deepseek_supervisor_first_start{{{SUPERVISOR}}}"


def failures(kind: str) -> str:
    return f'deepseek_supervisor_failures_total{{{SUPERVISOR}, kind="{kind}"}}'


def first_tokens(seconds: str) -> str:
    return f'vllm:time_to_first_token_seconds_bucket{{{VLLM}, le="{seconds}"}}'


def steady(value: float) -> str:
    return f"{value}x{STEPS}"


HEALTHY: Series = {
    ASKED: f"0+960x{STEPS}",
    REFUSED: f"0+60x{STEPS}",
    SERVING: steady(1),
    FIRST_START: steady(0),
    CERTIFICATE_END: steady(30 * DAY),
    SILENCE: steady(0),
    failures("hung"): steady(0),
    failures("exit"): steady(0),
    RUNNING: steady(200),
    GENERATED: f"0+27000x{STEPS}",
    WAITING: "0 40 90 10 _ 0 3 50 0 0 " * (STEPS // 10),
    CACHE: "0.5 0.97 0.99 0.6 0.9 " * (STEPS // 5),
    **{
        first_tokens(le): f"0+{count}x{STEPS}"
        for le, count in (("1.0", 80), ("2.5", 95), ("5.0", 99), ("10.0", 100), ("+Inf", 100))
    },
}
DOWNLOADING: Series = {WANTED: steady(1e12), RECEIVED: f"0+1e9x{STEPS}"}
NOT_SERVED = {"ModelNotServed": "no model has been served for 10 minutes."}
HANGS = {
    "ModelEngineHangs": "vLLM runs and answers nothing; its supervisor stops it after 3 minutes and starts it again."
}
STUCK = {"ModelDownloadStuck": "the download of the weights has brought no byte for 15 minutes."}
QUEUE = {"ModelQueueGrows": "requests come faster than they are answered, and more than 10 have waited for 10 minutes."}
REFUSES = {"ModelKeysRefused": "more than half of the requests are refused for their key: 30 a second."}
SLOWER = {"ModelSlow": "with 64 requests at once or more it generates 300 tokens a second, and 1000 were measured."}
FULL = {"ModelKvCacheFull": "the KV cache has been full for 15 minutes: requests wait, or are computed twice."}
SLOW = {"ModelFirstTokenSlow": "a tenth of the requests wait longer than 5 s for their first token."}


ENDING = {"ModelCertificateEnds": "the certificate of the proxies ends in 6d 23h 29m 0s, and is not renewed."}


ONE_OF_TWO = {"ModelEngineNotServed": "only 1 of 2 engines have served for 10 minutes."}
TWO_ENGINES = SETTINGS.model_copy(update={"serving": SETTINGS.serving.model_copy(update={"engines": 2})})


def restarts(times: int) -> dict[str, str]:
    return {"ModelEngineRestarts": f"vLLM has ended {times} times within an hour."}


@pytest.mark.parametrize("minute", [1, 30, 60, 170])
def test_a_stack_that_serves_under_load_is_quiet(tmp_path: Path, minute: int) -> None:
    assert problem(tmp_path, HEALTHY, minute, {}) == ""


CASES: list[tuple[str, Series, int, dict[str, str]]] = [
    ("nothing serves yet", {SERVING: steady(0)}, 9, {}),
    ("nothing serves", {SERVING: steady(0)}, 11, NOT_SERVED),
    ("a first start", {SERVING: steady(0), FIRST_START: steady(1)}, 50, {}),
    ("a first start that failed", {SERVING: steady(0), FIRST_START: "1x60 0x300"}, 39, {}),
    ("a first start that failed, ten minutes later", {SERVING: steady(0), FIRST_START: "1x60 0x300"}, 41, NOT_SERVED),
    (
        "a change after which it starts anew",
        {SERVING: "1x60 _x8 0x100 1x200", FIRST_START: "0x60 _x8 1x100 0x200"},
        80,
        {},
    ),
    ("no supervisor", {SERVING: "1x60", FIRST_START: "0x60"}, 50, NOT_SERVED),
    ("no vLLM", {RUNNING: "5x60"}, 50, NOT_SERVED),
    ("served again", {SERVING: "0x60 1x300"}, 35, {}),
    ("busy for a minute", {SILENCE: "0x60 30 60 0x200"}, 32, {}),
    ("a hang", {SILENCE: "0x60 30 60 91 120 0x200"}, 32, HANGS),
    ("a hang that was ended", {SILENCE: "0x60 30 60 91 120 0x200", failures("hung"): "0x63 1x200"}, 35, HANGS),
    ("a hang that is past", {SILENCE: "0x60 30 60 91 120 0x200", failures("hung"): "0x63 1x200"}, 50, {}),
    ("two ends within an hour", {failures("exit"): "0x60 1x10 2x200"}, 60, {}),
    ("two ends, read off the beat", {failures("exit"): "0x60 1x10 2x47 _ 2x100"}, 60, {}),
    ("three ends, read off the beat", {failures("exit"): "0x60 1x10 3x47 _ 3x100"}, 60, restarts(3)),
    ("three ends within an hour", {failures("exit"): "0x60 1x10 2x10 3x200"}, 60, restarts(3)),
    ("ends of two kinds", {failures("exit"): "0x60 1x10 2x200", failures("load"): "0x80 1x200"}, 60, restarts(3)),
    ("three ends, two hours ago", {failures("exit"): "0x60 1x10 2x10 3x270"}, 170, {}),
    ("a queue that grows", {WAITING: "0x60 20+10x300"}, 50, QUEUE),
    ("a queue that is long and shrinks", {WAITING: "0x60 900-5x150 0x100"}, 55, {}),
    ("a queue that was worked off", {WAITING: "0x60 20+10x40 0x200"}, 70, {}),
    ("a cache that is full", {CACHE: "0.6x60 0.99x200"}, 46, FULL),
    ("a cache that was full for ten minutes", {CACHE: "0.6x60 0.99x20 0.5x200"}, 46, {}),
    ("slow first tokens", {first_tokens("2.5"): f"0+50x{STEPS}", first_tokens("5.0"): f"0+60x{STEPS}"}, 30, SLOW),
    ("slower than measured", {GENERATED: f"0+9000x{STEPS}"}, 30, SLOWER),
    ("few tokens for few requests", {GENERATED: f"0+9000x{STEPS}", RUNNING: steady(63)}, 30, {}),
    ("slower for some minutes", {GENERATED: f"0+27000x60 1620000+9000x16 1764000+27000x{STEPS}"}, 41, {}),
    ("no requests", {first_tokens(le): steady(100) for le in ("1.0", "2.5", "5.0", "10.0", "+Inf")}, 30, {}),
    ("keys refused in masses", {REFUSED: f"0+900x{STEPS}", ASKED: f"0+1200x{STEPS}"}, 30, REFUSES),
    ("keys refused no longer", {REFUSED: "0+900x60 54000x300", ASKED: "0+1200x60 72000+300x300"}, 40, {}),
    ("one client with a wrong key", {REFUSED: f"0+15x{STEPS}", ASKED: f"0+15x{STEPS}"}, 30, {}),
    ("a certificate that ends in a week", {CERTIFICATE_END: steady(7 * DAY)}, 31, ENDING),
    ("a certificate that was renewed in time", {CERTIFICATE_END: f"{7 * DAY}x15 {90 * DAY}x300"}, 31, {}),
    ("a download that moves", DOWNLOADING, 60, {}),
    ("a download that stands still", {**DOWNLOADING, RECEIVED: "0+1e9x60 6e10x200"}, 61, STUCK),
    ("a download that goes on", {**DOWNLOADING, RECEIVED: "0+1e9x60 6e10x70 6.1e10+1e9x200"}, 70, {}),
    ("a download that is whole and verified", {WANTED: steady(1e9), RECEIVED: steady(1e9)}, 60, {}),
    ("a download that has just begun", {WANTED: steady(1e9), RECEIVED: steady(0)}, 14, {}),
    ("another namespace", {SERVING.replace(OF, 'namespace="other"'): steady(0)}, 30, {}),
]


@pytest.mark.parametrize(("series", "minute", "firing"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_alert_fires_for_what_it_is_about(
    tmp_path: Path, series: Series, minute: int, firing: dict[str, str]
) -> None:
    assert problem(tmp_path, {**HEALTHY, **series}, minute, firing) == ""


def test_a_stack_whose_metrics_nobody_tells_is_not_served(tmp_path: Path) -> None:
    assert problem(tmp_path, {"up": steady(1)}, 11, NOT_SERVED) == ""


OTHER_SERVING, OTHER_FIRST_START = (series.replace("serve-x", "serve-1-x") for series in (SERVING, FIRST_START))


@pytest.mark.parametrize(
    ("series", "minute", "firing"),
    [
        ({}, 50, {}),
        ({OTHER_SERVING: "1x60 0x300"}, 39, {}),
        ({OTHER_SERVING: "1x60 0x300"}, 41, ONE_OF_TWO),
        ({OTHER_SERVING: "1x60 0x60 1x300"}, 65, {}),
        ({OTHER_SERVING: "1x60 0x300", OTHER_FIRST_START: "0x60 1x300"}, 60, {}),
        ({SERVING: "1x60 0x300", OTHER_SERVING: "1x60 0x300"}, 41, NOT_SERVED),
    ],
    ids=["both", "one for minutes", "one", "both again", "one that starts after a change", "none"],
)
def test_of_two_engines_one_that_does_not_serve_is_told(
    tmp_path: Path, series: Series, minute: int, firing: dict[str, str]
) -> None:
    both = {**HEALTHY, OTHER_SERVING: steady(1), OTHER_FIRST_START: steady(0), **series}
    assert problem(tmp_path, both, minute, firing, TWO_ENGINES) == ""


@pytest.mark.parametrize("seconds", [20, 600, 7200])
def test_every_time_follows_the_bound_of_the_stack_file(seconds: int) -> None:
    bound = SETTINGS.monitoring.model_copy(update={"alert_after": seconds})
    settings = SETTINGS.model_copy(update={"monitoring": bound})
    found = {
        rule["alert"]: rule for group in rule_spec("deepseek", STACK, settings)["groups"] for rule in group["rules"]
    }
    for name, share in (("ModelFirstTokenSlow", 1), ("ModelQueueGrows", 0.5), ("ModelDownloadStuck", 1.5)):
        assert seconds_of(found[name]["for"]) == share * seconds
    assert f"[{duration_text(seconds)}]" in found["ModelQueueGrows"]["expr"]


def test_without_a_measurement_nothing_is_compared() -> None:
    [group] = speed_rule_spec("deepseek", "a100-bf16", SETTINGS, {"problem": "it was not measured"})["groups"]
    assert group["rules"] == []


def test_every_alert_has_fired_here() -> None:
    fired = {name for *_, firing in CASES for name in firing}
    assert fired == {rule["alert"] for rule in all_rules()}


def test_promtool_finds_no_fault_in_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules()))
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_links_to_a_heading_of_its_own() -> None:
    text = (Path(__file__).resolve().parents[2] / PAGE).read_text(encoding="utf-8")
    headings = {re.sub(r"[^a-z0-9 -]", "", heading.lower()) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    for rule in all_rules(TWO_ENGINES):
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == PAGE
        assert anchor in headings, rule["alert"]
