"""The keys of deepseek:image."""

from pydantic import Field, ValidationInfo, field_validator

from planning.settings.references import host_of
from planning.settings.sections.base import (
    BOUNDS_ONLY,
    CHECKS_BUILDS,
    REBUILDS,
    REPLACES_CLUSTER,
    Duration,
    Name,
    Quantity,
    Section,
    Text,
    changing,
)

FINISHED_FETCH = changing(
    "runs the download Job again, which finds the weights, then replaces the serving Job, which has this image "
    "too: serving stops until the model is loaded again"
)


class Image(Section):
    """Where images come from and go to."""

    push: Text | None = Field(
        default=None,
        description=(
            "Registry and path to which the images built in the cluster are pushed; required unless both "
            "references are set."
        ),
        examples=["registry.example.com/team"],
        json_schema_extra=REBUILDS,
    )
    reference: Text | None = Field(
        default=None,
        description="A finished serving image to use in place of a build.",
        json_schema_extra=REPLACES_CLUSTER,
    )
    fetch_reference: Text | None = Field(
        default=None,
        description="A finished download image to use in place of a build.",
        json_schema_extra=FINISHED_FETCH,
    )
    base: Text | None = Field(
        default=None,
        description=(
            "Ray image that the serving image is built from; the one of the lock's Ray version if unset. A digest pins "
            "it: the output `images` has the one that the last build took."
        ),
        examples=["docker.io/rayproject/ray:2.60.0-py312-cu130@sha256:…"],
        json_schema_extra=changing(
            "builds another serving image first, then replaces the Ray cluster: serving stops until the model is "
            "loaded again"
        ),
    )
    fetch_base: Text | None = Field(
        default=None,
        description=(
            "Python image that the download image is built from; the official one if unset. A digest pins it: the "
            "output `images` has the one that the last build took."
        ),
        examples=["docker.io/library/python:3.11-bookworm@sha256:…"],
        json_schema_extra=changing(
            "builds another download image and checks the weights first, then replaces the serving Job, which has this "
            "image too: serving stops until the model is loaded again"
        ),
    )
    buildkit: Text | None = Field(
        default=None,
        description=(
            "BuildKit image that runs the builds; the official one if unset. A digest pins it: the output `images` has "
            "the one that the last build ran."
        ),
        examples=["docker.io/moby/buildkit:v0.34.2@sha256:…"],
        json_schema_extra=CHECKS_BUILDS,
    )
    rebuild: Text | None = Field(
        default=None,
        description=(
            "Any text. A change of it builds both images again, for fixes in base images whose tags stay, and in "
            "Debian's packages."
        ),
        examples=["2026-12"],
        json_schema_extra=REBUILDS,
    )
    mirror: Text = Field(
        default="docker.io",
        description="Registry that public images (base images, BuildKit, HAProxy) are pulled from.",
        json_schema_extra=REBUILDS,
    )
    plain_http: list[Text] = Field(
        default=[],
        description="Registries to which BuildKit speaks HTTP, not HTTPS: their hosts, with the port if they have one.",
        json_schema_extra=CHECKS_BUILDS,
    )
    push_secret: Name | None = Field(
        default=None,
        description="Secret of type kubernetes.io/dockerconfigjson with which builds push.",
        json_schema_extra=CHECKS_BUILDS,
    )
    pull_secret: Name | None = Field(
        default=None,
        description="Secret of type kubernetes.io/dockerconfigjson with which pods pull.",
        json_schema_extra=changing(
            "runs build and download Jobs again, which find everything, then replaces the Ray cluster: serving stops "
            "until the model is loaded again; other credentials in the same Secret need no change here"
        ),
    )
    pip_secret: Name | None = Field(
        default=None,
        description=(
            "Secret with `pip.conf` and, where a mirror needs it, `ca.crt`, given to the build as a build "
            "secret; it never reaches the image."
        ),
        json_schema_extra=CHECKS_BUILDS,
    )
    build_namespace: Name | None = Field(
        default=None,
        description=(
            "Namespace of the build pods, which are privileged; the stack's own if unset. With another one the stack's "
            "own can enforce the Pod Security level `baseline`. It needs the Secrets of `pushSecret`, `pullSecret` and "
            "`pipSecret` too. Several stacks may share it."
        ),
        examples=["deepseek-builds"],
        json_schema_extra=CHECKS_BUILDS,
    )
    build_user_namespace: bool = Field(
        default=False,
        description=(
            "Build pods run in a user namespace (`hostUsers: false`), in which their root is no root of the node. "
            "Needs Kubernetes 1.33, and containerd 2 or CRI-O 1.25 on the nodes."
        ),
        json_schema_extra=CHECKS_BUILDS,
    )
    build_memory: Quantity = Field(
        default="8Gi", description="Memory limit of a build pod.", json_schema_extra=CHECKS_BUILDS
    )
    build_storage: Quantity = Field(
        default="100Gi",
        description="Bound of what a build pod writes to its node's disk: layers of base image and image.",
        json_schema_extra=CHECKS_BUILDS,
    )
    build_timeout: Duration = Field(
        default=2 * 3600, description="Bound of one image build.", json_schema_extra=BOUNDS_ONLY
    )

    @field_validator("plain_http", mode="before")
    @classmethod
    def _names_registries(cls, written: object, info: ValidationInfo) -> object:
        """Refuse true and false, which this key took before, and name the registries to write instead."""
        if not isinstance(written, bool):
            return written
        if not written:
            raise ValueError("false is no list of registries; leave the key out, and all speak HTTPS")
        names: list[str] = [name for key in ("push", "mirror") if (name := info.data.get(key))]
        hosts = list(dict.fromkeys(host_of(f"{name}/") for name in names))
        raise ValueError(f"true names no registry; write image.plainHttp: [{', '.join(hosts)}]")

    @property
    def builds(self) -> bool:
        """Whether any image is built."""
        return not (self.reference and self.fetch_reference)
