"""Makes images that stand in for public ones where there is no public registry, under the same names, in our registry.

With `image.mirror` set to the registry's address the stack is the same as anywhere else. All stand on one Debian layer.
"""

import hashlib
import shutil
from pathlib import Path

from local import paths, versions
from local.building import builds, pip_settings
from local.images import debian_root, oci
from local.steps import StepLog

PACKAGES = (
    "ca-certificates",
    "git",
    "libnuma1",
    "procps",
    "python-is-python3",
    "python3",
    "python3-pip",
    "python3-venv",
    "runc",
    "wget",
)
REQUIREMENTS = paths.CHECKOUT / "local" / "ray-base-requirements.txt"
BUILDCTL_DAEMONLESS = paths.CHECKOUT / "local" / "buildkit" / "buildctl-daemonless.sh"

PYTHON = ("library/python", f"{versions.PYTHON}-{versions.DEBIAN_RELEASE}")
RAY = ("rayproject/ray", f"{versions.RAY}-py{versions.PYTHON.replace('.', '')}-cpu")
BUILDKIT = ("moby/buildkit", f"v{versions.BUILDKIT}")

RAY_HOME = "/home/ray"
RAY_PYTHON = f"{RAY_HOME}/anaconda3"
"""The public image has its Python environment there, writable by its user `ray` (1000, group 100)."""
RAY_USER = "1000:100"
ADD_RAY_USER = ("useradd", "--uid", "1000", "--gid", "100", "--create-home", "--shell", "/bin/bash", "ray")
MAKE_RAY_PYTHON = ("python3", "-m", "venv", RAY_PYTHON)
INSTALL_RAY = (
    f"{RAY_PYTHON}/bin/pip",
    "install",
    "--no-cache-dir",
    "--require-hashes",
    "-r",
    "/run/secrets/requirements.txt",
)
RAY_MEMBERS = ("./etc/passwd", "./etc/shadow", f".{RAY_HOME}")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_base_images(registry: oci.Registry, log: StepLog) -> str:
    """Make and push the Python and the Ray image. Raises CommandFailed, RegistryRefused."""
    if registry.content_key(*PYTHON) == debian_key() and registry.content_key(*RAY) == ray_key():
        return "already there"
    work = paths.CACHE / "base-images"
    root = work / "root"
    debian_root.remove_root(work, log)
    work.mkdir(parents=True)
    debian_root.make_root(root, PACKAGES, log)
    # Debian forbids pip outside virtual environments, the public image does not.
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    registry.push(*PYTHON, _python_image(_pack(work / "debian.tar", root, log)))
    _install_ray(root, log)
    ray_layer = _pack(work / "ray.tar", root, log, members=RAY_MEMBERS)
    registry.push(*RAY, _ray_image((*registry.layers(*PYTHON), ray_layer)))
    debian_root.remove_root(work, log)
    return "pushed " + " and ".join(":".join(name) for name in (PYTHON, RAY))


def make_buildkit_image(registry: oci.Registry, log: StepLog) -> str:
    """Make and push BuildKit's image, after the base images and its programs. Raises CommandFailed, RegistryRefused."""
    if registry.content_key(*BUILDKIT) == buildkit_key():
        return "already there"
    root = paths.CACHE / "buildkit-image"
    debian_root.remove_root(root, log)
    folder = root / "usr" / "bin"
    folder.mkdir(parents=True)
    for program in ("buildkitd", "buildctl"):
        shutil.copy(builds.program(program), folder / program)
    shutil.copy(BUILDCTL_DAEMONLESS, folder / BUILDCTL_DAEMONLESS.name)
    (folder / BUILDCTL_DAEMONLESS.name).chmod(0o755)
    layer = _pack(root / "layer.tar", root, log, members=("./usr",))
    image = oci.Image(
        layers=(*registry.layers(*PYTHON), layer),
        content_key=buildkit_key(),
        environment={"PATH": SYSTEM_PATH},
        entrypoint=("buildkitd",),
    )
    registry.push(*BUILDKIT, image)
    debian_root.remove_root(root, log)
    return f"pushed {':'.join(BUILDKIT)}"


def debian_key() -> str:
    """Hash of what the Debian layer is made from, the programs that make it included."""
    recipe = (Path(source).read_text() for source in (__file__, debian_root.__file__))
    return _hash(versions.DEBIAN_RELEASE, *recipe)


def ray_key() -> str:
    """Hash of what the Ray image is made from."""
    return _hash(debian_key(), REQUIREMENTS.read_text())


def buildkit_key() -> str:
    """Hash of what the BuildKit image is made from."""
    return _hash(debian_key(), builds.module_folder("cluster").name, BUILDCTL_DAEMONLESS.read_text())


def _install_ray(root: Path, log: StepLog) -> None:
    secrets = root / "run" / "secrets"
    secrets.mkdir(parents=True)
    for name, content in (pip_settings.build_secret() | {"requirements.txt": REQUIREMENTS.read_text()}).items():
        (secrets / name).write_text(content)
    debian_root.run_inside(root, ADD_RAY_USER, log)
    debian_root.run_inside(root, MAKE_RAY_PYTHON, log, user=RAY_USER)
    install = ("env", "PIP_CONFIG_FILE=/run/secrets/pip.conf", *INSTALL_RAY)
    debian_root.run_inside(root, install, log, user=RAY_USER, home=RAY_HOME)


def _python_image(debian: oci.Layer) -> oci.Image:
    environment = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"}
    return oci.Image(layers=(debian,), content_key=debian_key(), environment=environment, command=("python3",))


def _ray_image(layers: tuple[oci.Layer, ...]) -> oci.Image:
    environment = {"PATH": f"{RAY_PYTHON}/bin:{SYSTEM_PATH}", "HOME": RAY_HOME, "LANG": "C.UTF-8"}
    return oci.Image(
        layers=layers,
        content_key=ray_key(),
        environment=environment,
        command=("/bin/bash",),
        user="ray",
        working_directory=RAY_HOME,
    )


def _pack(layer: Path, root: Path, log: StepLog, *, members: tuple[str, ...] = (".",)) -> oci.Layer:
    debian_root.pack(root, layer, log, members=members)
    return oci.Layer.measure(layer)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
