package cutover

import (
	"net"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// placeOf is where a connection string leads, for people: host:port/database,
// never a role or a password.
func placeOf(dsn string) string {
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return "another server"
	}
	database := c.Database
	if database == "" {
		database = c.User
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) + "/" + database
}
