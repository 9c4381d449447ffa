//go:build unix

package parser

import (
	"os/exec"
	"syscall"
)

// detach keeps a terminal's interrupt from the child: its parent ends it.
func detach(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
