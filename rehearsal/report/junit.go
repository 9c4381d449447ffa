package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/rehearsal"
)

// JUnit's format has no standard; these are the elements that the CI systems
// read alike: https://github.com/testmoapp/junitxml

type testSuites struct {
	XMLName  xml.Name    `xml:"testsuites"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Suites   []testSuite `xml:"testsuite"`
}

type testSuite struct {
	Name      string     `xml:"name,attr"`
	Tests     int        `xml:"tests,attr"`
	Failures  int        `xml:"failures,attr"`
	Errors    int        `xml:"errors,attr"`
	Skipped   int        `xml:"skipped,attr"`
	Time      string     `xml:"time,attr"`
	Timestamp string     `xml:"timestamp,attr"`
	Cases     []testCase `xml:"testcase"`
}

type testCase struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	Time    string   `xml:"time,attr"`
	File    string   `xml:"file,attr,omitempty"`
	Failure *failure `xml:"failure"`
	Skipped *skipped `xml:"skipped"`
	Out     string   `xml:"system-out,omitempty"`
}

type failure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// skipped is a test that did not come to be made.
type skipped struct {
	Message string `xml:"message,attr"`
}

// writeJUnit writes a test for each gate, each difference and each finding that
// fails the rehearsal.
func writeJUnit(w io.Writer, r *rehearsal.Result, o Options) error {
	gates := suite("pgumbra rehearse "+r.Run, r)
	for _, g := range r.Gates {
		c := testCase{Name: g.Name, Class: "gates", Time: stepTime(r, g.Name), Out: valid(g.Message)}
		if !g.Passed {
			c.Failure, c.Out = &failure{valid(g.Message), "gate", valid(g.Fix)}, ""
		}
		gates.add(c)
	}
	ended := "the rehearsal ended before it"
	if r.Nothing {
		ended = verdict(r)
	}
	for _, name := range rehearsal.EachTime {
		if !slices.ContainsFunc(r.Gates, func(g rehearsal.Gate) bool { return g.Name == name }) {
			gates.add(testCase{Name: name, Class: "gates", Time: "0", Skipped: &skipped{ended}})
		}
	}
	v := viewOf(r, o)
	for _, d := range v.Differences {
		gates.add(testCase{Name: valid(d.Name()), Class: "oracle", Time: stepTime(r, "oracle"), File: o.place(d.Where).file,
			Failure: &failure{valid(d.Sentence), string(d.Kind), valid(examples(d.Difference))}})
	}
	for _, f := range r.Found {
		if f.Level == plans.Blocker || f.Level == plans.Warning && failsOnWarnings(r) {
			gates.add(testCase{Name: valid(f.Code + " " + f.Object), Class: "plan", Time: stepTime(r, "plan"), File: o.place(f.Where).file,
				Failure: &failure{valid(f.Message), string(f.Level), valid(f.Fix)}})
		}
	}
	all := testSuites{Name: "pgumbra", Tests: gates.Tests, Failures: gates.Failures, Time: gates.Time, Suites: []testSuite{gates}}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// stepTime is the seconds of what decided a gate: a step of the rehearsal, or the stall
// itself. One that ended the rehearsal was decided by its last step.
func stepTime(r *rehearsal.Result, gate string) string {
	if gate == "max-stall" && r.Cutover != nil {
		return seconds(r.Cutover.StallMS / 1000)
	}
	step, known := rehearsal.StepOf[gate]
	for _, p := range slices.Backward(r.Phases) {
		if !known || p.Name == step {
			return seconds(p.Seconds)
		}
	}
	return seconds(r.Seconds)
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

func suite(name string, r *rehearsal.Result) testSuite {
	return testSuite{Name: valid(name), Time: seconds(r.Seconds), Timestamp: strings.TrimSuffix(r.StartedAt, "Z")}
}

func (s *testSuite) add(c testCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Skipped != nil {
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func failsOnWarnings(r *rehearsal.Result) bool {
	for _, g := range r.Gates {
		if g.Name == "fail-on warning" {
			return !g.Passed
		}
	}
	return false
}

func examples(d rehearsal.Difference) string {
	var b strings.Builder
	for _, e := range d.Examples {
		if e.Key != "" {
			b.WriteString(e.Key + "\n")
		}
		fmt.Fprintf(&b, "  in place: %s\n  shadow:   %s\n", e.InPlace, e.Upgraded)
	}
	if d.Explanation != "" {
		b.WriteString(d.Explanation + "\n")
	}
	return b.String()
}

// valid is text without signs that XML 1.0 has no way to write.
func valid(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 {
			return r
		}
		return '\uFFFD'
	}, s)
}
