package traffic

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// identity tells databases apart, whatever they are called: clusters by the
// identifier that initdb gave them, standbys from their primaries.
type identity struct {
	cluster  int64
	database uint32
	standby  bool
}

// identify connects by a DSN, to another address if one is given, and asks.
func identify(ctx context.Context, dsn string, at *Address) (identity, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := pg.Config(dsn, pg.Options{Component: "traffic"})
	if err != nil {
		return identity{}, err
	}
	if at != nil {
		aim(&c.Config, *at)
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return identity{}, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var who identity
	err = conn.QueryRow(ctx, `SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()), pg_is_in_recovery()
		FROM pg_control_system()`).Scan(&who.cluster, &who.database, &who.standby)
	return who, err
}

// aim leads a configuration to another address, with and without TLS as before.
func aim(c *pgconn.Config, a Address) {
	var same []*pgconn.FallbackConfig
	for _, f := range c.Fallbacks {
		if f.Host == c.Host && f.Port == c.Port {
			same = append(same, &pgconn.FallbackConfig{Host: a.Host, Port: uint16(a.Port), TLSConfig: named(f.TLSConfig, a.Host)})
		}
	}
	c.Host, c.Port, c.Database, c.Fallbacks, c.ValidateConnect = a.Host, uint16(a.Port), a.Database, same, nil
	c.TLSConfig = named(c.TLSConfig, a.Host)
}

func named(c *tls.Config, host string) *tls.Config {
	if c == nil || c.ServerName == "" {
		return c
	}
	c = c.Clone()
	c.ServerName = host
	return c
}
