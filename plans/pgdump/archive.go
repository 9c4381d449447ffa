package pgdump

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// ErrFormat says that an archive is none that this package can read: pg_dump is
// of a version that writes another format, or was cut off.
var ErrFormat = errors.New("pg_dump wrote an archive that pgumbra cannot read")

// Archive versions by PostgreSQL's major versions: 12 to 15 write 1.14, 16 writes
// 1.15 (another field for the compression), 17 and 18 write 1.16 (the kind of a
// relation).
const (
	oldestArchive = 14
	kindsArchive  = 16
	newestArchive = 16
)

// What the format calls its sections: where an entry may stand in a restore.
const (
	sectionData     = 3
	sectionPostData = 4
)

// record is one entry of an archive's table of contents, as it stands there. An
// absent string is "", as pg_restore takes it too.
type record struct {
	dumpID     int
	class, oid uint32
	tag, desc  string // the object's name; what kind of entry it is
	section    int
	definition string
	drop       string
	namespace  string
	tablespace string
	tableAM    string
	relkind    byte
	owner      string
	deps       []int
}

// readArchive reads the header and the table of contents of an archive in custom
// format. Each field has its length before it, so that nothing in a field can be
// taken for the next one. The layout is that of PostgreSQL's
// pg_backup_archiver.c (ReadHead, ReadToc) and pg_backup_custom.c.
func readArchive(archive []byte) ([]record, error) {
	r := &reader{rest: archive}
	r.head()
	count := r.int()
	var all []record
	for range count {
		if r.err != nil {
			break
		}
		all = append(all, r.record())
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, r.err)
	}
	return all, nil
}

// reader takes an archive's fields one after the other. After an error it goes on
// with zeros, and the first error is kept.
type reader struct {
	rest       []byte
	minor      byte // of the archive's version
	intSize    int  // bytes, without the sign
	offsetSize int
	err        error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.rest = nil
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.fail("it ends too early")
		return make([]byte, min(n, 8))
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

// int is a sign and a number, the least significant byte first.
func (r *reader) int() int {
	negative := r.byte() != 0
	var number [8]byte
	copy(number[:], r.bytes(r.intSize))
	value := int(binary.LittleEndian.Uint64(number[:]))
	if negative {
		return -value
	}
	return value
}

// string is a length and its bytes; an absent one has the length -1.
func (r *reader) string() (text string, there bool) {
	n := r.int()
	switch {
	case n < 0:
		return "", false
	case n > len(r.rest):
		r.fail("it ends within a text")
		return "", false
	}
	return string(r.bytes(n)), true
}

func (r *reader) text() string {
	text, _ := r.string()
	return text
}

func (r *reader) oid() uint32 {
	number, err := strconv.ParseUint(r.text(), 10, 32)
	if err != nil {
		r.fail("an object's number is none")
	}
	return uint32(number)
}

const customFormat = 1

func (r *reader) head() {
	if string(r.bytes(5)) != "PGDMP" {
		r.fail("it does not begin as one")
		return
	}
	major := r.byte()
	r.minor = r.byte()
	r.byte() // the revision
	if major != 1 || r.minor < oldestArchive || r.minor > newestArchive {
		r.fail("it is of version %d.%d; 1.%d to 1.%d are known, which pg_dump of PostgreSQL 14 to 18 writes", major, r.minor, oldestArchive, newestArchive)
		return
	}
	r.intSize, r.offsetSize = int(r.byte()), int(r.byte())
	if r.intSize < 4 || r.intSize > 8 || r.offsetSize > 8 {
		r.fail("its numbers have %d bytes", r.intSize)
		return
	}
	if format := r.byte(); format != customFormat {
		r.fail("it is in format %d", format)
		return
	}
	if r.minor > oldestArchive {
		r.byte() // how data are compressed; there are none
	} else {
		r.int()
	}
	for range 7 {
		r.int() // when it was made
	}
	for range 3 {
		r.text() // the database, the server's and pg_dump's versions
	}
}

func (r *reader) record() record {
	var e record
	e.dumpID = r.int()
	r.int() // whether it has data
	e.class, e.oid = r.oid(), r.oid()
	e.tag, e.desc = r.text(), r.text()
	e.section = r.int()
	e.definition, e.drop = r.text(), r.text()
	r.text() // the COPY statement
	e.namespace, e.tablespace, e.tableAM = r.text(), r.text(), r.text()
	if r.minor >= kindsArchive {
		e.relkind = byte(r.int())
	}
	e.owner = r.text()
	r.text() // WITH OIDS, which no supported server has
	e.deps = r.dependencies()
	r.bytes(1 + r.offsetSize) // where its data are
	return e
}

func (r *reader) dependencies() (all []int) {
	for r.err == nil {
		text, there := r.string()
		if !there {
			break
		}
		number, err := strconv.Atoi(text)
		if err != nil {
			r.fail("a dependency is no number")
		}
		all = append(all, number)
	}
	return all
}
