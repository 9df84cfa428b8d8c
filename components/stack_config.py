"""What a stack's configuration says: settings for the plan, secrets, and where the cluster is."""

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from components.shared.kubeconfig import for_provider, is_text
from components.shared.refusal import refuse
from planning.parse import parse
from planning.problems import Problem, Refused
from planning.settings.api_keys import (
    NAMED_KEYS,
    problem_of_api_key,
    problems_of_limited_names,
    problems_of_named_keys,
)
from planning.settings.sections import StackSettings
from planning.settings.stack_file import PROJECT, SECRETS, in_plain_text, readable_token, token_of_wrong_form


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """The configuration of the current stack, checked."""

    settings: StackSettings
    api_key: pulumi.Output[str] | None
    api_keys: pulumi.Output[dict[str, str]]
    """Further keys by name."""

    model_token: pulumi.Output[str] | None
    kubeconfig: str | None
    context: str | None
    namespace: str


def read_stack_config() -> StackConfig:
    """Return the configuration of the current stack. It is refused (`refuse`) with every unknown key and bad value."""
    config, cluster = pulumi.Config(PROJECT), pulumi.Config("kubernetes")
    keys = _keys_set()
    problems = list(_problems_of_secrets(config, keys))
    try:
        settings = parse({key: config.get_object(key) for key in keys if key not in SECRETS})
        if problems:
            raise Refused(problems)
    except Refused as refused:
        refuse(str(Refused([problem for problem in refused.problems if problem not in problems] + problems)))
    return StackConfig(
        settings=settings,
        api_key=config.require_secret("apiKey") if "apiKey" in keys else None,
        api_keys=config.require_secret_object(NAMED_KEYS) if NAMED_KEYS in keys else pulumi.Output.from_input({}),
        model_token=config.require_secret("modelToken") if "modelToken" in keys else None,
        kubeconfig=cluster.get("kubeconfig"),
        context=cluster.get("context"),
        namespace=cluster.get("namespace") or "default",
    )


def _problems_of_secrets(config: pulumi.Config, keys: Collection[str]) -> Iterator[Problem]:
    yield from (in_plain_text(key) for key in SECRETS if key in keys and not _is_encrypted(key))
    # An encrypted key without characters is a mistake. One that is only declared in Pulumi.yaml is not encrypted.
    if _is_encrypted("apiKey") and (problem := problem_of_api_key(config.get("apiKey") or "")):
        yield problem
    if NAMED_KEYS in keys:
        sections = {name: config.get_object(name) for name in ("endpoint", "serving")}
        yield from problems_of_named_keys(_readable(config.get(NAMED_KEYS)), config.get("apiKey"), **sections)
    yield from problems_of_limited_names(_readable(config.get(NAMED_KEYS)), config.get_object("endpoint"))
    if "modelToken" in keys:
        model = config.get_object("model")
        yield from readable_token(model)
        if _is_encrypted("modelToken"):
            yield from token_of_wrong_form(model, config.get("modelToken") or "")


def _readable(text: str | None) -> object:
    """Return an object of the configuration; None if it is none. Pulumi's own error would print the secret."""
    try:
        return json.loads(text or "")
    except ValueError:
        return None


def _is_encrypted(key: str) -> bool:
    return is_config_secret(f"{PROJECT}:{key}")


def _keys_set() -> set[str]:
    """Return the keys under this project's name; a secret that is only declared has the value "" or {}."""
    prefix = f"{PROJECT}:"
    values: dict[str, Any] = get_config_env() | CONFIG.get()
    written = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    return {key for key, value in written.items() if value and (key, value) != (NAMED_KEYS, "{}")}


def cluster_provider(config: StackConfig) -> k8s.Provider:
    """Return the provider of the configured cluster and namespace.

    An object that exists is taken over: what an interrupted `up` created and did not record, and the claim that the
    last destroy kept. Providers since 4.29 refuse that unless they are told; the namespace belongs to one stack.
    A Secret is updated in place: replaced, it would take down first what only refers to it by name.
    """
    kubeconfig = config.kubeconfig or os.environ.get("KUBECONFIG")
    return k8s.Provider(
        "cluster",
        kubeconfig=_for_the_state("kubeconfig", kubeconfig and for_provider(kubeconfig)),
        context=_for_the_state("context", config.context),
        namespace=config.namespace,
        upsert_existing_objects=True,
        enable_secret_mutable=True,
    )


def _for_the_state(key: str, value: str | None) -> pulumi.Input[str] | None:
    """Return a value for the provider, encrypted in its state if it was encrypted or may have credentials in it."""
    if value and (is_config_secret(f"kubernetes:{key}") or is_text(value)):
        return pulumi.Output.secret(value)
    return value
