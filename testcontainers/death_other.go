//go:build !linux

package testcontainers

import "os/exec"

// dieWithParent: no such signal here. A server whose starter was killed is
// ended by the next Start.
func dieWithParent(*exec.Cmd) {}
