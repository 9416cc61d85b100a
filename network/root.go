package network

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Root is a 32-byte SSZ hash tree root. The zero value stands for "not known".
type Root [32]byte

// ParseRoot reads a root from 64 hexadecimal digits, with or without a leading 0x: checkpointz leaves it out.
func ParseRoot(s string) (Root, error) {
	var r Root
	err := parseHex(r[:], s)
	if err != nil {
		return Root{}, fmt.Errorf("parse root %q: %w", clip(s), err)
	}
	return r, nil
}

// String is the root as 0x and 64 lower-case hexadecimal digits.
func (r Root) String() string { return "0x" + hex.EncodeToString(r[:]) }

// IsZero tells whether the root is unset.
func (r Root) IsZero() bool { return r == Root{} }

// MarshalText implements encoding.TextMarshaler.
func (r Root) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with the rules of ParseRoot.
func (r *Root) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRoot(string(b))
	return err
}

// Version is a 4-byte fork version.
type Version [4]byte

// ParseVersion reads a fork version from 8 hexadecimal digits, with or without a leading 0x.
func ParseVersion(s string) (Version, error) {
	var v Version
	err := parseHex(v[:], s)
	if err != nil {
		return Version{}, fmt.Errorf("parse fork version %q: %w", clip(s), err)
	}
	return v, nil
}

// String is the version as 0x and 8 lower-case hexadecimal digits.
func (v Version) String() string { return "0x" + hex.EncodeToString(v[:]) }

// MarshalText implements encoding.TextMarshaler.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with the rules of ParseVersion.
func (v *Version) UnmarshalText(b []byte) (err error) {
	*v, err = ParseVersion(string(b))
	return err
}

func parseHex(dst []byte, s string) error {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	if len(digits) != 2*len(dst) {
		return fmt.Errorf("%d hexadecimal digits, want %d", len(digits), 2*len(dst))
	}
	_, err := hex.Decode(dst, []byte(digits))
	return err
}

// clip keeps foreign text in an error message short.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
