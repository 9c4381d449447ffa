package human

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// labelled is a line that begins with a word in a column of its own, or a few words before
// two blanks, or with a number or sign as those of a list do.
var labelled = regexp.MustCompile(`^ *(?:[A-Za-z0-9_.:~+-]{1,24}(?:(?: [A-Za-z0-9_.:~+-]{1,24}){0,4} {2,}|: )|(?:\d+\.|[-~+\x{2192}]) )`)

// Fold breaks lines that are wider than a terminal between words, and continues
// them under where their text began. Width 0: nothing is broken. Words that are
// wider stay whole: commands and names are copied from what is shown.
func Fold(text string, width int) string {
	if width <= 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = foldLine(line, width)
	}
	return strings.Join(lines, "\n")
}

func foldLine(line string, width int) string {
	hang := len(line) - len(strings.TrimLeft(line, " "))
	if label := labelled.FindString(line); label != "" && utf8.RuneCountInString(label) <= width/2 {
		hang = utf8.RuneCountInString(label)
	}
	return FoldAt(line, width, hang)
}

// FoldAt folds one line, and continues it after so many blanks, half of the width at the
// most.
func FoldAt(line string, width, hang int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	indent := strings.Repeat(" ", min(hang, width/2))
	var folded []string
	start, rest := "", line
	for utf8.RuneCountInString(start+rest) > width {
		at := breakBefore(rest, width-utf8.RuneCountInString(start), len(rest)-len(strings.TrimLeft(rest, " ")))
		if at < 0 {
			break
		}
		folded = append(folded, start+strings.TrimRight(rest[:at], " "))
		start, rest = indent, strings.TrimLeft(rest[at:], " ")
	}
	return strings.Join(append(folded, start+rest), "\n")
}

// unit is what stays beside its number.
var unit = regexp.MustCompile(`^ (?:ms|s|min|h|d|B|kB|MB|GB|TB|%)(?:[^A-Za-z0-9]|$)`)

// breakBefore is the last blank of a text within a width, after so many bytes; else
// the first one after it. -1: there is none.
func breakBefore(text string, width, after int) int {
	end, runes := len(text), 0
	for i := range text {
		if runes == width+1 {
			end = i
			break
		}
		runes++
	}
	for at := strings.LastIndexByte(text[:end], ' '); at > after; at = strings.LastIndexByte(text[:at], ' ') {
		if !unit.MatchString(text[at:]) || text[at-1] < '0' || text[at-1] > '9' {
			return at
		}
	}
	if at := strings.IndexByte(text[min(after, len(text)):], ' '); at >= 0 && strings.TrimSpace(text[min(after, len(text))+at:]) != "" {
		return min(after, len(text)) + at
	}
	return -1
}
