package netfiles

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
)

const defaultTimeout = 10 * time.Minute

// Fetch downloads the files of an iteration into a directory beside the present one and proves that they are of it. Nothing else is
// touched. ErrNotReleased: the server does not have them yet.
func Fetch(ctx context.Context, o Options) (*Staged, error) {
	o.Limits = o.Limits.filled()
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	s, parent, err := o.begin()
	if err != nil {
		return nil, err
	}
	err = s.fetch(ctx, o, parent)
	if err := errors.Join(err, parent.Close()); err != nil {
		return nil, fmt.Errorf("fetch network files for %s: %w", o.Dir, err)
	}
	return s, nil
}

// marker is what stands in a staged directory.
type marker struct {
	Iteration uint64    `json:"iteration"`
	URL       string    `json:"url"`
	SHA256    string    `json:"sha256"`
	Time      time.Time `json:"time"`
}

// begin checks what was asked for, and opens the parent of the directory.
func (o Options) begin() (*Staged, *os.Root, error) {
	refuse := func(path, reason, mend string) (*Staged, *os.Root, error) {
		return nil, nil, &RefusedError{Path: path, Reason: reason, Mend: mend}
	}
	if !filepath.IsAbs(o.Dir) {
		return refuse(o.Dir, "it is not an absolute path", "write where the network's files are")
	}
	dir := filepath.Clean(o.Dir)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("look at %s: %w", o.Dir, err)
	} else if real, err := filepath.EvalSymlinks(filepath.Dir(dir)); err != nil {
		return nil, nil, fmt.Errorf("look at %s: %w", filepath.Dir(dir), err)
	} else {
		dir = filepath.Join(real, filepath.Base(dir))
	}
	if reason := chaindata.System(dir); reason != "" {
		return refuse(dir, reason, "write a directory of the network's files alone")
	}
	source, err := url.Parse(strings.ReplaceAll(o.URL, "{iteration}", strconv.FormatUint(o.Chain.Iteration, 10)))
	if err != nil || source.Scheme != "http" && source.Scheme != "https" || source.Host == "" {
		return refuse(dir, "the URL of its new files is none", "write one that begins with https:// or http://")
	}
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return nil, nil, fmt.Errorf("look at %s: %w", filepath.Dir(dir), err)
	}
	s := &Staged{
		Dir: dir, Staging: filepath.Join(filepath.Dir(dir), fmt.Sprintf(".checkpoint-network-%s-%d", filepath.Base(dir), o.Chain.Iteration)),
		Iteration: o.Chain.Iteration, URL: source.Redacted(), Step: o.Step,
	}
	if err := s.replaceable(parent); err != nil {
		return nil, nil, errors.Join(err, parent.Close())
	}
	return s, parent, nil
}

// names in the parent directory: the present files, the staged ones (after Apply the old ones), and what may be removed at any time.
func (s *Staged) base() string    { return filepath.Base(s.Dir) }
func (s *Staged) staging() string { return filepath.Base(s.Staging) }
func (s *Staged) scrap() string   { return s.staging() + ".part" }
func (s *Staged) away() string    { return s.staging() + ".old" }

// fetch does the work of Fetch.
func (s *Staged) fetch(ctx context.Context, o Options, parent *os.Root) error {
	if err := s.sweep(parent); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	client := o.Client
	if client == nil {
		client = newClient()
		defer client.CloseIdleConnections()
	}
	body, err := get(ctx, client, strings.ReplaceAll(o.URL, "{iteration}", strconv.FormatUint(s.Iteration, 10)), o.Limits.Compressed)
	if err != nil {
		return err
	}
	err = s.stage(o, parent, &bounded{r: body, left: o.Limits.Compressed})
	if err := errors.Join(err, body.Close()); err != nil {
		return errors.Join(err, parent.RemoveAll(s.scrap()))
	}
	return nil
}

// stage unpacks and proves an archive, and gives it its name.
func (s *Staged) stage(o Options, parent *os.Root, archive io.Reader) error {
	if err := s.step(StepUnpack); err != nil {
		return err
	}
	if err := parent.Mkdir(s.scrap(), 0o700); err != nil {
		return permission(s.Dir, err)
	}
	root, err := parent.OpenRoot(s.scrap())
	if err != nil {
		return err
	}
	err = s.fill(o, parent, root, archive)
	if err := errors.Join(err, root.Close()); err != nil {
		return err
	}
	if err := s.step(StepStage); err != nil {
		return err
	}
	if err := parent.Rename(s.scrap(), s.staging()); err != nil {
		return err
	}
	if s.New, _, err = inode(parent, s.staging()); err != nil {
		return err
	}
	return s.sync(parent)
}

func (s *Staged) fill(o Options, parent, root *os.Root, archive io.Reader) (err error) {
	sum := sha256.New()
	whole := io.TeeReader(archive, sum)
	if s.Files, s.Bytes, err = unpack(root, whole, o.Limits); err != nil {
		return fmt.Errorf("the archive is refused: %w", err)
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return fmt.Errorf("the archive is refused: %w", err)
	}
	s.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if err := check(root, s.Staging, o.Chain); err != nil {
		return err
	}
	text, err := json.Marshal(marker{Iteration: s.Iteration, URL: s.URL, SHA256: s.SHA256, Time: time.Now().UTC()})
	if err != nil {
		return err
	}
	f, err := root.OpenFile(markerName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if s.Old, _, err = inode(parent, s.base()); err != nil {
		return err
	}
	if err := s.likeTheOld(parent, root); err != nil {
		return err
	}
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sweep removes what an earlier attempt left: what was not finished, and what was staged for this iteration. Old files are not ours to
// remove.
func (s *Staged) sweep(parent *os.Root) error {
	if _, there, err := inode(parent, s.away()); err != nil || there {
		return errors.Join(err, s.inTheWay(s.away(), there))
	}
	if _, there, err := inode(parent, s.staging()); err != nil {
		return err
	} else if there {
		text, err := parent.ReadFile(filepath.Join(s.staging(), markerName))
		var m marker
		if err != nil || json.Unmarshal(text, &m) != nil || m.Iteration != s.Iteration {
			return s.inTheWay(s.staging(), true)
		}
		if err := s.discard(parent, s.staging()); err != nil {
			return err
		}
	}
	if err := s.step(StepSweep); err != nil {
		return err
	}
	if err := parent.RemoveAll(s.scrap()); err != nil {
		return permission(s.Dir, err)
	}
	return nil
}

func (s *Staged) inTheWay(name string, there bool) error {
	if !there {
		return nil
	}
	return &RefusedError{Path: filepath.Join(filepath.Dir(s.Dir), name), Reason: "the files of before are still there", Mend: "put them back or delete them first"}
}

// newClient is for one download. A server that sends us from https to http is not followed.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: 30 * time.Second, ResponseHeaderTimeout: time.Minute, DisableCompression: true, MaxResponseHeaderBytes: 1 << 20,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= 10 {
				return errors.New("redirected ten times")
			}
			if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
				return errors.New("redirected from https to " + req.URL.Scheme)
			}
			return nil
		},
	}
}

// get begins a download.
func get(ctx context.Context, client *http.Client, from string, most int64) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/octet-stream, */*")
	req.Header.Set("Accept-Encoding", "identity") // the archive is compressed already
	req.Header.Set("User-Agent", "checkpoint_remediator")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err // it names the URL without its password
	}
	switch {
	case resp.StatusCode == http.StatusOK && resp.ContentLength <= most:
		return resp.Body, nil
	case resp.StatusCode == http.StatusOK:
		err = errTooLarge
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		err = ErrNotReleased
	default:
		err = fmt.Errorf("the server answers %d", resp.StatusCode)
	}
	return nil, errors.Join(fmt.Errorf("GET %s: %w", req.URL.Redacted(), err), resp.Body.Close())
}
