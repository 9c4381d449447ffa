package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// door is a place as PgBouncer reaches it: its address, and whether TLS is spoken
// there.
type door struct {
	Address
	settings map[string]string // PgBouncer's, in force
}

// doorLimit bounds one try.
const doorLimit = 5 * time.Second

// answer is what a server says to somebody who wants in.
type answer struct {
	asks    string // how it wants a password; empty: it wants none
	refused *pgconn.PgError
	err     error // no answer at all
}

// opens reports whether the server let in.
func (a answer) opens() bool { return a.refused == nil && a.err == nil }

// The ways in which a server asks, by the codes of its protocol.
var askingCodes = map[uint32]string{
	pgproto3.AuthTypeCleartextPassword: "password",
	pgproto3.AuthTypeMD5Password:       "md5",
	pgproto3.AuthTypeGSS:               "gss",
	pgproto3.AuthTypeSASL:              "scram-sha-256",
}

// config is a user's way in, as PgBouncer takes it (server_tls_...). Neither
// .pgpass nor the environment gives a password.
func (d door) config(user, password string) (*pgconn.Config, error) {
	host := d.Host
	if host == "" {
		host = d.settings["unix_socket_dir"]
	}
	mode := d.settings["server_tls_sslmode"]
	if mode == "" {
		mode = "prefer"
	}
	text := fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=%s application_name=pgumbra/traffic",
		word(before(host, ',')), d.Port, word(d.Database), word(user), word(mode))
	for key, setting := range map[string]string{"sslrootcert": "server_tls_ca_file", "sslcert": "server_tls_cert_file", "sslkey": "server_tls_key_file"} {
		if file := d.settings[setting]; file != "" && mode != "disable" {
			text += " " + key + "=" + word(file)
		}
	}
	c, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	c.Password, c.ConnectTimeout = password, doorLimit
	return c, nil
}

// word is a value of a libpq connection string.
func word(value string) string {
	text := "'"
	for _, r := range value {
		if r == '\'' || r == '\\' {
			text += `\`
		}
		text += string(r)
	}
	return text + "'"
}

// enter logs in, and out again.
func (d door) enter(ctx context.Context, user, password string) answer {
	conn, answer := d.open(ctx, user, password)
	if conn != nil {
		_ = conn.Close(ctx)
	}
	return answer
}

func (d door) open(ctx context.Context, user, password string) (*pgconn.PgConn, answer) {
	c, err := d.config(user, password)
	if err != nil {
		return nil, answer{err: err}
	}
	conn, err := pgconn.ConnectConfig(ctx, c)
	return conn, answerOf(err)
}

// knock asks how a user would get in, and goes away when asked for a password:
// no login fails, and none is logged as failed.
func (d door) knock(ctx context.Context, user string) answer {
	c, err := d.config(user, "")
	if err != nil {
		return answer{err: err}
	}
	c.RequireAuth = "none"
	var heard *eavesdropper // of the last connection, with or without TLS
	c.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		heard = &eavesdropper{Conn: conn}
		return heard, nil
	}
	conn, err := pgconn.ConnectConfig(ctx, c)
	if conn != nil {
		_ = conn.Close(ctx)
	}
	a := answerOf(err)
	if heard != nil && a.refused == nil {
		if a.asks = heard.asks(); a.asks != "" {
			a.err = nil
		}
	}
	return a
}

func answerOf(err error) answer {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return answer{refused: refused}
	}
	return answer{err: err}
}

// eavesdropper keeps the beginning of what a server sends.
type eavesdropper struct {
	net.Conn
	first []byte
}

// authentication: a sign, four bytes of length, four of the code.
const authenticationLength = 9

func (e *eavesdropper) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	if missing := authenticationLength - len(e.first); missing > 0 {
		e.first = append(e.first, p[:min(n, missing)]...)
	}
	return n, err
}

// asks is how the server asked for a password.
func (e *eavesdropper) asks() string {
	if len(e.first) < authenticationLength || e.first[0] != 'R' {
		return ""
	}
	code := binary.BigEndian.Uint32(e.first[5:])
	if code == pgproto3.AuthTypeOk {
		return ""
	}
	if name, known := askingCodes[code]; known {
		return name
	}
	return fmt.Sprintf("authentication %d", code)
}
