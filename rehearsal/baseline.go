package rehearsal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/findings"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// Baseline is the findings that a repository accepts.
type Baseline struct {
	Accepted []Accepted `yaml:"accepted"`
	used     []bool
}

// Accepted is one of them. Object empty: of any.
type Accepted struct {
	Code   string `yaml:"code"`
	Object string `yaml:"object"`
	Why    string `yaml:"why"`
}

// ReadBaseline reads the file. An error is a [*plans.FileError].
func ReadBaseline(path string) (*Baseline, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &plans.FileError{File: path, Message: "read the baseline: " + err.Error()}
	}
	b := &Baseline{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(b); err != nil && !errors.Is(err, io.EOF) {
		return nil, notABaseline(path, err)
	}
	if err := b.check(path, text); err != nil {
		return nil, err
	}
	b.used = make([]bool, len(b.Accepted))
	return b, nil
}

// unknownKey and wrongKind are how the parser says that a key is none of ours, and that a value is
// of another kind than its key wants.
var (
	unknownKey = regexp.MustCompile(`line (\d+): field (.+?) not found in type rehearsal\.(\w+)`)
	wrongKind  = regexp.MustCompile(`line (\d+): cannot unmarshal`)
)

// notABaseline says where a file is none, and what was meant.
func notABaseline(path string, err error) error {
	mistake := &plans.FileError{File: path, Message: "not a baseline: " + human.OneLine(err.Error()), Fix: "write accepted: [{code: client-breaks, object: shop.customers.mail, why: …}]"}
	if m := unknownKey.FindStringSubmatch(err.Error()); m != nil {
		known := []string{"accepted"}
		if m[3] == "Accepted" {
			known = []string{"code", "object", "why"}
		}
		mistake.Line, _ = strconv.Atoi(m[1])
		mistake.Message, mistake.Fix = fmt.Sprintf("not a baseline: unknown key %q", m[2]), planfile.Nearest(m[2], known)
	} else if m := wrongKind.FindStringSubmatch(err.Error()); m != nil {
		mistake.Line, _ = strconv.Atoi(m[1])
		mistake.Message = "not a baseline: accepted is a list of findings, each with code, object and why, which are texts"
	}
	return mistake
}

// notGenerated is accepted of a table of which no rows could be made; it is no finding.
const notGenerated = "not-generated"

// check holds the codes against the register: one that is misspelled would accept nothing,
// which shows at the end of a rehearsal.
func (b *Baseline) check(path string, text []byte) error {
	var at struct {
		Accepted []map[string]yaml.Node `yaml:"accepted"`
	}
	_ = yaml.Unmarshal(text, &at) // was read already
	known := []string{notGenerated}
	for _, s := range findings.Sections() {
		for _, c := range s.Checks {
			known = append(known, c.Code)
		}
	}
	for i, a := range b.Accepted {
		line := 0
		if i < len(at.Accepted) {
			line = at.Accepted[i]["code"].Line
		}
		switch {
		case a.Code == "":
			return &plans.FileError{File: path, Message: "an accepted finding has no code"}
		case !slices.Contains(known, a.Code):
			return &plans.FileError{File: path, Line: line, Message: fmt.Sprintf("there is no finding %q", a.Code), Fix: planfile.Nearest(a.Code, known)}
		}
	}
	return nil
}

func (b *Baseline) accepts(code, object string) bool {
	if b == nil {
		return false
	}
	i := slices.IndexFunc(b.Accepted, func(a Accepted) bool { return a.Code == code && (a.Object == "" || a.Object == object) })
	if i >= 0 {
		b.used[i] = true
	}
	return i >= 0
}

// unused are those that were not met with.
func (b *Baseline) unused() []string {
	if b == nil {
		return nil
	}
	var all []string
	for i, a := range b.Accepted {
		if !b.used[i] && a.Code != notGenerated {
			all = append(all, a.Code+" "+a.Object)
		}
	}
	return all
}
