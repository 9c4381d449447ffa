package testcontainers

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the program by the signal when this process
// ends in whatever way, kill -9 included: prctl(2), PR_SET_PDEATHSIG.
func dieWithParent(cmd *exec.Cmd, sig syscall.Signal) { cmd.SysProcAttr.Pdeathsig = sig }
