"""What a Secret of a certificate has, whoever made it. Source: kubernetes.io, "TLS Secrets"."""

TYPE = "kubernetes.io/tls"
CERTIFICATE, PRIVATE_KEY = "tls.crt", "tls.key"
"""Its keys; both are PEM."""
