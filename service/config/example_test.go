package config_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/micro/micro/v3/service/config"
	"github.com/micro/micro/v3/service/logger"
)

// A value is read where it is needed, so that a change is seen at once.
func ExampleGet() {
	val, err := config.Get("database.timeout")
	if err != nil {
		logger.Error(err)
	}
	fmt.Println(val.Duration(5 * time.Second))
}

// Values are what JSON has, as Go has it.
func ExampleValue_Scan() {
	val := config.NewValue([]byte(`{"host": "db.internal", "port": 5432}`))
	var database struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	}
	if err := val.Scan(&database); err != nil {
		logger.Fatal(err)
	}
	fmt.Println(database.Host, database.Port)
	// Output: db.internal 5432
}

// Limits are read by many calls, and follow the configuration.
func ExampleWatch() {
	type limits struct {
		Requests int `json:"requests"`
	}
	var current atomic.Pointer[limits]
	go func() {
		for l, err := range config.Watch[limits](context.Background(), nil, "limits") {
			if err != nil {
				logger.Error(err)
				continue
			}
			current.Store(&l)
		}
	}()
}

// A counter that several change loses no change.
func ExampleIfRevision() {
	val, err := config.Get("counter")
	if err != nil {
		logger.Fatal(err)
	}
	err = config.Set("counter", val.Int(0)+1, config.IfRevision(val.Revision()))
	if err != nil {
		logger.Error(err) // somebody else was faster
	}
}
