package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const examplesCI = "../../examples/ci"

// actionStep is the step of the composite action that rehearses.
type actionStep struct{ folder, run string }

// ciAction is an action of GitHub's, as far as it is looked at.
type ciAction struct {
	Inputs map[string]struct{ Description, Default string }
	Runs   struct {
		Steps []struct {
			Name, Run string
			Env       map[string]string
		}
	}
}

func readCI(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examplesCI, path))
	must(t, err)
	must(t, yaml.Unmarshal(text, into))
}

func rehearseAction(t *testing.T) actionStep {
	t.Helper()
	var a ciAction
	readCI(t, "github/rehearse/action.yml", &a)
	folder, err := filepath.Abs(filepath.Join(examplesCI, "github", "rehearse"))
	must(t, err)
	last := a.Runs.Steps[len(a.Runs.Steps)-1]
	if last.Name != "Rehearse" {
		t.Fatalf("the last step is %s", last.Name)
	}
	return actionStep{folder, last.Run}
}

// What the examples for CI name is there: files of this repository, inputs of the action, and
// flags of the program. What they do here is done by [TestRehearsalsLeaveNothing].
func TestExamplesForCINameWhatIsThere(t *testing.T) {
	t.Parallel()
	var a ciAction
	readCI(t, "github/rehearse/action.yml", &a)
	for _, step := range a.Runs.Steps {
		for name, value := range step.Env {
			m := regexp.MustCompile(`^\$\{\{ inputs\.([\w-]+) \}\}$`).FindStringSubmatch(value)
			if m == nil {
				t.Errorf("%s is %s", name, value)
			} else if _, there := a.Inputs[m[1]]; !there {
				t.Errorf("the action has no input %s", m[1])
			}
		}
	}
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses string
				With map[string]string
			}
		}
	}
	readCI(t, "github/workflow.yml", &workflow)
	for _, step := range workflow.Jobs["rehearse"].Steps {
		path, ours := strings.CutPrefix(step.Uses, "pgumbra/pgumbra/")
		if !ours {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "..", strings.TrimSuffix(path, "@main"), "action.yml")); err != nil {
			t.Error(err)
		}
		for name := range step.With {
			if _, there := a.Inputs[name]; !there {
				t.Errorf("the workflow gives the action %s, which it does not take", name)
			}
		}
	}
	var gitlab struct {
		Rehearse struct {
			Before []string `yaml:"before_script"`
			Script []string
		}
	}
	readCI(t, "gitlab/.gitlab-ci.yml", &gitlab)
	for _, line := range gitlab.Rehearse.Script {
		file, _, _ := strings.Cut(strings.TrimPrefix(line, "/tmp/pgumbra/"), " ")
		if about, err := os.Stat(filepath.Join("..", "..", file)); err != nil || about.Mode()&0o111 == 0 {
			t.Errorf("%s: %v", line, err)
		}
	}
	flagsExist(t, a, slices.Concat(gitlab.Rehearse.Before, gitlab.Rehearse.Script))
}

// flagsExist: each flag that the examples type behind pgumbra rehearse is one of its.
func flagsExist(t *testing.T, a ciAction, lines []string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(examplesCI, "rehearse.sh"))
	must(t, err)
	for _, step := range a.Runs.Steps {
		if strings.Contains(step.Run, "go install") && !strings.Contains(step.Run, "github.com/pgumbra/pgumbra/cmd/pgumbra@") {
			t.Errorf("it installs something else: %s", step.Run)
		}
	}
	var own []string
	for line := range strings.Lines(string(script)) {
		if strings.Contains(line, "options") && !strings.HasPrefix(line, "#") {
			own = append(own, line)
		}
	}
	for _, line := range lines {
		if strings.Contains(line, "rehearse.sh") {
			own = append(own, line)
		}
	}
	command, _, err := (&app{}).root().Find([]string{"rehearse"})
	must(t, err)
	flags := regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(strings.Join(own, " "), -1)
	for _, m := range flags {
		if command.Flags().Lookup(m[1]) == nil && command.InheritedFlags().Lookup(m[1]) == nil {
			t.Errorf("pgumbra rehearse has no --%s", m[1])
		}
	}
	if len(flags) < 5 {
		t.Errorf("%d flags were looked at", len(flags))
	}
}
