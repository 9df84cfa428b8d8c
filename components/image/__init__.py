"""The images, each built by a Job in the cluster."""
