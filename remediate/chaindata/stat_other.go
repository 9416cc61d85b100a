//go:build !linux

package chaindata

import (
	"errors"
	"os"
)

// Elsewhere than on Linux it cannot be told what is a mount point, so nothing is moved.

func statAt(*os.File, string) (stat, error) { return stat{}, errors.ErrUnsupported }

func openDirectory(*os.File, string) (*os.File, error) { return nil, errors.ErrUnsupported }

func mayChange(*os.File) error { return errors.ErrUnsupported }

func free(*os.File) (uint64, error) { return 0, errors.ErrUnsupported }
