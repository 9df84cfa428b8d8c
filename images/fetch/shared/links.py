"""Names and symbolic links of a repository that leave its folder: through them pods would read or write elsewhere."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from failure import Failed
from inventory import Inventory

MOST_LINKS = 40
"""On one way: after more, Linux gives up too."""
NAMES_IN_A_MESSAGE = 5
GITS_OWN = ".git"


def check_names(paths: Iterable[str]) -> None:
    """Raise Failed for paths that lead up, or into Git's own folder."""
    bad = [repr(path) for path in paths if any(is_special(part) for part in path.split("/"))]
    if bad:
        raise _failed("files whose names leave the repository's folder", bad)


def check_links(targets: Mapping[str, str]) -> None:
    """Raise Failed with the links, `targets` by path, that lead out of the repository's folder or in a circle."""
    bad = leaving(targets)
    if bad:
        raise _failed("symbolic links that leave the repository's folder or go in a circle", bad)


def links_on_disk(directory: Path, files: Inventory) -> dict[str, str]:
    """Return where the links of a downloaded revision point, by path."""
    paths = (file.path for file in files.small)
    return {path: str((directory / path).readlink()) for path in paths if (directory / path).is_symlink()}


def leaving(targets: Mapping[str, str]) -> list[str]:
    """Return the links that do not stay, each with its target.

    Some file systems take `A` and `a` for one name, so a link must stay whether or not the volume's does.
    """
    folded = {path.casefold(): target.casefold() for path, target in targets.items()}
    return [
        f"{path!r} -> {target!r}"
        for path, target in targets.items()
        if leaves(path, targets) or leaves(path.casefold(), folded)
    ]


def leaves(path: str, targets: Mapping[str, str]) -> bool:
    """Whether the system leaves the repository's folder on its way along `path`, over other links and up again."""
    ahead, here, followed = path.split("/"), list[str](), 0
    while ahead:
        part = ahead.pop(0)
        if part in ("", "."):
            continue
        if part != "..":
            here.append(part)
        elif here:
            here.pop()
            continue
        else:
            return True
        target = targets.get("/".join(here))
        if target is not None:
            here.pop()
            ahead = target.split("/") + ahead
            followed += 1
        if followed > MOST_LINKS or (target or "").startswith("/") or (here and is_special(here[0])):
            return True
    return False


def is_special(part: str) -> bool:
    """Whether a part of a path is no name of a file, or Git's own folder as any file system may spell it."""
    return part in ("", ".", "..") or "\0" in part or part.casefold().rstrip(". ") == GITS_OWN


def _failed(what: str, names: list[str]) -> Failed:
    more = len(names) - NAMES_IN_A_MESSAGE
    told = ", ".join(names[:NAMES_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")
    return Failed(
        f"The repository has {what}: {told}. Set deepseek:model.revision to a commit without them, or "
        "deepseek:model.repository to another repository."
    )
