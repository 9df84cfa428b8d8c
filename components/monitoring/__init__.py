"""What a Prometheus of the cluster reads of the stack."""
