package planner

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// scratchMark begins the comment of a scratch database: by it a later plan
// knows a leftover of ours from somebody else's database.
const scratchMark = "pgumbra scratch database of run "

// scratch is the throw-away database.
type scratch struct {
	dsn   string // of the server; its database is where CREATE DATABASE is sent from
	name  string
	admin *pgx.Conn
	db    *pgx.Conn // search_path pg_catalog
	super bool      // we are a superuser there
	guest *guest    // whom the migrations run as; nil: as ourselves
}

// newScratch says where scratch is made, and by which name. It connects nowhere.
func newScratch(f *planfile.File, database string) *scratch {
	dsn := f.Scratch.DSN
	if dsn == "" {
		dsn = f.Production.DSN
	}
	return &scratch{dsn: dsn, name: scratchName(f.Name, database)}
}

// makeScratch creates the database with production's encoding and locale, and
// restores production's structure in it.
func (m *trial) makeScratch(ctx context.Context) (err error) {
	s := newScratch(m.file, m.session.Database)
	if s.dsn, err = pg.AtOneHost(ctx, s.dsn); err != nil {
		return err
	}
	if s.admin, err = pg.Connect(ctx, s.dsn, pg.Options{Component: "scratch"}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.drop(ctx, m.log)
		}
	}()
	if err := m.createScratch(ctx, s); err != nil {
		return err
	}
	if s.db, err = s.connect(ctx, "scratch"); err != nil {
		return err
	}
	if err := m.restore(ctx, s); err != nil {
		return err
	}
	m.scratch = s
	return nil
}

func (m *survey) createScratch(ctx context.Context, s *scratch) error {
	taken, err := s.clear(ctx)
	if err != nil {
		return err
	}
	if taken {
		m.blocker("name-taken", s.name, fmt.Sprintf("a database %s exists and is not a scratch database of pgumbra", s.name),
			"rename the run (name:), or the database")
		s.name = ""
		return errBlocked
	}
	options, err := databaseOptions(ctx, m.db)
	if err != nil {
		return err
	}
	if _, err := s.admin.Exec(ctx, "CREATE DATABASE "+pg.Ident(s.name)+" TEMPLATE template0 CONNECTION LIMIT "+strconv.Itoa(scratchLimit)+" "+options); err != nil {
		name := s.name
		s.name = ""
		if pg.State(err) == pgerrcode.InsufficientPrivilege {
			m.blocker("privileges", m.session.User, "the scratch database cannot be created",
				fmt.Sprintf("ALTER ROLE %s CREATEDB; or name another server by scratch.dsn", pg.Ident(m.session.User)))
			return errBlocked
		}
		return fmt.Errorf("create database %s: %w", name, err)
	}
	// A sample of production's rows comes in.
	if _, err := s.admin.Exec(ctx, "REVOKE ALL ON DATABASE "+pg.Ident(s.name)+" FROM PUBLIC"); err != nil {
		return fmt.Errorf("keep others out of database %s: %w", s.name, err)
	}
	_, err = s.admin.Exec(ctx, "COMMENT ON DATABASE "+pg.Ident(s.name)+" IS "+pg.Literal(scratchMark+m.file.Name))
	return err
}

// databaseOptions are production's encoding and locale as CREATE DATABASE takes
// them: collations decide what is unique.
func databaseOptions(ctx context.Context, db pg.Querier) (string, error) {
	l, err := readLocale(ctx, db)
	if err != nil {
		return "", err
	}
	options := "ENCODING " + pg.Literal(l.Encoding) + " LC_COLLATE " + pg.Literal(l.Collate) + " LC_CTYPE " + pg.Literal(l.Ctype)
	switch l.Provider {
	case "i":
		options += " LOCALE_PROVIDER icu ICU_LOCALE " + pg.Literal(l.Locale)
	case "b":
		options += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + pg.Literal(l.Locale)
	}
	return options, nil
}

// config is a connection to the scratch database with our settings.
func (s *scratch) config(component, path string) (*pgx.ConnConfig, error) {
	config, err := pg.Config(s.dsn, pg.Options{Component: component, SearchPath: path,
		Settings: map[string]string{"synchronous_commit": "off", "client_min_messages": "warning"}})
	if err != nil {
		return nil, err
	}
	config.Database = s.name
	return config, nil
}

func (s *scratch) connect(ctx context.Context, component string) (*pgx.Conn, error) {
	config, err := s.config(component, "")
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

// clientConfig is a connection as production's own migrations have it: the
// session's search_path and settings, none of ours.
func (s *scratch) clientConfig(own catalog.Session) (*pgx.ConnConfig, error) {
	config, err := pg.ClientConfig(s.dsn, "migrations")
	if err != nil {
		return nil, err
	}
	config.Database = s.name
	s.asGuest(config)
	pg.Set(config.RuntimeParams, own.Parameters)
	pg.Set(config.RuntimeParams, own.Texts) // scratch.dsn's server may have other defaults
	config.RuntimeParams["search_path"] = own.Path
	config.RuntimeParams["synchronous_commit"] = "off"
	config.RuntimeParams["default_transaction_read_only"] = "off" // a role's way to guard production
	config.RuntimeParams["default_transaction_deferrable"] = "off"
	return config, nil
}

// asGuest lets the guest log in, where there is one.
func (s *scratch) asGuest(config *pgx.ConnConfig) {
	if s.guest == nil {
		return
	}
	config.User, config.Password = s.guest.name, s.guest.password
	if s.guest.host != "" {
		config.Host, config.Fallbacks = s.guest.host, nil
	}
}

// drop removes the database, whoever is still in it. It outlives a cancelled
// context and may be called twice.
func (s *scratch) drop(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if s.db != nil {
		_ = s.db.Close(ctx)
	}
	if s.admin == nil {
		return
	}
	if s.name != "" {
		if err := s.dropDatabase(ctx, s.name); err != nil {
			log.Warn("scratch database was left behind; the next plan of this name drops it", "database", s.name, "error", err, "type", "DROP DATABASE "+pg.Ident(s.name))
		}
		if err := s.dropGuest(ctx); err != nil {
			log.Warn("roles of the scratch database were left behind", "database", s.name, "error", err)
		}
	}
	_ = s.admin.Close(ctx)
	s.admin = nil
}
