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
var endings = map[string]string{".txt": "text", ".log": "text", ".json": "json", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html",
	".xml": "junit", ".sarif": "sarif"}

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
		ending := filepath.Ext(path)
		own := endings[strings.ToLower(ending)]
		switch {
		case given || o.path == stdout || ending == "":
		case slices.Contains(known, own):
			o.format = own
		default:
			return nil, &usageError{fmt.Errorf("--output %s: no report of this command has the ending %s: use %s, or say --format", path, ending, strings.Join(endingsOf(known), ", "))}
		}
		if dir, err := os.Stat(filepath.Dir(path)); o.path != stdout && (err != nil || !dir.IsDir()) {
			return nil, &usageError{fmt.Errorf("--output %s: there is no folder %s", path, filepath.Dir(path))}
		}
		all = append(all, o)
	}
	return all, nil
}

// endingsOf are the usual ones of some forms, in their order.
func endingsOf(formats []string) (all []string) {
	for _, format := range formats {
		for _, ending := range []string{".txt", ".json", ".md", ".html", ".xml", ".sarif"} {
			if endings[ending] == format {
				all = append(all, ending)
			}
		}
	}
	return all
}

// severalHelp is what --output means where it may be given several times.
const severalHelp = "write to `FILE` instead of stdout, - being stdout; several times: a report each, in the form that the file's ending says: "

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

// toPrograms reports whether stdout has a report that is no text for people.
func toPrograms(all []output) bool {
	return slices.ContainsFunc(all, func(to output) bool { return !to.toFile() && to.format != "text" })
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
