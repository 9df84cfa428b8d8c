"""A repository stays in its folder: no symbolic link and no name of its leads anywhere else."""

from collections.abc import Mapping
from pathlib import Path

import lfs_repository
import pytest
from failure import Failed
from faulty_server import FaultyServer
from fetch_pods import Volume
from links import check_names, leaving

LEAVING: dict[str, Mapping[str, str]] = {
    "absolute": {"config.json": "/etc/passwd"},
    "the root": {"a": "/"},
    "up": {"config.json": "../other/config.json"},
    "the folder above": {"a": ".."},
    "down and further up": {"a": "sub/../../x"},
    "from a folder": {"sub/a": "../../x"},
    "up after a dot and empty parts": {"a": ".//../x"},
    "over another link": {"a": "b/../x", "b": "sub"} | {"sub/c": "../../x"},
    "a chain": {"a": "b", "b": "c", "c": "/etc/passwd"},
    "over a folder that is a link": {"d": "..", "a": "d/x"},
    "up from where a folder's link leads": {"deep/er/d": "../..", "a": "deep/er/d/../x"},
    "a link to a link of a folder": {"d": "e", "e": "../y", "a": "d/f"},
    "into Git's own folder": {"a": ".git/config"},
    "into Git's own folder, as other file systems spell it": {"a": "sub/../.GIT/config"},
    "over a link of another case": {"D": "sub/deep", "a": "d/../../../x"},
    "itself": {"a": "a"},
    "a circle": {"a": "b", "b": "sub/../a"},
}
STAYING: dict[str, Mapping[str, str]] = {
    "a neighbour": {"a": "config.json"},
    "up within the folder": {"sub/deep/a": "../../config.json"},
    "over a folder that is a link": {"d": "sub/deep", "a": "d/config.json"},
    "up from where a folder's link leads": {"d": "sub/deep/er", "a": "d/../config.json"},
    "the folder itself": {"a": "."},
    "what is not there": {"a": "nothing"},
    "a file called like Git's": {"a": ".gitattributes"},
    "dots that are a name": {"a": "..data/config.json"},
}


@pytest.mark.parametrize("targets", LEAVING.values(), ids=LEAVING)
def test_a_link_that_leaves_is_found_by_its_name(targets: Mapping[str, str]) -> None:
    assert leaving(targets)
    assert all("' -> '" in found for found in leaving(targets))


@pytest.mark.parametrize("targets", STAYING.values(), ids=STAYING)
def test_a_link_that_stays_is_kept(targets: Mapping[str, str]) -> None:
    assert leaving(targets) == []


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/x", "a//x", ".git/config", "a/.GIT/hooks/x", ".git./x", "."])
def test_a_name_that_leaves_is_refused(path: str) -> None:
    with pytest.raises(Failed, match="names leave"):
        check_names(["config.json", path])


def commit_links(server: FaultyServer, folder: Path, links: Mapping[str, str]) -> None:
    """Let the server have a repository of these links, one file and one folder."""
    files = folder / "files"
    (files / "sub").mkdir(parents=True)
    (files / "sub" / "config.json").write_text("{}")
    (files / "model.safetensors").write_bytes(bytes(5000))
    for path, target in links.items():
        (files / path).symlink_to(target)
    lfs_repository.commit(folder / "model.git", files)
    server.root = folder


def test_links_that_leave_are_refused_at_once_and_all_named(
    server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    commit_links(server, tmp_path, {"secret.json": "/api-key/key", "over": "sub/../..", "fine": "sub/config.json"})
    ended = volume.download()
    assert ended.code == 1
    assert "symbolic links that leave the repository's folder" in ended.reason
    assert "'secret.json' -> '/api-key/key'" in ended.reason
    assert "'over' -> 'sub/../..'" in ended.reason
    assert "fine" not in ended.reason
    assert "deepseek:model.revision" in ended.reason
    assert "next attempt" not in ended.log
    assert volume.content() == {}, "nothing of it is written"
    assert not server.faults.requests["object"]


def test_a_link_that_somebody_bent_is_set_right_again(server: FaultyServer, volume: Volume, tmp_path: Path) -> None:
    commit_links(server, tmp_path, {"linked.json": "sub/config.json"})
    assert volume.download().code == 0
    link = volume.directory / "linked.json"
    for other in ("/etc/services/x", "../../../../etc"):
        assert len(other) == len("sub/config.json"), "sizes alone do not tell"
        link.unlink()
        link.symlink_to(other)
        ended = volume.download()
        assert ended.code == 0, ended.log
        assert link.readlink() == Path("sub/config.json")


def test_what_was_downloaded_before_links_were_looked_at_is_refused_too(
    server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    commit_links(server, tmp_path, {"secret.json": "/etc/passwd"})
    unchecked = tmp_path / "unchecked"
    unchecked.mkdir()
    (unchecked / "links.py").write_text(
        "def _nothing(*_): return {}\ncheck_names = check_links = leaving = links_on_disk = _nothing\n"
    )
    path = volume.environment()["PYTHONPATH"]
    assert volume.download(PYTHONPATH=f"{unchecked}:{path}").code == 0
    ended = volume.download()
    assert ended.code == 1
    assert "'secret.json' -> '/etc/passwd'" in ended.reason
