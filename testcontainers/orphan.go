package testcontainers

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endOrphan ends the server of a data directory whose starter died without
// taking it along (only where the system has no parent-death signal, or its
// thread's end was missed). It reports whether no server is left.
func endOrphan(data string) bool {
	pid, ok := postmaster(data)
	if !ok {
		return true
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if syscall.Kill(pid, syscall.SIGQUIT) != nil {
			return true
		}
	}
	return false
}

// postmaster reads the pid from a data directory's postmaster.pid, if that
// process still is a server: after a kill the pid may be somebody else's.
func postmaster(data string) (int, bool) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || syscall.Kill(pid, 0) != nil {
		return 0, false
	}
	return pid, commandNames(pid, data)
}

// commandNames reports whether a process was started on the data directory.
// Where there is no /proc it says yes: the pid file of a folder only we use is
// the best there is.
func commandNames(pid int, data string) bool {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		return true
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && bytes.Contains(line, []byte(data))
}

// children lists the processes whose parent is pid; none where there is no
// /proc.
func children(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // ended meanwhile
		}
		if parentOf(string(text)) == pid {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			pids = append(pids, child)
		}
	}
	return pids
}

// parentOf reads the parent's pid from a line of /proc/<pid>/stat (proc_pid_stat(5)):
// the second field after the command, which may itself hold spaces and brackets.
func parentOf(stat string) int {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(fields[1])
	return pid
}
