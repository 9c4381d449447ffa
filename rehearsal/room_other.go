//go:build !linux && !darwin && !freebsd

package rehearsal

import "errors"

func freeBytes(string) (int64, error) { return 0, errors.ErrUnsupported }
