package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// columns is a table of text that gets narrower with the terminal.
type columns struct {
	heads []string
	rows  [][]string
	// spare are heads of columns that can be done without, the first of them soonest.
	spare []string
}

func (c *columns) add(cells ...string) { c.rows = append(c.rows, cells) }

// fit leaves columns out until the lines are no wider than a terminal. Width 0: all
// stay. What is too wide even so is folded like any text.
func (c *columns) fit(width int) {
	for _, head := range c.spare {
		if width <= 0 || c.width() <= width {
			return
		}
		at := slices.Index(c.heads, head)
		c.heads = slices.Delete(slices.Clone(c.heads), at, at+1)
		for i, row := range c.rows {
			c.rows[i] = slices.Delete(slices.Clone(row), at, at+1)
		}
	}
}

// width of the longest line, two blanks between columns.
func (c *columns) width() int {
	sum := 2 * (len(c.heads) - 1)
	for i, head := range c.heads {
		widest := utf8.RuneCountInString(head)
		for _, row := range c.rows {
			widest = max(widest, utf8.RuneCountInString(row[i]))
		}
		sum += widest
	}
	return sum
}

func (c *columns) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{c.heads}, c.rows...) {
		if _, err := fmt.Fprintln(t, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}
