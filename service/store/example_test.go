package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/micro/micro/v3/service/store"
)

func Example() {
	type post struct{ Title string }
	if err := store.Write(store.NewRecord("post/1", post{"Hello"})); err != nil {
		log.Fatal(err)
	}
	records, err := store.Read("", store.Prefix("post/"), store.Limit(10))
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range records {
		var p post
		if err := r.Decode(&p); err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Key, p.Title)
	}
}

// A counter that many instances of a service increment at once.
func ExampleClient_Write() {
	ctx := context.Background()
	c, err := store.Default()
	if err != nil {
		log.Fatal(err)
	}
	for {
		n, revision := 0, int64(0)
		r, err := c.Get(ctx, "counter")
		if err == nil {
			err = r.Decode(&n)
			revision = r.Revision
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			log.Fatal(err)
		}
		_, err = c.Write(ctx, store.NewRecord("counter", n+1), store.IfRevision(revision))
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrConflict) {
			log.Fatal(err)
		}
	}
}

func ExampleClient_Watch() {
	c, err := store.Default()
	if err != nil {
		log.Fatal(err)
	}
	for change, err := range c.Watch(context.Background(), "session/", 0) {
		switch {
		case err != nil:
			log.Fatal(err)
		case change.Synced:
		case change.Deleted:
			fmt.Println("gone:", change.Record.Key)
		default:
			fmt.Println("there:", change.Record.Key)
		}
	}
}

// A file is kept as a blob, and copied to standard output.
func ExampleBlobClient() {
	ctx := context.Background()
	c, err := store.DefaultBlobs()
	if err != nil {
		log.Fatal(err)
	}
	f, err := os.Open("cat.png")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if _, err := c.Write(ctx, "pictures/cat.png", f, store.BlobType("image/png")); err != nil {
		log.Fatal(err)
	}
	r, err := c.Read(ctx, "pictures/cat.png", 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(os.Stdout, r); err != nil {
		log.Fatal(err)
	}
}
