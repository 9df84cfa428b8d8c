"""The RayCluster and its pods."""
