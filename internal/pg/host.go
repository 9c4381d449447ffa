package pg

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// wantPrimary passes standbys over where a connection string names several
// hosts and does not say which of them it wants: libpq would take any.
func wantPrimary(c *pgconn.Config) {
	if c.ValidateConnect == nil && len(Hosts(c)) > 1 {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
}

// Host is one of those that a connection string names. Name may be the folder
// of a socket.
type Host struct {
	Name string
	Port uint16
}

// Hosts are those of a connection, in the order in which they are tried.
func Hosts(c *pgconn.Config) []Host {
	all := []Host{{c.Host, c.Port}}
	for _, f := range c.Fallbacks { // a host with and without TLS, then the next
		if h := (Host{f.Host, f.Port}); !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	return all
}

// Address is a connection as a URL that names user, hosts and database, and no secret: for
// a command that somebody is to type.
func Address(c *pgconn.Config) string {
	var names, ports []string
	for _, h := range Hosts(c) {
		names, ports = append(names, h.Name), append(ports, strconv.Itoa(int(h.Port)))
	}
	u := url.URL{Scheme: "postgres", Path: "/" + c.Database}
	query := url.Values{}
	if c.User != "" {
		u.User = url.User(c.User)
	}
	if len(names) == 1 && !strings.HasPrefix(names[0], "/") {
		u.Host = net.JoinHostPort(names[0], ports[0])
	} else {
		query.Set("host", strings.Join(names, ","))
		query.Set("port", strings.Join(ports, ","))
	}
	if len(names) > 1 {
		query.Set("target_session_attrs", "read-write") // as [Connect] wants a primary
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// AtOneHost is a connection string of several hosts as one that leads to the
// first of them that answers and is wanted, and all the others as they are. A
// database that was made a moment ago is not on the standbys yet, and a host that
// answers that it has none is the last that is tried.
func AtOneHost(ctx context.Context, dsn string) (string, error) {
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return "", fmt.Errorf("read the connection string: %w", err)
	}
	hosts := Hosts(c)
	if len(hosts) == 1 {
		return dsn, nil
	}
	for _, h := range hosts {
		conn, connectErr := Connect(ctx, h.only(dsn), Options{Component: "host"})
		if err = connectErr; err != nil {
			continue
		}
		var standby bool
		err = conn.QueryRow(ctx, `SELECT pg_catalog.pg_is_in_recovery()`).Scan(&standby)
		_ = conn.Close(context.WithoutCancel(ctx))
		if err == nil && (!standby || c.ValidateConnect != nil) {
			return h.only(dsn), nil
		}
	}
	if err == nil {
		err = fmt.Errorf("none of %d hosts is a primary", len(hosts))
	}
	return "", err
}

// only is the connection string with the host in place of those that it names.
func (h Host) only(dsn string) string {
	port := strconv.Itoa(int(h.Port))
	if u, err := url.Parse(dsn); err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		query := u.Query()
		query.Set("host", h.Name)
		query.Set("port", port)
		u.Host, u.RawQuery = "", query.Encode()
		return u.String()
	}
	// The last of two values counts.
	return dsn + " host='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(h.Name) + "' port=" + port
}
