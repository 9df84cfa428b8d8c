"""ApiKey: the Secret with the key that clients of the model present."""

import base64
import secrets

import pulumi
import pulumi_kubernetes as k8s

from components.shared.labels import metadata
from components.shared.pods import KEY


class ApiKey(pulumi.ComponentResource):
    """Keeps the API key in a Secret: the configured one, or one that is made once and kept.

    Creates: a Secret with the key `key`. Gives: `secret_name`. The value never leaves the Secret: pods mount it and
    read it again whenever they need it, so that another key restarts nothing. `value` is for the
    digest that proxies have.
    """

    secret_name: pulumi.Output[str]
    value: pulumi.Output[str]

    def __init__(self, name: str, value: pulumi.Output[str] | None, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:ApiKey", name, None, opts)
        key = pulumi.Output.secret(secrets.token_urlsafe(32)) if value is None else value
        secret = k8s.core.v1.Secret(
            name,
            metadata=metadata(name, "serving"),
            # Not stringData, which the provider rewrites to data, so that ignoring its changes would never match.
            data={KEY: key.apply(lambda text: base64.b64encode(text.encode()).decode())},
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"] if value is None else None),
        )
        # A generated key is the one that the Secret was made with, not the one above.
        kept = pulumi.Output.secret(secret.data)
        self.value = kept.apply(lambda data: base64.b64decode(data[KEY]).decode())
        self.secret_name = secret.metadata["name"]
        self.register_outputs({"secret_name": self.secret_name})
