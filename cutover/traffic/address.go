package traffic

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Address is where a database is, as PgBouncer and commands are told.
type Address struct {
	Host     string // name, address, socket folder, or a list by commas; empty: PgBouncer's own socket folder
	Port     int
	Database string
}

// String is the address as it stands in an entry of PgBouncer's.
func (a Address) String() string {
	text := fmt.Sprintf("port=%d dbname=%s", a.Port, quoteIfNeeded(a.Database))
	if a.Host == "" {
		return text
	}
	return "host=" + quoteIfNeeded(a.Host) + " " + text
}

// fromDSN is where a connection string leads first.
func fromDSN(dsn string) (Address, error) {
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return Address{}, fmt.Errorf("read the connection string: %w", err)
	}
	a := Address{Host: c.Host, Port: int(c.Port), Database: c.Database}
	if a.Database == "" {
		a.Database = c.User // as the server takes it
	}
	return a, nil
}

// parseTarget reads traffic.pgbouncer.target; what it leaves out is as in base.
func parseTarget(target string, base Address) (Address, error) {
	pairs, err := parsePairs(strings.TrimSpace(target))
	if err != nil {
		return Address{}, fmt.Errorf("traffic.pgbouncer.target is %w: write as in host=db2 port=5432 dbname=shop", err)
	}
	a := base
	for _, p := range pairs {
		switch p.key {
		case "host":
			a.Host = p.value
		case "dbname":
			a.Database = p.value
		case "port":
			if a.Port, err = strconv.Atoi(p.value); err != nil || a.Port < 1 || a.Port > 65535 {
				return Address{}, fmt.Errorf("traffic.pgbouncer.target: %q is not a port", p.value)
			}
		default:
			return Address{}, fmt.Errorf("traffic.pgbouncer.target takes host, port and dbname, not %s: "+
				"what else the entry says stays as it is", p.key)
		}
	}
	return a, a.check()
}

// check refuses what no entry can hold.
func (a Address) check() error {
	if strings.ContainsAny(a.Host+a.Database, "\x00\n\r\v\f") {
		return fmt.Errorf("a line of PgBouncer's configuration cannot hold %q", a.Host+" "+a.Database)
	}
	if a.Host == "" {
		return fmt.Errorf("the shadow's host is not known: set traffic.pgbouncer.target")
	}
	return nil
}
