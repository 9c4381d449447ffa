package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pgumbra/pgumbra/internal/human"
)

// help prints a command's help as wide as the terminal: a paragraph is one text, not
// the lines that it has in the code.
func help(c *cobra.Command, _ []string) {
	width := 0
	if out, ok := c.OutOrStdout().(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		width = widthOf(out)
	}
	text := c.Long
	if text == "" {
		text = c.Short
	}
	_, _ = io.WriteString(c.OutOrStdout(), paragraphs(text, width)+"\n") // nobody is left to tell
	if c.Runnable() || c.HasSubCommands() {
		_, _ = fmt.Fprint(c.OutOrStdout(), "\n"+foldUsage(c.UsageString(), width))
	}
}

// helpAbout is pgumbra help COMMAND, or a topic.
func (a *app) helpAbout(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil || len(args) > 0 && (about == root || len(rest) > 0) {
				a.command = ""
				return unknownCommand(root, args[len(args)-1])
			}
			return about.Help()
		},
	}
}

// entry begins a list's item: a word and two blanks or more before its text.
var entry = regexp.MustCompile(`^ *\S+( +\S+)? {2,}`)

// paragraphs joins lines that go on in the next one, and folds them at the width. Width
// 0: all stays as it is written.
func paragraphs(text string, width int) string {
	if width <= 0 {
		return text
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if len(lines) > 0 && goesOn(lines[len(lines)-1], line) {
			lines[len(lines)-1] += " " + strings.TrimLeft(line, " ")
			continue
		}
		lines = append(lines, line)
	}
	return human.Fold(strings.Join(lines, "\n"), width)
}

// goesOn: a line is more of the paragraph. A flag begins something of its own, unless it
// stands within a sentence.
func goesOn(paragraph, line string) bool {
	if paragraph == "" || line == "" || entry.MatchString(line) {
		return false
	}
	return !strings.HasPrefix(line, "--") || !strings.HasPrefix(paragraph, "--") && !strings.HasSuffix(paragraph, ".")
}

// usageEntry is the part of a usage line before its description: a flag with its type,
// or a command.
var usageEntry = regexp.MustCompile(`^ +(-\w, )?\S+( \S+)? {2,}`)

// foldUsage folds the descriptions of flags and commands under themselves.
func foldUsage(text string, width int) string {
	if width <= 0 {
		return text
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, human.FoldAt(line, width, max(len(usageEntry.FindString(line)), 4)))
	}
	return strings.Join(lines, "\n")
}
