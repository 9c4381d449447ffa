package testcontainers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidFiles are where that which runs in a folder writes its process id.
var pidFiles = []string{filepath.Join("data", "postmaster.pid"), bouncerPidFile}

// endOrphans ends what runs in a folder whose starter died without taking it
// along (only where the system has no parent-death signal, or its thread's end
// was missed). It reports whether nothing is left.
func endOrphans(dir string) bool {
	var pids []int
	for _, name := range pidFiles {
		if pid, ok := orphan(dir, name); ok && syscall.Kill(pid, syscall.SIGQUIT) == nil {
			pids = append(pids, pid)
		}
	}
	return waitGone(context.Background(), pids) == nil
}

// waitGone waits until none of the processes runs. They are not children of
// ours, so nobody tells when they end. A backend that outlives its postmaster
// keeps the shared memory, and the next start fails on it.
func waitGone(ctx context.Context, pids []int) error {
	ctx, cancel := context.WithTimeout(ctx, killLimit)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for slices.ContainsFunc(pids, runs) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v: %w", slices.DeleteFunc(pids, gone), ctx.Err())
		case <-poll.C:
		}
	}
	return nil
}

func gone(pid int) bool { return !runs(pid) }

// runs reports whether a process exists and is not merely waiting for its
// parent to read its exit code (a zombie).
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || !slices.Contains([]string{"Z", "X"}, statField(string(stat), 0))
}

// orphan reads the pid from a file in a folder, if that process still is one
// that was started there: after a kill the pid may be somebody else's.
func orphan(dir, pidFile string) (int, bool) {
	text, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || syscall.Kill(pid, 0) != nil {
		return 0, false
	}
	return pid, commandNames(pid, dir)
}

// commandNames reports whether a process was started with files of the folder.
// Where there is no /proc it says yes: the pid file of a folder only we use is
// the best there is.
func commandNames(pid int, dir string) bool {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		return true
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && bytes.Contains(line, []byte(dir))
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

// parentOf reads the parent's pid from a line of /proc/<pid>/stat.
func parentOf(stat string) int {
	pid, _ := strconv.Atoi(statField(stat, 1))
	return pid
}

// statField is the nth field after the command in a line of /proc/<pid>/stat
// (proc_pid_stat(5)): state, parent … The command is in brackets and may itself
// hold spaces and brackets.
func statField(stat string, n int) string {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= n {
		return ""
	}
	return fields[n]
}
