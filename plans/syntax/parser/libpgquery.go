package parser

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	_ "unsafe" // for go:linkname

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	_ "github.com/wasilibs/go-pgquery/parser" // holds libpg_query
	"github.com/wasilibs/wazero-helpers/allocator"
)

// libpg_query is PostgreSQL's own parser, in C; go-pgquery holds it as
// WebAssembly. Compiling that takes 1.5 s of processor time in each process, and
// the library keeps what comes of it nowhere. So the module is taken from it and
// loaded here, with wazero's cache of compiled modules on disk. Linked by name,
// since go-pgquery shows none of the three; a version without them does not link.

//go:linkname libPGQuery github.com/wasilibs/go-pgquery/internal/wasm.LibPGQuery
var libPGQuery []byte

//go:linkname instantiateWASIX github.com/wasilibs/go-pgquery/internal/wasix32v1.MustInstantiate
func instantiateWASIX(ctx context.Context, r wazero.Runtime)

// callContext carries what C's setjmp needs of one call.
//
//go:linkname callContext github.com/wasilibs/go-pgquery/internal/wasix32v1.BackgroundContext
func callContext() context.Context

// library is libpg_query, loaded: not for several goroutines at once.
type library struct {
	module                        api.Module
	runtime                       wazero.Runtime
	malloc, free                  api.Function
	parse, scan, plpgsql, deparse entry
}

// entry is one function of libpg_query. Each writes a struct of results at its
// first argument: text, or a length and bytes, and at last a pointer to an error.
// pg_query.h has them.
type entry struct {
	run, free api.Function
	size      uint32 // of the struct
	result    uint32 // where it has the result
	failure   uint32 // where it has the error
	gives     result
	takes     argument
}

// result is how a result lies in memory.
type result int

const (
	text   result = iota // ends with a zero
	counts               // its length stands before it, at 0
)

// argument is how the argument is given.
type argument int

const (
	cString argument = iota
	counted          // a struct of length and pointer
)

var loaded struct {
	sync.Mutex
	library *library
}

func loadedParser() (*library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.library != nil {
		return loaded.library, nil
	}
	lib, err := load(context.Background())
	if err != nil {
		return nil, fmt.Errorf("load the parser: %w", err)
	}
	loaded.library = lib
	return lib, nil
}

func parserLoaded() bool {
	loaded.Lock()
	defer loaded.Unlock()
	return loaded.library != nil
}

func unloadParser() {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.library != nil {
		_ = loaded.library.runtime.Close(context.Background())
		loaded.library = nil
	}
}

func load(ctx context.Context) (*library, error) {
	ctx = experimental.WithMemoryAllocator(ctx, allocator.NewNonMoving())
	// Without lines for stack traces: the cache would hold hundreds of thousands of them, which each
	// process reads by a system call of eight bytes.
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(compiled()).WithDebugInfoEnabled(false).
		WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesThreads))
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	instantiateWASIX(ctx, runtime)
	code, err := runtime.CompileModule(ctx, libPGQuery)
	if err != nil {
		return nil, errors.Join(err, runtime.Close(ctx))
	}
	module, err := runtime.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithSysNanotime().
		WithStdout(os.Stdout).WithStderr(os.Stderr).WithStartFunctions("_initialize"))
	if err != nil {
		return nil, errors.Join(err, runtime.Close(ctx))
	}
	f := module.ExportedFunction
	lib := &library{
		module: module, runtime: runtime, malloc: f("malloc"), free: f("free"),
		parse:   entry{f("pg_query_parse_protobuf"), f("pg_query_free_protobuf_parse_result"), 16, 4, 12, counts, cString},
		scan:    entry{f("pg_query_scan"), f("pg_query_free_scan_result"), 16, 4, 12, counts, cString},
		plpgsql: entry{f("pg_query_parse_plpgsql"), f("pg_query_free_plpgsql_parse_result"), 8, 0, 4, text, cString},
		deparse: entry{f("pg_query_deparse_protobuf"), f("pg_query_free_deparse_result"), 8, 0, 4, text, counted},
	}
	if _, err := f("pg_query_init").Call(ctx); err != nil {
		return nil, errors.Join(err, runtime.Close(ctx))
	}
	return lib, nil
}

// compiled is wazero's cache in the user's cache folder, which several processes
// may use at once: it writes files beside and renames them, and compiles anew what
// does not fit its version or its checksum. Where no folder can be had it is in
// memory.
func compiled() wazero.CompilationCache {
	if dir, err := os.UserCacheDir(); err == nil {
		dir = filepath.Join(dir, "pgumbra", "parser", "plain") // beside it lie modules with lines, of before
		if err := os.MkdirAll(dir, 0o700); err == nil {
			if cache, err := wazero.NewCompilationCacheWithDir(dir); err == nil {
				return cache
			}
		}
	}
	return wazero.NewCompilationCache()
}

// call gives an entry its argument, and the caller a copy of the result. What the
// parser refuses is a [*Refusal]; it panics where the module does.
func (l *library) call(e entry, payload []byte) ([]byte, error) {
	ctx := callContext()
	given := l.reserve(ctx, uint32(len(payload))+1)
	defer l.release(ctx, given)
	l.write(given, append(bytes.Clone(payload), 0))
	argument := given
	if e.takes == counted {
		argument = l.reserve(ctx, 8)
		defer l.release(ctx, argument)
		l.write(argument, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(len(payload))), given))
	}
	out := l.reserve(ctx, e.size)
	defer l.release(ctx, out)
	must(e.run.Call(ctx, uint64(out), uint64(argument)))
	defer func() { must(e.free.Call(ctx, uint64(out))) }()
	if failure := l.word(out + e.failure); failure != 0 {
		return nil, &Refusal{string(l.text(l.word(failure)))}
	}
	if e.gives == text {
		return l.text(l.word(out + e.result)), nil
	}
	return bytes.Clone(l.read(l.word(out+e.result), l.word(out))), nil
}

func (l *library) reserve(ctx context.Context, size uint32) uint32 {
	return uint32(must(l.malloc.Call(ctx, uint64(size)))[0])
}

func (l *library) release(ctx context.Context, at uint32) { must(l.free.Call(ctx, uint64(at))) }

func (l *library) write(at uint32, b []byte) {
	if !l.module.Memory().Write(at, b) {
		panic("outside of the parser's memory")
	}
}

func (l *library) read(at, size uint32) []byte {
	b, ok := l.module.Memory().Read(at, size)
	if !ok {
		panic("outside of the parser's memory")
	}
	return b
}

func (l *library) word(at uint32) uint32 { return binary.LittleEndian.Uint32(l.read(at, 4)) }

// text up to its zero; a null pointer is no text.
func (l *library) text(at uint32) []byte {
	if at == 0 {
		return nil
	}
	rest := l.read(at, l.module.Memory().Size()-at)
	return bytes.Clone(rest[:max(bytes.IndexByte(rest, 0), 0)])
}

func must(results []uint64, err error) []uint64 {
	if err != nil {
		panic(err)
	}
	return results
}
