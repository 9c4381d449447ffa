// Package findings is the register of codes: what each finding of a plan, of the
// clients' way and of a cutover means, which level it has, and what to do about it.
// Scripts rely on the codes, so that none is ever renamed. docs/findings.md is
// written from here; a test fails on a code that some package uses and that is not
// here, or the other way about.
//
// It only holds text. Who finds something makes its own message and fix, with the
// object's names in them.
package findings

import "strings"

// Check is what one code means.
type Check struct {
	Code string
	// Level as a person reads it: one of the three words, or several and when.
	Level string
	Means string
	Do    string // empty: nothing is to be done

	// Bad is found, Good is not and does the same: SQL of a migration, or lines of
	// a configuration. Empty where the code is about no text of somebody's.
	Bad, Good string
}

// Section is the checks of one subject, in the order in which they are asked.
type Section struct {
	Title  string
	Intro  string // Markdown before the table
	Checks []Check
	After  string // Markdown behind it
}

// Sections is the whole register.
func Sections() []Section {
	return []Section{serverSection, shadowSection, trafficSection, migrationsSection, rowsSection, keysSection, backSection, aroundSection, cutoverSection}
}

// Of finds a code.
func Of(code string) (Check, bool) {
	for _, s := range Sections() {
		for _, c := range s.Checks {
			if c.Code == code {
				return c, true
			}
		}
	}
	return Check{}, false
}

// May reports whether findings of a code can have a level.
func (c Check) May(level string) bool { return strings.Contains(c.Level, level) }
