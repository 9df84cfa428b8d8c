"""What the components share: names and labels, Jobs, pods, programs and their ConfigMaps."""
