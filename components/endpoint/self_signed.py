"""SelfSigned: the certificate of a door in a closed network, which has no authority to ask."""

import pulumi
import pulumi_kubernetes as k8s

from components.shared import tls_secret
from components.shared.content import digest, encoded
from components.shared.labels import metadata


class SelfSigned(pulumi.ComponentResource):
    """Keeps a certificate for a host, which is its own issuer.

    Creates: a Secret of type kubernetes.io/tls. It is made once for each host and kept: what clients trust stays.
    Gives: `secret_name`. The private key leaves the Secret for the proxies only.
    """

    secret_name: pulumi.Output[str]

    def __init__(self, name: str, host: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:SelfSigned", name, None, opts)
        # It loads for 20 ms, for which stacks without such a certificate do not wait.
        from components.endpoint.self_signed_certificate import self_signed  # noqa: PLC0415

        # Another host is another resource: a replaced one would keep the data, which are ignored.
        secret = k8s.core.v1.Secret(
            f"{name}-{host}",
            metadata=metadata(f"{name}-{digest(host)}", "endpoint"),
            type=tls_secret.TYPE,
            data=pulumi.Output.secret(encoded(self_signed(host))),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"]),
        )
        self.secret_name = secret.metadata["name"]
        self.register_outputs({"secret_name": self.secret_name})
