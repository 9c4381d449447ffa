package human

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Columns is a table of text that gets narrower with the terminal.
type Columns struct {
	Heads []string
	// Spare are heads of columns that can be done without, the first of them soonest.
	Spare []string
	// Indent is what each line begins with.
	Indent string

	rows [][]string
}

// Add is a row, with a cell for each head.
func (c *Columns) Add(cells ...string) { c.rows = append(c.rows, cells) }

// Fit leaves columns out until the lines are no wider than a terminal. Width 0: all
// stay. What is too wide even so is folded like any text.
func (c *Columns) Fit(width int) {
	for _, head := range c.Spare {
		if width <= 0 || c.width() <= width {
			return
		}
		at := slices.Index(c.Heads, head)
		c.Heads = slices.Delete(slices.Clone(c.Heads), at, at+1)
		for i, row := range c.rows {
			c.rows[i] = slices.Delete(slices.Clone(row), at, at+1)
		}
	}
}

// width of the longest line, two blanks between columns.
func (c *Columns) width() int {
	sum := len(c.Indent) + 2*(len(c.Heads)-1)
	for i, head := range c.Heads {
		widest := utf8.RuneCountInString(head)
		for _, row := range c.rows {
			widest = max(widest, utf8.RuneCountInString(row[i]))
		}
		sum += widest
	}
	return sum
}

// Write writes the heads, then the rows.
func (c *Columns) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{c.Heads}, c.rows...) {
		if _, err := fmt.Fprintln(t, c.Indent+strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}
