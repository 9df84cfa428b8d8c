"""The keys of deepseek:image."""

from pydantic import Field

from planning.sections.base import (
    BOUNDS_ONLY,
    CHECKS_BUILDS,
    REBUILDS,
    REPLACES_CLUSTER,
    Duration,
    Name,
    Section,
    Text,
    changing,
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
        json_schema_extra=changing(
            "runs the download Job again, which finds the weights, then replaces the serving Job, which has this image "
            "too: serving stops until the model is loaded again"
        ),
    )
    base: Text | None = Field(
        default=None,
        description="Ray image that the serving image is built from; the one of the lock's Ray version if unset.",
        json_schema_extra=changing(
            "builds another serving image first, then replaces the Ray cluster: serving stops until the model is "
            "loaded again"
        ),
    )
    mirror: Text = Field(
        default="docker.io",
        description="Registry that public images (base images, BuildKit) are pulled from.",
        json_schema_extra=REBUILDS,
    )
    plain_http: bool = Field(
        default=False,
        description="Speak HTTP, not HTTPS, to the registries of `push` and `mirror`.",
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
    build_timeout: Duration = Field(
        default=2 * 3600, description="Bound of one image build.", json_schema_extra=BOUNDS_ONLY
    )
