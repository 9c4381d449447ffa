package rehearsal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/pgumbra/pgumbra/plans"
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
		return nil, &plans.FileError{File: path, Message: "not a baseline: " + err.Error(), Fix: "write accepted: [{code: client-breaks, object: shop.customers.mail, why: …}]"}
	}
	for _, a := range b.Accepted {
		if a.Code == "" {
			return nil, &plans.FileError{File: path, Message: "an accepted finding has no code"}
		}
	}
	b.used = make([]bool, len(b.Accepted))
	return b, nil
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
		if !b.used[i] && a.Code != "not-generated" {
			all = append(all, a.Code+" "+a.Object)
		}
	}
	return all
}
