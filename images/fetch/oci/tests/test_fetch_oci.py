"""Weights from a registry: whole, verified, resumed, and by whatever login the registry asks for."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from download_program import LASTING
from fetch_pods import flip_bit, wait_until
from oci_registry import MODEL, PASSWORD, USER, Registry, basic, registry_server, serving, with_password
from oci_volume import SIZES, OciVolume
from token_server import SERVICE, token_server

TOTAL = sum(SIZES.values())
LOGIN = f"{USER}:{PASSWORD}"


def manifest(volume: OciVolume) -> str:
    return json.loads(volume.marker.read_text())["commit"]


def test_every_layer_is_a_file_on_the_volume_and_nothing_else(volume: OciVolume, content: dict[str, bytes]) -> None:
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert not list((volume.state / "parts").iterdir())
    assert f"{len(content)} files, 3.5 MiB" in ended.log


def test_a_later_run_asks_for_nothing(volume: OciVolume) -> None:
    volume.download()
    before = volume.registry.faults.sent.total()
    ended = volume.download()
    assert ended.code == 0
    assert "is complete" in ended.log
    assert volume.registry.faults.sent.total() == before


def test_the_digest_of_the_manifest_pins_the_model(
    volume: OciVolume, registry: Registry, content: dict[str, bytes]
) -> None:
    pinned = registry.push(content)
    registry.push({**content, "config.json": b'{"other": 1}'})
    assert volume.download(MODEL_REVISION=pinned).code == 0
    assert manifest(volume) == pinned
    assert volume.content() == content


def test_what_a_tag_names_is_looked_up_once(volume: OciVolume, registry: Registry, content: dict[str, bytes]) -> None:
    assert volume.download().code == 0
    first = manifest(volume)
    registry.push({**content, "config.json": b'{"other": 1}'})
    assert volume.download(VERIFY="full").code == 0
    assert manifest(volume) == first
    assert volume.content() == content


def test_a_folder_with_another_model_is_not_touched(
    volume: OciVolume, registry: Registry, content: dict[str, bytes]
) -> None:
    assert volume.download().code == 0
    registry.push({**content, "config.json": b'{"other": 1}'}, tag="second")
    ended = volume.download(MODEL_REVISION="second")
    assert ended.code == LASTING
    assert "set deepseek:model.name" in ended.reason
    assert volume.content() == content


def test_connections_that_break_or_stall_are_resumed(volume: OciVolume, content: dict[str, bytes]) -> None:
    volume.registry.faults.cut.extend([200_000, 100_000, 0])
    volume.registry.faults.stall.extend([10**9] * 3 + [150_000])
    ended = volume.download(STALL_SECONDS="3")
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert volume.registry.faults.sent.total() < 1.2 * TOTAL


def test_a_registry_that_does_not_know_ranges_is_read_from_its_beginning(
    volume: OciVolume, content: dict[str, bytes]
) -> None:
    volume.registry.faults.no_ranges = True
    volume.registry.faults.cut.extend([200_000] * 5)
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert "Interrupted" in ended.log
    assert volume.content() == content


@pytest.mark.parametrize("status", [500, 503, 429])
def test_errors_of_the_registry_are_waited_out(status: int, volume: OciVolume, content: dict[str, bytes]) -> None:
    volume.registry.faults.answers.extend([status] * 10)
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == content


def test_a_killed_download_goes_on_where_it_was(volume: OciVolume, content: dict[str, bytes]) -> None:
    volume.registry.faults.bytes_per_second = 1e6
    pod = volume.start()
    wait_until(lambda: volume.registry.faults.sent.total() > 1_500_000)
    volume.kill(pod)
    assert not (volume.directory / "model-1.safetensors").exists()
    volume.registry.faults.bytes_per_second = float("inf")
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert volume.registry.faults.sent.total() < TOTAL + 700_000


def test_wrong_bytes_are_refused_and_named(volume: OciVolume) -> None:
    volume.registry.faults.flip = True
    ended = volume.download()
    assert ended.code == LASTING
    assert "came 2 times with another SHA-256" in ended.reason
    assert not list(volume.directory.rglob("*.safetensors"))
    assert not volume.marker.exists()


def test_a_bit_that_flips_later_is_found_and_repaired(volume: OciVolume, content: dict[str, bytes]) -> None:
    assert volume.download().code == 0
    flip_bit(volume.directory / "model-2.safetensors")
    assert volume.download(VERIFY="full").code == 0
    assert volume.content() == content


def test_modelpack_names_its_files_by_an_annotation_of_its_own(
    volume: OciVolume, registry: Registry, content: dict[str, bytes]
) -> None:
    kind = "application/vnd.cncf.model.weight.v1.raw"
    layers = [
        registry.layer(data, mediaType=kind, annotations={"org.cncf.model.filepath": path})
        for path, data in content.items()
    ]
    registry.push_manifest(layers, tag="modelpack")
    ended = volume.download(MODEL_REVISION="modelpack")
    assert ended.code == 0, ended.log
    assert volume.content() == content


def test_a_registry_with_a_password(tmp_path: Path, content: dict[str, bytes]) -> None:
    with registry_server(tmp_path, with_password(tmp_path)) as port:
        registry = Registry(port, basic(USER, PASSWORD))
        registry.push(content)
        with serving(registry):
            volume = OciVolume(tmp_path / "volume", tmp_path / "scratch", registry)
            wrong = volume.download(MODEL_TOKEN=f"{USER}:another-password")
            none = volume.download()
            ended = volume.download(MODEL_TOKEN=LOGIN)
    assert wrong.code == none.code == LASTING
    assert "refuses the login of deepseek:modelToken" in wrong.reason
    assert "deepseek:modelToken USER:PASSWORD" in none.reason
    assert ended.code == 0, ended.log
    assert volume.content() == content
    on_disk = b"".join(path.read_bytes() for path in volume.state.rglob("*") if path.is_file()).decode()
    for text in (ended.log, wrong.log, wrong.reason, on_disk):
        assert PASSWORD not in text
        assert "another-password" not in text


def test_a_registry_that_sends_for_a_token(tmp_path: Path, content: dict[str, bytes]) -> None:
    with token_server(tmp_path) as tokens, registry_server(tmp_path, tokens.auth()) as port:
        registry = Registry(port, f"Bearer {tokens.token(['pull', 'push'])}")
        registry.push(content)
        with serving(registry):
            volume = OciVolume(tmp_path / "volume", tmp_path / "scratch", registry)
            wrong = volume.download(MODEL_TOKEN=f"{USER}:another-password")
            ended = volume.download(MODEL_TOKEN=LOGIN)
    assert wrong.code == LASTING
    assert "refuses the login of deepseek:modelToken" in wrong.reason
    assert "another-password" not in wrong.log
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert tokens.asked[-1] == {"service": [SERVICE], "scope": [f"repository:{MODEL}:pull"]}
    assert basic(USER, PASSWORD) not in registry.faults.authorizations


def test_credentials_do_not_follow_to_a_storage_elsewhere(tmp_path: Path, content: dict[str, bytes]) -> None:
    seen: list[str | None] = []

    class Storage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            digest = self.path.partition("?")[0].strip("/")
            data = (tmp_path / f"blobs/docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the tests' output readable."""

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Storage) as storage,
        registry_server(tmp_path, with_password(tmp_path)) as port,
    ):
        threading.Thread(target=storage.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        registry = Registry(port, basic(USER, PASSWORD))
        registry.faults.sent_on_to = f"http://localhost:{storage.server_port}"
        registry.push(content)
        with serving(registry):
            volume = OciVolume(tmp_path / "volume", tmp_path / "scratch", registry)
            ended = volume.download(MODEL_TOKEN=LOGIN)
        storage.shutdown()
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert len(seen) >= len(SIZES)
    assert set(seen) == {None}
