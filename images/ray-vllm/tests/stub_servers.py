"""Stand-ins on loopback for what the programs talk to: an HTTP server, a served model, the head of a Ray cluster."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import vllm_job

Body: TypeAlias = dict[str, Any]
Reply: TypeAlias = tuple[int, Any]
Route: TypeAlias = Callable[[Body], Reply]


NO_CHAT_TEMPLATE = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if the "
    "tokenizer does not define one."
)
"""As vLLM 0.32 refuses a chat with a base model."""


class _Handler(BaseHTTPRequestHandler):
    stub: "StubServer"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path in self.stub.streams:
            self._stream(self.stub.streams[path])
        else:
            self._answer("GET", path, query)

    def do_POST(self) -> None:
        self._answer("POST", self.path, "")

    def do_PUT(self) -> None:
        self.stub.uploads[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.headers.replace_header("Content-Length", "0")
        self._answer("PUT", self.path, "")

    def do_PATCH(self) -> None:
        self._answer("PATCH", self.path, "")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the base class has it
        pass

    def _answer(self, method: str, path: str, query: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body: Body = json.loads(self.rfile.read(length) or b"{}")
        self.stub.requests.append((method, path))
        if self.stub.turns_away:
            self.close_connection = True
            return
        self.stub.tokens.append(self.headers.get("Authorization", ""))
        route = self.stub.routes.get((method, path), lambda _: (404, "not found"))
        status, reply = route(body | {"query": query})
        data = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
        with contextlib.suppress(OSError):  # a client that has given up
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def _stream(self, lines: list[str]) -> None:
        self.send_response(200)
        self.end_headers()
        sent = 0
        with contextlib.suppress(OSError):
            while not self.stub.closing.wait(0.01):
                for line in lines[sent:]:
                    self.wfile.write(line.encode() + b"\n")
                    sent += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class StubServer:
    """An HTTP server whose routes are functions from the request's body to status and body; it records the requests.

    While it `turns_away` it closes every connection without a word, as uvloop does when a process has no files left.
    """

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Route] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens: list[str] = []
        self.streams: dict[str, list[str]] = {}
        self.uploads: dict[str, bytes] = {}
        """The bytes of each PUT by path."""

        self.turns_away = False
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class StubModel(StubServer):
    """A served model: `answer` is what it says, None for a server that hangs; `status` other than 200 refuses.

    Without `has_chat_template` it is a base model, which only completes texts. It calls the first tool that it is
    offered, and reasons where it is asked to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answer: str | None = "I am ready."
        self.status = 200
        self.generated = 0
        self._counting = threading.Lock()
        self.cache_usage = 0.0
        self.running = self.waiting = 0
        self.has_chat_template = True
        self.routes[("POST", "/v1/chat/completions")] = self._chat
        self.routes[("POST", "/v1/completions")] = self._complete_text
        self.routes[("GET", "/metrics")] = self._metrics

    def _chat(self, body: dict[str, Any]) -> Reply:
        if self.has_chat_template:
            message: dict[str, Any] = {"content": self.answer}
            for tool in body.get("tools", [])[:1]:
                call = {"name": tool["function"]["name"], "arguments": "{}"}
                message |= {"content": None, "tool_calls": [{"type": "function", "function": call}]}
            if body.get("chat_template_kwargs", {}).get("thinking"):
                message["reasoning"] = "Let me think."
            return self._complete(body, {"message": message})
        return 400, {"error": {"message": NO_CHAT_TEMPLATE, "type": "BadRequestError", "code": 400}}

    def _complete_text(self, body: dict[str, Any]) -> Reply:
        assert "messages" not in body
        return self._complete(body, {"text": self.answer})

    def _complete(self, body: dict[str, Any], choice: dict[str, Any]) -> Reply:
        if self.answer is None:
            self.closing.wait(30)
        if self.status != 200:
            return self.status, {"error": {"message": "engine is dead"}}
        with self._counting:
            self.generated += body["max_tokens"] if body.get("ignore_eos") else 1
        return 200, {"choices": [choice]}

    def _metrics(self, _: dict[str, Any]) -> Reply:
        engine = '{engine="0",model_name="m"}'
        metrics = {
            "vllm:generation_tokens_total": float(self.generated),
            "vllm:kv_cache_usage_perc": self.cache_usage,
            "vllm:num_requests_running": float(self.running),
            "vllm:num_requests_waiting": float(self.waiting),
        }
        return 200, "".join(f"{name}{engine} {value}\n" for name, value in metrics.items())


class StubRay(StubServer):
    """The head of a Ray cluster of one node and one GPU. `on_submit` is told of each job that it has taken."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[dict[str, Any]] = [self.node("10.0.0.1")]
        self.placement_groups: list[dict[str, Any]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.stopped: list[str] = []
        self.on_submit: Callable[[str], None] = lambda _: None
        self.routes[("GET", "/api/v0/nodes")] = lambda _: (200, {"data": {"result": {"result": self.nodes}}})
        self.routes[("GET", "/api/v0/placement_groups")] = lambda _: (
            200,
            {"data": {"result": {"result": self.placement_groups}}},
        )
        self.routes[("GET", "/api/jobs/")] = lambda _: (200, [*self.jobs.values(), {"type": "DRIVER"}])
        self.routes[("POST", "/api/jobs/")] = self._submit
        self.streams["/api/v0/logs/stream"] = []

    @staticmethod
    def node(address: str, gpus: float = 1.0, **resources: float) -> dict[str, Any]:
        return {"node_ip": address, "state": "ALIVE", "resources_total": {"GPU": gpus, "CPU": 1.0, **resources}}

    def say(self, *lines: str) -> None:
        self.streams["/api/v0/logs/stream"].extend(lines)

    def add_job(self, job_id: str, metadata: dict[str, str] | None = None) -> None:
        self.jobs[job_id] = {
            "submission_id": job_id,
            "status": "RUNNING",
            "start_time": int(time.time() * 1000),
            "driver_node_id": "node",
            "metadata": vllm_job.SUBMITTED_BY if metadata is None else metadata,
        }
        self.routes[("GET", f"/api/jobs/{job_id}")] = lambda _: (
            (200, self.jobs[job_id]) if job_id in self.jobs else (404, "does not exist")
        )
        self.routes[("POST", f"/api/jobs/{job_id}/stop")] = lambda _: self._stop(job_id)

    def end_job(self, job_id: str, status: str = "SUCCEEDED", exit_code: int | None = 0) -> None:
        self.jobs[job_id] |= {"status": status, "driver_exit_code": exit_code}

    def _submit(self, body: dict[str, Any]) -> Reply:
        job_id = body["submission_id"]
        if job_id in self.jobs:
            return 500, "already exists"
        self.add_job(job_id, body["metadata"])
        self.jobs[job_id] |= {"entrypoint": body["entrypoint"], "runtime_env": body["runtime_env"]}
        self.on_submit(job_id)
        return 200, {"submission_id": job_id}

    def _stop(self, job_id: str) -> Reply:
        self.stopped.append(job_id)
        self.end_job(job_id, "STOPPED", None)
        return 200, {"stopped": True}
