from pathlib import Path
from typing import ClassVar

import pytest

from local.images import debian_root, oci, proxy_image
from local.steps import StepLog


class Registry(oci.Registry):
    """A registry that keeps images in memory."""

    images: ClassVar[dict[tuple[str, str], oci.Image]] = {}

    def content_key(self, name: str, tag: str) -> str | None:
        image = self.images.get((name, tag))
        return image.content_key if image else None

    def push(self, name: str, tag: str, image: oci.Image) -> None:
        self.images[name, tag] = image


def test_it_is_made_of_debians_package_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, ...]] = []

    def make_root(folder: Path, packages: tuple[str, ...], _log: StepLog) -> None:
        made.append(packages)
        folder.mkdir()
        (folder / "haproxy").write_text("the program")

    monkeypatch.setattr(debian_root, "make_root", make_root)
    monkeypatch.setattr(proxy_image.paths, "CACHE", tmp_path)
    registry, log = Registry(address="", user="", password=""), StepLog(tmp_path / "log")
    assert proxy_image.make_proxy_image(registry, log).startswith("pushed")
    assert made == [("haproxy",)]
    assert "/usr/sbin" in registry.images[proxy_image.HAPROXY].environment["PATH"].split(":")
    assert proxy_image.make_proxy_image(registry, log) == "already there"
    assert len(made) == 1
