package plans

import "fmt"

// FileError is a mistake that was found without any server: in the plan file,
// its variables, or the migrations folder. The caller shows it and exits 2.
type FileError struct {
	File    string
	Line    int // 0: the file as a whole, or not in a file
	Message string
	Fix     string
}

// Error names file and line, the mistake, and what to do about it.
func (e *FileError) Error() string {
	text := e.Message
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	switch {
	case e.File == "":
		return text
	case e.Line == 0:
		return e.File + ": " + text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, text)
}
