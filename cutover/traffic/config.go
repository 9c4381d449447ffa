package traffic

import (
	"fmt"
	"os"
	"path/filepath"
)

// config is PgBouncer's configuration as it would load it now, included files
// too.
type config struct {
	main    string
	texts   map[string]string // by path
	entries []entry           // of [databases], in the order of loading
	pgb     map[string]string // of [pgbouncer]; the last of each key
}

// entry is one line of [databases].
type entry struct {
	name       string
	path       string // of the file it stands in, symbolic links resolved
	line       int
	start, end int // of the value in that file's text
	value      string
	leads      Address
}

// maxInclude is PgBouncer's own.
const maxInclude = 10

// readConfig reads a configuration file and what it includes. It fails where
// PgBouncer would stop loading, with a [*syntaxError] for what is written.
// PgBouncer resolves included paths from its working directory, which is not
// known here: relative ones are taken to start at the main file's folder, and
// that a change took effect is believed by the console only.
func readConfig(path string) (*config, error) {
	c := &config{main: path, texts: map[string]string{}, pgb: map[string]string{}}
	section := ""
	return c, c.read(path, &section, 0)
}

// beside is a file that the main one names: a relative path starts at its folder.
func beside(main, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(main), name)
}

func (c *config) read(name string, section *string, depth int) error {
	// A rename would replace a symbolic link, not what it leads to.
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("read PgBouncer's configuration %s: %w", name, err)
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read PgBouncer's configuration %s: %w", name, err)
	}
	text := string(bytes)
	c.texts[path] = text
	return scan(path, text, visitor{
		section: func(name string) { *section = name }, // goes on behind an included file
		include: func(name string) error {
			if depth >= maxInclude {
				return &syntaxError{path, 1, "files include each other too deeply"}
			}
			return c.read(beside(c.main, name), section, depth+1)
		},
		item: func(key string, start, end, line int) error {
			return c.item(*section, entry{name: key, path: path, line: line, start: start, end: end, value: text[start:end]})
		},
	})
}

func (c *config) item(section string, e entry) error {
	switch section {
	case "pgbouncer":
		c.pgb[e.name] = e.value
	case "databases":
		pairs, err := parsePairs(e.value)
		if err != nil {
			return &syntaxError{e.path, e.line, fmt.Sprintf("the entry of %s is %s", e.name, err)}
		}
		e.leads = addressOf(e.name, pairs)
		c.entries = append(c.entries, e)
	case "":
		return &syntaxError{e.path, e.line, e.name + " stands before any section"}
	}
	return nil
}

// find is the entry that counts for a database: of several the last.
func (c *config) find(name string) (entry, bool) {
	for i := len(c.entries) - 1; i >= 0; i-- {
		if c.entries[i].name == name {
			return c.entries[i], true
		}
	}
	return entry{}, false
}

// replace is the text of the entry's file with another value in its place.
func (c *config) replace(e entry, value string) string {
	return apply(c.texts[e.path], []edit{{e.start, e.end, value}})
}

// readKept reads one file alone, which may hold a part of a configuration: what
// is no entry is passed over.
func readKept(path, text string) (*config, error) {
	c := &config{main: path, texts: map[string]string{path: text}, pgb: map[string]string{}}
	section := "databases" // an included file goes on in the section around it
	return c, scan(path, text, visitor{
		section: func(name string) { section = name },
		include: func(string) error { return nil },
		item: func(key string, start, end, line int) error {
			_ = c.item(section, entry{name: key, path: path, line: line, start: start, end: end, value: text[start:end]})
			return nil
		},
	})
}
