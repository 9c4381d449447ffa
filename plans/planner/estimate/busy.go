package estimate

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// busy is [Busy] of the server's machine, where it is this one.
func busy(conn *pgx.Conn) string {
	if !here(conn.PgConn().Conn().RemoteAddr()) {
		return ""
	}
	return Busy()
}

// Busy is the load of this machine in words; empty: it is not busy, or does not say.
func Busy() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return busyBy(string(text), runtime.NumCPU())
}

// busyBy reads the load of the last minute.
func busyBy(loadavg string, cores int) string {
	first, _, _ := strings.Cut(loadavg, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil || load < 1.5*float64(cores) {
		return ""
	}
	return fmt.Sprintf("a load of %.0f on %d cores", load, cores)
}

// here: a server of this machine is at the other end.
func here(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return false
}
