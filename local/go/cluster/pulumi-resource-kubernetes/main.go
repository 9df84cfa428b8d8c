// Command pulumi-resource-kubernetes is the Pulumi Kubernetes provider, built
// from its Go module. The module's own main embeds files that only its release
// process generates; this one embeds the two files those are generated from,
// which the build puts beside it (see local/builds.py).
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, terraformMapping)
}
