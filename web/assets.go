package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"path"
	"strings"
)

//go:embed assets/page.css assets/page.js assets/icon.svg templates/*.html
var files embed.FS

// asset is a file that the page refers to. Its name holds a hash of its content, so browsers may keep it for ever.
type asset struct {
	name, contentType string
	content           []byte
}

// assets are by the name under which they are served, and assetNames by the one of the file.
var assets, assetNames = func() (map[string]asset, map[string]string) {
	byName, names := map[string]asset{}, map[string]string{}
	for file, contentType := range map[string]string{
		"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		content, err := files.ReadFile("assets/" + file)
		if err != nil {
			panic(err) // it is embedded by the line above
		}
		sum := sha256.Sum256(content)
		ext := path.Ext(file)
		name := strings.TrimSuffix(file, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		byName[name], names[file] = asset{name, contentType, content}, name
	}
	return byName, names
}()

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"asset": func(file string) string { return "assets/" + assetNames[file] },
	"humps": humps,
}).ParseFS(files, "templates/*.html"))

// csp lets the page load what this server serves, and nothing else: no inline script or style, no frame, no form, nobody who frames it.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types status"

func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	a, ok := assets[r.PathValue("name")]
	if !ok {
		w.Header().Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.content) // whoever asked has gone
}
