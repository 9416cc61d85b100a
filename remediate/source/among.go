package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Among is a Source whose place may share a file with the places of other nodes.
type Among interface {
	Source
	// LookAmong is Look that does not count what others of our own changes did to the same file. Edited then means: by somebody else.
	LookAmong(ctx context.Context, c Change, others []Change) (Condition, error)
	// RestoreAmong is Restore that takes back c alone and leaves in place what others of our own changes did to the same file.
	RestoreAmong(ctx context.Context, c Change, others []Change) error
}

// LookAmong is s.LookAmong where s can tell our own changes apart, and s.Look otherwise. others are changes of ours, in any order: whichever
// the journal has, of any node, whenever made, taken back or not. Those to other places do not matter.
func LookAmong(ctx context.Context, s Source, c Change, others []Change) (Condition, error) {
	if a, ok := s.(Among); ok {
		return a.LookAmong(ctx, c, others)
	}
	return s.Look(ctx, c)
}

// RestoreAmong is s.RestoreAmong where s can tell our own changes apart, and s.Restore otherwise. others are as for LookAmong.
func RestoreAmong(ctx context.Context, s Source, c Change, others []Change) error {
	if a, ok := s.(Among); ok {
		return a.RestoreAmong(ctx, c, others)
	}
	return s.Restore(ctx, c)
}

// siblings is a codec that knows other places in the same file.
type siblings interface {
	// sibling is the codec of the place with that Change.Key.
	sibling(key string) (codec, error)
}

// LookAmong looks at one value, whatever our other changes did to the file.
func (f *File) LookAmong(ctx context.Context, c Change, others []Change) (Condition, error) {
	cond, _, err := f.lookAmong(ctx, c, others)
	return cond, err
}

func (f *File) lookAmong(ctx context.Context, c Change, others []Change) (Condition, []byte, error) {
	cond, data, err := f.look(ctx, c)
	if err != nil || cond != Edited || data == nil {
		return cond, data, err
	}
	real, data, err := f.content(ctx)
	if err != nil {
		return "", nil, err
	}
	// Without its backup nothing can be told of the change.
	if before, after, err := f.versions(c); err == nil && real == c.File {
		switch {
		case f.explained(after, data, c, others):
			return Applied, data, nil
		case f.explained(before, data, c, others):
			return NotApplied, data, nil
		case f.tornFrom(data, before, after, c, others) != nil:
			return Half, data, nil
		}
	}
	return Edited, data, nil
}

// versions are the contents that a change was planned from and to.
func (f *File) versions(c Change) (before, after []byte, err error) {
	if before, err = f.backups.load(c.Backup, c.Before); err != nil {
		return nil, nil, err
	}
	p, err := f.codec.find(before)
	if err != nil {
		return nil, nil, f.at(err)
	}
	if after, err = f.codec.splice(before, p, c.To); err != nil {
		return nil, nil, f.at(err)
	}
	if sum(after) != c.After {
		return nil, nil, fmt.Errorf("%s: the change was made with another configuration", f.path)
	}
	return before, after, nil
}

// explained tells whether data is base with nothing but the values of other places of ours changed, to values that we wrote there or found.
func (f *File) explained(base, data []byte, c Change, others []Change) bool {
	family, ok := f.codec.(siblings)
	if !ok {
		return false
	}
	values := map[string][]string{}
	for _, o := range others {
		if o.File == c.File && o.Key != c.Key {
			values[o.Key] = append(values[o.Key], o.From, o.To)
		}
	}
	for key, known := range values {
		k, err := family.sibling(key)
		if err != nil {
			continue
		}
		is, err := k.find(data)
		if err != nil {
			continue
		}
		was, err := k.find(base)
		if err != nil || was.url == is.url {
			continue
		}
		if !slices.Contains(known, is.url) {
			return false
		}
		if base, err = k.splice(base, was, is.url); err != nil {
			return false
		}
	}
	return bytes.Equal(base, data)
}

// tornFrom returns the content that was being written over, in place, when data came to be; nil if that cannot be told.
func (f *File) tornFrom(data, before, after []byte, c Change, others []Change) []byte {
	kept, err := f.backups.of(c.File)
	if err != nil {
		return nil
	}
	for _, b := range slices.Backward(kept) {
		if b.Created {
			continue
		}
		old, err := f.backups.load(b.Path, b.Hash)
		if err != nil || !f.explained(after, old, c, others) {
			continue
		}
		if new, err := f.without(old, before, c); err == nil && torn(data, old, new) {
			return old
		}
	}
	return nil
}

// without is data with c taken back: the very bytes that stood there before.
func (f *File) without(data, before []byte, c Change) ([]byte, error) {
	is, err := f.codec.find(data)
	if err != nil {
		return nil, f.at(err)
	}
	was, err := f.codec.find(before)
	if err != nil {
		return nil, f.at(err)
	}
	if is.key != c.Key || is.url != c.To || was.key != c.Key || was.url != c.From {
		return nil, fmt.Errorf("%s: %w", f.path, ErrEditedByOther)
	}
	out := bytes.Join([][]byte{data[:is.start], before[was.start:was.end], data[is.end:]}, nil)
	// The other way round must lead back: that is the proof that only the value differs.
	p, err := f.codec.find(out)
	if err != nil {
		return nil, f.at(err)
	}
	again, err := f.codec.splice(out, p, c.To)
	if err != nil {
		return nil, f.at(err)
	}
	if p.url != c.From || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%s: taking the change back would change something else: %w", f.path, ErrEditedByOther)
	}
	return out, nil
}

// RestoreAmong takes one value back.
func (f *File) RestoreAmong(ctx context.Context, c Change, others []Change) error {
	cond, data, err := f.lookAmong(ctx, c, others)
	if err != nil {
		return err
	}
	simple, _, err := f.look(ctx, c)
	switch {
	case err != nil:
		return err
	case cond == NotApplied:
		return nil
	case simple != Edited:
		return f.Restore(ctx, c)
	case cond == Edited:
		return fmt.Errorf("restore %s: %w", f.path, ErrEditedByOther)
	}
	before, after, err := f.versions(c)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	whole := data
	if cond == Half {
		if whole = f.tornFrom(data, before, after, c, others); whole == nil {
			return fmt.Errorf("restore %s: %w", f.path, ErrEditedByOther)
		}
	}
	restored, err := f.without(whole, before, c)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if cond != Half {
		// Kept so that a write in place that stops half-way can be told from somebody else's edit.
		if err := f.keep(c.File, data); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	if err := f.write.replace(c.File, data, restored); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	_, now, err := f.content(ctx)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !bytes.Equal(now, restored) {
		return fmt.Errorf("read back %s: %w", f.path, ErrEditedByOther)
	}
	return nil
}

// keep backs up the present content of a file.
func (f *File) keep(real string, data []byte) error {
	path, err := f.backups.place(real, sum(data), f.now())
	if err != nil {
		return err
	}
	return f.backups.save(path, real, sum(data))
}

var errNoSibling = errors.New("not a place in this file")

// sibling is the codec of the value at another path in the same file.
func (c yamlCodec) sibling(key string) (codec, error) {
	path, err := splitPath(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSibling, err)
	}
	return yamlCodec{path: path}, nil
}
