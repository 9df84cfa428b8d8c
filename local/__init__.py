"""The embedded single-node cluster, for people without a cluster of their own and for the tests."""
