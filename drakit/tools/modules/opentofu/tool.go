//go:build tools

// Package tool pins the OpenTofu that drakit builds when the machine has none that fits.
package tool

import _ "github.com/opentofu/opentofu/cmd/tofu"
