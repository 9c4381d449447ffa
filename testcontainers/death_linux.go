package testcontainers

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel shut the server down (SIGQUIT: at once, with
// its children) when this process ends in whatever way, kill -9 included:
// prctl(2), PR_SET_PDEATHSIG.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT }
