"""What a stack needs, holds and refuses, worked out from its stack file alone: no Pulumi, no cluster, no network."""
