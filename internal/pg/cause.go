package pg

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// tried is how pgconn tells of one address that it tried; dialled what stands before
	// the cause.
	tried   = regexp.MustCompile(`^(\S+) \([^)]*\): (.*)$`)
	dialled = regexp.MustCompile(`^(?:dial error: |server error: |hostname resolving error: )?(?:dial (?:tcp|unix) \S+: )?(?:connect: )?`)
)

// noTLS is told of each server that has none, before what the second try without it
// meets.
const noTLS = "tls error: server refused TLS connection"

// CauseFirst is an error's text. Where a server was not reached it says why first, and
// once, then where: pgconn tells each try, with TLS and without, the other way round.
func CauseFirst(err error) string {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return err.Error()
	}
	var causes, places []string
	for line := range strings.SplitSeq(errors.Unwrap(connect).Error(), "\n") {
		cause := line
		if m := tried.FindStringSubmatch(line); m != nil {
			cause = m[2]
			if !slices.Contains(places, m[1]) {
				places = append(places, m[1])
			}
		}
		cause = dialled.ReplaceAllString(cause, "")
		if cause != noTLS && !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
	}
	if len(causes) == 0 {
		causes = []string{noTLS}
	}
	where := fmt.Sprintf(" (%suser %s, database %s)", strings.Join(append(places, ""), ", "), connect.Config.User, connect.Config.Database)
	return strings.Replace(err.Error(), connect.Error(), strings.Join(causes, "; ")+where, 1)
}
