//go:build !linux

package testcontainers

import (
	"os/exec"
	"syscall"
)

// dieWithParent: no such signal here. A program whose starter was killed is
// ended by the next Start.
func dieWithParent(*exec.Cmd, syscall.Signal) {}
