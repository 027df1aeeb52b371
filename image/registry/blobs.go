package registry

import (
	"net/http"
	"time"
)

// getBlob answers GET and HEAD, with ranges.
func (r *Registry) getBlob(c *call) error {
	d, err := c.digest()
	if err != nil {
		return err
	}
	if c.req.Method == http.MethodHead {
		// Who asks and gets a yes will not send the blob again.
		_ = c.layout.Keep(d) // whether it is there is seen below
	}
	f, _, err := c.layout.Blob(d)
	if err != nil {
		return unknown(err, "BLOB_UNKNOWN")
	}
	defer f.Close()
	header := c.w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Docker-Content-Digest", d.String())
	header.Set("Etag", `"`+d.String()+`"`)
	http.ServeContent(c.w, c.req, "", time.Time{}, f)
	return nil
}

func (r *Registry) deleteBlob(c *call) error {
	d, err := c.digest()
	if err != nil {
		return err
	}
	r.removing.RLock()
	defer r.removing.RUnlock()
	if err := c.layout.DeleteBlob(d); err != nil {
		return unknown(err, "BLOB_UNKNOWN")
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}
