package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// output is where a report goes, and in which form.
type output struct{ path, format string }

// stdout is a path, as that of no file is.
const stdout = "-"

// endings are how the files of reports end.
var endings = map[string]string{".txt": "text", ".json": "json", ".md": "markdown", ".html": "html", ".xml": "junit", ".sarif": "sarif"}

const formatHelp = "; default: as the file of --output ends, else text"

// outputsOf are where a command's reports go: in the form that --format says, where it is
// given, else in that which a file's ending says. A mistake is told before the work,
// which may take minutes.
func outputsOf(c *cobra.Command, format string, known []string, paths ...string) ([]output, error) {
	given := c.Flags().Changed("format") || format != "text" // by --json
	if !slices.Contains(known, format) {
		return nil, &usageError{fmt.Errorf("--format %q: use %s", format, strings.Join(known, ", "))}
	}
	paths = slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return path == "" })
	if len(paths) == 0 {
		return []output{{stdout, format}}, nil
	}
	var all []output
	for _, path := range paths {
		o := output{path, format}
		if own := endings[filepath.Ext(path)]; !given && slices.Contains(known, own) {
			o.format = own
		}
		if dir, err := os.Stat(filepath.Dir(path)); o.path != stdout && (err != nil || !dir.IsDir()) {
			return nil, &usageError{fmt.Errorf("--output %s: there is no folder %s", path, filepath.Dir(path))}
		}
		all = append(all, o)
	}
	return all, nil
}

// toFile reports whether it is one.
func (o output) toFile() bool { return o.path != stdout }

// write gives write the file, or stdout: text there as wide as the terminal.
func (o output) write(write func(io.Writer) error) (err error) {
	if !o.toFile() && o.format != "text" {
		return write(os.Stdout)
	}
	if !o.toFile() {
		to := &folded{to: os.Stdout}
		if err := write(to); err != nil {
			return err
		}
		return to.flush()
	}
	f, err := os.Create(o.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

// written are the files among outputs, for a sentence; empty: there are none.
func written(all []output) string {
	var paths []string
	for _, o := range all {
		if o.toFile() {
			paths = append(paths, o.path)
		}
	}
	return strings.Join(paths, ", ")
}
