"""What of a pull request's stack file is previewed; see `python -m planning.review.proposal --help`.

Whoever opens a pull request writes this file, and the preview reads it with the stack's credentials. A kubeconfig may
name a program that logs in, an ESC environment may set variables of the process, and a secret's ciphertext is decrypted
wherever it stands. So only what says how the model is served comes from the pull request. Which cluster is asked, which
state is compared and what is decrypted come from the base branch.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from planning.problems import Problem, Refused
from planning.review.comment import no_preview
from planning.settings.stack_file import PROJECT, SECRETS

LONGEST_FILE = 65_536
DEEPEST = 16
"""Characters, and objects within objects. A stack file has some thousand characters and four levels."""

OWN_KEY = re.compile(rf"(?:{PROJECT}:)?[A-Za-z][A-Za-z0-9]*")
NAMESPACE = "kubernetes:namespace"
NAMESPACE_FORM = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
EMPTY, MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
SECURE = "secure"
"""The key under which Pulumi decrypts a value."""

Entries = dict[str, yaml.Node]


def previewed(base: str | None, proposed: str) -> tuple[str, list[str]]:
    """Return the stack file to preview, and the keys that differ and were left as in the base branch.

    `base` is the file's text there, None where there is none. Raises Refused with every fault of the proposed text.
    """
    before, after = _entries("base", base or "{}"), _entries("proposed", proposed)
    old, new = _config("base", before), _config("proposed", after)
    faults = [*_nested_secrets(new), *_namespace_faults(new)]
    if faults:
        raise Refused(faults)
    taken = {key: node for key, node in new.items() if _is_taken(key)}
    kept = {key: node for key, node in old.items() if not _is_taken(key)}
    frame = {key: node for key, node in before.items() if key != "config"}
    left_out = [key for key in {**before, **after} if key != "config" and _differs(key, before, after)]
    left_out += [key for key in {**old, **new} if not _is_taken(key) and _differs(key, old, new)]
    return _text(_mapping({**frame, "config": _mapping({**kept, **taken})})), left_out


def _is_taken(key: str) -> bool:
    if key == NAMESPACE:
        return True
    return bool(OWN_KEY.fullmatch(key)) and key.removeprefix(f"{PROJECT}:") not in SECRETS


def _entries(name: str, text: str) -> Entries:
    """The document's top level. Raises Refused for what Pulumi's parser may read otherwise than this one."""
    if len(text) > LONGEST_FILE:
        raise Refused([Problem(name, f"has {len(text):,} characters", f"at most {LONGEST_FILE:,}")])
    try:
        faults = list(_unusual(yaml.parse(text, Loader=yaml.SafeLoader)))
        if faults:
            raise Refused([Problem(name, fault, "plain YAML") for fault in dict.fromkeys(faults)])
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise Refused([Problem(name, f"is not YAML: {getattr(error, 'problem', error)}")]) from None
    return _object(name, document)


def _unusual(events: Iterable[yaml.Event]) -> Iterable[str]:
    depth = documents = 0
    for event in events:
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            yield f"has objects within objects, {DEEPEST + 1} deep"
            return
        if documents > 1:
            yield "has more than one document"
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            yield f"has the anchor or alias {event.anchor}"
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            yield f"has the tag {event.tag}"


def _config(name: str, entries: Entries) -> Entries:
    node = entries.get("config")
    empty = node is None or node.tag == EMPTY
    return {} if empty else _object(f"{name} config", node)


def _object(name: str, node: yaml.Node | None) -> Entries:
    """The keys and values of an object whose keys are different texts, at every depth."""
    faults = list(_bad_keys(node))
    if not isinstance(node, yaml.MappingNode):
        faults = ["is no object"]
    if faults or not isinstance(node, yaml.MappingNode):
        raise Refused([Problem(name, fault) for fault in faults])
    return {str(key.value): value for key, value in node.value}


def _bad_keys(node: yaml.Node | None) -> Iterable[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _bad_keys(item)
    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                yield "has a key that is no text"
            elif key.value in seen:
                yield f"has the key {key.value} twice"
            seen.add(str(key.value))
            yield from _bad_keys(value)


def _nested_secrets(config: Entries) -> list[Problem]:
    """A ciphertext copied from the base branch into a key that is shown would be shown in plain text."""
    keys = [key for key, node in config.items() if _is_taken(key) and _holds_secret(node)]
    secrets = " and ".join(SECRETS)
    return [Problem(key, f"holds a {SECURE} value", f"secrets under {secrets} only") for key in keys]


def _holds_secret(node: yaml.Node) -> bool:
    if isinstance(node, yaml.SequenceNode):
        return any(_holds_secret(item) for item in node.value)
    if isinstance(node, yaml.MappingNode):
        return any(key.value == SECURE or _holds_secret(value) for key, value in node.value)
    return False


def _namespace_faults(config: Entries) -> list[Problem]:
    node = config.get(NAMESPACE)
    if node is None or (isinstance(node, yaml.ScalarNode) and NAMESPACE_FORM.fullmatch(node.value)):
        return []
    return [Problem(NAMESPACE, "is no name of a namespace", "lower-case letters, digits and -, at most 63")]


def _differs(key: str, before: Entries, after: Entries) -> bool:
    return _text(before.get(key)) != _text(after.get(key))


def _text(node: yaml.Node | None) -> str:
    return "" if node is None else yaml.serialize(node)  # pyright: ignore[reportUnknownMemberType]


def _mapping(entries: Entries) -> yaml.MappingNode:
    pairs = [(yaml.ScalarNode("tag:yaml.org,2002:str", key), node) for key, node in entries.items()]
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs)


def main() -> int:
    """Write the stack file to preview; exit code 1, and the comment that says why, where it is refused."""
    parser = argparse.ArgumentParser(
        prog="python -m planning.review.proposal",
        description="Takes from a pull request's stack file what may be previewed with the stack's credentials.",
    )
    parser.add_argument("proposed", type=Path, help="the stack file of the pull request")
    parser.add_argument("stack_file", type=Path, help="that of the base branch, which is written anew")
    parser.add_argument("--left-out", type=Path, required=True, help="where a JSON list of the keys not taken goes")
    options = parser.parse_args()
    file: Path = options.stack_file
    stack = file.name.removeprefix("Pulumi.").removesuffix(".yaml")
    try:
        text, left_out = previewed(
            file.read_text(encoding="utf-8") if file.exists() else None,
            options.proposed.read_text(encoding="utf-8"),
        )
    except (Refused, UnicodeDecodeError) as reason:
        sys.stdout.write(no_preview(stack, str(reason)))
        return 1
    file.write_text(text, encoding="utf-8")
    options.left_out.write_text(json.dumps(left_out), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
