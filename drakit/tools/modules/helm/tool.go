//go:build tools

// Package tool pins the Helm that drakit builds when the machine has none that fits.
package tool

import _ "helm.sh/helm/v3/cmd/helm"
