package actuator

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/moby/moby/client"
)

// maxLogStream bounds what the engine may send of a log, in bytes: MaxLogLines of the 16 KiB to which it breaks lines (moby
// daemon/logger/copier.go, defaultBufSize), and headers.
const maxLogStream = MaxLogLines * (16<<10 + 64)

func containerLogs(ctx context.Context, c *client.Client, container string, n int) ([]string, error) {
	n, err := checkLines(n)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	got, err := c.ContainerInspect(ctx, container, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspect container %s: %w", container, explainDocker(err))
	}
	stream, err := c.ContainerLogs(ctx, got.Container.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(n)})
	if err != nil {
		return nil, fmt.Errorf("log of container %s: %w", container, explainDocker(err))
	}
	defer func() { _ = stream.Close() }()
	limited := io.LimitReader(stream, maxLogStream)
	text := newTail(maxLog)
	if got.Container.Config != nil && got.Container.Config.Tty {
		_, err = io.Copy(text, limited)
	} else {
		err = demultiplex(text, limited)
	}
	if err != nil {
		return nil, fmt.Errorf("log of container %s: %w", container, err)
	}
	all, cut := text.text()
	return lines(all, cut > 0, n), nil
}

// Streams of a multiplexed log (moby api/pkg/stdcopy). The last holds the engine's own errors.
const (
	streamOut    = 1
	streamErr    = 2
	streamSystem = 3
)

// demultiplex writes both streams to w in the order in which they come. stdcopy.StdCopy would do, but holds each frame in memory, however
// large its header says it is.
func demultiplex(w io.Writer, r io.Reader) error {
	var header [8]byte // stream, three zero bytes, big-endian size
	for {
		_, err := io.ReadFull(r, header[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint32(header[4:]))
		switch header[0] {
		case 0, streamOut, streamErr:
			if _, err := io.CopyN(w, r, size); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		case streamSystem:
			said, err := io.ReadAll(io.LimitReader(r, min(size, MaxLogLine)))
			return errors.Join(fmt.Errorf("the engine says: %s", tidy(string(said))), err)
		default:
			return fmt.Errorf("the engine sent no log: stream %d", header[0])
		}
	}
}
