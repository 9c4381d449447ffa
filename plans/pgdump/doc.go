// Package pgdump is the one place that knows pg_dump: where the program is, how
// it is run, and how what it writes is taken apart.
//
// It never splits pg_dump's text by what the text looks like. A role that may
// only create a function can write into a literal whatever it likes, also what
// pg_dump writes between two entries. So the structure is read from an archive,
// whose table of contents has each entry's fields with their lengths; text of
// pg_dump's fixed templates is read by [Lex], which knows where literals, quoted
// names and comments end.
package pgdump
