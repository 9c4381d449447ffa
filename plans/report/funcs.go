package report

import (
	"text/template"

	"github.com/pgumbra/pgumbra/internal/human"
)

// MarkdownLimit is what a comment on a pull request takes: GitHub's limit of
// characters.
const MarkdownLimit = markdownLimit

// MarkdownFuncs are what Markdown's templates need to write text of any kind.
var MarkdownFuncs = template.FuncMap{"cell": markdownCell, "code": markdownCode, "fenced": markdownBlock, "plain": human.OneLine}
