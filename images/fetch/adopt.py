"""Adopt a folder of weights that somebody put onto the volume: nothing is downloaded, and every byte is read once.

    python3 -m adopt

A whole folder has config.json and every file that its safetensors index names, and each safetensors file is as long as
its header says. If there is a SHA256SUMS, as `sha256sum` writes it, the files that it names have those digests. The
digests of all files are kept in a manifest, `adopted/FOLDER.json` on the volume. A later run compares names, sizes and
times of change with it and ends within a second, or reads everything again where VERIFY is `full`. Killed at any
moment, the next run goes on with the files that are left. download_settings.py documents the environment.
"""

import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import failure
from download_program import LASTING, MAY_PASS, done, stop
from download_settings import DownloadSettings, from_environment
from failure import Failed, MayPass, binary
from inventory import sync
from lease import hold
from progress import INTERVAL_SECONDS, Rate, duration, show, tell
from repetition import TRANSIENT
from safetensors_header import length_of
from verification import PIECE_BYTES, THREADS

log = logging.getLogger(__name__)

ADOPTED = "adopted"
SUMS = "SHA256SUMS"
INDEX = "model.safetensors.index.json"
SHOWN = 5
"""Names that a message lists."""

Manifest = dict[str, dict[str, int | str]]
"""By path in the folder: `size` in bytes, `changed` in nanoseconds, and `sha256`."""


def main() -> int:
    """Return the exit code; the reason of a failure is in the log and in the termination message."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    signal.signal(signal.SIGTERM, stop)
    os.umask(0o002)
    try:
        download = from_environment(os.environ)
        try:
            done(download, adopt)
        except Failed as reason:
            show(download, str(reason))
            raise
        except OSError as error:
            found = failure.of_the_volume(error, download.volume)
            raise (MayPass(str(found)) if error.errno in TRANSIENT else found) from error
    except Failed as reason:
        log.critical("%s", reason)
        failure.write_termination_message(str(reason))
        return MAY_PASS if isinstance(reason, MayPass) else LASTING
    return 0


def adopt(download: DownloadSettings) -> None:
    """See that the folder is whole, and is what was adopted before. Raises Failed, or OSError of the volume."""
    folder = download.directory
    if not folder.is_dir():
        raise Failed(f"There is no folder {folder.relative_to(download.volume)} on the claim: {_beside(download)}.")
    download.cache.mkdir(parents=True, exist_ok=True)
    found = {path: _facts(folder / path) for path in _files(folder)}
    _check_names(folder, found)
    place = download.volume / ADOPTED / f"{str(folder.relative_to(download.volume)).replace('/', '+')}.json"
    with hold(place.with_suffix(".lease")):
        known = _read(place)
        if known:
            _check_unchanged(found, known, place.relative_to(download.volume))
            if not download.verify_everything:
                log.info("%s is as it was adopted: %s files, %s", folder, len(found), _size(found))
                return
        begun = place.with_suffix(".part.json")
        digests = _digests(download, found, begun, {} if download.verify_everything else _read(begun))
        _check_sums(folder, digests)
        if known and (differing := [path for path in digests if digests[path] != known[path]["sha256"]]):
            raise Failed(_changed(differing, place.relative_to(download.volume)))
        _write(place, {path: {**found[path], "sha256": digest} for path, digest in digests.items()})
        begun.unlink(missing_ok=True)
    tell(download, f"{folder} is whole: {len(found)} files, {_size(found)}")


def _files(folder: Path) -> Iterator[str]:
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if not path.resolve().is_relative_to(root):
            raise Failed(
                f"{path.relative_to(folder)} is a link that leads out of the folder, and pods that serve see nothing "
                "else: copy the files into it (`cp -rL`)."
            )
        if path.is_file():
            yield str(path.relative_to(folder))


def _facts(path: Path) -> dict[str, int | str]:
    status = path.stat()
    return {"size": status.st_size, "changed": status.st_mtime_ns}


def _check_names(folder: Path, found: Mapping[str, object]) -> None:
    """Raise Failed for a folder that vLLM could not load."""
    weights = [path for path in found if path.endswith(".safetensors")]
    wanted = {"config.json"}
    if INDEX in found:
        try:
            wanted |= set(json.loads((folder / INDEX).read_text())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Failed(
                f"{INDEX} is no index of safetensors files: copy it again from the model's repository."
            ) from None
    if lacking := sorted(wanted - found.keys()):
        raise Failed(f"The folder lacks {_named(lacking)}: copy what is missing from the model's repository.")
    if not weights:
        raise Failed("The folder has no safetensors file: weights in another form are not served.")
    for path in weights:
        wanted_size, size = length_of(folder / path), (folder / path).stat().st_size
        if wanted_size != size:
            said = f"{size} bytes, and its header says {wanted_size}" if wanted_size else "no header of safetensors"
            raise Failed(f"{path} is not whole (it has {said}): copy it again.")


def _check_unchanged(found: Mapping[str, dict[str, int | str]], known: Manifest, place: Path) -> None:
    differing = sorted(found.keys() ^ known.keys())
    differing += [
        path
        for path in found.keys() & known.keys()
        if any(found[path][name] != known[path][name] for name in found[path])
    ]
    if differing:
        raise Failed(_changed(differing, place))


def _changed(differing: list[str], place: Path) -> str:
    return (
        f"The folder is not what was adopted: {_named(differing)} differs. Put other weights into another folder and "
        f"set deepseek:model.folder; or, if nothing serves this one, remove {place} on the claim to adopt it anew."
    )


def _check_sums(folder: Path, digests: Mapping[str, str]) -> None:
    if not (folder / SUMS).is_file():
        return
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition(" ")
        path = name.strip().removeprefix("*").removeprefix("./")
        if digest and digests.get(path) != digest:
            fault = "is not in the folder" if path not in digests else "has another digest"
            raise Failed(f"{path} {fault}, says {SUMS}: copy it again.")


def _digests(
    download: DownloadSettings, found: Mapping[str, dict[str, int | str]], begun: Path, earlier: Manifest
) -> dict[str, str]:
    """Read all files, but for those that a run which was killed has read; tell how far it is."""
    done = {
        path: str(earlier[path]["sha256"])
        for path, facts in found.items()
        if path in earlier and all(earlier[path][name] == fact for name, fact in facts.items())
    }
    total, read, rate = sum(int(facts["size"]) for facts in found.values()), Counter(), Rate()
    read.count += sum(int(found[path]["size"]) for path in done)
    with ThreadPoolExecutor(THREADS, "read") as pool:
        pending: dict[Future[str], str] = {
            pool.submit(digest_of, download.directory / path, read): path for path in found if path not in done
        }
        try:
            while pending:
                finished, _ = wait(pending, timeout=INTERVAL_SECONDS, return_when=FIRST_COMPLETED)
                # What was read is kept before an error ends the run.
                for future in sorted(finished, key=lambda future: future.exception() is not None):
                    path = pending.pop(future)
                    done[path] = future.result()
                    _write(begun, {name: {**found[name], "sha256": digest} for name, digest in done.items()})
                if not finished:
                    speed = rate.update(read.count)
                    left = f", {duration((total - read.count) / speed)} left" if speed else ""
                    tell(download, f"Read {binary(read.count)} of {binary(total)}{left}")
        finally:
            pool.shutdown(cancel_futures=True)
    return done


class Counter:
    """Bytes that all threads have read."""

    count = 0


def digest_of(path: Path, read: Counter) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, and count what was read of it."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as content:
        while piece := content.read(PIECE_BYTES):
            digest.update(piece)
            read.count += len(piece)
    return digest.hexdigest()


def _read(place: Path) -> Manifest:
    """Return the manifest; nothing where there is none, or a damaged one: then the work is done again."""
    try:
        content: Manifest = json.loads(place.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content


def _write(place: Path, manifest: Manifest) -> None:
    """Make the manifest appear, whole."""
    unfinished = place.with_suffix(f".{os.getpid()}.new")
    unfinished.write_text(json.dumps(manifest, indent=1))
    sync(unfinished)
    unfinished.replace(place)
    sync(place.parent)


def _beside(download: DownloadSettings) -> str:
    names = sorted(path.name for path in download.volume.iterdir() if path.is_dir())
    return f"it has {_named(names)}; correct deepseek:model.folder" if names else "it is empty"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _size(found: Mapping[str, dict[str, int | str]]) -> str:
    return binary(sum(int(facts["size"]) for facts in found.values()))


if __name__ == "__main__":
    sys.exit(main())
