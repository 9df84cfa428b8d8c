"""Flags of `vllm serve` that are not for `serving.extraArgs`: the key that decides each, or why it is refused."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Owned:
    """Why a flag is refused, and the key of the stack file that says the same, if there is one."""

    why: str
    key: str = ""


def _each(owned: Owned, *names: str) -> dict[str, Owned]:
    return dict.fromkeys(names, owned)


SECRETS: Mapping[str, Owned] = {
    "--api-key": Owned("a key in extraArgs would stand in the environment of pods, in logs and in the state", "apiKey"),
    "--hf-token": Owned(
        "a token in extraArgs would stand in the environment of pods, in logs and in the state", "modelToken"
    ),
}
"""No error quotes their values."""

HTTP_ADDRESS = Owned("probes, supervisor and the Service reach vLLM by HTTP on the port that the program gives")
KEY_MIDDLEWARE = Owned("the program gives the middleware that asks for the key")
PLACEMENT = Owned("the program places the ranks: one engine over all nodes, by Ray")
WEIGHTS = Owned("the weights and everything beside them are those of the configured revision", "model.revision")
ANSWER = Owned("the stack serves chat completions, and counts as ready when it has answered one")
STATISTICS = Owned("by vLLM's statistics the supervisor tells a busy engine from one that hangs")

COUNTED: Mapping[str, str] = {
    "--max-model-len": "serving.maxModelLen",
    "--max-num-batched-tokens": "serving.maxNumBatchedTokens",
    "--enforce-eager": "serving.enforceEager",
}
"""Flags that vLLM gets where their key is set, and with which the plan counts, by key."""

OWNED: Mapping[str, Owned] = {
    **SECRETS,
    **_each(KEY_MIDDLEWARE, "--middleware"),
    **_each(HTTP_ADDRESS, "--host", "--port", "--uds", "--root-path", "--grpc", "--grpc-port"),
    **_each(
        Owned("probes, supervisor and the Service speak plain HTTP with vLLM; TLS belongs in front of the Service"),
        "--ssl-keyfile",
        "--ssl-certfile",
        "--ssl-ca-certs",
        "--ssl-cert-reqs",
        "--ssl-ciphers",
        "--enable-ssl-refresh",
    ),
    "--config": Owned("vLLM would read flags from a file that no preview shows; write them into extraArgs"),
    "--help": Owned("vLLM would print its help and end"),
    "--model": Owned("the program gives the model", "model.repository"),
    "--served-model-name": Owned("the program gives the names of the model", "model.name"),
    **_each(WEIGHTS, "--revision", "--code-revision", "--tokenizer", "--tokenizer-revision", "--hf-config-path"),
    "--download-dir": Owned("the weights are on the volume, and vLLM downloads nothing", "model.repository"),
    "--tensor-parallel-size": Owned("the plan divides the model", "serving.tensorParallelSize"),
    "--pipeline-parallel-size": Owned("the plan divides the model", "serving.pipelineParallelSize"),
    **_each(
        PLACEMENT,
        "--distributed-executor-backend",
        "--worker-cls",
        "--device-ids",
        "--headless",
        "--nnodes",
        "--node-rank",
        "--master-addr",
        "--master-port",
        "--prefill-context-parallel-size",
        "--data-parallel-size",
        "--data-parallel-rank",
        "--data-parallel-start-rank",
        "--data-parallel-size-local",
        "--data-parallel-address",
        "--data-parallel-rpc-port",
        "--data-parallel-backend",
        "--data-parallel-hybrid-lb",
        "--data-parallel-external-lb",
        "--data-parallel-multi-port-external-lb",
        "--data-parallel-supervisor-port",
        "--dp-supervisor-probe-interval-s",
        "--dp-supervisor-probe-timeout-s",
        "--dp-supervisor-probe-failure-threshold",
        "--enable-elastic-ep",
        "--elastic-ep-max-dp-size",
    ),
    "--gpu-memory-utilization": Owned("the plan counts with it", "serving.gpuMemoryUtilization"),
    **{flag: Owned("the plan counts with it", key) for flag, key in COUNTED.items()},
    "--dtype": Owned("the plan counts with it", "serving.dtype"),
    **_each(ANSWER, "--runner", "--convert", "--tokens-only", "--skip-tokenizer-init", "--mm-encoder-only"),
    **_each(STATISTICS, "--disable-log-stats", "--log-level", "--logging-config", "--log-config-file"),
}
