"""Writes what a repository's own files say of its size into planning/models; see `--help`."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from planning.headers.faults import BadRepository
from planning.headers.repository import read_repository
from planning.headers.sources import Folder, Host, Source
from planning.headers.summary import CONFIG, Found, model_file
from planning.release import VLLM
from planning.settings.addresses import check_address, check_revision, is_commit, owner_and_name
from planning.sizing.model_file import FOLDER, read
from planning.sizing.mxfp4_experts import QUARK_FAILS
from planning.sizing.quantization import QUARK

TOKEN = "MODEL_TOKEN"  # noqa: S105 - a variable's name
WRITTEN, REFUSED = 0, 2


def main(arguments: list[str] | None = None, models: Path = FOLDER) -> int:
    """Exit code 0 if the file was written, 2 if the repository is refused."""
    parser = argparse.ArgumentParser(
        prog="python -m planning.headers",
        description="Reads config.json and the headers of the safetensors files, and writes planning/models. "
        f"The environment variable {TOKEN} may have a token for the repository.",
    )
    parser.add_argument("repository", help="https://HOST/OWNER/NAME")
    parser.add_argument("revision", help="a full commit; or a branch or tag, if the host tells its commit")
    parser.add_argument("--folder", type=Path, help="where the files of that commit are, instead of the host")
    options = parser.parse_args(arguments)
    try:
        address = check_address(options.repository.removesuffix(".git"))
        revision = check_revision(options.revision)
        found = read_from(address, revision, options.folder)
        path = models / f"{found.repository.replace('/', '--')}.json"
        text = json.dumps({**_kept(path), **model_file(found)}, indent=2) + "\n"
    except FileNotFoundError as missing:
        print(f"{missing.filename or missing.args[0]}: is not there, and is needed", file=sys.stderr)
        return REFUSED
    except (BadRepository, ValueError) as refused:
        print(refused, file=sys.stderr)
        return REFUSED
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: written, of {len(found.tensors):,} tensors")
    known = read(path)
    if known.quantization_method == QUARK and known.sums and known.sums.has_quantized_experts:
        generations = " and ".join(f"{number}.x" for number in QUARK_FAILS)
        where = f"on GPUs of compute capability {generations}"
        print(f"{path.name}: {where} vLLM {VLLM} takes its experts with --moe-backend=marlin only", file=sys.stderr)
    return WRITTEN


def _kept(path: Path) -> dict[str, str]:
    """What an earlier file says that no file of the repository tells."""
    written: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return {"least_vllm": written["least_vllm"]} if "least_vllm" in written else {}


def read_from(address: str, revision: str, folder: Path | None) -> Found:
    """Read a repository's facts from a folder, or from its host. Raises FileNotFoundError, BadRepository."""
    host = Host(address, revision, os.environ.get(TOKEN))
    source: Source = Folder(folder) if folder else host
    commit = revision if is_commit(revision) else None if folder else host.commit
    if commit is None or not is_commit(commit):
        raise BadRepository(CONFIG, "commit", f"{revision} is none, and nothing tells the one behind it", "40 digits")
    if source is host:
        source = Host(address, commit, host.token)
    return read_repository(source, owner_and_name(address), commit)


if __name__ == "__main__":
    sys.exit(main())
