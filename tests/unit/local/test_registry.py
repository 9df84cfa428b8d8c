import base64
import hashlib
import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from local import paths
from local.images import oci, registry

PASSWORD = "open sesame"  # noqa: S105


class FakeRegistry(BaseHTTPRequestHandler):
    """As much of the distribution API as a push needs; refuses a manifest whose blobs are not there."""

    blobs: ClassVar[dict[tuple[str, str], bytes]] = {}
    manifests: ClassVar[dict[str, bytes]] = {}

    def do_HEAD(self) -> None:
        name, _, digest = self.path.removeprefix("/v2/").rpartition("/blobs/")
        self._answer(200 if (name, digest) in self.blobs else 404)

    def do_GET(self) -> None:
        body = self.manifests.get(self.path)
        self._answer(200 if body else 404, body or b"{}")

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        name = url.path.removeprefix("/v2/").removesuffix("/blobs/uploads/")
        query = parse_qs(url.query)
        if "mount" in query:
            digest, source = query["mount"][0], query["from"][0]
            self.blobs[name, digest] = self.blobs[source, digest]
            self._answer(201)
        else:
            self._answer(202, location=f"http://{self.headers['Host']}/v2/{name}/upload?state=1")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = urlsplit(self.path)
        name = url.path.removeprefix("/v2/").removesuffix("/upload")
        if url.path.endswith("/upload"):
            digest = parse_qs(url.query)["digest"][0]
            good = digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.blobs[name, digest] = body
        else:
            name = name.partition("/manifests/")[0]
            manifest = json.loads(body)
            wanted = [layer["digest"] for layer in (*manifest["layers"], manifest["config"])]
            good = all((name, digest) in self.blobs for digest in wanted)
            self.manifests[url.path] = body
        self._answer(201 if good else 400)

    def _answer(self, status: int, body: bytes = b"", *, location: str = "") -> None:
        authorized = self.headers["Authorization"] == "Basic " + base64.b64encode(f"u:{PASSWORD}".encode()).decode()
        self.send_response(status if authorized else 401)
        self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def address() -> Generator[str]:
    FakeRegistry.blobs.clear()
    FakeRegistry.manifests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeRegistry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def image(tmp_path: Path) -> oci.Image:
    (tmp_path / "layer.tar").write_bytes(b"layer")
    return oci.Image(
        layers=(oci.Layer.measure(tmp_path / "layer.tar"),),
        content_key="abc",
        environment={"PATH": "/bin"},
        command=("python3",),
        user="ray",
    )


def test_an_image_that_was_pushed_is_known_by_what_it_was_made_from(address: str, image: oci.Image) -> None:
    client = oci.Registry(address=address, user="u", password=PASSWORD)
    assert client.content_key("library/python", "3.11") is None
    client.push("library/python", "3.11", image)
    assert client.content_key("library/python", "3.11") == "abc"


def test_an_image_stands_on_the_layers_of_another_without_uploading_them(
    address: str, image: oci.Image, tmp_path: Path
) -> None:
    client = oci.Registry(address=address, user="u", password=PASSWORD)
    client.push("library/python", "3.11", image)
    (tmp_path / "layer.tar").unlink()
    base = client.layers("library/python", "3.11")
    client.push("rayproject/ray", "2", oci.Image(layers=base, content_key="def"))
    assert client.layers("rayproject/ray", "2")[0].digest == base[0].digest


def test_a_wrong_password_is_refused_with_what_was_asked(address: str, image: oci.Image) -> None:
    client = oci.Registry(address=address, user="u", password=PASSWORD.upper())
    with pytest.raises(oci.RegistryRefused, match=r"answered HEAD /v2/x/blobs/sha256:\w+ with 401"):
        client.push("x", "1", image)
    assert PASSWORD.upper() not in repr(client)


def test_an_image_that_should_be_there_and_is_not_is_named(address: str) -> None:
    client = oci.Registry(address=address, user="u", password=PASSWORD)
    with pytest.raises(oci.RegistryRefused, match="has no image library/python:3"):
        client.layers("library/python", "3")


def test_the_configuration_says_what_a_container_runs(image: oci.Image) -> None:
    config = json.loads(image.config())
    assert config["config"]["Env"] == ["PATH=/bin"]
    assert config["config"]["Cmd"] == ["python3"]
    assert config["config"]["User"] == "ray"
    assert config["rootfs"]["diff_ids"] == [image.layers[0].digest]


def test_the_password_is_made_once_and_only_root_reads_it(tmp_path: Path) -> None:
    password = registry.load_password(tmp_path)
    assert registry.load_password(tmp_path) == password
    assert (tmp_path / "registry" / "password").stat().st_mode & 0o077 == 0


def test_pods_get_the_password_for_the_registrys_address() -> None:
    config = json.loads(registry.docker_config(PASSWORD))
    login = config["auths"][registry.ADDRESS]
    assert base64.b64decode(login["auth"]).decode() == f"{login['username']}:{PASSWORD}"


def test_the_registry_listens_on_one_address_and_asks_for_a_password(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "htpasswd").write_text("deepseek:$2y$")
    daemon = registry.registry_daemon(PASSWORD, host="127.0.0.1", state=tmp_path)
    config = json.loads(daemon.files[tmp_path / "registry" / "config.yml"])
    assert config["http"] == {"addr": "127.0.0.1:5000"}
    assert config["auth"]["htpasswd"]["path"] == str(tmp_path / "registry" / "htpasswd")
    assert config["storage"]["filesystem"]["rootdirectory"] == str(paths.REGISTRY_STORAGE)
