package model_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/micro/micro/v3/service/model"
	"github.com/micro/micro/v3/service/store"
)

// Post is kept in the example.
type Post struct {
	ID      string    `json:"id"`
	Slug    string    `json:"slug" model:"unique"`
	Author  string    `json:"author" model:"index,by=Created"`
	Created time.Time `json:"created"`
	Likes   int       `json:"likes"`
}

// A blog keeps its posts, and shows those of an author from the newest on.
func Example() {
	ctx := context.Background()
	client, err := store.Default()
	if err != nil {
		log.Fatal(err)
	}
	posts, err := model.NewTable[Post](client.Table("posts"))
	if err != nil {
		log.Fatal(err)
	}
	err = posts.Create(ctx, &Post{ID: "1", Slug: "hello", Author: "alice", Created: time.Now()})
	if errors.Is(err, model.ErrTaken) {
		log.Fatal("there is a post with that address")
	}
	// Many may like it at once.
	post, err := posts.Update(ctx, "1", func(p *Post) error {
		p.Likes++
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(post.Likes)

	for p, err := range posts.All(ctx, model.Where("Author", "alice"), model.Desc(), model.Limit(10)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(p.Slug)
	}
}
