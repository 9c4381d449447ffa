package cutover

import (
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// placeOf is where a connection string leads, for people: host:port/database,
// or several of the first, never a role or a password.
func placeOf(dsn string) string {
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return "another server"
	}
	database := c.Database
	if database == "" {
		database = c.User
	}
	var hosts []string
	for _, h := range pg.Hosts(c) {
		hosts = append(hosts, net.JoinHostPort(h.Name, strconv.Itoa(int(h.Port))))
	}
	return strings.Join(hosts, ",") + "/" + database
}
