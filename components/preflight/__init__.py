"""What is looked up in the cluster before anything is created: no component, only refusals and warnings."""
