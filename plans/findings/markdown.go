package findings

import "strings"

//go:generate go run ./write ../../docs/findings.md

const preface = "# Findings\n\n" +
	"<!-- Written from the register in plans/findings by go generate ./plans/findings. -->\n\n" +
	"`pgumbra plan` looks at production, the migrations and the scratch database, and lists what it found. A finding has a level, a stable code, the object it is about, the place\n" +
	"(file and line) where there is one, a message, and what to do. With a **blocker** a run does not start and `plan` exits 3; a **warning** wants to be read; an **info** says what happens.\n" +
	"All that can be found is found in one go. Some blockers leave nothing to look at behind them: `plan` then ends with those it has.\n\n" +
	"What is about the plan file itself, its variables or the migrations folder (absent, empty, two files of one number) is no finding but an error with exit code 2: it is found without a server.\n"

// Markdown is docs/findings.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(preface)
	for _, s := range Sections() {
		b.WriteString("\n## " + s.Title + "\n\n")
		if s.Intro != "" {
			b.WriteString(s.Intro + "\n\n")
		}
		b.WriteString("| code | level | means | do |\n|---|---|---|---|\n")
		for _, c := range s.Checks {
			b.WriteString("| `" + c.Code + "` | " + c.Level + " | " + c.Means + " | " + c.Do + " |\n")
		}
		if s.After != "" {
			b.WriteString("\n" + s.After + "\n")
		}
		for _, c := range s.Checks {
			b.WriteString(c.example())
		}
	}
	return b.String()
}

// example shows what is found, and what does the same and is not.
func (c Check) example() string {
	if c.Bad == "" {
		return ""
	}
	language := "sql"
	if strings.HasPrefix(c.Code, "pgbouncer-") {
		language = "ini"
	}
	return "\n`" + c.Code + "` is found in the first and not in the second:\n\n" + fenced(language, c.Bad) + "\n" + fenced(language, c.Good)
}

func fenced(language, text string) string {
	return "```" + language + "\n" + strings.TrimSpace(text) + "\n```\n"
}
