package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/pgumbra/pgumbra/internal/human"
)

// widthOf a file's terminal; 0: it is none, and nothing is folded.
func widthOf(f *os.File) int {
	if !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		return 80
	}
	return width
}

// widthOfWriter is that of the terminal that it writes to in the end, as widthOf.
func widthOfWriter(w io.Writer) int {
	switch w := w.(type) {
	case *os.File:
		return widthOf(w)
	case *folded:
		return widthOf(w.to)
	}
	return 0
}

// say prints a text for people on stdout, as wide as the terminal.
func say(text string) error { return sayOn(os.Stdout, text) }

// complain prints one on stderr.
func complain(text string) { _ = sayOn(os.Stderr, text) } // nobody is left to tell

func sayOn(w io.Writer, text string) error {
	_, err := fmt.Fprintln(w, human.Fold(text, widthOfWriter(w)))
	return err
}

// folded folds what is written to it once it is closed.
type folded struct {
	to   *os.File
	text []byte
}

func (f *folded) Write(p []byte) (int, error) {
	f.text = append(f.text, p...)
	return len(p), nil
}

func (f *folded) flush() error {
	_, err := io.WriteString(f.to, human.Fold(string(f.text), widthOf(f.to)))
	return err
}
