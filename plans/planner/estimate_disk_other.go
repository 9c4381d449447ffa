//go:build !linux && !darwin && !freebsd

package planner

import "errors"

func freeBytes(string) (int64, error) { return 0, errors.ErrUnsupported }
